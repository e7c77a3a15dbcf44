"""Both languages of a chapter say the same: cell for cell, formula for formula."""

import re
from collections import Counter
from pathlib import Path

import pytest
import yaml
from bilingual import Cell, keep_language, read_cells
from chinese_search import index_terms

ROOT = Path(__file__).resolve().parents[1]
BOOK = ROOT / "book"
CHAPTERS = sorted(path.relative_to(BOOK).as_posix() for path in BOOK.rglob("*.md"))
# The published notes make so many statements; each document's are numbered from 01.
STATEMENTS = {"part1": {"001": 75}, "part2": {"000": 58, "002": 22}, "part3": {"003": 35}}

DIRECTIVE = re.compile(r"^[`:]{3,}\{(?P<name>[\w:-]+)\}[ ]*(?P<argument>[^\n]*)$", re.MULTILINE)
OPTION = re.compile(r"^:(?P<key>[\w-]+):[ ]*(?P<value>[^\n]*)$", re.MULTILINE)
DISPLAY = re.compile(
    r"\$\$(.+?)\$\$|^\\begin\{(\w+\*?)\}(.+?)\\end\{\2\}", re.MULTILINE | re.DOTALL
)
INLINE = re.compile(r"(?<![\\$])\$(?!\$)(.+?)(?<!\\)\$(?!\$)", re.DOTALL)
ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?P<text>[^`]+)`")
HEADING = re.compile(r"^(?P<level>#{1,6}) (?P<number>[\d.]*\d(?=\s|\u3000))?", re.MULTILINE)
LABEL = re.compile(r"^\((?P<label>[^()\s]+)\)=$|\$\$ \((?P<equation>[^()\s]+)\)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")
HAN = re.compile(r"[\u3400-\u9fff]")
ALT = re.compile(r"^:alt:[ ]*([^\n]+)$", re.MULTILINE)

# The words in these belong to a language; everything else in an option or argument is code.
SPOKEN_OPTIONS = {"alt"}
SPOKEN_ARGUMENTS = {"dropdown", "admonition", "grid-item-card", "tab-item", "card", "list-table"}
PICTURES = {"glue:figure", "figure", "image"}


def without_code(text: str) -> str:
    """The prose without inline code and plain code blocks, in which $ and # mean something else."""
    kept, directives, block = [], [], ""
    for line in text.splitlines():
        fence, rest = re.match(r"(`{3,})?(.*)", line).groups()
        if block:
            block = "" if fence == block and not rest.strip() else block
        elif fence and not rest.strip() and fence in directives:
            directives = directives[: directives.index(fence)]
            kept.append(line)
        elif fence and not rest.startswith("{"):
            block = fence
        else:
            directives += [fence] if fence else []
            kept.append(line)
    # A role is kept as a whole: its last backtick does not begin a piece of code.
    role_or_code = r"(\{[\w:-]+\}`[^`\n]+`)|(`+)(?!`).+?(?<!`)\2(?!`)"
    return re.sub(role_or_code, lambda m: m[1] or "", "\n".join(kept))


def formula(text: str) -> str:
    """A formula without white space, and without the words in it, which are translated."""
    return re.sub(r"\s+", "", re.sub(r"\\(text|mathrm|textbf)\{[^{}]*\}", r"\\\1{}", text))


def target(role: str) -> str:
    """What a role refers to: ``words <target>`` and ``target`` are the same."""
    match = re.search(r"<([^<>]+)>$", role)
    return match[1] if match else role


def structure(text: str) -> dict[str, object]:
    """Everything in the text of a cell that does not depend on its language."""
    prose = without_code(text)
    shown = [match[1] or match[3] for match in DISPLAY.finditer(prose)]
    directives = [
        (m["name"], "" if m["name"] in SPOKEN_ARGUMENTS else m["argument"].strip())
        for m in DIRECTIVE.finditer(text)
    ]
    return {
        "headings": [(len(m["level"]), m["number"]) for m in HEADING.finditer(prose)],
        "labels": [m["label"] or m["equation"] for m in LABEL.finditer(prose)],
        "displayed formulas": [formula(shown_one) for shown_one in shown],
        "inline formulas": Counter(
            formula(m[1]) for m in INLINE.finditer(DISPLAY.sub("", without_alt(prose)))
        ),
        "directives": directives,
        "options": [
            (m["key"], m["value"].strip())
            for m in OPTION.finditer(prose)
            if m["key"] not in SPOKEN_OPTIONS
        ],
        "references": Counter(
            (m["name"], target(m["text"])) for m in ROLE.finditer(text) if m["name"] != "claim"
        ),
        "claims": Counter(m["text"] for m in ROLE.finditer(text) if m["name"] == "claim"),
        "links": Counter(LINK.findall(prose)),
        "rows of tables": len(re.findall(r"^\|", prose, re.MULTILINE)),
    }


def without_alt(text: str) -> str:
    """An alt text says a formula in words; it need not say it in the same way."""
    return ALT.sub("", text)


def differences(zh: str, en: str) -> list[str]:
    """What the two versions of a cell do not share."""
    ours, theirs = structure(zh), structure(en)
    found = [
        f"{kind}: zh {ours[kind]}, en {theirs[kind]}" for kind in ours if ours[kind] != theirs[kind]
    ]
    pictures = sum(m["name"] in PICTURES for m in DIRECTIVE.finditer(zh))
    alts = {lang: ALT.findall(text) for lang, text in (("zh", zh), ("en", en))}
    if not all(len(texts) == pictures for texts in alts.values()):
        found.append(f"alt texts: {pictures} pictures, but {alts}")
    if any(not HAN.search(alt) for alt in alts["zh"]) or any(HAN.search(a) for a in alts["en"]):
        found.append(f"alt texts in the wrong language: {alts}")
    if HAN.search(without_code(zh)) is None:
        found.append("the Chinese cell has no Chinese in it")
    if len(HAN.findall(without_code(en))) > 0.05 * len(en):
        found.append("the English cell is full of Chinese")
    return found


def markdown_cells(chapter: str) -> list[Cell]:
    """The cells of prose in a chapter."""
    cells = read_cells((BOOK / chapter).read_text("utf-8"))
    return [cell for cell in cells if cell.kind == "markdown"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_each_chinese_cell_is_followed_by_its_english_twin(chapter: str) -> None:
    cells = read_cells((BOOK / chapter).read_text("utf-8"))
    languages = [cell.lang if cell.kind == "markdown" else "code" for cell in cells]
    assert re.fullmatch(r"(zh en |code )*", "".join(f"{lang} " for lang in languages)), languages


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_twins_share_everything_but_the_words(chapter: str) -> None:
    cells = markdown_cells(chapter)
    found = {
        f"line {zh.first_line + 1}": differences(zh.source, en.source)
        for zh, en in zip(cells[::2], cells[1::2], strict=True)
    }
    assert not {line: problems for line, problems in found.items() if problems}


GOOD = """\
## 7.3.1 题目
(eq-a)=

看 $x^2$ {claim}`001-02` 与 {ref}`前面 <a>`，[这里](a.md)：

$$ y = 2 \\text{倍} $$ (eq-y)

```{glue:figure} fig-a
:name: "fig-a"
:alt: 一条线
说明
```
"""
GOOD_TWIN = """\
## 7.3.1 A title
(eq-a)=

See $x^2$ {claim}`001-02` and {ref}`above <a>`, [here](a.md):

$$ y = 2 \\text{times} $$ (eq-y)

```{glue:figure} fig-a
:name: "fig-a"
:alt: a line
a caption
```
"""


def test_a_good_pair_has_no_differences() -> None:
    assert differences(GOOD, GOOD_TWIN) == []


def test_code_is_left_out_and_prose_after_a_directive_is_not() -> None:
    text = "a\n```{tip}\nb\n```\nc `d` e\n```python\nf\n```\n````{note}\n```{tip}\ng\n```\n````\nh"
    assert re.findall(r"^\w", without_code(text), re.MULTILINE) == list("abcgh")
    assert "d" not in without_code(text).replace("{tip}", "")
    assert without_code("{term}`a` and `b` $c$ `d`") == "{term}`a` and  $c$ "


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("## 7.3.1", "### 7.3.1"),
        ("## 7.3.1", "## 7.3.2"),
        ("$x^2$", "$x^3$"),
        ("y = 2", "y = 3"),
        ("(eq-a)=", "(eq-b)="),
        ("(eq-y)", "(eq-z)"),
        ("001-02", "001-03"),
        ("<a>", "<b>"),
        ("(a.md)", "(b.md)"),
        ("} fig-a", "} fig-b"),
        ('"fig-a"', '"fig-b"'),
        (":alt: a line\n", ""),
        (":alt: a line", ":alt: 一条线"),
        ("A title", "题目题目题目题目题目题目题目题目题目题目题目题目题目题目题目"),
    ],
)
def test_a_bad_pair_is_caught(right: str, wrong: str) -> None:
    assert right in GOOD_TWIN
    assert differences(GOOD, GOOD_TWIN.replace(right, wrong))


@pytest.mark.parametrize("part", STATEMENTS)
def test_every_statement_of_the_notes_is_treated_in_its_part(part: str) -> None:
    text = "".join(
        cell.source
        for path in CHAPTERS
        if path.startswith(f"{part}/")
        for cell in markdown_cells(path)
    )
    treated = {m["text"] for m in ROLE.finditer(text) if m["name"] == "claim"}
    assert treated == {
        f"{document}-{number:02}"
        for document, count in STATEMENTS[part].items()
        for number in range(1, count + 1)
    }


def test_labels_are_unique_in_the_book() -> None:
    text = "".join(
        c.source + "\n" for path in CHAPTERS for c in markdown_cells(path) if c.lang == "en"
    )
    labels = structure(text)["labels"]
    names = [value.strip('"') for key, value in structure(text)["options"] if key == "name"]
    repeated = [label for label, count in Counter([*labels, *names]).items() if count > 1]
    assert not repeated


@pytest.mark.parametrize("kind", ["toc", "config"])
def test_the_two_sites_have_the_same_settings(kind: str) -> None:
    zh, en = (
        yaml.safe_load((ROOT / f"_{kind}{end}.yml").read_text("utf-8")) for end in ("", ".en")
    )

    def without_words(value: object) -> object:
        if isinstance(value, dict):
            return {key: without_words(v) for key, v in value.items() if key != "language"}
        if isinstance(value, list):
            return [without_words(item) for item in value]
        return (
            value
            if not isinstance(value, str) or re.fullmatch(r"[\w./-]*", value, re.ASCII)
            else ""
        )

    if kind == "toc":
        files = [[c["file"] for part in toc["parts"] for c in part["chapters"]] for toc in (zh, en)]
        assert files[0] == files[1]
        assert {f"{name}.md" for name in [zh["root"], *files[0]]} == set(CHAPTERS)
    else:
        assert list(without_words(zh)) == list(without_words(en))
        assert without_words(zh["sphinx"]["config"]) == without_words(en["sphinx"]["config"])


def test_a_filtered_chapter_keeps_its_line_numbers() -> None:
    text = """---
a: 1
---

+++ {"lang": "zh"}

你好

+++ {"lang": "en"}

Hello

```{code-cell}
1
```
"""
    kept = keep_language(text, "en").splitlines()
    assert len(kept) == len(text.splitlines())
    assert kept.index("Hello") == text.splitlines().index("Hello")
    assert "你好" not in kept
    assert "```{code-cell}" in kept


def test_a_language_that_the_book_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="'fr'"):
        keep_language("", "fr")


@pytest.mark.parametrize("query", ["学习率", "自适应", "自适应学习率", "率"])
def test_a_query_is_found_inside_a_longer_word(query: str) -> None:
    terms = set(index_terms("自适应学习率"))
    asked = [query] if len(query) == 1 else [query[i : i + 2] for i in range(len(query) - 1)]
    assert terms.issuperset(asked)

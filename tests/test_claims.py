"""The table of statements: one row for each, with a page that decides it by an assertion."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from bilingual import LANGUAGES, Cell, read_cells
from claims_table import Claim, read_claim, read_claims
from test_languages import HAN, INLINE, ROLE, STATEMENTS, formula, without_code

BOOK = Path(__file__).resolve().parents[1] / "book"
NUMBERS = [
    f"{document}-{number:02}"
    for documents in STATEMENTS.values()
    for document, count in documents.items()
    for number in range(1, count + 1)
]
CLAIMS = read_claims(sorted((BOOK / "claims").glob("*.yml")))
FIGURE = re.compile(r"(?<![\w.])\d[\d,]*\.\d+")

# What a cell checks, it asserts, or it refuses to go on where an error should have come.
ASSERTION = re.compile(r"^\s*(assert|raise AssertionError)\b", re.MULTILINE)

# Whether each badge of a page is decided there.
Decided = dict[str, bool]


def decided_on(cells: list[Cell], lang: str) -> Decided:
    """Find the badges that a page has in a language, and whether a cell beside them asserts.

    A cell stands beside a badge if it is in the same section (a heading of level 1 to 3); a section
    without any code shares the cells of the next one that has some.
    """
    sections: list[tuple[set[str], list[str]]] = [(set(), [])]
    for cell in cells:
        if cell.kind == "code":
            sections[-1][1].append(cell.source)
        elif cell.lang == lang:
            for piece in re.split(r"^(?=#{1,3} )", cell.source, flags=re.MULTILINE):
                if piece.startswith("#"):
                    sections.append((set(), []))
                roles = ROLE.finditer(piece)
                sections[-1][0].update(m["text"] for m in roles if m["name"] == "claim")
    decided: Decided = {}
    beside: list[str] = []
    for badges, code in reversed(sections):
        beside = code or beside
        asserts = any(ASSERTION.search(source) for source in beside)
        decided |= {badge: asserts or decided.get(badge, False) for badge in badges}
    return decided


def read_chapters() -> dict[str, dict[str, Decided]]:
    """What each chapter decides, in each language."""
    chapters = {}
    for path in sorted(BOOK.glob("part*/*.md")):
        cells = read_cells(path.read_text("utf-8"))
        page = path.relative_to(BOOK).with_suffix("").as_posix()
        chapters[page] = {lang: decided_on(cells, lang) for lang in LANGUAGES}
    return chapters


def undecided(claims: list[Claim], chapters: dict[str, dict[str, Decided]]) -> list[str]:
    """Rows whose page lacks the badge, or an assertion in the badge's section."""
    problems = []
    for claim in claims:
        for lang in LANGUAGES:
            decided = chapters.get(claim.page, {}).get(lang, {})
            if claim.number not in decided:
                problems.append(f"{claim.number}: no badge on {claim.page} ({lang})")
            elif claim.verdict != "untested" and not decided[claim.number]:
                problems.append(f"{claim.number}: no assertion beside it on {claim.page} ({lang})")
    return problems


def language_problems(claim: Claim) -> list[str]:
    """What is wrong with the two versions of a row."""
    problems = []
    for name, texts in (("said", claim.said), ("is", claim.holds)):
        if HAN.search(texts["en"]):
            problems.append(f"{name}: Chinese in the English text")
        if not HAN.search(texts["zh"]):
            problems.append(f"{name}: no Chinese in the Chinese text")
        zh, en = (without_code(texts[lang]) for lang in LANGUAGES)
        formulas = [sorted(formula(m[1]) for m in INLINE.finditer(text)) for text in (zh, en)]
        if formulas[0] != formulas[1]:
            problems.append(f"{name}: formulas {formulas}")
        figures = [sorted(set(FIGURE.findall(text))) for text in (zh, en)]
        if figures[0] != figures[1]:
            problems.append(f"{name}: figures {figures}")
    return problems


def test_every_statement_has_one_row() -> None:
    assert sorted(claim.number for claim in CLAIMS) == sorted(NUMBERS)


def test_every_row_is_decided_on_its_page() -> None:
    assert undecided(CLAIMS, read_chapters()) == []


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.number)
def test_both_languages_say_the_same(claim: Claim) -> None:
    assert language_problems(claim) == []


PAGE = """\
+++ {"lang": "zh"}

# 题
一 {claim}`001-01`

+++ {"lang": "en"}

# Title
one {claim}`001-01`

```{code-cell}
x = 1
```

+++ {"lang": "zh"}

## 节
二 {claim}`001-02`

## 节
三 {claim}`001-03`

+++ {"lang": "en"}

## Section
two {claim}`001-02`

## Section
three {claim}`001-03`

#### Detail

```{code-cell}
assert x
```

```{code-cell}
x = 2
```

+++ {"lang": "zh"}

四 {claim}`001-04`

### 小节
五 {claim}`001-05`

+++ {"lang": "en"}

four {claim}`001-04`

### Subsection
five
"""


def test_a_badge_is_decided_by_a_cell_beside_it() -> None:
    cells = read_cells(PAGE)
    decided = decided_on(cells, "zh")
    assert decided == {
        "001-01": False,  # its section has code, without an assertion
        "001-02": True,  # its section has no code, the next one has
        "001-03": True,
        "001-04": True,  # a smaller heading begins no section
        "001-05": False,  # nothing comes after it
    }
    del decided["001-05"]
    assert decided_on(cells, "en") == decided


BOTH = {"zh": "数 $x$ 是 1.5", "en": "the number $x$ is 1.5"}
GOOD = {"id": "001-02", "verdict": "holds", "said": BOTH, "is": BOTH, "page": "part1/page"}


def test_rows_that_nothing_decides_are_caught() -> None:
    chapters = {"part1/page": {lang: decided_on(read_cells(PAGE), lang) for lang in LANGUAGES}}
    good = read_claim(GOOD)
    assert undecided([good, replace(good, number="001-04")], chapters) == []
    for wrong in ({"page": "part1/other"}, {"number": "001-01"}, {"number": "001-05"}):
        assert undecided([replace(good, **wrong)], chapters), wrong
    assert undecided([replace(good, number="001-01", verdict="untested")], chapters) == []


def test_rows_that_are_missing_or_there_twice_are_caught(tmp_path: Path) -> None:
    numbers = [claim.number for claim in CLAIMS[1:]]
    assert sorted(numbers) != sorted(NUMBERS)
    source = BOOK / "claims" / "000.yml"
    twice = source.read_text("utf-8") + source.read_text("utf-8")
    (tmp_path / "000.yml").write_text(twice, "utf-8")
    with pytest.raises(ValueError, match="more than one row: 000-01, 000-02"):
        read_claims([tmp_path / "000.yml"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"id": "1-2"}, "id must be"),
        ({"id": "007-01"}, "the documents are 000, 001, 002, 003"),
        ({"verdict": "true"}, "verdict must be one of"),
        ({"verdict": True}, "verdict must be one of"),
        ({"said": {"zh": "一"}}, "said must have a text"),
        ({"is": BOTH | {"en": " "}}, "is must not be empty"),
        ({"page": ""}, "page must name"),
        ({"verdict": "untested"}, "untested statement has a why"),
        ({"why": "history"}, "untested statement has a why"),
        ({"verdict": "untested", "why": "mood"}, "untested statement has a why"),
        ({"note": "x"}, "unknown fields"),
    ],
)
def test_a_bad_row_is_refused(wrong: dict[str, object], words: str) -> None:
    assert read_claim(GOOD).verdict == "holds"
    assert read_claim(GOOD | {"verdict": False}).verdict == "false"  # a bare word of YAML
    with pytest.raises(ValueError, match=words):
        read_claim(GOOD | wrong)


@pytest.mark.parametrize(
    "en", ["the number $x$ is 一", "the number $y$ is 1.5", "the number $x$ is 1.6"]
)
def test_twins_that_differ_are_caught(en: str) -> None:
    good = read_claim(GOOD)
    assert language_problems(good) == []
    assert language_problems(replace(good, said=BOTH | {"en": en}))
    assert language_problems(replace(good, holds={"zh": "one", "en": "one"}))

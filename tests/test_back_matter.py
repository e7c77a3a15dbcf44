"""The back matter: the glossary, the notation, the references and the examples of the package."""

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator

import pytest
from bilingual import LANGUAGES, Cell, read_cells
from make_lab import pages
from pybtex.database import Entry, parse_file
from test_languages import BOOK, CHAPTERS, HAN, ROLE, markdown_cells, target, without_code

ROOT = BOOK.parent
PARTS = [f"{name}.md" for name in pages("zh") if re.match(r"part\d/", name)]


def page(chapter: str, lang: str) -> str:
    """The prose of a chapter in one language."""
    return "\n\n".join(cell.source for cell in markdown_cells(chapter) if cell.lang == lang)


# --- the glossary

GLOSSARY = re.compile(r"^```\{glossary\}\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def entries(lang: str) -> list[tuple[list[str], str]]:
    """The entries of the glossary: their names, and the definition."""
    found = []
    for block in GLOSSARY.finditer(page("glossary.md", lang)):
        for entry in re.split(r"\n\s*\n(?=\S)", block["body"].strip()):
            lines = entry.splitlines()
            names = [line.split(" : ")[0] for line in lines if not line.startswith(" ")]
            found.append((names, " ".join(line.strip() for line in lines[len(names) :])))
    return found


ENTRIES = {lang: entries(lang) for lang in LANGUAGES}
# The name that the chapters link to is the English one; on the English page it comes first.
TERMS = [names[0] for names, _ in ENTRIES["en"]]


def links(cell: Cell) -> list[str]:
    """The terms that a cell links to, in order."""
    return [target(m["text"]) for m in ROLE.finditer(cell.source) if m["name"] == "term"]


def test_each_entry_has_both_names_and_a_definition() -> None:
    assert len(TERMS) > 100
    for (zh, zh_text), (en, en_text) in zip(ENTRIES["zh"], ENTRIES["en"], strict=True):
        assert sorted(zh) == sorted(en)
        assert HAN.search(zh[0]), zh
        assert not HAN.search(en[0] + en_text), en
        assert len(HAN.findall(zh_text)) > 5, zh
        assert len(en_text.split()) > 5, en
        docs = [target(m["text"]) for m in ROLE.finditer(en_text) if m["name"] == "doc"]
        assert [f"{name}.md" in CHAPTERS for name in docs] == [True], en


def test_no_name_has_two_entries() -> None:
    count = Counter(name.lower() for names, _ in ENTRIES["en"] for name in names)
    assert not [name for name, number in count.items() if number > 1]


def test_every_chinese_name_has_its_letter_in_the_index() -> None:
    lines = [
        line
        for block in GLOSSARY.finditer(page("glossary.md", "zh"))
        for line in block["body"].splitlines()
        if HAN.search(line) and not line.startswith(" ")
    ]
    assert not [line for line in lines if not re.fullmatch(r".+ : [A-Z]", line)]


@pytest.mark.parametrize("chapter", PARTS)
def test_a_chapter_links_its_terms_once(chapter: str) -> None:
    linked = [term for cell in markdown_cells(chapter) if cell.lang == "en" for term in links(cell)]
    assert set(linked) <= set(TERMS), set(linked) - set(TERMS)
    assert not [term for term, number in Counter(linked).items() if number > 1]
    assert 6 <= len(linked) <= 20


def test_every_entry_is_linked_from_a_chapter() -> None:
    cells = [cell for chapter in PARTS for cell in markdown_cells(chapter)]
    assert not set(TERMS) - {term for cell in cells for term in links(cell)}


@pytest.mark.parametrize("chapter", PARTS)
def test_links_to_terms_stand_in_prose(chapter: str) -> None:
    for cell in markdown_cells(chapter):
        heads = re.findall(r"^(?:#|\||:\w|[`:]{3,}).*$", cell.source, re.MULTILINE)
        captions = re.findall(r"^```\{glue:figure\}.*?^```$", cell.source, re.MULTILINE | re.DOTALL)
        assert not [text for text in [*heads, *captions] if "{term}" in text]


def test_an_entry_leads_to_a_chapter_that_has_the_word() -> None:
    """In either language the page that an entry names has one of its names in its prose."""
    for lang in LANGUAGES:
        prose = {chapter: page(chapter, lang).lower() for chapter in CHAPTERS}
        for names, text in ENTRIES[lang]:
            doc = next(target(m["text"]) for m in ROLE.finditer(text) if m["name"] == "doc")
            assert any(name.lower() in prose[f"{doc}.md"] for name in names), (lang, names, doc)


# --- the notation


def rows(lang: str) -> Iterator[list[str]]:
    """The rows of the tables of symbols, without their heads."""
    for line in page("notation.md", lang).splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| $"):
            yield cells


def bare(formula: str) -> str:
    r"""Return a formula in one spelling: ``\hat{m}`` as ``\hat m``, ``g_{-}`` as ``g_-``."""
    return re.sub(r"(?<=[_^]) ", "", re.sub(r"([{}\s]|\\[,;!])+", " ", formula)).strip()


def formulas(chapter: str, lang: str = "en") -> str:
    """Everything between dollar signs in a chapter."""
    text = without_code(page(chapter, lang))
    return " | ".join(map(bare, re.findall(r"\$\$?(.+?)\$\$?", text, re.DOTALL)))


def test_each_symbol_is_explained_in_both_languages() -> None:
    both = list(zip(rows("zh"), rows("en"), strict=True))
    assert len(both) > 60
    for zh, en in both:
        assert zh[0] == en[0]
        assert HAN.search(zh[1]), zh
        assert re.search(r"[a-z]{3}", en[1]), en
        assert not HAN.search("".join(en)), en


def has(symbol: str, text: str) -> bool:
    """Whether a symbol is in some formulas, and not as a part of a longer name."""
    before = r"(?<![A-Za-z\\])" if symbol[0].isalpha() else ""
    after = r"(?![A-Za-z])" if symbol[-1].isalpha() else ""
    return re.search(before + re.escape(symbol) + after, text) is not None


TABLES = {
    columns: [row for row in rows("en") if len(row) == columns]
    for columns in (4, 3, 2)  # symbols, letters of one algorithm, letters with several meanings
}
SEVERAL = {row[0] for row in TABLES[2]}


def test_a_symbol_first_appears_where_the_notation_says() -> None:
    text = {chapter: formulas(chapter) for chapter in PARTS}
    for symbol, _, _, link in TABLES[4]:
        (chapter,) = (f"{target(m['text'])}.md" for m in ROLE.finditer(link))
        using = [name for name in PARTS if has(bare(symbol.strip("$")), text[name])]
        assert chapter in using, f"{symbol} is not in {chapter}"
        assert symbol in SEVERAL or chapter == using[0], f"{symbol} is in {using[0]} already"


def test_the_letters_of_single_algorithms_are_in_the_familys_formulas() -> None:
    text = formulas("part2/family.md")
    assert not [symbol for symbol, *_ in TABLES[3] if not has(bare(symbol.strip("$")), text)]


def test_letters_with_several_meanings_have_them() -> None:
    for letter, meanings in TABLES[2]:
        assert len(meanings.split("; ")) > 1, letter


def test_the_names_in_the_code_are_there() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "nndl").rglob("*.py"))
    source += "\n".join(
        cell.source
        for chapter in PARTS
        for cell in read_cells((BOOK / chapter).read_text("utf-8"))
        if cell.kind == "code"
    )
    for row in TABLES[4] + TABLES[3]:
        names = re.findall(r"`([^`]+)`", row[2])
        assert bool(names) == bool(row[2]), row
        missing = [name for name in names if not has(name, source)]
        assert not missing, f"{row[0]}: {missing}"


# --- the references

BIBLIOGRAPHY = parse_file(BOOK / "references.bib").entries
# What a reader needs to find a work; in brackets one of several will do.
REQUIRED = {
    "article": ["journal", "year", "volume", ("pages", "doi", "url")],
    "book": ["publisher", "address", "year"],
    "incollection": ["booktitle", "publisher", "pages", "year"],
    "inproceedings": ["booktitle", "year", ("pages", "doi", "url")],
    "misc": ["year", ("howpublished", "eprint", "url"), ("doi", "url")],
    "techreport": ["institution", "number", "year"],
}


def lacking(entry: Entry) -> list[object]:
    """The fields that an entry should have and has not."""
    needed = [("title",), *((f,) if isinstance(f, str) else f for f in REQUIRED[entry.type])]
    found = [one for one in needed if not any(entry.fields.get(field) for field in one)]
    return found if entry.persons.get("author") else [*found, "author"]


def test_each_reference_is_complete() -> None:
    assert not {key: gaps for key, entry in BIBLIOGRAPHY.items() if (gaps := lacking(entry))}


def test_a_gap_in_a_reference_is_noticed() -> None:
    entry = BIBLIOGRAPHY["polyak1964some"]
    for field in ("title", "journal", "year", "volume"):
        fields = [(name, value) for name, value in entry.fields.items() if name.lower() != field]
        assert lacking(Entry(entry.type, fields=fields, persons=entry.persons)) == [(field,)]
    assert lacking(Entry(entry.type, fields=list(entry.fields.items()))) == ["author"]


def test_no_work_is_listed_twice() -> None:
    titles = Counter(re.sub(r"\W", "", e.fields["title"]).lower() for e in BIBLIOGRAPHY.values())
    assert not [title for title, number in titles.items() if number > 1]
    for field in ("doi", "eprint", "url"):
        values = Counter(e.fields[field] for e in BIBLIOGRAPHY.values() if field in e.fields)
        assert not [value for value, number in values.items() if number > 1]


def test_what_is_cited_is_listed_and_what_is_listed_is_cited() -> None:
    cited = {
        key.strip()
        for chapter in CHAPTERS
        for cell in markdown_cells(chapter)
        for m in ROLE.finditer(cell.source)
        if m["name"].startswith("cite")
        for key in m["text"].split(",")
    }
    assert not cited - set(BIBLIOGRAPHY)
    # The package cites in words, as in (Rosenbrock, 1960).
    docs = "\n".join(path.read_text("utf-8") for path in (ROOT / "nndl").rglob("*.py"))
    for key in set(BIBLIOGRAPHY) - cited:
        entry = BIBLIOGRAPHY[key]
        author = " ".join(entry.persons["author"][0].last_names)
        assert f"({author}, {entry.fields['year']})" in docs, key


# --- the package

AUTOMODULE = re.compile(
    r"^\.\. automodule:: (?P<name>\S+)\n(?P<options>(?:   :.*\n)*)", re.MULTILINE
)


def documented() -> Iterator[tuple[str, object]]:
    """The classes and functions that the pages on the package document."""
    pages_on_it = [name for name in CHAPTERS if name.startswith("api")]
    text = "\n".join(page(name, "en") for name in pages_on_it) + "\n"
    for directive in AUTOMODULE.finditer(text):
        module = importlib.import_module(directive["name"])
        options = dict(re.findall(r":([\w-]+):[ ]?(.*)", directive["options"]))
        if "members" not in options:
            continue
        members = options["members"] or ", ".join(module.__all__)
        for name in set(members.split(", ")) - set(options.get("exclude-members", "").split(", ")):
            member = getattr(module, name)
            if inspect.isclass(member) or inspect.isroutine(member):
                yield f"{directive['name']}.{name}", member


DOCUMENTED = dict(documented())


def test_the_pages_on_the_package_document_much_of_it() -> None:
    assert len(DOCUMENTED) > 100
    modules = {name.rpartition(".")[0] for name in DOCUMENTED}
    assert {"nndl.rules", "nndl.optimizer", "nndl.optim.algorithms", "nndl.viz"} <= modules


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_each_public_name_has_an_example(name: str) -> None:
    # Not inspect.getdoc: what a class inherits is no example of it.
    assert ">>> " in (DOCUMENTED[name].__doc__ or "")

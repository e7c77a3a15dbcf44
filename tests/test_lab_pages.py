"""The pages of the labs: what they say of a lab is true, and no answer is on them."""

import re
from itertools import product
from pathlib import Path

import pytest
from bilingual import LANGUAGES, keep_language
from lab_pages import DIRECTIVE, expand, lab_text, read_facts
from make_lab import pages
from secrets_of_labs import secrets
from test_languages import ROLE, target

from nndl.checking import lab_numbers, read_lab

LABS = Path(__file__).resolve().parents[1] / "book" / "labs"
every_page = pytest.mark.parametrize(("number", "lang"), [*product(lab_numbers(), LANGUAGES)])


def source(page: str, lang: str) -> str:
    return keep_language((LABS / f"{page}.md").read_text("utf-8"), lang)


def linked(text: str) -> list[str]:
    """The pages that a text leads to."""
    return [target(role["text"]) for role in ROLE.finditer(text) if role["name"] == "doc"]


def test_every_lab_has_its_page() -> None:
    on_site = [page for page in pages("zh") if page.startswith("labs/")]
    assert on_site == ["labs/index", *(f"labs/lab{number}" for number in lab_numbers())]


@every_page
def test_a_page_has_the_labs_own_title_and_text(number: int, lang: str) -> None:
    text, facts = source(f"lab{number}", lang), read_facts(read_lab(number), lang)
    assert re.findall(r"^# (.+)$", text, re.MULTILINE) == [facts.title]
    assert [match["number"] for match in DIRECTIVE.finditer(text)] == [str(number)]
    shown = expand(text, lang)
    assert "{lab}" not in shown
    assert lab_text(read_lab(number), lang) in shown
    assert f"`nndl lab start {number}`" in shown
    # A chapter for students is linked where there is one.
    assert "/course/students" not in shown
    assert linked(expand(text, lang, students=True)) == [*linked(shown), "/course/students"]


@every_page
def test_no_answer_is_on_a_page(number: int, lang: str) -> None:
    shown = expand(source(f"lab{number}", lang), lang)
    hidden = secrets(read_lab(number), lang)
    assert len(hidden.code) > 10
    assert len(hidden.words) > 3
    assert not [line for line in [*hidden.code, *hidden.words] if line in shown]
    assert shown.count("raise NotImplementedError(") >= len(read_lab(number).questions)


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_table_of_labs_says_what_the_labs_say(lang: str) -> None:
    rows = re.findall(r"^\| (\{doc\}.+) \|$", source("index", lang), re.MULTILINE)
    for number, row in zip(lab_numbers(), rows, strict=True):
        name, reading, points, minutes = row.split(" | ")
        facts = read_facts(read_lab(number), lang)
        assert linked(name) == [f"lab{number}"]
        (directive,) = DIRECTIVE.finditer(source(f"lab{number}", lang))
        assert linked(reading) == linked(directive["reading"])
        assert points == f"{facts.coded_points}+{facts.written_points}"
        assert minutes == "–".join(map(str, facts.minutes))
        assert facts.coded_points + facts.written_points == 100
        assert set(facts.minutes) <= set(range(60, 91))


@pytest.mark.parametrize("number", lab_numbers())
def test_both_languages_state_the_same_facts(number: int) -> None:
    zh, en = (vars(read_facts(read_lab(number), lang)) for lang in LANGUAGES)
    assert {**zh, "title": ""} == {**en, "title": ""}

"""No answer to a lab is anywhere in the built site, nor among what was executed for it."""

import json
import re
from itertools import product
from pathlib import Path

import pytest
from bilingual import LANGUAGES
from bs4 import BeautifulSoup
from chinese_search import index_terms
from secrets_of_labs import secrets
from sphinx.search.en import SearchEnglish

from nndl.checking import lab_numbers, read_lab

every_page = pytest.mark.parametrize(("number", "lang"), [*product(lab_numbers(), LANGUAGES)])


def page_text(site: Path, lang: str, number: int) -> str:
    html = (site / lang / "labs" / f"lab{number}.html").read_text("utf-8")
    return BeautifulSoup(html, "html.parser").get_text()


@every_page
def test_no_answer_is_on_the_page(site: Path, number: int, lang: str) -> None:
    lab, shown = read_lab(number), page_text(site, lang, number)
    assert shown.count("raise NotImplementedError(") >= len(lab.questions)
    hidden = secrets(lab, lang)
    assert not [piece for piece in [*hidden.code, *hidden.words] if piece in shown]
    assert "BEGIN SOLUTION" not in shown


def stems(text: str) -> set[str]:
    """The terms under which a text is found."""
    stemmer = SearchEnglish({})
    return {stemmer.stem(term.lower()) for term in index_terms(text)}


@every_page
def test_no_answer_is_found_by_searching(site: Path, number: int, lang: str) -> None:
    source = (site / lang / "searchindex.js").read_text("utf-8")
    index = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", source, re.DOTALL)[1])
    here = index["docnames"].index(f"labs/lab{number}")
    found = {
        term
        for terms in (index["terms"], index["titleterms"])
        for term, pages in terms.items()
        if here in (pages if isinstance(pages, list) else [pages])
    }
    assert len(found) > 100
    hidden = secrets(read_lab(number), lang)
    public = page_text(site, lang, number)
    telltale = stems("\n".join([*hidden.code, *hidden.words])) - stems(public)
    assert len(telltale) > 10
    assert not telltale & found


def test_the_site_has_no_sources_of_pages(site: Path) -> None:
    assert not [*site.rglob("_sources")]
    assert not [*site.rglob("*.ipynb"), *site.rglob("*.md"), *site.rglob("*.md.txt")]


def test_no_lab_was_executed_for_the_site(site: Path) -> None:
    cache = site.parent / "jupyter-cache"
    executed = [path for path in cache.rglob("*") if path.suffix == ".ipynb"]
    assert executed
    assert not [path for path in executed if "nndl.checking" in path.read_text("utf-8")]


def test_no_file_of_the_site_has_a_solution_marked(site: Path) -> None:
    texts = (path for path in site.rglob("*") if path.suffix in {".html", ".js", ".json", ".txt"})
    marked = [path for path in texts if "BEGIN SOLUTION" in path.read_text("utf-8")]
    # The reference says what the mark means.
    assert {path.name for path in marked} == {"api-course.html"}

"""The table of statements in a browser: its filter, its links, and what is there without either."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urldefrag

import pytest
import yaml
from bilingual import LANGUAGES
from bs4 import BeautifulSoup, Tag
from conftest import Open, Visit

CLAIMS = Path(__file__).resolve().parents[2] / "book" / "claims"
ENTRIES = [e for p in sorted(CLAIMS.glob("*.yml")) for e in yaml.safe_load(p.read_text("utf-8"))]
ALL = {entry["id"] for entry in ENTRIES}
LOCALE = {"zh": "zh-CN", "en": "en"}

every_language = pytest.mark.parametrize("lang", LANGUAGES)


def expected(part: int | None = None, verdict: str | None = None) -> set[str]:
    """The numbers that a choice leaves, from the data."""
    return {
        entry["id"]
        for entry in ENTRIES
        if part is None or entry["page"].startswith(f"part{part}/")
        if verdict is None or str(entry["verdict"]).lower() == verdict
    }


def shown(here: Visit) -> set[str]:
    """The numbers of the rows that can be seen; the count says how many they are."""
    rows = here.page.locator("table.claims tr[id]:visible")
    numbers = {name.removeprefix("row-") for name in rows.evaluate_all("r => r.map(x => x.id)")}
    count = [int(n) for n in re.findall(r"\d+", here.page.locator(".claims-count").inner_text())]
    assert sorted(count) == sorted([len(numbers), len(ALL)])
    titles = here.page.locator("table.claims .claims-about:visible").count()
    assert titles == len({number[:3] for number in numbers}), "a title without rows, or the reverse"
    return numbers


def choose(here: Visit, group: str, value: str) -> None:
    here.page.locator(f"[data-group={group}] label:has(input[value='{value}'])").click()


def test_there_is_something_to_filter() -> None:
    assert expected() == ALL
    assert 0 < len(expected(2, "false")) < len(expected(2)) < len(ALL)


@every_language
def test_filter_by_mouse(visit: Open, address: str, lang: str) -> None:
    here = visit(locale=LOCALE[lang])
    here.open(f"{address}/{lang}/claims.html")
    assert shown(here) == ALL
    choose(here, "verdict", "false")
    assert shown(here) == expected(verdict="false")
    choose(here, "part", "2")
    assert shown(here) == expected(2, "false")
    assert urldefrag(here.page.url).fragment == "part=2&verdict=false"
    choose(here, "verdict", "")
    assert shown(here) == expected(2)
    choose(here, "part", "")
    assert shown(here) == ALL
    assert "#" not in here.page.url
    assert not here.troubles


def test_filter_by_keyboard(visit: Open, address: str) -> None:
    here = visit(locale="en")
    here.open(f"{address}/en/claims.html")
    here.page.locator("[data-group=part] :checked").focus()
    here.page.keyboard.press("ArrowRight")
    assert shown(here) == expected(1)
    here.page.keyboard.press("Tab")
    here.page.keyboard.press("ArrowRight")
    assert shown(here) == expected(1, "holds")
    here.page.keyboard.press("ArrowLeft")
    here.page.keyboard.press("Shift+Tab")
    here.page.keyboard.press("ArrowLeft")
    assert shown(here) == ALL


def test_filter_is_kept_in_the_address(visit: Open, site: Path, address: str) -> None:
    for start in (f"{address}/en/claims.html", (site / "en" / "claims.html").as_uri()):
        here = visit(locale="en")
        here.open(f"{start}#part=2&verdict=false")
        assert shown(here) == expected(2, "false")
        choose(here, "part", "1")
        assert here.page.url == f"{start}#part=1&verdict=false"
        here.page.reload()
        assert shown(here) == expected(1, "false")
        here.page.evaluate("location.hash = '#verdict=outdated'")
        here.page.wait_for_selector("[data-group=part] [value='']:checked")
        assert shown(here) == expected(verdict="outdated")
        here.page.evaluate("location.hash = '#verdict=mood&colour=red'")
        here.page.wait_for_selector("[data-group=verdict] [value='']:checked")
        assert shown(here) == ALL
        assert not here.troubles


def test_a_row_that_is_asked_for_is_seen(visit: Open, address: str) -> None:
    here = visit(locale="en")
    here.open(f"{address}/en/claims.html#verdict=untested")
    assert "001-33" not in shown(here)
    here.page.evaluate("location.hash = '#row-001-33'")
    here.page.wait_for_selector("#row-001-33:visible")
    assert shown(here) == ALL


@every_language
def test_badge_and_row_lead_to_each_other(visit: Open, address: str, lang: str) -> None:
    entry = next(entry for entry in ENTRIES if entry["id"] == "001-33")
    here = visit(locale=LOCALE[lang])
    here.open(f"{address}/{lang}/{entry['page']}.html")
    here.page.locator("a.claim#claim-001-33").click()
    here.page.wait_for_url(f"{address}/{lang}/claims.html#row-001-33")
    row = here.page.locator("#row-001-33")
    assert row.evaluate("row => row.getBoundingClientRect().top < innerHeight")
    row.locator(".claims-page a").click()
    here.page.wait_for_url(f"{address}/{lang}/{entry['page']}.html#claim-001-33")
    here.page.wait_for_selector("#claim-001-33:visible")
    assert not here.troubles


@every_language
def test_every_row_leads_to_a_badge_that_leads_back(site: Path, lang: str) -> None:
    @cache
    def read(page: Path) -> tuple[str, dict[str, Tag]]:
        """Read the title of a page, and its elements by their ids."""
        soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
        title = soup.select_one("article h1").find(string=True, recursive=False)
        return title, {element["id"]: element for element in soup.select("[id]")}

    table = (site / lang / "claims.html").resolve()
    for entry in ENTRIES:
        row = read(table)[1][f"row-{entry['id']}"]
        (link,) = row.select(".claims-page a")
        page, anchor = urldefrag(link["href"])
        target = (table.parent / page).resolve()
        assert target == (site / lang / f"{entry['page']}.html").resolve()
        title, elements = read(target)
        assert link.get_text() == title, entry["id"]
        badge = elements[anchor]
        assert badge.get_text() == entry["id"]
        page, anchor = urldefrag(badge["href"])
        assert (target.parent / page).resolve() == table
        assert anchor == row["id"]
        assert not badge.find_parents(class_=re.compile("hide|toggle")), "the badge is folded away"


@every_language
def test_without_a_script_all_rows_are_there(visit: Open, address: str, lang: str) -> None:
    here = visit(locale=LOCALE[lang], java_script_enabled=False)
    here.open(f"{address}/{lang}/claims.html#verdict=false")
    assert here.page.locator("table.claims tr[id]:visible").count() == len(ALL)
    assert not here.page.locator(".claims-filter").is_visible()


@every_language
def test_the_summary_counts_the_rows(visit: Open, address: str, lang: str) -> None:
    here = visit(locale=LOCALE[lang])
    here.open(f"{address}/{lang}/claims.html")
    head, *lines = here.page.locator("table.claims-summary tr").all()
    documents = [re.match(r"\d{3}", text) for text in head.locator("th").all_inner_texts()]
    documents = [match[0] for match in documents if match]
    verdicts = ["holds", "imprecise", "outdated", "false", "untested", None]
    for line, verdict in zip(lines, verdicts, strict=True):
        numbers = [int(text) for text in line.locator("td").all_inner_texts()]
        left = expected(verdict=verdict)
        counts = [sum(number.startswith(d) for number in left) for d in documents]
        assert numbers == [*counts, len(left)], verdict


def test_on_a_phone_a_row_is_a_card(visit: Open, address: str) -> None:
    here = visit(locale="en", viewport={"width": 390, "height": 900})
    here.open(f"{address}/en/claims.html")
    card = here.page.locator("#row-001-33")
    boxes = [cell.bounding_box() for cell in card.locator("td").all()]
    said, _, holds, page = boxes
    assert said["y"] < holds["y"] < page["y"], "the texts do not stand below each other"
    assert min(box["width"] for box in (said, holds)) > 300
    assert card.get_attribute("role") == "row"

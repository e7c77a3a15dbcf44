"""The site as a reader meets it: in a browser, offline, on a phone, in the dark."""

import re
from functools import cache
from itertools import product
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from bilingual import LANGUAGES, keep_language
from bs4 import BeautifulSoup
from conftest import Open, Visit
from make_lab import SITE_ONLY, pages

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = [*pages("zh"), *SITE_ONLY]
PAGES = [*CHAPTERS, "search", "genindex"]
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
OTHER = {"zh": "en", "en": "zh"}
HTML_LANG = {"zh": "zh-CN", "en": "en"}

# The checker looks at every element, and a chapter has tens of thousands that are all alike.
# An inline formula has the colour of its sentence: five of them stand for the others.
FEWER_FORMULAS = """
[...document.querySelectorAll("mjx-container:not([display])")].slice(5)
  .forEach((formula) => formula.replaceWith("x"))
"""
# Code and formulas have the same colours at any width: they are looked at once in either scheme.
PLAIN_CODE = """
document.querySelectorAll(".highlight pre").forEach((box) => { box.textContent = box.textContent });
document.querySelectorAll("mjx-container").forEach((formula) => formula.replaceWith("x"))
"""

every_page = pytest.mark.parametrize(("lang", "name"), [*product(LANGUAGES, PAGES)])


def check_maths(visit: Visit, lang: str, name: str) -> None:
    """Formulas are typeset: each one in the source became one, and no TeX is left to be seen."""
    source = BOOK / f"{name}.md"
    has_maths = source.exists() and "$" in re.sub(
        r"`[^`]*`", "", keep_language(source.read_text("utf-8"), lang)
    )
    if has_maths:
        visit.page.wait_for_selector("mjx-container", state="attached")
        visit.page.evaluate("MathJax.startup.promise")
    left = visit.page.locator(".math").filter(has_text=re.compile(r"\\[(\[]")).count()
    assert left == 0, f"{left} formulas are not typeset"
    assert visit.page.locator("mjx-merror").count() == 0


def check_pictures(visit: Visit) -> None:
    """Pictures in the text say in words what they show, and they are there."""
    for picture in visit.page.locator("article img").all():
        alt = picture.get_attribute("alt") or ""
        assert len(alt) > 10, f"no alt text: {picture.get_attribute('src')!r}"
        assert not re.search(r"\.(png|svg|gif|jpe?g)$", alt), f"a file name is no alt text: {alt}"
        assert picture.evaluate("image => image.complete && image.naturalWidth > 0"), alt


def check_ids(visit: Visit) -> None:
    """No two elements have the same id."""
    ids = visit.page.evaluate("[...document.querySelectorAll('[id]')].map(node => node.id)")
    twice = {name for name in ids if ids.count(name) > 1}
    assert not {name for name in twice if not name.startswith(("MJX", "mjx"))}


def check_accessibility(visit: Visit, where: str) -> None:
    """The accessibility checker has nothing to say."""
    # With "preload", the checker asks for style sheets itself, from the wrong addresses.
    results = Axe().run(visit.page, options={"preload": False, "resultTypes": ["violations"]})
    assert results.violations_count == 0, f"{where}: {results.generate_report()}"


@every_page
def test_page(visit: Open, address: str, lang: str, name: str) -> None:
    # Without motion, colours are what they are at once when the scheme changes.
    phone = {"width": WIDTHS[0], "height": 900}
    here = visit(locale=HTML_LANG[lang], viewport=phone, reduced_motion="reduce")
    here.open(f"{address}/{lang}/{name}.html")
    assert here.page.locator("html").get_attribute("lang") == HTML_LANG[lang]
    check_maths(here, lang, name)
    check_pictures(here)
    check_ids(here)
    overflow = here.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"{overflow} pixels wider than a phone"

    here.page.evaluate(FEWER_FORMULAS)
    for width in WIDTHS:
        here.page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            here.page.emulate_media(color_scheme=scheme)
            here.page.wait_for_selector(f"html[data-theme={scheme}]")
            check_accessibility(here, f"{lang}/{name} at {width} pixels, {scheme}")
        overflow = here.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, f"{overflow} pixels wider than a screen of {width}"
        here.page.evaluate(PLAIN_CODE)

    here.page.locator(".language-switch").click()
    here.page.wait_for_url(f"{address}/{OTHER[lang]}/{name}.html")
    assert here.page.locator("html").get_attribute("lang") == HTML_LANG[OTHER[lang]]
    assert not here.troubles


@every_page
def test_page_from_a_folder(visit: Open, site: Path, lang: str, name: str) -> None:
    here = visit(locale=HTML_LANG[lang])
    here.open((site / lang / f"{name}.html").as_uri())
    check_maths(here, lang, name)
    check_pictures(here)
    assert not here.troubles


@cache
def links_and_anchors(page: Path) -> tuple[list[str], set[str]]:
    """Where the links of a page lead, and the ids on it; each page is read once."""
    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
    links = [link["href"] for link in soup.select("a[href]")]
    return links, {element["id"] for element in soup.select("[id]")}


@cache
def ids_of(page: Path) -> set[str]:
    """The ids that a link can lead to on a page."""
    return {element["id"] for element in parse(page).select("[id]")}


@cache
def parse(page: Path) -> BeautifulSoup:
    """A page of the site as a tree."""
    return BeautifulSoup(page.read_text("utf-8"), "html.parser")


@every_page
def test_links_lead_somewhere(site: Path, lang: str, name: str) -> None:
    page = site / lang / f"{name}.html"
    for link in {element["href"] for element in parse(page).select("a[href]")}:
        address, anchor = urldefrag(unquote(link))
        if re.match(r"\w+:", address):
            continue
        target = (page.parent / address).resolve() if address else page
        assert target.exists(), f"{link} in {name}"
        assert not anchor or anchor in ids_of(target), f"{link} in {name}"


@pytest.mark.parametrize(
    ("lang", "query"),
    [
        ("zh", "学习率"),
        ("zh", "自适应学习率"),
        ("zh", "AdaGrad"),
        ("zh", "Adam 动量"),
        ("en", "learning rate"),
        ("en", "AdaGrad"),
    ],
)
def test_search_finds(visit: Open, address: str, lang: str, query: str) -> None:
    here = visit(locale=HTML_LANG[lang])
    here.open(f"{address}/{lang}/search.html?q={quote(query)}")
    here.page.wait_for_selector("#search-results ul.search li a")
    links = here.page.locator("#search-results ul.search li > a")
    found = [links.nth(i).evaluate("link => link.href") for i in range(min(3, links.count()))]
    for url in found:
        here.open(url)
        text = here.page.locator("article").inner_text().lower()
        assert all(word in text for word in query.lower().split()), url
    assert not here.troubles


def test_search_finds_nothing_where_there_is_nothing(visit: Open, address: str) -> None:
    here = visit(locale="zh-CN")
    here.open(f"{address}/zh/search.html?q={quote('鲸鱼迁徙')}")
    here.page.wait_for_function("document.querySelector('.search-summary')?.innerText.length > 0")
    assert here.page.locator("#search-results ul.search li").count() == 0


def test_search_from_the_keyboard(visit: Open, address: str) -> None:
    here = visit(locale="zh-CN")
    here.open(f"{address}/zh/index.html")
    here.page.keyboard.press("Control+k")
    here.page.keyboard.type("学习率")
    here.page.keyboard.press("Enter")
    here.page.wait_for_url("**/search.html?q=*")
    here.page.wait_for_selector("#search-results ul.search li a")


def test_colour_mode_is_switched_and_kept(visit: Open, address: str) -> None:
    here = visit(color_scheme="light")
    here.open(f"{address}/en/index.html")
    for _ in range(3):
        if here.page.locator("html").get_attribute("data-theme") == "dark":
            break
        here.page.locator(".theme-switch-button:visible").first.click()
    assert here.page.locator("html").get_attribute("data-theme") == "dark"
    here.page.locator(".language-switch").click()
    here.page.wait_for_url("**/zh/index.html")
    assert here.page.locator("html").get_attribute("data-theme") == "dark"


@pytest.mark.parametrize(
    ("locale", "edition"), [("zh-CN", "zh"), ("zh-TW", "zh"), ("en-GB", "en"), ("fr-FR", "en")]
)
def test_front_door_follows_the_browser(
    visit: Open, address: str, locale: str, edition: str
) -> None:
    here = visit(locale=locale)
    here.open(f"{address}/")
    assert here.page.url == f"{address}/{edition}/index.html"
    assert not here.troubles


@pytest.mark.parametrize("edition", LANGUAGES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_front_door_offers_both_without_a_script(
    visit: Open, site: Path, address: str, edition: str, scheme: str
) -> None:
    for start in (f"{address}/", (site / "index.html").as_uri()):
        here = visit(java_script_enabled=False, color_scheme=scheme)
        here.open(start)
        assert not here.troubles
        # On the page behind it, the scripts that it asks for early are refused, as they should be.
        here.page.locator(f"a[href='{edition}/index.html']").click()
        assert here.page.url.endswith(f"/{edition}/index.html")


@pytest.mark.parametrize(("width", "scheme"), [*product(WIDTHS, SCHEMES)])
def test_front_door_is_accessible(visit: Open, address: str, width: int, scheme: str) -> None:
    here = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    here.open(f"{address}/index.html#choose")
    assert here.page.url.endswith("#choose")
    check_accessibility(here, f"front door at {width} pixels, {scheme}")


def pages_with_players(site: Path, lang: str) -> list[str]:
    """The pages that have an animation on them."""
    marker = 'class="nndl-player"'
    return [p for p in CHAPTERS if marker in (site / lang / f"{p}.html").read_text("utf-8")]


@pytest.mark.parametrize("lang", LANGUAGES)
def test_player_plays_pauses_and_scrubs(visit: Open, site: Path, address: str, lang: str) -> None:
    names = pages_with_players(site, lang)
    assert names, "no chapter has an animation"
    for name in names:
        here = visit(locale=HTML_LANG[lang])
        here.open(f"{address}/{lang}/{name}.html")
        for player in here.page.locator(".nndl-player").all():
            button, slider = player.locator("button"), player.locator("input[type=range]")
            canvas = player.locator("canvas")
            player.scroll_into_view_if_needed()

            def step(slider=slider) -> int:
                return int(slider.input_value())

            def picture(canvas=canvas) -> str:
                return canvas.evaluate("canvas => canvas.toDataURL()")

            assert re.search(r"[\u3400-\u9fff]", canvas.get_attribute("aria-label")) or lang == "en"
            slider.evaluate("input => { input.value = 0; input.dispatchEvent(new Event('input')) }")
            before, words = picture(), button.get_attribute("aria-label")
            button.click()
            here.page.wait_for_timeout(400)
            assert step() > 0, "it does not play"
            assert picture() != before, "it plays, and nothing is to be seen"
            assert button.get_attribute("aria-label") != words
            button.click()
            paused = step()
            here.page.wait_for_timeout(300)
            assert step() == paused, "it does not pause"

            box = slider.bounding_box()
            here.page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + box["height"] / 2)
            by_mouse, there = step(), picture()
            last = int(slider.get_attribute("max"))
            assert 0.65 * last < by_mouse < 0.85 * last
            here.page.keyboard.press("ArrowLeft")
            assert step() == by_mouse - 1
            assert picture() != there
            here.page.keyboard.press("Home")
            assert step() == 0
            button.focus()
            here.page.keyboard.press("Space")
            here.page.wait_for_timeout(400)
            assert step() > 0, "it does not play from the keyboard"
            here.page.keyboard.press("Space")
        assert not here.troubles

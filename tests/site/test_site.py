"""The site as a reader meets it: in a browser, offline, on a phone, in the dark."""

import re
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from urllib.parse import quote, unquote, urldefrag

import pytest
from axe_playwright_python.sync_playwright import Axe
from bilingual import LANGUAGES, keep_language
from conftest import Open, Visit, Walk
from lab_pages import expand
from make_lab import SITE_ONLY, pages

BOOK = Path(__file__).resolve().parents[2] / "book"
CHAPTERS = [*pages("zh"), *SITE_ONLY]
PAGES = [*CHAPTERS, "search", "genindex"]
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
OTHER = {"zh": "en", "en": "zh"}
HTML_LANG = {"zh": "zh-CN", "en": "en"}

# Looking at colours takes the checker most of its time, and a chapter has ten thousand words of
# code, which have their colours from their classes and those of what they are in. Where all these
# are the same, three stand for the others; a formula has the colour of the text around it.
FEWER_ALIKE = """
const seen = new Map();
const isOneOfMany = (part) => {
  let path = "";
  for (let node = part; node.tagName !== "BODY"; node = node.parentElement)
    path += `${node.tagName}.${node.className} `;
  seen.set(path, (seen.get(path) ?? 0) + 1);
  return seen.get(path) > 3;
};
document.querySelectorAll("mjx-container").forEach((formula) => {
  if (isOneOfMany(formula)) formula.replaceWith("x");
});
// From the last to the first: what a word is in is looked at before it is taken apart.
[...document.querySelectorAll(".highlight pre span, dt.sig :is(span, em)")].reverse()
  .filter(isOneOfMany).filter((word) => !word.id && !word.querySelector("a, [id]"))
  .forEach((word) => word.replaceWith(...word.childNodes));
document.querySelectorAll(".highlight pre, dt.sig").forEach((box) => box.normalize());
"""
# The rules of the checker that look at colours.
COLOURS = ["color-contrast", "link-in-text-block"]

every_page = pytest.mark.parametrize(("lang", "name"), [*product(LANGUAGES, PAGES)])


def check_maths(visit: Visit, lang: str, name: str) -> None:
    """Formulas are typeset: each one in the source became one, and no TeX is left to be seen."""
    source = BOOK / f"{name}.md"
    text = expand(keep_language(source.read_text("utf-8"), lang), lang) if source.exists() else ""
    if "$" in re.sub(r"`[^`]*`", "", text):
        visit.page.wait_for_selector("mjx-container", state="attached")
        visit.page.evaluate("MathJax.startup.promise.then(() => document.fonts.ready)")
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


def check_accessibility(visit: Visit, where: str, look_at: str = "all") -> None:
    """The accessibility checker has nothing to say: of all, of the structure, or of the colours."""
    # With "preload", the checker asks for style sheets itself, from the wrong addresses.
    options = {"preload": False, "resultTypes": ["violations"]}
    if look_at == "structure":
        options["rules"] = {rule: {"enabled": False} for rule in COLOURS}
    elif look_at == "colours":
        options["runOnly"] = COLOURS
    results = Axe().run(visit.page, options=options)
    assert results.violations_count == 0, f"{where}: {results.generate_report()}"


@every_page
def test_page(walk: Walk, address: str, lang: str, name: str) -> None:
    here = walk(lang, WIDTHS[0])
    here.open(f"{address}/{lang}/{name}.html")
    assert here.page.locator("html").get_attribute("lang") == HTML_LANG[lang]
    check_maths(here, lang, name)
    check_pictures(here)
    check_ids(here)
    overflow = here.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert overflow <= 0, f"{overflow} pixels wider than a phone"

    check_accessibility(here, f"{lang}/{name}", "structure")
    here.page.evaluate(FEWER_ALIKE)
    for width in WIDTHS:
        here.page.set_viewport_size({"width": width, "height": 900})
        for scheme in SCHEMES:
            here.page.emulate_media(color_scheme=scheme)
            here.page.wait_for_selector(f"html[data-theme={scheme}]")
            # The structure of a wide page is looked at once, and the phone's was, above.
            look_at = "all" if (width, scheme) == (WIDTHS[1], SCHEMES[0]) else "colours"
            check_accessibility(here, f"{lang}/{name} at {width} pixels, {scheme}", look_at)
        overflow = here.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert overflow <= 0, f"{overflow} pixels wider than a screen of {width}"

    # The page there is tried in its own turn, and the click on the home page.
    other = here.page.locator(".language-switch").evaluate("link => link.href")
    assert other == f"{address}/{OTHER[lang]}/{name}.html"
    assert not here.troubles


@pytest.mark.parametrize("colour_of", ["main .highlight .k", "main p"])
def test_colours_that_cannot_be_read_are_noticed(walk: Walk, address: str, colour_of: str) -> None:
    here = walk("en", WIDTHS[0])
    here.open(f"{address}/en/labs/lab3.html")
    check_maths(here, "en", "labs/lab3")
    here.page.evaluate(FEWER_ALIKE)
    check_accessibility(here, "as it is", "colours")
    here.page.add_style_tag(content=f"{colour_of} {{ color: #ccc !important }}")
    with pytest.raises(AssertionError, match="color-contrast"):
        check_accessibility(here, "made worse", "colours")


@every_page
def test_page_from_a_folder(walk: Walk, site: Path, lang: str, name: str) -> None:
    here = walk(lang, WIDTHS[1])
    here.open((site / lang / f"{name}.html").as_uri())
    check_maths(here, lang, name)
    check_pictures(here)
    assert not here.troubles


class LinksAndIds(HTMLParser):
    """Where the links of a page lead, and what a link can lead to on it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.ids: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for key, value in attrs:
            if key == "id":
                self.ids.add(value)
            elif key == "href" and tag == "a":
                self.links.add(value)


@cache
def read(page: Path) -> LinksAndIds:
    """Each page is read once."""
    return LinksAndIds(page)


@every_page
def test_links_lead_somewhere(site: Path, lang: str, name: str) -> None:
    page = site / lang / f"{name}.html"
    assert read(page).links
    for link in read(page).links:
        address, anchor = urldefrag(unquote(link))
        if re.match(r"\w+:", address):
            continue
        target = (page.parent / address).resolve() if address else page
        assert target.exists(), f"{link} in {name}"
        assert not anchor or anchor in read(target).ids, f"{link} in {name}"


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

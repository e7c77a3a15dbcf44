"""The built site, a server for it, and a browser that can reach nothing else."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from absent import not_here
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

SITE = Path(__file__).resolve().parents[2] / "_build" / "site"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing outside has an address. (Playwright's routes would do, and switch off every cache.)
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
LOCAL = ("http://127.0.0.1:", "file:", "data:", "blob:", "about:")


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: what fails is reported by the browser."""


@pytest.fixture(scope="session")
def site() -> Path:
    if not (SITE / ".stamp").exists():
        pytest.fail("The site is not built: run `make book` first")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=site)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if executable is None:
        not_here("Chromium is not installed, so the site is not tried in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page, and everything that went wrong on it so far."""

    page: Page
    troubles: list[str] = field(default_factory=list)

    def open(self, url: str) -> None:
        """Go to an address and wait until everything that it asks for is loaded, fonts too."""
        self.page.goto(url)
        self.page.evaluate("document.fonts.ready.then(() => null)")


Open = Callable[..., Visit]
Walk = Callable[[str, int], Visit]


def new_visit(context: BrowserContext) -> Visit:
    """Open a page that writes down what goes wrong."""
    visit = Visit(context.new_page())
    page, troubles = visit.page, visit.troubles
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on(
        "console",
        lambda m: troubles.append(f"console: {m.text}") if m.type == "error" else None,
    )
    page.on(
        "request",
        lambda r: None if r.url.startswith(LOCAL) else troubles.append(f"asked for {r.url}"),
    )
    # A request that is given up because the reader goes elsewhere is not a failure.
    page.on(
        "requestfailed",
        lambda r: troubles.append(f"failed: {r.url}") if r.failure != "net::ERR_ABORTED" else None,
    )
    page.on(
        "response",
        lambda r: troubles.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
    )
    return visit


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Make visits; keyword arguments are those of a browser context (locale, viewport, ...)."""
    contexts: list[BrowserContext] = []

    def start(**settings: object) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        return new_visit(context)

    yield start
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def walks(browser: Browser) -> Iterator[dict[str, Visit]]:
    """One page for each language, kept for all pages: what they share is loaded once."""
    locales = {"zh": "zh-CN", "en": "en"}
    # Without motion, colours are what they are at once when the scheme changes.
    contexts = {
        lang: browser.new_context(locale=locale, reduced_motion="reduce")
        for lang, locale in locales.items()
    }
    yield {lang: new_visit(context) for lang, context in contexts.items()}
    for context in contexts.values():
        context.close()


@pytest.fixture
def walk(walks: dict[str, Visit]) -> Walk:
    """Begin at an empty page, of some width, with nothing gone wrong."""

    def start(lang: str, width: int) -> Visit:
        here = walks[lang]
        here.page.goto("about:blank")
        here.page.set_viewport_size({"width": width, "height": 900})
        here.page.emulate_media(color_scheme="light")
        here.troubles.clear()
        return here

    return start

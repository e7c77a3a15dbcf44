"""The built site, a server for it, and a browser that can reach nothing else."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, sync_playwright

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
        message = "Chromium is not installed, so the site is not tried in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
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
        """Go to an address and wait until nothing more is loaded."""
        self.page.goto(url)
        self.page.wait_for_load_state("networkidle")


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Make visits; keyword arguments are those of a browser context (locale, viewport, ...)."""
    contexts: list[BrowserContext] = []

    def start(**settings: object) -> Visit:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **settings})
        contexts.append(context)
        visit = Visit(context.new_page())

        def let_local_through(route: Route) -> None:
            if route.request.url.startswith(LOCAL):
                route.continue_()
            else:
                visit.troubles.append(f"asked for {route.request.url}")
                route.abort()

        context.route("**/*", let_local_through)
        page = visit.page
        page.on("pageerror", lambda error: visit.troubles.append(f"error: {error}"))
        page.on(
            "console",
            lambda m: visit.troubles.append(f"console: {m.text}") if m.type == "error" else None,
        )
        # A request that is given up because the reader goes elsewhere is not a failure.
        page.on(
            "requestfailed",
            lambda r: (
                visit.troubles.append(f"failed: {r.url}")
                if r.failure != "net::ERR_ABORTED"
                else None
            ),
        )
        page.on(
            "response",
            lambda r: visit.troubles.append(f"{r.status}: {r.url}") if r.status >= 400 else None,
        )
        return visit

    yield start
    for context in contexts:
        context.close()

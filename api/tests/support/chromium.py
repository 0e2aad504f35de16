"""A real Chromium, and what every page that it opens has to be.

A page may write no error to the console (a violation of the Content-Security-Policy is one), load
nothing that is missing, and ask no other host for anything. `inspect` adds what is seen by eye and
by screen reader, and takes the pictures.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    Response,
    sync_playwright,
)

from api.tests.support.needs import need
from api.tests.support.server import PROJECT

SCREENSHOTS = PROJECT / "screenshots"
DESKTOP = {"width": 1120, "height": 800}
PHONE = {"width": 390, "height": 844}
SETTLED = """Promise.allSettled(
    document.getAnimations()
        .filter(animation => animation.effect.getComputedTiming().iterations !== Infinity)
        .map(animation => animation.finished)
).then(() => null)"""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    need(path, "Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Browser, **options: Any) -> Iterator[Page]:
    """Open a page in a context of its own, and complain at the end of what it did wrong."""
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        # A document or a call that is refused is noted there too, and is for the test to judge.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            complaints.append(f"console: {message.text}")

    def see_request(request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in {"data", "blob"} and url.hostname not in {"localhost", "127.0.0.1"}:
            complaints.append(f"request to another host: {request.url}")

    def see_response(response: Response) -> None:
        if response.status >= 400 and response.request.resource_type not in {"document", "fetch"}:
            complaints.append(f"{response.status}: {response.url}")

    options = {"viewport": DESKTOP, "permissions": ["clipboard-read", "clipboard-write"]} | options
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(5_000)
    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(f"uncaught: {error}"))
    page.on("request", see_request)
    page.on("response", see_response)
    try:
        yield page
        assert complaints == [], complaints
    finally:
        context.close()


def call_private_from_docs(page: Page) -> Locator:
    """On `/docs`, log in as foo and call `/private`. Return what shows the response."""
    page.get_by_role("button", name="Authorize").first.click()
    page.get_by_role("textbox", name="client_id:").fill("foo")
    page.get_by_role("textbox", name="client_secret:").fill("bar")
    page.get_by_role("button", name="Apply given OAuth2 credentials").click()
    page.get_by_role("button", name="Remove authorization").wait_for()
    page.get_by_role("button", name="Close").last.click()
    page.locator(".opblock", has_text="/private").locator(".opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    return page.locator(".live-responses-table")


def inspect(page: Page, name: str) -> None:
    """Photograph a page in light, in dark and on a phone, and look for what shuts people out."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=SCREENSHOTS / f"{name}-{scheme}.png", full_page=True)
        assert_accessible(page)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.screenshot(path=SCREENSHOTS / f"{name}-phone.png", full_page=True)
    width = page.evaluate("document.documentElement.scrollWidth")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    assert width <= PHONE["width"], f"{name} is {width} pixels wide on a phone"


def assert_accessible(page: Page) -> None:
    """Demand that axe-core finds nothing serious on a page whose colours have come to rest."""
    page.evaluate(SETTLED)
    # Preloading styles, axe adds some inline, which the policy forbids; it needs them not.
    results = Axe().run(page, options={"resultTypes": ["violations"], "preload": False})
    found = [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in results.response["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]
    assert found == [], found

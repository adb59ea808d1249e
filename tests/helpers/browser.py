"""A headless Chromium for the tests of pages: the system's, or playwright's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser. Skips the test where playwright is not installed or no Chromium is there."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except api.Error as error:
            pytest.skip(f"no Chromium to look at the page with: {str(error).splitlines()[0]}")
        yield browser
        browser.close()


def open_page(browser: Any, file: Any, width: int = 1280, height: int = 900, **about: Any) -> Any:
    """The page of a file, with what went wrong in ``page.troubles`` and every request in ``page.requests``."""
    context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True, **about)
    page = context.new_page()
    page.troubles, page.requests = [], []
    bad = ("error", "warning")
    page.on("console", lambda message: page.troubles.append(message.text) if message.type in bad else None)
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    page.goto(file.as_uri())
    return page


def draw_all(page: Any) -> None:
    """Waits until every figure of the page is drawn."""
    from playwright.sync_api import expect

    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator(".plot:not(.drawn)")).to_have_count(0, timeout=60_000)  # the page's policy forbids eval()

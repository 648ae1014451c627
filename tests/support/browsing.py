"""Debian's Chromium, driven by Playwright: pages, pictures of them, and what axe-core finds on them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
PICTURES = "PRESSROOM_PAGE_PICTURES"
"""The variable with the folder for pictures of pages; without it they are in the test's own."""
WIDE: ViewportSize = {"width": 1280, "height": 900}
NARROW: ViewportSize = {"width": 390, "height": 844}
PATIENCE_MS = 60_000


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. Skips the test where there is none: `apt install chromium`."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def signed_in(browser: Browser, url: str, user: str, password: str, *, dark: bool = False) -> Iterator[Page]:
    """A page of a browser in which somebody has logged in to Airflow."""
    context: BrowserContext = browser.new_context(
        viewport=WIDE, color_scheme="dark" if dark else "light", locale="en-GB", timezone_id="Europe/Berlin"
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(f"{url}/pressroom/")
    page.get_by_label("Username").fill(user)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name=re.compile("sign in", re.IGNORECASE)).click()
    page.wait_for_url(f"{url}/pressroom/")
    yield page
    context.close()


@contextmanager
def without_airflow(browser: Browser, user: str | None, *, zone: str = "Europe/Berlin") -> Iterator[Page]:
    """A page of a browser over the stand-in for Airflow, which goes by a header; None: nobody is logged in.

    An exception that no script of the page catches fails the test.
    """
    headers = {"X-User": user, "X-Cookie": "1"} if user else {}
    context = browser.new_context(viewport=WIDE, locale="en-GB", timezone_id=zone, extra_http_headers=headers)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def seriously_wrong(page: Page) -> list[str]:
    """What axe-core calls serious or critical, one line each."""
    found = Axe().run(page).response["violations"]
    return [
        f"{each['impact']} {each['id']}: {node['html'][:160]}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def picture(page: Page, folder: Path, name: str) -> None:
    """A picture of the whole page, in both themes, wide and narrow."""
    target = Path(os.environ.get(PICTURES) or folder)
    target.mkdir(parents=True, exist_ok=True)
    themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for theme in themes:
        page.emulate_media(color_scheme=theme)
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            page.set_viewport_size(size)
            page.screenshot(path=target / f"{name}-{theme}-{width}.png", full_page=True)
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (
                f"{name} is wider than a window of {size['width']} px"
            )
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)

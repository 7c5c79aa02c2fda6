"""A real browser: Debian's Chromium, driven by playwright."""

import gc
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
READY_MS: Final = 60_000
"""A page that is not there by then never will be; the machine may be busy."""

OPTIONS: Final = ("--disable-gpu", "--disable-dev-shm-usage")


def find() -> str | None:
    """Return where the browser is, or None if there is none."""
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """Run a browser without a window."""
    where = find()
    if where is None:
        pytest.skip("there is no Chromium here; install Debian's package chromium, or say where it is in CHROMIUM")
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # it has none for root
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=where, args=[*OPTIONS, *sandbox])
        try:
            yield running
        finally:
            running.close()
    # it closes its loop without waiting for its driver, and some later test would be blamed for that
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


class Window:
    """A page, and what it complained of.

    Attributes:
        page: it.
        complaints: errors of scripts, of the console, and requests that failed.
        asked: addresses that it asked for.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.set_default_timeout(READY_MS)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{error}"))
        self.page.on("console", self._said)
        self.page.on("request", lambda request: self.asked.append(request.url))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, address: str) -> Page:
        """Open a page, and wait until all of it is there."""
        self.page.goto(address)
        self.ready()
        return self.page

    def ready(self) -> None:
        """Wait until the page can be used, and what is in sight of the timeline is drawn."""
        self.page.wait_for_selector("html[data-ready=true]")
        self.page.wait_for_selector(".plot[data-drawn]")

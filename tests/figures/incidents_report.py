"""Figure 4 of reading an incident: the report of a long journal opens, scrubs and zooms without ever holding the page up."""

import functools
from pathlib import Path
from typing import Any, Final

import trio
from playwright.sync_api import Page

from statecore_diagrams.report import write_report
from tests.figures.registry import Measured, scratch
from tests.support import chromium
from tests.support.traffic import record_traffic

ROWS: Final = 100_000
LONG_MS: Final = 200.0
BYTES_MAX: Final = 15_000_000
SCRUBS: Final = 150

# Chromium names every task of 50 ms or more.
WATCH: Final = """
window.tasks = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) window.tasks.push([entry.startTime, entry.duration]);
}).observe({ type: "longtask", buffered: true });
"""


async def report() -> Measured:
    """Write the report and use it as a person would, only faster."""
    with scratch() as folder:
        return await trio.to_thread.run_sync(functools.partial(_measure, folder))


def _measure(folder: Path) -> Measured:
    if chromium.find() is None:
        return Measured("there is no Chromium here to measure it in", holds=False)
    journal = record_traffic(folder / "gateway.db", ROWS)
    written = write_report(journal, folder / "incident.html")
    with chromium.browser() as browser:
        window = chromium.Window(browser.new_context(viewport={"width": 1280, "height": 800}))
        window.page.add_init_script(WATCH)
        page = window.open((folder / "incident.html").as_uri())
        opened: float = page.evaluate("performance.now()")
        _use(page)
        page.wait_for_timeout(500)
        tasks: list[tuple[float, float]] = page.evaluate("window.tasks")
    after = [length for start, length in tasks if start >= opened]
    loading = [length for start, length in tasks if start < opened]
    longest = max(after, default=0.0)
    return Measured(
        f"{written.size / 1e6:.1f} MB for {written.rows:,} events; open after {opened / 1000:.1f} s; longest task while"
        f" scrubbing and zooming {f'{longest:.0f} ms' if after else 'under 50 ms'}",
        holds=longest <= LONG_MS and written.size < BYTES_MAX and not window.complaints,
        notes=(
            f"{len(after)} tasks of 50 ms or more after it was open: {_lengths(after)}",
            f"{len(loading)} before: {_lengths(loading)}",
            *window.complaints,
        ),
    )


def _use(page: Page) -> None:
    """Scrub over the whole, unfold, find, zoom in and out, step, scroll."""
    box: Any = page.locator(".overview .u-over").bounding_box()
    _drag(page, box)
    for lane in page.locator(".lane.chat").all()[:3]:
        lane.click()
    page.fill("#find", "event:Tripped")
    page.press("#find", "Enter")
    page.locator(".find .dim", has_text=" of ").wait_for()
    page.evaluate("document.activeElement.blur()")
    for key in ("+",) * 12 + ("ArrowRight",) * 30 + ("n",) * 10 + ("-",) * 12 + ("0", "o", "o", "t", "End", "Home"):
        page.keyboard.press(key)
    _drag(page, box)
    for key in ("+",) * 6:
        page.keyboard.press(key)
    _drag(page, page.locator(".canvas .u-axis").first.bounding_box())
    page.locator(".rows").hover()
    for _ in range(40):
        page.mouse.wheel(0, 900)


def _drag(page: Page, box: Any) -> None:
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 1, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, middle, steps=SCRUBS)
    page.mouse.up()


def _lengths(tasks: list[float]) -> str:
    return ", ".join(f"{length:.0f} ms" for length in sorted(tasks, reverse=True)[:8]) or "none"

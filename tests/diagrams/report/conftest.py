"""Journals to look at, and a browser to do it with."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from playwright.sync_api import Browser

from statecore.platform import Policies
from statecore_diagrams.report import open_inspector, write_report
from statecore_journal import LogRow, open_reader
from tests.support import chromium
from tests.support.platform import Fake, refused, wechat
from tests.support.stage import Stage
from tests.support.traffic import record_traffic

CHATS = ("ann", "bob", "cyd", "<img src=x onerror=alert(1)>")
TEXT = "message {} </script><script>alert(2)</script>"


@attrs.frozen
class Told:
    """A journal, read.

    Args:
        path: of it.
        rows: all of them.
    """

    path: Path
    rows: list[LogRow]

    def row(self, seq: int) -> LogRow:
        """Return one row."""
        return next(row for row in self.rows if row.seq == seq)

    def find(self, event: str) -> LogRow:
        """Return the first row of an event."""
        return next(row for row in self.rows if row.event == event)

    def state(self, address: str, seq: int) -> str:
        """Return where an instance was at a position."""
        return [row.target for row in self.rows if row.machine == address and row.seq <= seq][-1]

    def causes(self, seq: int) -> list[int]:
        """Return what led to a row, from the outside event on."""
        found: list[int] = []
        cause = self.row(seq).cause
        while cause is not None:
            found.insert(0, cause)
            cause = self.row(cause).cause
        return found

    def effects(self, seq: int) -> list[int]:
        """Return what a row set off."""
        caused = {seq}
        for row in self.rows:
            if row.cause in caused:
                caused.add(row.seq)
        return sorted(caused - {seq})


def told(path: Path) -> Told:
    """Read a journal."""
    with open_reader(path) as reader:
        return Told(path, list(reader.log()))


@pytest.fixture(scope="session")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return the journal of a retry storm, with names and texts that are HTML."""
    stage = Stage(tmp_path_factory.mktemp("storm"))
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        for chat in CHATS:
            stage.server.say(chat, "hello <b>there</b>")
        stage.server.during(0, 200, refused())
        async with stage.gateway() as gateway:
            receipts = [
                await stage.send(gateway, CHATS[number % len(CHATS)], TEXT.format(number)) for number in range(20)
            ]
            for receipt in receipts:
                await receipt.settled()

    stage.run(main, seed=1, limit=4000)
    return told(stage.path)


@pytest.fixture(scope="session")
def traffic(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Return a journal of a few thousand rows."""
    return told(record_traffic(tmp_path_factory.mktemp("traffic") / "gateway.db", 3_000))


@pytest.fixture(scope="session")
def storm_report(storm: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the storm's report, in plain words."""
    path = tmp_path_factory.mktemp("report") / "incident.html"
    write_report(storm.path, path, plain=True)
    return path


@pytest.fixture(scope="session")
def traffic_report(traffic: Told, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the traffic's report, in plain words."""
    path = tmp_path_factory.mktemp("report") / "traffic.html"
    write_report(traffic.path, path, plain=True)
    return path


@pytest.fixture(scope="module")
def chrome(storm_report: Path, traffic_report: Path) -> Iterator[Browser]:  # noqa: ARG001 - made before it runs
    """Return a running browser. Journals are made before: it has a loop of its own in this thread."""
    with chromium.browser() as running:
        yield running


@pytest.fixture
def window(chrome: Browser) -> Iterator[chromium.Window]:
    """Return a page without a network. In the end it must have nothing to complain of."""
    context = chrome.new_context(viewport={"width": 1280, "height": 800}, offline=True)
    opened = chromium.Window(context)
    yield opened
    context.close()
    assert opened.complaints == []


@pytest.fixture
def live(chrome: Browser) -> Iterator[chromium.Window]:
    """Return a page with a network."""
    context = chrome.new_context(viewport={"width": 1280, "height": 800})
    opened = chromium.Window(context)
    yield opened
    context.close()
    assert opened.complaints == []


@pytest.fixture
def inspector(storm: Told) -> Iterator[Any]:
    """Return an inspector of the storm."""
    with open_inspector(storm.path) as opened:
        yield opened

"""Running monitors: those of others, those that raise, and the same ones in a gateway."""

import logging
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from statecore.gateway import Gateway, Options, run_gateway
from statecore.platform import Failure, Policies
from statecore_journal import Reader, open_journal
from statecore_journal.incidents import Cost, Incident, LiveMonitors, Row, find, kinds
from tests.incidents.scenes import SCENES
from tests.incidents.test_corpus import journal
from tests.support.platform import Fake, Plain
from tests.support.stage import Stage

TOLD: Final = re.compile(r"account \S+: (\S+) since #(\d+):")


class Greetings:
    """Somebody said hello. Looks for: a message that says so."""

    kind = "greeting"

    def __init__(self) -> None:
        self._last: Incident | None = None

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row."""
        if row.event == "Received" and row.get("text") == "hello":
            yield Incident(
                kind=self.kind, account=row.account, address=row.address, first=row.seq, last=row.seq, began=row.at,
                ended=row.at, wall=row.wall, rows=(row.seq,), summary=f"{row.chat} said hello", cause="manners",
                advice="say hello", cost=Cost(),
            )  # fmt: skip

    def finish(self, at: int) -> Iterable[Incident]:  # noqa: ARG002
        """Find nothing."""
        return ()


class Broken:
    """Raises at the first row it sees."""

    kind = "broken"

    def see(self, row: Row) -> Iterable[Incident]:
        """Raise."""
        raise LookupError(row.event)

    def finish(self, at: int) -> Iterable[Incident]:
        """Raise."""
        raise LookupError(at)


def unmakeable() -> Any:
    """Raise where a monitor is wanted."""
    raise RuntimeError("no licence")


def installing(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> None:
    """Let these entry points be installed: names, and where they lead."""
    found = [EntryPoint(name, value, kinds.GROUP) for name, value in points]
    monkeypatch.setattr(kinds, "entry_points", lambda group: found if group == kinds.GROUP else [])


def test_somebody_elses_monitor_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It sees what ours see, and its incidents stand among ours.
    """
    installing(monkeypatch, ("greeting", "tests.incidents.test_monitors:Greetings"))

    found = find(journal("retry-storm"))

    assert [incident.kind for incident in found].count("greeting") == 4
    assert {incident.summary for incident in found if incident.kind == "greeting"} >= {"ann said hello"}
    assert "retry-storm" in {incident.kind for incident in found}


def test_monitors_that_are_broken_are_reported_in_a_sentence_each_and_stop_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    One that cannot be imported, one that cannot be made, and one that raises.
    """
    module = "tests.incidents.test_monitors"
    installing(
        monkeypatch,
        ("gone", "no.such.module:Monitor"),
        ("unmade", f"{module}:unmakeable"),
        ("raising", f"{module}:Broken"),
    )
    said: list[str] = []

    found = find(journal("retry-storm"), report=said.append)

    assert [incident.kind for incident in found] == ["retry-storm"]
    assert len(said) == 3
    assert "gone" in said[0]
    assert "no licence" in said[1]
    assert "'broken' raised LookupError" in said[2]


def test_a_threshold_can_be_set() -> None:
    """
    What is an incident to one is a Tuesday to another.
    """
    assert find(journal("retry-storm"), monitors=[lambda: kinds.KINDS["retry-storm"](refused=50)]) == []
    assert len(find(journal("healthy-one-crash"), monitors=[lambda: kinds.KINDS["restart-loop"](least=1)])) == 1


# ---- in a gateway ----------------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return an empty stage."""
    return Stage(tmp_path)


class Watched:
    """A stage's gateway with monitors, over any journal."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    async def run(self, program: Any, **how: Any) -> None:
        """Run a program over a gateway that watches."""
        stage = self.stage
        async with open_journal(stage.path, wall=stage.world.wall, busy_ns=50_000_000, threaded=False) as opened:
            monitors = LiveMonitors(stage.world.wall)
            monitors.read(Reader(stage.path), stage.world.now())
            options = Options(lock_folder=stage.folder / "locks", **how)
            accounts = {"wx": stage.account}
            async with run_gateway(opened, accounts, stage.world, options, signals=(), monitors=monitors) as gateway:
                await program(gateway)


def test_a_gateway_says_once_that_something_goes_on_and_once_that_it_is_over(stage: Stage) -> None:
    """
    A warning with what to do, an information at the end, and in between `incidents` says it.
    """
    stage.account = Fake(stage.server, Plain(), Policies())

    def down(_: int) -> Failure | None:
        return Failure(stage="connect", error="refused") if 60 <= trio.current_time() < 400 else None

    stage.server.polls.append(down)
    stage.server.dials.append(down)
    seen: list[list[str]] = []

    async def program(gateway: Any) -> None:
        for second in (50, 300, 900):
            await trio.sleep_until(second)
            seen.append([incident.kind for incident in gateway.incidents()])

    async def main() -> None:
        await Watched(stage).run(program)

    stage.run(main)

    assert seen == [[], ["outage"], []]
    said = [line for line in stage.log if "outage" in line]
    assert [line.split()[0] for line in said] == ["WARNING", "INFO"]
    assert "account wx: outage since #" in said[0]
    assert "accounts.wx.backoff.cap" in said[0]
    (found,) = find(stage.path)
    assert f"since #{found.first}:" in said[0]


def test_what_goes_on_is_told_as_it_is_when_it_is_asked_for(stage: Stage) -> None:
    """
    For how long, and how often it was tried; and of two kinds only the one that it is.
    """
    stage.account = Fake(stage.server, Plain(), Policies())
    stage.server.dials.append(lambda _: Failure(stage="resolve", error="no such host"))
    told: list[str] = []

    async def program(gateway: Any) -> None:
        for second in (301, 901):
            await trio.sleep_until(second)
            told.extend(f"{incident.kind}: {incident.summary}" for incident in gateway.incidents())

    async def main() -> None:
        await Watched(stage).run(program)

    stage.run(main)

    early, late = told
    assert early.startswith("dns-failure: no connection for 5m")
    assert late.startswith("dns-failure: no connection for 15m")
    assert len([line for line in stage.log if "WARNING" in line and "since #" in line]) == 1


def test_what_goes_on_is_known_over_a_restart(stage: Stage) -> None:
    """
    Whoever restarts a gateway in the middle of an incident has not ended it.
    """
    stage.account = Fake(stage.server, Plain(), Policies())
    stage.server.dials.append(lambda _: Failure(stage="connect", error="refused"))

    async def program(gateway: Any) -> None:
        await trio.sleep(300)
        kinds_now = [incident.kind for incident in gateway.incidents()]
        assert kinds_now == ["outage"]

    async def again(gateway: Any) -> None:
        assert [incident.kind for incident in gateway.incidents()] == []
        await trio.sleep(300)
        assert [incident.kind for incident in gateway.incidents()] == ["outage"]

    async def main() -> None:
        await Watched(stage).run(program)
        await Watched(stage).run(again)

    stage.run(main)


STAGED = [name for name, scene in SCENES.items() if scene.staged]
DAYS = [name for name in STAGED if name.startswith("healthy-")]


@pytest.mark.parametrize("name", [name for name in STAGED if name not in DAYS][::2] + DAYS[:1])
def test_a_gateway_tells_what_is_found_in_its_journal_afterwards(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    One set of monitors, two ways to feed it: rows of the file, and the units of every process that wrote it.
    """

    @asynccontextmanager
    async def watching(opened: Any, accounts: Any, world: Any, options: Any, **how: Any) -> AsyncIterator[Gateway]:
        monitors = LiveMonitors(world.wall)
        monitors.read(Reader(opened.path), world.now())
        async with run_gateway(opened, accounts, world, options, monitors=monitors, **how) as gateway:
            yield gateway

    monkeypatch.setattr("tests.support.stage.run_gateway", watching)
    with caplog.at_level(logging.INFO, logger="statecore"):
        SCENES[name].play(tmp_path)

    told = {(kind, int(first)) for kind, first in TOLD.findall(caplog.text)}
    assert told == {(incident.kind, incident.first) for incident in find(tmp_path / "gateway.db")}

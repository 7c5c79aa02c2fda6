"""Which transitions were taken."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from statecore.events import Broken
from statecore.machine import Machine, Signal, on
from statecore.machines import MACHINES, connection, delivery
from statecore_diagrams.coverage import Coverage, NotCoverage, rows
from statecore_diagrams.model import read
from tests.diagrams.door import MACHINES as DOORS
from tests.diagrams.door import ODD, Door, Looked, Opened, Pushed, door
from tests.journal import desk


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal in which one message was delivered, one died, and the connection came up."""
    path = tmp_path / "gateway.db"

    async def happen() -> None:
        async with desk.opened(path) as opened:
            hand = desk.Hand(opened)
            await hand.dial()
            await hand.send("1")
            await hand.send("2", until="dead")
            await hand.happen("delivery/wx/2", delivery.Turn(token=1, left=9))  # ignored: it is dead

    trio.run(happen)
    return path


def taken(coverage: Coverage, machine: str) -> dict[tuple[str, str, str], int]:
    """Return what a machine did, as (from, event and guard, to)."""
    counts = coverage.of(machine).counts
    return {(t.source, t.label, t.target): count for t, count in counts.items() if t.kind != "ignored"}


def test_a_journal_tells_what_was_taken_and_how_often(journal: Path) -> None:
    """That is what a table is compared with."""
    coverage = Coverage()
    coverage.journal(journal)

    assert taken(coverage, "connection") == {
        ("closed", "Started", "dialling"): 1,
        ("dialling", "Ready", "connected"): 1,
    }
    assert taken(coverage, "delivery") == {
        ("new", "Accepted", "queued"): 2,
        ("queued", "Turn", "sending"): 2,
        ("sending", "PartAccepted [last_of_all]", "delivered"): 1,
        ("sending", "NotSent [final]", "dead"): 1,
    }
    assert sum(t.kind == "ignored" for t in coverage.of("delivery").counts) == 1
    assert coverage.seen == ("connection", "delivery", "window")


def test_pages_of_a_journal_are_counted_once_each(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long journal is read in parts."""
    whole, parts = Coverage(), Coverage()
    whole.journal(journal)
    monkeypatch.setattr("statecore_diagrams.coverage.PAGE", 2)
    parts.journal(journal)

    assert [whole.of(name).counts for name in MACHINES] == [parts.of(name).counts for name in MACHINES]


def steps() -> Iterator[Coverage]:
    """Take a door through what it can do, and count each way by itself."""
    for events in ([Pushed(), Opened(), Looked()], [Pushed(), Broken(how="died")], [Looked()]):
        coverage = Coverage(DOORS)
        snapshot = door.start()
        for event in events:
            snapshot = coverage.step(door, snapshot, event, door.step(snapshot, event, 0)).snapshot
        yield coverage


def test_steps_of_a_test_are_counted_and_put_together() -> None:
    """A test run has no journal, and many processes."""
    whole = Coverage(DOORS)
    for coverage in steps():
        whole.merge(coverage)
    found = whole.of("door")

    assert taken(whole, "door") == {
        ("shut", "Pushed", "opening"): 2,
        ("opening", "Opened", "open"): 1,
        ("open", "Looked", "open"): 1,
        ("opening", "Broken", ODD): 1,
        ("shut", "Looked", "shut"): 1,
    }
    assert {(t.source, t.event) for t in found.never} == {
        ("shut", "Pushed"), ("open", "Elapsed(shuts_at)"), ("open", "Pushed"), ("opening", "Looked"), (ODD, "Looked"),
        (ODD, "Pushed"),
    }  # fmt: skip
    assert (len(found.taken), found.total) == (5, 11)


def test_what_one_process_counted_another_can_load(tmp_path: Path) -> None:
    """pytest-xdist has several."""
    whole, loaded = Coverage(DOORS), Coverage(DOORS)
    for at, coverage in enumerate(steps()):
        whole.merge(coverage)
        coverage.save(tmp_path / f"{at}.json")
        loaded.load(tmp_path / f"{at}.json")

    assert loaded.of("door") == whole.of("door")


@pytest.mark.parametrize(
    "text", ["", "[]", '{"machines": 3}', '{"machines": {"door": [1]}}', '{"machines": {"door": [[1]]}}']
)
def test_a_file_that_is_no_coverage_is_refused(tmp_path: Path, text: str) -> None:
    """With its name, and not by a traceback."""
    (tmp_path / "x.json").write_text(text)

    with pytest.raises(NotCoverage, match=r"x\.json holds no saved coverage"):
        Coverage(DOORS).load(tmp_path / "x.json")


def test_rows_of_another_version_of_the_table_are_told_apart() -> None:
    """They are no transitions of this one, and not nothing either."""
    coverage = Coverage(DOORS)
    coverage.row("door", "Kicked", "shut", "broken", None, None, 3)
    coverage.row("door", "Pushed", "shut", "shut", "refused: nobody knows it", None)

    assert coverage.of("door").foreign == {"shut → broken  Kicked": 3}
    coverage.row("gate", "Pushed", "shut", "open", None, None, 2)

    assert not coverage.of("door").taken
    assert coverage.strangers == {"gate": 2}


def test_the_guards_tell_which_of_two_rows_it_was() -> None:
    """Two rows may lead to the same state for different reasons."""

    def first(was: Door, _event: Pushed) -> bool:
        return was.pushes == 0

    gate = Machine(
        "gate",
        remembers=Door,
        initial="shut",
        table=[on("shut", Pushed, "open", when=first), on("shut", Pushed, "open"), on("open", Pushed, "shut")],
        awaits={"shut": Signal(Pushed), "open": Signal(Pushed)},
    )
    coverage = Coverage({"gate": gate})
    coverage.row("gate", "Pushed", "shut", "open", None, "first=0")

    assert taken(coverage, "gate") == {("shut", "Pushed", "open"): 1}


def test_a_list_of_rows_says_where_in_few_words() -> None:
    """A row about every state is one line, not nineteen."""
    model = read(MACHINES["connection"])
    listed = dict(rows(model, model.drawn))

    assert listed["every state (stays)"] == ("ClockStepped",)
    assert listed["dialling, proving, connected → reconnecting"] == ("Lost", "Broken")
    assert connection.connection.name == model.name

"""Where two journals part, and two versions of the machines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from statecore.machine import STAY, Machine, on
from statecore.units import SECONDS
from statecore_journal import diff, diff_versions
from tests.journal.desk import LAMPS, START, Hand, Looked, Pressed, lamp, opened, rows


def make(path: Path, build: Callable[[Hand], Any], now: int = START, boot: str = "b") -> Path:
    """Make a journal."""

    async def main() -> None:
        async with opened(path, wall=lambda: now) as journal:
            epoch = await journal.take("wx", boot, 7, "host")
            hand = Hand(journal, machines=LAMPS, now=now)
            assert epoch
            await build(hand)

    trio.run(main)
    return path


async def evening(hand: Hand) -> None:
    """Switch lamps on and off."""
    for number in range(3):
        await hand.happen(f"lamp/wx/{number}", Pressed(note="a"), Looked(), Pressed())


def test_what_differs_by_nature_is_no_difference(tmp_path: Path) -> None:
    """
    The same evening on another day, in another process, after something else.
    """

    async def later(hand: Hand) -> None:
        await hand.happen("lamp/wx/2", Pressed(note="a"))
        await hand.happen("lamp/wx/0", Pressed(note="a"), Looked(), Pressed())
        await hand.happen("lamp/wx/2", Looked(), Pressed())
        await hand.happen("lamp/wx/1", Pressed(note="a"), Looked(), Pressed())

    left = make(tmp_path / "a.db", evening)
    right = make(tmp_path / "b.db", later, now=START + 1000 * SECONDS, boot="c")

    assert diff(left, right).same
    assert diff(left, right).instances == 3
    assert diff(left, right, strict=True).partings[0].differs[:2] == ("seq", "at")
    assert diff(left, left, strict=True).same


def test_the_first_row_of_each_instance_that_differs_is_shown_in_the_order_of_time(tmp_path: Path) -> None:
    """
    What comes behind it is a consequence, as a rule.
    """

    async def other(hand: Hand) -> None:
        await hand.happen("lamp/wx/0", Pressed(note="a"), Looked(), Looked(), Pressed())
        await hand.happen("lamp/wx/1", Pressed(note="z"), Looked(), Pressed())
        await hand.happen("lamp/wx/2", Pressed(note="a"), Looked())

    found = diff(make(tmp_path / "a.db", evening), make(tmp_path / "b.db", other))

    assert found.parted == 3
    assert [(one.address, one.version, one.differs) for one in found.partings] == [
        ("lamp/wx/0", 3, ("event", "target", "outcome")),
        ("lamp/wx/1", 1, ("data.note",)),
        ("lamp/wx/2", 3, ("events",)),
    ]
    first, _, last = found.partings
    assert first.left is not None
    assert first.right is not None
    assert (first.left.event, first.right.event) == ("Pressed", "Looked")
    assert last.left is not None
    assert last.right is None


def test_what_is_only_in_one_is_named(tmp_path: Path) -> None:
    """
    It is compared with nothing.
    """

    async def fewer(hand: Hand) -> None:
        await hand.happen("lamp/wx/1", Pressed(note="a"), Looked(), Pressed())
        await hand.happen("lamp/wx/9", Pressed(note="a"))

    found = diff(make(tmp_path / "a.db", evening), make(tmp_path / "b.db", fewer))

    assert (found.instances, found.parted, found.same) == (1, 0, False)
    assert found.only_left == ("lamp/wx/0", "lamp/wx/2")
    assert found.only_right == ("lamp/wx/9",)
    assert diff(tmp_path / "a.db", tmp_path / "b.db", machine="lamp/wx/1").same


def test_where_one_was_pruned_they_are_compared_from_there(tmp_path: Path) -> None:
    """
    Or a journal would differ from its own backup.
    """
    left, right = make(tmp_path / "a.db", evening), make(tmp_path / "b.db", evening)
    rows(right, "delete from events where machine = 'lamp/wx/1' and version < 3")
    assert diff(left, right).same

    rows(right, "update events set target = 'on' where machine = 'lamp/wx/1'")
    assert [(one.address, one.version) for one in diff(left, right).partings] == [("lamp/wx/1", 3)]
    assert [(one.address, one.version) for one in diff(right, left).partings] == [("lamp/wx/1", 3)]


def test_two_versions_of_a_machine_are_compared_over_one_journal(tmp_path: Path) -> None:
    """
    "What would the new table have done?" is asked before it is put to work.
    """
    path = make(tmp_path / "a.db", evening)
    table = [
        on(row.sources, row.events, "broken", row.do) if row.events == (Looked,) and row.target is STAY else row
        for row in lamp.table
    ]
    changed = Machine(
        "lamp", remembers=lamp.remembers, initial="off", table=table, awaits=lamp.awaits, final=("broken",)
    )

    assert diff_versions(path, LAMPS, LAMPS, names=("old", "old")).same
    found = diff_versions(path, LAMPS, {"lamp": changed}, names=("old", "new"))

    assert found.parted == 3
    first = found.partings[0]
    assert (first.address, first.version, first.differs) == ("lamp/wx/0", 2, ("target", "outcome"))
    assert first.left is not None
    assert first.right is not None
    assert (first.left.target, first.right.target) == ("on", "broken")
    assert diff_versions(path, LAMPS, {}, names=("old", "none")).only_left == ("lamp/wx/0", "lamp/wx/1", "lamp/wx/2")


@pytest.mark.parametrize("strict", [True, False])
def test_a_journal_is_the_same_as_itself(tmp_path: Path, strict: bool) -> None:
    """
    Whatever is asked for.
    """
    path = make(tmp_path / "a.db", evening)
    assert diff(path, path, strict=strict).same

"""How a unit becomes rows, and where they stand."""

import pytest

from statecore.errors import CodecError, Conflict
from statecore.machines import delivery, inbound, window
from statecore.system import LAST, PLACED, Entry, Unit
from statecore.units import SECONDS
from statecore_journal.rows import Batch, encode
from tests.journal.desk import START, Pressed, lamp

ADDRESS = "lamp/wx/1"


def entry(address: str = ADDRESS, *, version: int = 1, order: int = 0, cause: int = 0, note: str = "") -> Entry:
    snapshot = lamp.start()
    for _ in range(version - 1):
        snapshot = lamp.step(snapshot, Pressed(), START).snapshot
    event = Pressed(note=note)
    decision = lamp.step(snapshot, event, START)
    return Entry(address, lamp, snapshot.state, event, decision, cause, "chat", order, live=order != 0, due=None)


def places(batch: Batch) -> dict[str, int | None]:
    """Return where the batch puts each instance in its lane; None for where it is."""
    return {row[-1]: row[-3] for row in batch.inserts()} | {row[-2]: row[-4] for row in batch.updates()}


def test_events_stand_one_behind_the_other_over_all_units_of_a_batch() -> None:
    """
    A place that two rows share, or that none has, would break every order that is read from it.
    """
    batch = Batch(41, START)

    firsts = [
        batch.add(encode(Unit("wx", START, [entry(f"lamp/wx/{n}"), entry(f"lamp/wx/{n}b")])), 3) for n in range(3)
    ]

    assert firsts == [41, 43, 45]
    assert [row[-4] for row in batch.events] == [41, 42, 43, 44, 45, 46]
    assert batch.following == 47


def test_a_cause_within_the_unit_becomes_the_place_of_that_row() -> None:
    """
    `cause` answers "why did this happen" for whoever reads the journal a year later.
    """
    unit = Unit("wx", START, [entry("lamp/wx/a", cause=7), entry("lamp/wx/b", cause=-1), entry("lamp/wx/c")])
    batch = Batch(100, START)
    batch.add(encode(unit), 1)

    assert [row[-2] for row in batch.events] == [7, 100, None]


def test_last_becomes_the_place_of_the_event_that_asked_for_it() -> None:
    """
    Lanes are in the order of acceptance: the place of the row that accepted.
    """
    batch = Batch(10, START)
    batch.add(encode(Unit("wx", START, [entry("lamp/wx/other"), entry(order=LAST)])), 1)

    assert places(batch)[ADDRESS] == 11


def test_placed_keeps_the_place_that_the_same_unit_gave() -> None:
    """
    A message that is accepted and moved by one unit is where it was accepted, not where it was moved.
    """
    batch = Batch(10, START)
    batch.add(encode(Unit("wx", START, [entry(order=LAST), entry(version=2, order=PLACED)])), 1)

    assert places(batch)[ADDRESS] == 10


def test_placed_keeps_the_place_that_an_earlier_unit_of_the_batch_gave() -> None:
    """
    The batch is an accident of timing. It must not decide who is first in a chat.
    """
    batch = Batch(10, START)
    batch.add(encode(Unit("wx", START, [entry(order=LAST)])), 1)
    batch.add(encode(Unit("wx", START, [entry(version=2, order=PLACED)])), 1)

    assert places(batch)[ADDRESS] == 10


def test_placed_alone_leaves_the_place_as_the_journal_has_it() -> None:
    """
    It was given by an earlier batch.
    """
    batch = Batch(10, START)
    batch.add(encode(Unit("wx", START, [entry(version=2, order=PLACED)])), 1)

    assert places(batch)[ADDRESS] is None


def test_entering_the_lane_again_gives_a_new_place() -> None:
    """
    A dead letter that is tried again goes behind those that were accepted meanwhile.
    """
    batch = Batch(10, START)
    batch.add(encode(Unit("wx", START, [entry(version=2, order=LAST)])), 1)
    batch.add(encode(Unit("wx", START, [entry(version=3, order=LAST)])), 1)

    assert places(batch)[ADDRESS] == 11


def test_of_an_instance_only_the_last_row_is_written_and_its_first_is_what_is_checked() -> None:
    """
    The projection must have been where the first of the units found it, whatever the others made of it since.
    """
    batch = Batch(10, START)
    for version in (4, 5, 6):
        batch.add(encode(Unit("wx", START, [entry(version=version)])), 1)

    (row,) = batch.updates()
    assert row[1] == 6
    assert row[-3:] == (12, ADDRESS, 3)


def test_units_of_one_batch_that_do_not_follow_each_other_conflict() -> None:
    """
    Two writers in one process are two writers.
    """
    batch = Batch(10, START)
    batch.add(encode(Unit("wx", START, [entry(version=2)])), 1)

    with pytest.raises(Conflict, match=ADDRESS):
        batch.add(encode(Unit("wx", START, [entry(version=2)])), 1)


def test_what_became_of_an_event_and_which_guards_were_asked_is_in_its_row() -> None:
    """
    An ignored event looks like nothing happened, and the row is the only place that says why.
    """
    snapshot = delivery.delivery.start()
    snapshot = delivery.delivery.step(snapshot, delivery.Accepted(chat="c", parts=("t",)), START).snapshot
    events = (
        inbound.Received(chat="c", sender="s", id="1", text=""),
        delivery.Released(by="x"),
        delivery.Turn(token=0, left=1),
    )
    entries = [
        Entry(
            "delivery/wx/1",
            delivery.delivery,
            "queued",
            event,
            delivery.delivery.step(snapshot, event, START),
            0,
            "c",
            1,
            True,
            None,
        )
        for event in events
    ]
    outcomes = [(row[6], row[8]) for row, *_ in encode(Unit("wx", START, entries)).entries]

    assert outcomes[0][0].startswith("refused: Received is no event of delivery")
    assert outcomes[1][0].startswith("ignored: ")
    assert outcomes[2] == (None, "bare=0")


def test_a_value_that_cannot_be_written_is_refused_before_anything_is() -> None:
    """
    The unit is refused whole, on the task that brought it.
    """
    unit = Unit("wx", START, [entry(note="half a pair: \ud800")])

    with pytest.raises(CodecError, match="Pressed"):
        encode(unit)


def test_a_deadline_is_in_the_row() -> None:
    """
    Timers of instances that are not in memory are found by it.
    """
    snapshot = window.window.start()
    event = window.Heard(lasts=60 * SECONDS)
    decision = window.window.step(snapshot, event, START)
    due = window.window.due(decision.snapshot)
    batch = Batch(1, START)
    batch.add(
        encode(
            Unit("wx", START, [Entry("window/wx/c", window.window, "unseen", event, decision, 0, "c", 0, False, due)])
        ),
        1,
    )

    assert batch.inserts()[0][8] == START + 60 * SECONDS

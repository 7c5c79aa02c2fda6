"""Whether code does what a journal records: as a gate, over many rows, and with a way out where it does not."""

import runpy
from pathlib import Path
from typing import Any, ClassVar

import attrs
import pytest
import trio

from statecore import codec
from statecore.events import Governed, Late, Offline
from statecore.evolve import evolve
from statecore.machine import STAY, Machine, Signal, ignore, on
from statecore_journal import apart, open_reader, replay, sweep, verify
from tests.journal.desk import LAMPS, Hand, Looked, Pressed, Smashed, lamp, opened, rows
from tests.journal.test_fold import ALL


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Return a journal in which every kind of instance has had its day."""
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=ALL)
            await hand.dial()
            for number in range(12):
                await hand.receive(f"in{number}", f"chat {number % 5}")
                ends = ("delivered", "dead", "queued", "sending")
                await hand.send(f"out{number}", f"chat {number % 5}", until=ends[number % 4])
                await hand.happen(f"lamp/wx/{number % 3}", Pressed(note="a"), Looked())
            await hand.happen("lamp/wx/0", Smashed(), Pressed())
            await hand.happen("inbound/wx/in0", Pressed())  # not an event of it, and of one that is finished
            notes = (Late(event="PartAccepted", of=1), Governed(held=1, rows=2), Offline(length=5))
            await hand.happen("delivery/wx/out3", *notes)  # of no table

    trio.run(main)
    return path


@pytest.mark.parametrize("held", [1, 3, 100])
def test_a_journal_holds_however_few_instances_are_in_memory(
    day: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An instance that was put aside, or left because it was finished, goes on where it was when something happens to it.
    """
    monkeypatch.setattr(sweep, "HELD_MAX", held)
    found = verify(day, machines=ALL)

    assert found.holds, found.named
    assert found.events == rows(day, "select count(*) from events")[0][0]
    assert found.instances == rows(day, "select count(*) from instances")[0][0]


@pytest.mark.parametrize("held", [1, 100])
def test_every_row_is_compared_however_few_instances_are_in_memory(
    day: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A row changed anywhere is found, and only its instance is said to part.
    """
    monkeypatch.setattr(sweep, "HELD_MAX", held)
    for seq, address, target in rows(day, "select seq, machine, target from events"):
        rows(day, "update events set target = 'nowhere' where seq = ?", seq)
        found = verify(day, machines=ALL)
        rows(day, "update events set target = ? where seq = ?", target, seq)

        assert [(one.seq, one.address) for one in found.named] == [(seq, address)]
        assert found.diverging == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("outcome = 'stayed'", "recorded queued -> sending, stayed; folded queued -> sending, moved"),
        ("guards = 'bare=1'", "recorded queued -> sending, guards bare=1; folded queued -> sending, guards bare=0"),
    ],
)
def test_outcomes_and_guards_are_compared_too(day: Path, change: str, says: str) -> None:
    """
    Why a machine moved is what an incident is read for.
    """
    rows(day, f"update events set {change} where machine = 'delivery/wx/out0' and event = 'Turn'")

    (found,) = verify(day).named[:1]

    assert says in str(found)


def test_machines_that_this_code_lacks_are_said_and_the_rest_is_verified(day: Path) -> None:
    """
    A journal of somebody with machines of their own is worth looking into all the same.
    """
    lamps = rows(day, "select count(*) from events where machine like 'lamp/%'")[0][0]
    rows(day, "update events set target = 'nowhere' where machine = 'delivery/wx/out2' and version = 1")
    found = verify(day)

    assert not found.holds
    assert dict(found.unknown) == {"lamp": lamps}
    assert [one.address for one in found.named] == ["delivery/wx/out2"]


def test_what_pruning_left_of_an_instance_is_compared(day: Path) -> None:
    """
    A checkpoint without rows is all that is known of it.
    """
    address = "delivery/wx/out0"
    rows(
        day,
        "insert into checkpoints select address, version, entered, seq, state, schema, data from instances where address = ?",
        address,
    )
    rows(day, "delete from events where machine = ?", address)
    assert verify(day, machines=ALL).holds

    rows(day, "update checkpoints set state = 'dead' where address = ?", address)
    (found,) = verify(day, machines=ALL).named
    assert (found.address, found.recorded, found.folded) == (address, "state delivered", "state dead")


def test_only_the_first_are_named_and_all_are_counted(day: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A table that was changed parts from every delivery of a year.
    """
    monkeypatch.setattr("statecore_journal.verification.NAMED_MAX", 2)
    rows(day, "update events set target = 'nowhere' where event = 'Accepted'")
    found = verify(day, machines=ALL)

    first = [seq for (seq,) in rows(day, "select seq from events where event = 'Accepted' order by seq limit 2")]
    assert [one.seq for one in found.named[:2]] == first
    assert found.diverging == 12


# ---- the way out -----------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Nudged(Pressed):
    """The switch was pressed, by somebody."""

    schema: ClassVar[int] = 2
    by: str


def nudged(was: Any, event: Nudged, _now: int) -> Any:
    return evolve(was, turns=was.turns + 1, note=f"{event.note}{event.by}"[:1])


def lamps_of(event: type[Pressed]) -> dict[str, Machine]:
    """Return the lamp with another class for being pressed."""
    event.__name__ = "Pressed"
    table = [
        on("off", event, "on", nudged),
        on("on", event, "off", nudged),
        on(("on", "off"), Looked, STAY),
        on(("on", "off"), Smashed, "broken"),
        ignore("broken", (event, Looked, Smashed), because="it is broken"),
    ]
    awaits = {"off": Signal(event, Looked, Smashed), "on": Signal(event, Looked, Smashed)}
    return {
        "lamp": Machine("lamp", remembers=lamp.remembers, initial="off", table=table, awaits=awaits, final=("broken",))
    }


def test_the_upcaster_that_would_settle_it_is_written_out(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    What is pasted works once its gaps are filled in.
    """
    monkeypatch.setattr(codec, "_upcasters", {})
    machines = {**ALL, **lamps_of(Nudged)}
    found = verify(day, machines=machines)
    first = found.named[0]

    assert found.diverging == 3
    assert first.schema == (1, 2)
    assert first.definition == (1, 1)
    assert first.advice == "lift Pressed from version 1"
    assert '@upcaster("Pressed", since=1)' in first.stub
    assert 'fields["by"] = ...' in first.stub

    pasted = tmp_path / "pasted.py"
    pasted.write_text(first.stub.replace("...  #", '""  #'))
    runpy.run_path(str(pasted))

    assert verify(day, machines=machines).holds


def test_a_class_that_was_changed_and_not_said_to_be_is_found_out(day: Path) -> None:
    """
    Its rows cannot be read any more; the version that would have said so was forgotten.
    """
    rows(day, """update events set data = '{"note":"a","hand":"left"}' where event = 'Pressed'""")
    first = verify(day, machines=ALL).named[0]

    assert "raise `schema` of Pressed to 2" in first.advice
    assert 'fields.pop("hand")' in first.stub
    assert '@upcaster("Pressed", since=1)' in first.stub


def test_an_event_that_is_gone_has_no_upcaster_but_a_remedy(day: Path) -> None:
    """
    An upcaster lifts fields; it cannot bring a class back.
    """
    rows(day, "update events set event = 'Kicked' where machine = 'lamp/wx/1' and version = 2")
    (first,) = verify(day, machines=ALL).named

    assert first.stub == ""
    assert "give lamp an event Kicked again" in first.advice


# ---- several processes -----------------------------------------------------------------------------------------------


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share even a short journal out."""
    monkeypatch.setattr(apart, "ROWS_FOR_SEVERAL", 1)


SPEC = "tests.journal.desk:LAMPS"


@pytest.mark.usefixtures("shared")
def test_several_processes_find_what_one_finds(day: Path) -> None:
    """
    How the work is shared out is nobody's business but the clock's.
    """
    rows(day, "update events set target = 'nowhere' where event = 'Accepted'")
    alone, together = verify(day, specs=[SPEC]), verify(day, specs=[SPEC], jobs=3)

    assert alone == verify(day, machines=ALL)
    assert [str(one) for one in together.named] == [str(one) for one in alone.named]
    assert attrs.evolve(together, named=()) == attrs.evolve(alone, named=())


@pytest.mark.usefixtures("shared")
def test_several_processes_fold_to_where_one_folds(day: Path) -> None:
    """
    The same instances, in the same order.
    """
    with replay(day, 40, machines=ALL) as alone, replay(day, 40, specs=[SPEC], jobs=3) as together:
        assert list(alone.standing) == list(together.standing)
        assert (alone.counts, alone.events) == (together.counts, together.events)


@pytest.mark.usefixtures("shared")
def test_what_another_process_cannot_do_is_said(day: Path) -> None:
    """
    A traceback of a process nobody started is of no use.
    """
    with open_reader(day) as reader, reader.reading() as connection:
        (one,) = apart.parts(connection, sweep.EVERYWHERE, 1)
    task = apart.Task(work="statecore_journal.verification:verify_part", path=f"{day}.none", condition=one.condition)

    with pytest.raises(Exception, match="there is no journal at"):
        apart.run([task], codec.objection)  # type: ignore[arg-type]


def test_machines_of_others_are_found_by_name() -> None:
    """
    The commands know no others than those that are named.
    """
    from statecore.loading import load_machines

    assert load_machines([SPEC])["lamp"] is LAMPS["lamp"]
    assert load_machines(["tests.journal.desk:lamp"])["lamp"] is lamp
    for spec, why in {
        "tests.journal.desk": "no MODULE:ATTRIBUTE",
        "tests.journal.nowhere:X": "cannot be imported",
        "tests.journal.desk:x": "has no 'x'",
        "tests.journal.desk:START": "holds no machine",
    }.items():
        with pytest.raises(Exception, match=why):
            load_machines([spec])

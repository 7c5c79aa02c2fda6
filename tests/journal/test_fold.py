"""Replaying a journal, and finding where the code has parted from it."""

import itertools
import sqlite3
import tempfile
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from statecore import codec
from statecore.errors import CodecError, JournalCorrupt
from statecore.machine import STAY, Machine, Snapshot, on
from statecore.machines import MACHINES, delivery
from statecore.system import Entry, System, Unit
from statecore.units import SECONDS
from statecore_journal import Divergence, Folded, diverges, fold, open_reader, sweep
from tests.journal.desk import LAMPS, START, Hand, Looked, Pressed, Smashed, lamp, opened, record, rows
from tests.statecore.strategies import Moment, histories, seldom

ALL = {**MACHINES, **LAMPS}


class Nothing:
    """A journal in which nothing has happened yet."""

    def load(self, address: str) -> None:  # noqa: ARG002 - the port's name
        return None

    def due(self, account: str, after: int, most: int | None) -> tuple[list[tuple[int, str]], int | None]:  # noqa: ARG002
        return [], None


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Return a journal of a day like any other."""
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal, machines=ALL)
            await hand.dial()
            for number in range(5):
                await hand.receive(f"in{number}", f"chat {number}")
                await hand.send(
                    f"out{number}", f"chat {number}", until=("delivered", "dead", "queued", "sending")[number % 4]
                )
                await hand.happen(f"lamp/wx/{number}", Pressed(note="a"), Looked(), Pressed())
            await hand.poll(3)
            await hand.happen("lamp/wx/0", Smashed(), Pressed())

    trio.run(main)
    return path


def folded(path: Path, **how: Any) -> dict[str, Folded]:
    with open_reader(path) as reader:
        return {found.address: found for found in fold(reader, machines=ALL, **how)}


def recorded(path: Path) -> dict[str, tuple[Any, ...]]:
    found = rows(path, "select address, state, version, entered, seq, data from instances")
    return {address: tuple(rest) for address, *rest in found}


# ---- folding ---------------------------------------------------------------------------------------------------------


def test_the_fold_of_the_events_is_the_table_of_instances(day: Path) -> None:
    """
    The rows are the whole story. If they were not, nothing could be explained from them, or rebuilt.
    """
    found = {
        address: (state, version, entered, seq, codec.dumps(data))
        for address, (_, (state, data, version, entered), seq) in folded(day).items()
    }

    assert found == recorded(day)
    assert list(found) == sorted(found)
    assert diverges(day, machines=ALL) is None


def test_one_instance_is_folded_alone(day: Path) -> None:
    """
    "What happened to this message?" must not cost a replay of everything.
    """
    everything = folded(day)
    for address in ("delivery/wx/out1", "connection/wx", "lamp/wx/0"):
        assert folded(day, address=address) == {address: everything[address]}
    assert folded(day, address="delivery/wx/none") == {}


def test_a_fold_ends_where_it_is_told_to(day: Path) -> None:
    """
    What an incident looked like from inside, at any row of it.
    """
    history = rows(day, "select seq, machine, target, version from events order by seq")
    stood: dict[str, tuple[str, int]] = {}
    for seq, address, target, version in history:
        stood[address] = target, version
        found = folded(day, until=seq)
        assert {name: (f.snapshot.state, f.snapshot.version) for name, f in found.items()} == stood
    assert folded(day, until=0) == {}


def test_a_connection_can_be_folded_too(day: Path) -> None:
    """
    Whoever has one open need not open another.
    """
    with closing(sqlite3.connect(day)) as connection:
        assert {found.address: found for found in fold(connection, machines=ALL)} == folded(day)


def test_an_event_that_nobody_knew_then_either_changes_nothing(day: Path) -> None:
    """
    It was refused and recorded. Its class may be gone since.
    """
    rows(
        day,
        "insert into events (at, wall, machine, version, event, source, target, outcome, data, epoch, schema, definition)"
        " values (?, 1, 'lamp/wx/1', 4, 'Kicked', 'off', 'off', 'refused: Kicked is no event of lamp', '{}', 0, 1, 1)",
        START,
    )
    rows(day, "update instances set version = 4 where address = 'lamp/wx/1'")

    assert diverges(day, machines=ALL) is None


@pytest.mark.parametrize("name", sorted(MACHINES))
def test_any_history_of_any_machine_is_folded_to_where_it_ended(name: str) -> None:
    """
    Awkward values, events that come too late, timers that fire at once: what the step made of them once, it makes again.
    """
    machine = MACHINES[name]

    @settings(seldom, max_examples=15)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        lives = [data.draw(histories(machine, most=12)) for _ in range(2)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gateway.db"
            record(path, units(machine, lives))

            assert diverges(path) is None

    check()


def units(machine: Machine, lives: Sequence[Sequence[Moment]]) -> Iterator[Unit]:
    for together in itertools.zip_longest(*lives):
        for number, moment in enumerate(together):
            if moment is not None:
                before, event, now, decision = moment
                address = f"{machine.name}/wx/{number}"
                entry = Entry(address, machine, before.state, event, decision, 0, "", 0, live=False, due=None)
                yield Unit("wx", now, [entry])


def test_memory_does_not_grow_with_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A journal of a year is verified on the small machine that wrote it.
    """
    monkeypatch.setattr(sweep, "HELD_MAX", 16)

    def peak(path: Path, count: int) -> int:
        system = System("wx", LAMPS, Nothing())

        def life() -> Iterator[Unit]:
            for number in range(count):
                for _ in range(4):
                    unit = system.begin(START)
                    system.feed(unit, f"lamp/wx/{number:06}", Pressed(note=f"unlike any other {number}" * 5))
                    system.committed(unit, 1)
                    yield unit

        record(path, life())
        tracemalloc.start()
        try:
            assert diverges(path, machines=LAMPS) is None
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    diverges(make_empty(tmp_path / "warm.db"))
    small, large = peak(tmp_path / "small.db", 50), peak(tmp_path / "large.db", 2000)

    assert large < small + 300_000


def make_empty(path: Path) -> Path:
    record(path, [])
    return path


# ---- diverging -------------------------------------------------------------------------------------------------------


@attrs.frozen
class Changed:
    """Some change, and how it is named."""

    sql: str
    address: str
    says: str


CHANGES = {
    "a state": Changed(
        "update events set target = 'on' where machine = 'lamp/wx/1' and version = 3",
        "lamp/wx/1", "Pressed of lamp/wx/1, version 3: recorded on -> on; folded on -> off",
    ),
    "a source": Changed(
        "update events set source = 'on' where machine = 'lamp/wx/1' and version = 1",
        "lamp/wx/1", "recorded on -> on; folded off -> on",
    ),
    "a field of an event": Changed(
        """update events set data = '{"note":"b"}' where machine = 'lamp/wx/2' and version = 3""",
        "lamp/wx/2", 'table instances, version 3: recorded {"turns":2}; folded {"turns":2,"note":"b"}',
    ),
    "a time": Changed(
        "update events set at = at + 1 where event = 'Ready'",
        "connection/wx", "",
    ),
    "a missing row": Changed(
        "delete from events where machine = 'lamp/wx/1' and version = 2",
        "lamp/wx/1", "version 3 of lamp/wx/1 follows version 1; rows are missing",
    ),
    "a missing beginning": Changed(
        "delete from events where machine = 'lamp/wx/1' and version = 1",
        "lamp/wx/1", "version 2 of lamp/wx/1 follows version 0",
    ),
    "a missing end": Changed(
        "delete from events where machine = 'lamp/wx/1' and version = 3",
        "lamp/wx/1", "in table instances, version 2: recorded state off; folded state on",
    ),
    "a version": Changed("update instances set version = 7 where address = 'lamp/wx/3'", "lamp/wx/3", "recorded version 7"),
    "an entry": Changed(
        "update instances set entered = 1 where address = 'lamp/wx/3'", "lamp/wx/3", "recorded entered at version 1"
    ),
    "what is remembered": Changed(
        """update instances set data = '{"turns":9}' where address = 'lamp/wx/3'""", "lamp/wx/3", 'recorded {"turns":9}'
    ),
    "an instance too few": Changed(
        "delete from instances where address = 'lamp/wx/3'", "lamp/wx/3", "recorded nothing; folded off"
    ),
    "an instance too many": Changed(
        "delete from events where machine = 'lamp/wx/4'", "lamp/wx/4", "recorded off; folded no history"
    ),
    "an event that is no event": Changed(
        "update events set event = 'Kicked' where machine = 'lamp/wx/1' and version = 2", "lamp/wx/1",
        "lamp has no event Kicked in this code",
    ),
    "text that is no event": Changed(
        """update events set data = '{"no":1}' where machine = 'lamp/wx/1' and version = 1""", "lamp/wx/1",
        "this is no Pressed",
    ),
    "a machine that is gone": Changed(
        "update events set machine = 'lump/wx/1' where machine = 'lamp/wx/1'", "lump/wx/1", "this code has no machine 'lump'"
    ),
    "what is remembered, beyond reading": Changed(
        "update instances set data = '{' where address = 'lamp/wx/3'", "lamp/wx/3", "recorded {"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_whatever_does_not_fit_is_named(day: Path, what: str) -> None:
    """
    An oracle that overlooked one kind of difference would prove nothing about the others.
    """
    change = CHANGES[what]
    rows(day, change.sql)

    found = diverges(day, machines=ALL)

    assert found is not None
    assert found.address == change.address
    assert change.says in str(found)
    assert f"row {found.seq}, " in str(found)


def test_the_first_divergence_is_the_one_that_is_named(day: Path) -> None:
    """
    The others follow from it, as a rule. First is by its place in the journal, and not by its name.
    """
    places = dict(rows(day, "select machine, seq from events where event = 'Looked'"))
    for address in sorted(places):
        rows(day, "update events set target = 'off' where seq = ?", places[address])
    found = diverges(day, machines=ALL)

    assert found == Divergence(min(places.values()), "lamp/wx/0", 2, "Looked", "on -> off", "on -> on")


def test_code_that_has_changed_is_told_where(day: Path) -> None:
    """
    "Does the new table do what the old one did?" is asked before it is put to work, on the journal of production.
    """
    table = [
        on(row.sources, row.events, "broken", row.do) if row.events == (Looked,) and row.target is STAY else row
        for row in lamp.table
    ]
    changed = Machine(
        "lamp", remembers=lamp.remembers, initial="off", table=table, awaits=lamp.awaits, final=("broken",)
    )

    found = diverges(day, machines={**MACHINES, "lamp": changed})

    assert found is not None
    assert (found.event, found.recorded, found.folded) == ("Looked", "on -> on", "on -> broken")


def test_a_fold_does_not_go_on_over_a_gap(day: Path) -> None:
    """
    What it would find beyond is not what happened.
    """
    rows(day, "delete from events where machine = 'lamp/wx/1' and version = 2")
    with pytest.raises(JournalCorrupt, match="rows are missing"):
        folded(day)


def test_a_fold_says_which_row_it_cannot_read(day: Path) -> None:
    """
    So that the upcaster for it can be written.
    """
    rows(day, "update events set event = 'Kicked' where machine = 'lamp/wx/1' and version = 2")
    with pytest.raises(CodecError, match=r"row \d+: lamp has no event Kicked"):
        folded(day)


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def put_checkpoint(path: Path, address: str, version: int) -> None:
    """Replace the rows of an instance up to a version with a checkpoint."""
    ((seq,),) = rows(path, "select seq from events where machine = ? and version = ?", address, version)
    _, (state, data, _, entered), _ = folded(path, address=address, until=seq)[address]
    text = codec.dumps(data)
    rows(
        path,
        "insert or replace into checkpoints values (?, ?, ?, ?, ?, 1, ?)",
        address,
        version,
        entered,
        seq,
        state,
        text,
    )
    rows(path, "delete from events where machine = ? and version < ?", address, version)


def test_a_history_that_begins_with_a_checkpoint_ends_the_same(day: Path) -> None:
    """
    Pruning may not change what is known. Rows that it has not come to delete yet change nothing either.
    """
    before = folded(day)
    put_checkpoint(day, "connection/wx", 3)
    put_checkpoint(day, "lamp/wx/2", 3)
    put_checkpoint(day, "lamp/wx/1", 2)

    assert folded(day) == before
    assert diverges(day, machines=ALL) is None
    assert folded(day, address="lamp/wx/2") == {"lamp/wx/2": before["lamp/wx/2"]}


def test_before_its_checkpoint_nobody_knows_where_an_instance_was(day: Path) -> None:
    """
    Left out is honest; its initial state would be made up.
    """
    ((seq,),) = rows(day, "select seq from events where machine = 'lamp/wx/2' and version = 2")
    put_checkpoint(day, "lamp/wx/2", 2)

    assert "lamp/wx/2" not in folded(day, until=seq - 1)
    assert folded(day, until=seq)["lamp/wx/2"].snapshot.version == 2


def test_a_checkpoint_that_lies_is_found(day: Path) -> None:
    """
    It is believed by every fold after it.
    """
    put_checkpoint(day, "lamp/wx/1", 2)
    rows(day, """update checkpoints set data = '{"turns":5}'""")
    assert diverges(day, machines=ALL) is not None

    rows(day, "update checkpoints set state = 'gone'")
    found = diverges(day, machines=ALL)
    assert found is not None
    assert "which this code does not have" in str(found)


def test_the_snapshot_of_a_fold_can_be_stepped_further(day: Path) -> None:
    """
    "What if this had happened instead?" starts from it.
    """
    found = folded(day, address="delivery/wx/out3")["delivery/wx/out3"]
    assert isinstance(found.snapshot, Snapshot)
    decision = delivery.delivery.step(found.snapshot, delivery.PartAccepted(message="m"), START + 1000 * SECONDS)

    assert decision.snapshot.state == "delivered"

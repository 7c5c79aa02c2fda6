"""Every recorded event once more through the machines of this code, in the order in which they happened.

In that order the file is read from its beginning to its end, which is several times as fast as instance by instance. What
is in memory is bounded: the instances that had an event lately. One that had none for long is either left, because
whoever sweeps knows enough of it, or put aside into a temporary database until its next event. What was left and comes
back after all is folded once more from its own rows.

Each row is compared with what this code makes of it: the states before and after, the version, the outcome and the guards.
Where the two part, the instance is followed no further, because what comes after is a consequence.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final, NamedTuple

from statecore import codec
from statecore.collection import no_collection
from statecore.errors import StatecoreError
from statecore.events import Event
from statecore.machine import Machine, Snapshot, Verdict
from statecore_journal.fold import (
    CHECKPOINTS,
    EVENTS,
    KNOWN_CHARACTERS_MAX,
    KNOWN_MAX,
    VERSION,
    Divergence,
    Reading,
    Replay,
    Row,
)
from statecore_journal.rows import SHOWN, shown

HELD_MAX: Final = 4096
"""Instances that had an event lately: up to twice as many are in memory."""

ROWS_AT_ONCE: Final = 256

SWEPT: Final = "select machine, version, at, event, source, target, outcome, data, guards, schema from events"


class Where(NamedTuple):
    """Which instances are swept, as conditions of SQL on their address.

    Args:
        condition: with the column `machine` for the address.
        values: what is bound to it.
        narrow: whether they are few, so that their rows are found through the index; else all rows are read in their order.
    """

    condition: str = "1"
    values: tuple[Any, ...] = ()
    narrow: bool = False

    def about(self, column: str) -> str:
        """Return the condition for a table that calls the address something else."""
        return self.condition.replace("machine", column)


EVERYWHERE: Final = Where()

Choice = tuple[str, Verdict, bool, Any, Any, Any] | None
Tools = tuple[Replay, dict[str, Reading], Callable[[str, Any, Event, int], Choice]]
Held = list[Any]
"""[state, data, version, entered, tools] of an instance: its snapshot, without a new one for every row. Tools are None once
it has parted from the record."""

TOOLS: Final = 4
"""Where the tools stand in it; before them is the snapshot."""

Leave = Callable[[Mapping[str, Snapshot]], Container[str]]
"""(where instances are, by address) -> those that are known well enough to be left. Called for those without events for
long."""


class Sweep:
    """Takes the instances of a journal through their rows.

    Args:
        connection: the journal, at one moment.
        machines: by name.
        where: which instances.
        leave: see `Leave`.
        parted: called with each place where this code parts from the record, at most one an instance.
        aside: where those that are put aside are kept.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        machines: Mapping[str, Machine],
        where: Where,
        leave: Leave,
        parted: Callable[[Divergence], None],
        aside: "Aside | None" = None,
    ) -> None:
        self.events = 0
        self.unknown: Counter[str] = Counter()
        self.back: Callable[[str, Snapshot], None] = lambda _address, _snapshot: None
        self._connection = connection
        self._where = where
        self._leave = leave
        self._parted = parted
        self._machines = machines
        self._tools: dict[str, Tools] = {}
        self._young: dict[str, Held] = {}
        self._old: dict[str, Held] = {}
        self._aside = aside or Aside()

    def run(self, until: int | None = None) -> None:
        """Go through all rows, or those up to a position."""
        upto = 2**63 - 1 if until is None else until
        way = "" if self._where.narrow else " not indexed"
        condition = f"{self._where.condition} and seq <= ?"
        cursor = self._connection.execute(f"{SWEPT}{way} where {condition} order by seq", (*self._where.values, upto))
        with no_collection():
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                self.events += len(rows)
                self._take(rows)

    def _take(self, rows: list[Row]) -> None:
        """Take instances through rows. What is done for every row stands here, with as little around it as can be."""
        young, said = self._young, SHOWN
        for row in rows:
            address, version, at, name, source, target, outcome, data, guards, schema = row
            held = young.get(address)
            if held is None:
                held = self._fetch(address, version)
                young = self._young
                if held is None:
                    continue
            state, remembered, before, _, tools = held
            if tools is None:
                continue
            replay, readings, choose = tools
            try:
                reading = readings.get(name)
                if reading is None or reading[0] != schema:
                    reading = replay.reading(name, schema)
                short = len(data) <= KNOWN_CHARACTERS_MAX
                event = reading[1].get(data) if short else None
                if event is None:
                    event = reading[2](data)
                    if short and len(reading[1]) < KNOWN_MAX:
                        reading[1][data] = event
                chosen = choose(state, remembered, event, at)
            except StatecoreError:
                self._check(held, row)
                continue
            if chosen is None:  # a note, or what nobody foresaw
                (after, new, _, _), verdict, _, _ = replay.machine.move(Snapshot(*held[:TOOLS]), event, at)
                enters = False
            else:
                after, verdict, enters, new, _, _ = chosen
            text = said.get(id(verdict)) or shown(verdict)
            if after != target or state != source or before + 1 != version or text[0] != outcome or text[1] != guards:
                self._check(held, row)
                continue
            held[0] = after
            held[1] = new
            held[2] = version
            if enters:
                held[3] = version

    def _check(self, held: Held, swept: Row) -> None:
        """Look into a row that does not fit, or not at first sight."""
        address, version = swept[:2]
        row = self._connection.execute(f"{EVENTS} where machine = ? and version = ?", (address, version)).fetchone()
        after = held[TOOLS][0].check(Snapshot(*held[:TOOLS]), row)
        if isinstance(after, Divergence):
            self._part(held, after)
        else:
            held[:TOOLS] = after

    def _part(self, held: Held, divergence: Divergence) -> None:
        held[TOOLS] = None
        self._parted(divergence)

    # ---- who is held -------------------------------------------------------------------------------------------------

    def _fetch(self, address: str, version: int) -> Held | None:
        """Return an instance that is not among those of late; None if this row of it is to be passed over."""
        held = self._old.pop(address, None)
        if held is None:
            name = address.partition("/")[0]
            if name not in self._machines:
                self.unknown[name] += 1
                return None
            held = self._begin(address, name, version)
            if held is None:
                return None
        if len(self._young) >= HELD_MAX:
            self._retire(self._old)
            self._old, self._young = self._young, {}
        self._young[address] = held
        return held

    def _begin(self, address: str, name: str, version: int) -> Held | None:
        tools = self._tools_of(name)
        if version == 1:
            return [*tools[0].machine.start(), tools]
        aside = self._aside.take(address, tools[0].machine)
        if aside is not None:
            return [*aside[0], None if aside[1] else tools]
        start = self._connection.execute(f"{CHECKPOINTS} where address = ?", (address,)).fetchone()
        after = start[VERSION] if start is not None else 0
        if start is not None and version <= after:
            return None  # a row that pruning has not come to yet
        rows = self._connection.execute(
            f"{EVENTS} where machine = ? and version > ? and version < ? order by version", (address, after, version)
        )
        found = tools[0].through(address, start, rows)
        if isinstance(found, Divergence):
            held: Held = [*tools[0].machine.start(), tools]
            self._part(held, found)
            return held
        if found.snapshot.version > after:
            self.back(address, found.snapshot)
        return [*found.snapshot, tools]

    def _tools_of(self, name: str) -> Tools:
        if name not in self._tools:
            replay = Replay(self._machines[name])
            self._tools[name] = replay, replay.readings, replay.machine.choose
        return self._tools[name]

    def _retire(self, held: dict[str, Held]) -> None:
        snapshots = {address: Snapshot(*one[:TOOLS]) for address, one in held.items()}
        left = self._leave({address: snapshots[address] for address, one in held.items() if one[TOOLS] is not None})
        self._aside.put(
            (address, snapshots[address], one[TOOLS] is None) for address, one in held.items() if address not in left
        )

    # ---- at the end --------------------------------------------------------------------------------------------------

    def settle(self, until: int | None = None) -> None:
        """Put aside all that are not left, once the last row is through; those too that have nothing but a checkpoint."""
        self._retire(self._old)
        self._retire(self._young)
        self._old, self._young = {}, {}
        upto = 2**63 - 1 if until is None else until
        condition = self._where.about("checkpoints.address")
        idle = f"{CHECKPOINTS} where {condition} and {_IDLE}"
        for start in self._connection.execute(idle, (*self._where.values, upto, upto)):
            name = start[0].partition("/")[0]
            if name not in self._machines:
                self.unknown[name] += 1
                continue
            found = self._tools_of(name)[0].through(start[0], start, ())
            if isinstance(found, Divergence):
                self._parted(found)
            elif start[0] not in self._leave({start[0]: found.snapshot}):
                self._aside.put([(start[0], found.snapshot, False)])


_IDLE: Final = """seq <= ? and not exists (
    select 1 from events where machine = checkpoints.address and version = checkpoints.version + 1 and seq <= ?
)"""


class Aside:
    """Instances that are put aside, in a database of their own.

    Args:
        path: of the database. Without one it is gone with this object: SQLite keeps it in memory while it is small, and in
            a file that has no name once it is not.
    """

    def __init__(self, path: str = "") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("pragma journal_mode = off")
        self._connection.execute("pragma synchronous = off")
        self._connection.execute(
            "create table if not exists aside"
            " (address text primary key, state, data, version, entered, parted) without rowid"
        )

    def put(self, several: Any) -> None:
        """Put instances aside: (address, snapshot, whether it has parted from the record)."""
        self._connection.executemany(
            "insert or replace into aside values (?, ?, ?, ?, ?, ?)",
            (
                (address, state, codec.dumps(data), version, entered, parted)
                for address, (state, data, version, entered), parted in several
            ),
        )

    def take(self, address: str, machine: Machine) -> tuple[Snapshot, bool] | None:
        """Take an instance back: where it is, and whether it has parted from the record."""
        taken = self._connection.execute("delete from aside where address = ? returning *", (address,))
        row: Row | None = taken.fetchone()
        return None if row is None else _standing(row, machine)

    def counts(self) -> Counter[tuple[str, str]]:
        """Count them by (machine, state)."""
        rows = self._connection.execute(
            "select substr(address, 1, instr(address, '/') - 1), state, count(*) from aside group by 1, 2"
        )
        return Counter({(machine, state): count for machine, state, count in rows})

    def standing(self, machines: Mapping[str, Machine]) -> Iterator[tuple[str, Snapshot, bool]]:
        """Yield (address, where it is, whether it has parted from the record) of each, in the order of their addresses."""
        for row in self._connection.execute("select * from aside order by address"):
            yield row[0], *_standing(row, machines[row[0].partition("/")[0]])


def _standing(row: Row, machine: Machine) -> tuple[Snapshot, bool]:
    _, state, data, version, entered, parted = row
    remembered: Any = codec.loads(data, machine.remembers)
    return Snapshot(state, remembered, version, entered), bool(parted)

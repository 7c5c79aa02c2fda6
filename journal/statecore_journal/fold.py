"""Replaying a journal: every recorded event once more through the machines of this code.

Instances are independent of each other, so they are replayed one after the other and not in the order of the journal:
what is in memory is one instance, however long the journal. An instance whose older rows were pruned begins at its
checkpoint.

The fold believes nothing but the events. Where it ends is compared with what was recorded by `diverges`.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs

from statecore import codec
from statecore.errors import CodecError, JournalCorrupt, StatecoreError
from statecore.events import BUILT_IN, Elapsed, Event, name_of
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES
from statecore.system import Address
from statecore_journal.reader import Reader, open_reader

KNOWN_MAX: Final = 1024
"""Events kept to be used again: many rows say the same, such as that a timer elapsed."""

KNOWN_CHARACTERS_MAX: Final = 32
"""Longer ones are hardly ever the same."""


class Folded(NamedTuple):
    """Where an instance ends up.

    Args:
        address: of the instance.
        snapshot: where it is.
        seq: position in the journal of the last event that led there.
    """

    address: str
    snapshot: Snapshot
    seq: int


@attrs.frozen
class Divergence:
    """A place where this code does not do what was recorded.

    Args:
        seq: position of the row; of the instance's last row where its place in `instances` is meant.
        address: of the instance.
        version: of the row.
        event: that was recorded; empty where the place in `instances` is meant.
        recorded: what was recorded.
        folded: what this code makes of it.
    """

    seq: int
    address: str
    version: int
    event: str
    recorded: str
    folded: str

    def __str__(self) -> str:
        what = f"{self.event} of {self.address}" if self.event else f"{self.address} in table instances"
        return f"row {self.seq}, {what}, version {self.version}: recorded {self.recorded}; folded {self.folded}"


def fold(
    source: Reader | sqlite3.Connection,
    address: str | None = None,
    until: int | None = None,
    *,
    machines: Mapping[str, Machine] = MACHINES,
) -> Iterator[Folded]:
    """Yield where every instance is, in the order of their addresses.

    Instances whose history begins behind *until*, because what was before is pruned, are left out.

    Args:
        source: the journal. A reader sees it as it was at the beginning, and has it open until the end.
        address: only this instance.
        until: only events up to this position.
        machines: by name.

    Raises:
        JournalCorrupt: rows are missing.
        CodecError: a row does not fit this code; register an upcaster.
        StepError: a handler raised.
    """
    with _connection(source) as connection:
        replays = _Replays(machines)
        for found, start, rows in _histories(connection, address, until):
            replay = replays.of(found)
            snapshot, seq = replay.start(start)
            for row in rows:
                _check_next(found, snapshot, row)
                snapshot, seq = replay.step(snapshot, row), row[_SEQ]
            yield Folded(found, snapshot, seq)


def diverges(path: str | Path, *, machines: Mapping[str, Machine] = MACHINES) -> Divergence | None:
    """Return the first place in a journal where this code does not do what was recorded, or None.

    Compared are the states before and after each row and its version, and then the table `instances`: state, version,
    the version at which the state was entered, and what is remembered.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    first: Divergence | None = None
    with open_reader(path) as reader, reader.reading() as connection:
        replays = _Replays(machines)
        instances = _Ahead(connection.execute(f"{INSTANCES} order by address"))
        for address, start, rows in _histories(connection, None, None):
            for recorded in instances.before(address):
                first = _earlier(first, _orphan(recorded))
            first = _earlier(first, _compare(replays, address, start, rows, instances.take(address)))
        for recorded in instances.before(None):
            first = _earlier(first, _orphan(recorded))
    return first


def _earlier(one: Divergence | None, other: Divergence | None) -> Divergence | None:
    return min((found for found in (one, other) if found is not None), key=lambda found: found.seq, default=None)


# ---- reading ---------------------------------------------------------------------------------------------------------

EVENTS: Final = "select machine, version, seq, at, event, source, target, outcome, data, schema from events"
_VERSION, _SEQ, AT = 1, 2, 3
INSTANCES: Final = "select address, version, seq, state, entered, data, schema from instances"
CHECKPOINTS: Final = "select address, version, seq, state, entered, data, schema from checkpoints"

Row = tuple[Any, ...]


class _Ahead:
    """A stream of rows in the order of their addresses, of which the next one is known."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._next: Row | None = next(rows, None)

    def before(self, address: str | None) -> Iterator[Row]:
        """Take the rows before an address; all that are left, if it is None."""
        while (row := self._next) is not None and (address is None or row[0] < address):
            self._next = next(self._rows, None)
            yield row

    def take(self, address: str) -> Row | None:
        """Take the row of an address, if it is the next one."""
        row = self._next
        if row is None or row[0] != address:
            return None
        self._next = next(self._rows, None)
        return row


@contextmanager
def _connection(source: Reader | sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    if isinstance(source, Reader):
        with source.reading() as connection:
            yield connection
    else:
        yield source


def _histories(
    connection: sqlite3.Connection, address: str | None, until: int | None
) -> Iterator[tuple[str, Row | None, Iterator[Row]]]:
    """Yield (address, checkpoint, rows behind it) of every instance, in the order of their addresses.

    SQLite and Python put text into the same order: that of its code points.
    """
    upto = 2**63 - 1 if until is None else until
    one = "" if address is None else " and machine = ?"
    whose = "" if address is None else " where address = ?"
    values = () if address is None else (address,)
    rows = connection.execute(f"{EVENTS} where seq <= ?{one} order by machine, version", (upto, *values))
    starts = _Ahead(connection.execute(f"{CHECKPOINTS}{whose} order by address", values))
    for found, history in groupby(rows, itemgetter(0)):
        for start in starts.before(found):
            if start[_START_SEQ] <= upto:
                yield start[0], start, iter(())
        held = starts.take(found)
        if held is None:
            yield found, None, history
        elif held[_START_SEQ] <= upto:
            yield found, held, (row for row in history if row[_VERSION] > held[_VERSION])
    for start in starts.before(None):
        if start[_START_SEQ] <= upto:
            yield start[0], start, iter(())


_START_SEQ: Final = 2


# ---- replaying -------------------------------------------------------------------------------------------------------


class _Replays:
    """What it takes to replay each machine."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._machines = machines
        self._made: dict[str, Replay] = {}

    def of(self, address: str) -> "Replay":
        """Return what it takes to replay an instance."""
        name = Address.parse(address).machine
        if name not in self._made:
            if name not in self._machines:
                raise CodecError(f"{address}: this code has no machine {name!r}; it has {', '.join(self._machines)}")
            self._made[name] = Replay(self._machines[name])
        return self._made[name]


class Replay:
    """Takes one machine through recorded rows."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._step = machine.step
        self._kinds: dict[str, type[Event]] = {
            name_of(event): Elapsed if isinstance(event, Elapsed) else event for event in (*machine.events, *BUILT_IN)
        }
        self._known: dict[tuple[str, str, int], Event] = {}

    def start(self, checkpoint: Row | None) -> tuple[Snapshot, int]:
        """Return where a history begins, and the position of what led there."""
        if checkpoint is None:
            return self.machine.start(), 0
        address, version, seq, state, entered, data, schema = checkpoint
        if state not in self.machine.states:
            raise CodecError(f"the checkpoint of {address} is in state {state!r}, which this code does not have")
        return Snapshot(state, self.remembered(data, schema), version, entered), seq

    def remembered(self, data: str, schema: int) -> Any:
        """Read what an instance remembers."""
        return codec.loads(data, self.machine.remembers, schema=schema)

    def through(self, address: str, start: Row | None, rows: Iterable[Row]) -> Folded | Divergence:
        """Take an instance through its rows; return where it ends up, or where it parts from the record."""
        seq, version, name = 0, 0, ""
        try:
            snapshot, seq = self.start(start)
            step = self.step
            for row in rows:
                _, version, seq, _, name, source, target, _, _, _ = row
                _check_next(address, snapshot, row)
                before, snapshot = snapshot.state, step(snapshot, row)
                if snapshot.state != target or before != source:
                    was, found = f"{source} -> {target}", f"{before} -> {snapshot.state}"
                    return Divergence(seq, address, version, name, was, found)
        except StatecoreError as error:
            return Divergence(seq, address, version, name, "a row", f"nothing, because {error}")
        return Folded(address, snapshot, seq)

    def ends_at(self, folded: Folded, recorded: Row | None) -> Divergence | None:
        """Compare where an instance ended up with its row of `instances`."""
        address, (state, data, version, entered), seq = folded
        if recorded is None:
            return Divergence(seq, address, version, "", "nothing", state)
        _, recorded_version, _, recorded_state, recorded_entered, text, schema = recorded
        for name, was, found in (
            ("state", recorded_state, state),
            ("version", recorded_version, version),
            ("entered at version", recorded_entered, entered),
        ):
            if was != found:
                return Divergence(seq, address, version, "", f"{name} {was}", f"{name} {found}")
        mine = codec.dumps(data)
        try:
            same = mine == text or self.remembered(text, schema) == data
        except CodecError as error:
            return Divergence(seq, address, version, "", text, f"nothing, because {error}")
        return None if same else Divergence(seq, address, version, "", text, mine)

    def step(self, snapshot: Snapshot, row: Row) -> Snapshot:
        """Let a recorded event happen once more."""
        return self.happen(snapshot, row)[1]

    def happen(self, snapshot: Snapshot, row: Row) -> tuple[Event | None, Snapshot]:
        """Let a recorded event happen once more; return it too, unless it was no event of the machine even then."""
        _, _, seq, at, name, _, _, outcome, data, schema = row
        event = self._known.get((name, data, schema))
        if event is None:
            kind = self._kinds.get(name) or (Elapsed if name.startswith("Elapsed(") else None)
            if kind is None and outcome is not None and outcome.startswith("refused"):
                return None, snapshot._replace(version=snapshot.version + 1)
            if kind is None:
                raise CodecError(f"row {seq}: {self.machine.name} has no event {name} in this code")
            event = codec.loads(data, kind, schema=schema)
            if len(data) <= KNOWN_CHARACTERS_MAX and len(self._known) < KNOWN_MAX:
                self._known[name, data, schema] = event
        return event, self._step(snapshot, event, at).snapshot


def _check_next(address: str, snapshot: Snapshot, row: Row) -> None:
    if row[_VERSION] != snapshot.version + 1:
        raise JournalCorrupt(
            f"row {row[_SEQ]}: version {row[_VERSION]} of {address} follows version {snapshot.version}; rows are missing"
        )


# ---- comparing -------------------------------------------------------------------------------------------------------


def _compare(
    replays: _Replays, address: str, start: Row | None, rows: Iterator[Row], recorded: Row | None
) -> Divergence | None:
    try:
        replay = replays.of(address)
    except CodecError as error:
        return Divergence(0, address, 0, "", "a row", f"nothing, because {error}")
    found = replay.through(address, start, rows)
    return found if isinstance(found, Divergence) else replay.ends_at(found, recorded)


def _orphan(recorded: Row) -> Divergence:
    """Say that the table of instances holds one that no event made."""
    address, version, seq, state, *_ = recorded
    return Divergence(seq, address, version, "", state, "no history")

"""Replaying recorded events: each once more through the machines of this code, an instance at a time.

The fold believes nothing but the events. An instance whose older rows were pruned begins at its checkpoint. Instances are
independent of each other, so what is in memory is one instance, however long the journal.

This is the way for one instance, or for all in the order of their addresses. A whole journal is taken through in the
order of its rows, which is faster: see `statecore_journal.sweep`.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from statecore import codec
from statecore.errors import CodecError, JournalCorrupt, StatecoreError
from statecore.events import BUILT_IN, Elapsed, Event, name_of
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES
from statecore.system import Address
from statecore_journal.rows import shown

if TYPE_CHECKING:
    from statecore_journal.reader import Reader

KNOWN_MAX: Final = 256
"""Events of a name that are kept to be used again: many rows say the same, such as that a timer elapsed."""

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
        definition: versions of the machine's table, as recorded and in this code, where they are known.
        schema: versions of the fields of the event, or of what is remembered, likewise.
        advice: what to do about it; see `statecore_journal.advice`.
        stub: the upcaster that would settle it, to be filled in; empty if none could.
    """

    seq: int
    address: str
    version: int
    event: str
    recorded: str
    folded: str
    definition: tuple[int, int] | None = attrs.field(default=None, eq=False)
    schema: tuple[int, int] | None = attrs.field(default=None, eq=False)
    advice: str = attrs.field(default="", eq=False)
    stub: str = attrs.field(default="", eq=False)

    def __str__(self) -> str:
        what = f"{self.event} of {self.address}" if self.event else f"{self.address} in table instances"
        return f"row {self.seq}, {what}, version {self.version}: recorded {self.recorded}; folded {self.folded}"


def fold(
    source: "Reader | sqlite3.Connection",
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
        replays: dict[str, Replay] = {}
        for found, start, rows in _histories(connection, address, until):
            name = Address.parse(found).machine
            if name not in machines:
                raise CodecError(f"{found}: this code has no machine {name!r}; it has {', '.join(machines)}")
            replay = replays.get(name) or replays.setdefault(name, Replay(machines[name]))
            snapshot, seq = replay.start(start)
            for row in rows:
                snapshot, seq = replay.step(snapshot, row)[0], row[SEQ]
            yield Folded(found, snapshot, seq)


# ---- reading ---------------------------------------------------------------------------------------------------------

EVENTS: Final = "select machine, version, seq, at, event, source, target, outcome, data, guards, schema from events"
VERSION, SEQ, AT = 1, 2, 3
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
def _connection(source: "Reader | sqlite3.Connection") -> Iterator[sqlite3.Connection]:
    if isinstance(source, sqlite3.Connection):
        yield source
    else:
        with source.reading() as connection:
            yield connection


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
            if start[SEQ] <= upto:
                yield start[0], start, iter(())
        held = starts.take(found)
        if held is None:
            yield found, None, history
        elif held[SEQ] <= upto:
            yield found, held, (row for row in history if row[VERSION] > held[VERSION])
    for start in starts.before(None):
        if start[SEQ] <= upto:
            yield start[0], start, iter(())


# ---- replaying -------------------------------------------------------------------------------------------------------


class NoSuchEventError(CodecError):
    """A row names an event that the machine does not have in this code."""


class Reading(NamedTuple):
    """How the rows of one event are read.

    Args:
        schema: the version they were written at.
        known: events that were read before, by their text.
        read: reads one.
    """

    schema: int
    known: dict[str, Event]
    read: Callable[[str], Event]


class Replay:
    """Takes one machine through recorded rows."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.readings: dict[str, Reading] = {}
        self._kinds: dict[str, type[Event]] = {
            name_of(event): Elapsed if isinstance(event, Elapsed) else event for event in (*machine.events, *BUILT_IN)
        }
        self._schema = getattr(machine.remembers, "schema", 1)

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

    def kind(self, name: str) -> type[Event] | None:
        """Return the class of an event by its name in a row, or None if this code has none."""
        return self._kinds.get(name) or (Elapsed if name.startswith("Elapsed(") else None)

    def reading(self, name: str, schema: int) -> Reading:
        """Return how the rows of an event are read that were written at a version."""
        found = self.readings.get(name)
        if found is None or found.schema != schema:
            kind = self.kind(name)
            read = self._refuse(name) if kind is None else codec.reader(kind, schema)
            found = self.readings[name] = Reading(schema, {}, read)
        return found

    def _refuse(self, name: str) -> Callable[[str], Event]:
        def read(_: str) -> Event:
            raise NoSuchEventError(f"{self.machine.name} has no event {name} in this code")

        return read

    def step(self, snapshot: Snapshot, row: Row) -> tuple[Snapshot, str | None, str | None]:
        """Let a recorded event happen once more; return the snapshot and what would be recorded as outcome and guards.

        Raises:
            JournalCorrupt: it does not follow the snapshot.
            CodecError: it cannot be read.
            StepError: a handler raised.
        """
        address, version, seq, at, name, _, _, outcome, data, guards, schema = row
        if version != snapshot.version + 1:
            raise JournalCorrupt(
                f"row {seq}: version {version} of {address} follows version {snapshot.version}; rows are missing"
            )
        try:
            event = self.reading(name, schema).read(data)
        except NoSuchEventError as error:
            if outcome is not None and outcome.startswith("refused"):  # it was no event of the machine then either
                return snapshot._replace(version=version), outcome, guards
            raise NoSuchEventError(f"row {seq}: {error}") from error
        after, verdict, _, _ = self.machine.move(snapshot, event, at)
        says, asked, _ = shown(verdict)
        return after, says, asked

    def check(self, snapshot: Snapshot, row: Row) -> Snapshot | Divergence:
        """Let a recorded event happen once more; return where it leads, or how it parts from the record."""
        address, version, seq, _, name, source, target, outcome, _, guards, _ = row
        try:
            after, says, asked = self.step(snapshot, row)
        except StatecoreError as error:
            return Divergence(seq, address, version, name, "a row", f"nothing, because {error}")
        was, found = f"{source} -> {target}", f"{snapshot.state} -> {after.state}"
        if was == found and outcome != says:
            was, found = (f"{was}, {outcome or 'moved'}", f"{found}, {says or 'moved'}")
        elif was == found and guards != asked:
            was, found = (f"{was}, guards {guards or 'none'}", f"{found}, guards {asked or 'none'}")
        return after if was == found else Divergence(seq, address, version, name, was, found)

    def through(self, address: str, start: Row | None, rows: Iterable[Row]) -> Folded | Divergence:
        """Take an instance through its rows; return where it ends up, or where it parts from the record."""
        try:
            snapshot, seq = self.start(start)
        except StatecoreError as error:
            return Divergence(0, address, 0, "", "a row", f"nothing, because {error}")
        for row in rows:
            after = self.check(snapshot, row)
            if isinstance(after, Divergence):
                return after
            snapshot, seq = after, row[SEQ]
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
        try:  # what would be written of it now tells as much, in half the time
            if (schema == self._schema and codec.dumps(data) == text) or self.remembered(text, schema) == data:
                return None
        except CodecError as error:
            return Divergence(seq, address, version, "", text, f"nothing, because {error}")
        return Divergence(seq, address, version, "", text, codec.dumps(data))

"""Writing an export: another journal, or lines of JSON.

A journal is written anew, row by row, so nothing of the old file is in the new one that was not put there on purpose. Its
events come first. Then every instance is folded once more from its hidden events, and where it ends up becomes its row in
`instances`: so an export folds and verifies exactly, although reasons are put together from several hidden fields. Only
what this code cannot fold is hidden field by field.

In memory is one instance at a time.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from statecore import codec
from statecore.machine import Machine
from statecore.system import IN_LANES, NO_LANE, Address
from statecore.units import SECONDS
from statecore_journal.export.cut import WHOLE, Cut, Scope
from statecore_journal.export.events import (
    EVENT_COLUMNS,
    INSERT_EVENT,
    REDACTED,
    How,
    Row,
    events_of,
    hidden,
    hiding_of,
)
from statecore_journal.export.names import Names
from statecore_journal.export.redact import Hiding, fitting
from statecore_journal.export.target import target
from statecore_journal.fold import CHECKPOINTS, EVENTS, Folded, Replay
from statecore_journal.problems import translated
from statecore_journal.reader import open_reader
from statecore_journal.schema import prepare

ROWS_AT_ONCE: Final = 500
"""Rows that are read, hidden and written before the next ones are."""


@attrs.frozen(kw_only=True)
class Exported:
    """What an export came to.

    Args:
        events: rows of events in it.
        instances: how many.
        replaced: how many different values became placeholders, by kind.
        unfolded: instances that this code does not fold as they were recorded; the export says of them what the journal did.
    """

    events: int
    instances: int
    replaced: Mapping[str, int]
    unfolded: int


def export(
    source: str | Path, to: str | Path, *, how: How = REDACTED, cut: Cut = WHOLE, force: bool = False
) -> Exported:
    """Write an export of a journal that may be in use, as a journal.

    Args:
        source: the journal; it is only read.
        to: the new file, readable by its owner alone.
        how: what is hidden.
        cut: which part.
        force: whether a file of that name may be replaced.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: the journal cannot be read. Nothing was left behind.
        JournalFull: the export cannot be written. Nothing was left behind.
    """
    path = Path(source)
    with open_reader(path) as reader, target(Path(to), path, force=force) as part:
        prepare(part, busy_ns=SECONDS)
        with closing(Names()) as names, reader.reading() as opened, closing(sqlite3.connect(part)) as written:
            scope = Scope(opened, cut)
            copying = _Copying(Path(to), opened, written, scope, hiding_of(how, names, opened, scope), how.machines)
            return copying.run(names)


# ---- instances -------------------------------------------------------------------------------------------------------

_INSTANCE_COLUMNS: Final = (
    "address", "machine", "account", "chat", "state", "version", "entered", "seq", "ord", "live", "final", "due", "at",
    "schema", "data",
)  # fmt: skip


@attrs.frozen
class _Instance:
    """A row of `instances`."""

    address: str
    machine: str
    account: str
    chat: str
    state: str
    version: int
    entered: int
    seq: int
    ord: int
    live: int
    final: int
    due: int | None
    at: int
    schema: int
    data: str


@attrs.define
class _Seen:
    """What went by of an instance's rows.

    Args:
        last: (version, seq, at, source, target) of the last one; None if there was none.
        entered: version at which it last moved.
        lane: position of the row by which it last came into its lane.
    """

    last: Row | None = None
    entered: int = 0
    lane: int = 0

    def watch(self, rows: Iterable[Row]) -> Iterator[Row]:
        for row in rows:
            _, version, seq, at, _, source, goal, outcome = row[:8]
            self.last = (version, seq, at, source, goal)
            if outcome is None:
                self.entered = version
            if source in NO_LANE and goal not in NO_LANE:
                self.lane = seq
            yield row


class _Copying:
    """One export under way."""

    def __init__(
        self,
        to: Path,
        opened: sqlite3.Connection,
        written: sqlite3.Connection,
        scope: Scope,
        hiding: Hiding,
        machines: Mapping[str, Machine],
    ) -> None:
        self._to = to
        self._opened, self._written = opened, written
        self._scope, self._hiding = scope, hiding
        self._replays = {name: Replay(machine) for name, machine in machines.items()}
        self._unfolded = 0

    def run(self, names: Names) -> Exported:
        self._written.isolation_level = None
        with translated(self._to):
            for pragma in ("journal_mode = off", "synchronous = off", "secure_delete = on"):  # it is not a journal yet
                self._written.execute(f"pragma {pragma}")
            self._written.execute("begin")
        self._copy_events(events_of(self._opened, self._scope, self._scope.cut.since))
        for instance in self._instances():
            self._begin(instance)
        for instance in self._instances():
            self._end(instance)
        self._copy_keys()
        self._copy_leases()
        self._copy_commands()
        with translated(self._to):
            self._written.execute("commit")
            events, instances = (
                self._written.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608 - constants
                for table in ("events", "instances")
            )
        return Exported(events=events, instances=instances, replaced=names.counts, unfolded=self._unfolded)

    def _put(self, sql: str, *values: Any) -> None:
        with translated(self._to):
            self._written.execute(sql, values)

    def _copy_events(self, rows: Iterable[Row]) -> None:
        placed = (hidden(row, self._hiding) for row in rows)
        while page := list(islice(placed, ROWS_AT_ONCE)):
            with translated(self._to):
                self._written.executemany(INSERT_EVENT, page)

    def _instances(self) -> Iterator[_Instance]:
        condition, values = self._scope.instances()
        sql = f"select {', '.join(_INSTANCE_COLUMNS)} from instances where {condition} order by address"  # noqa: S608
        for row in self._opened.execute(sql, values):
            yield _Instance(*row)

    # ---- where an instance begins ------------------------------------------------------------------------------------

    def _begin(self, instance: _Instance) -> None:
        """Copy the checkpoint of an instance, or make one where its earlier rows are left out."""
        since = self._scope.cut.since
        start = self._opened.execute(f"{CHECKPOINTS} where address = ?", (instance.address,)).fetchone()
        if start is not None and start[2] > self._scope.until:
            return
        version = start[1] if start is not None else 0
        rows = self._opened.execute(
            f"{EVENTS} where machine = ? and version > ? and seq < ? order by version",
            (instance.address, version, since),
        )
        replay = self._replays.get(instance.machine)
        if since > 1 and replay is not None:
            found = replay.through(instance.address, start, rows)
            if isinstance(found, Folded):
                if found.seq:
                    self._checkpoint(instance, found)
                return
        if start is not None:
            self._put_checkpoint(instance, start)
        if since > 1:  # it cannot be folded, so it keeps all its rows
            columns = ", ".join(EVENT_COLUMNS)
            sql = f"select {columns} from events where machine = ? and seq < ? order by version"  # noqa: S608 - constants
            self._copy_events(self._opened.execute(sql, (instance.address, since)))

    def _checkpoint(self, instance: _Instance, folded: Folded) -> None:
        _, (state, data, version, entered), seq = folded
        schema = getattr(type(data), "schema", 1)
        self._put_checkpoint(instance, (instance.address, version, seq, state, entered, codec.dumps(data), schema))

    def _put_checkpoint(self, instance: _Instance, start: Row) -> None:
        address, version, seq, state, entered, data, schema = start
        self._put(
            "insert or replace into checkpoints (address, version, seq, state, entered, data, schema)"
            " values (?, ?, ?, ?, ?, ?, ?)",
            self._hiding.address(address), version, seq, self._hiding.name(state), entered,
            self._hiding.remembered(instance.machine, data), schema,
        )  # fmt: skip

    # ---- where it ends -----------------------------------------------------------------------------------------------

    def _end(self, instance: _Instance) -> None:
        """Fold an instance from its hidden events, and write where it ends up."""
        address = self._hiding.address(instance.address)
        start = self._written.execute(f"{CHECKPOINTS} where address = ?", (address,)).fetchone()
        seen = _Seen()
        rows = seen.watch(self._written.execute(f"{EVENTS} where machine = ? order by version", (address,)))
        replay = self._replays.get(instance.machine)
        folded = replay.through(address, start, rows) if replay is not None else None
        for _ in rows:
            pass  # what was not folded was not seen yet
        if self._left_out(instance, start, seen, address):
            return
        cut_short = instance.seq > self._scope.until
        if isinstance(folded, Folded) and replay is not None and (seen.last is not None or start is not None):
            if cut_short:
                self._put_instance(self._as_folded(instance, address, folded, seen, replay.machine))
                return
            if folded.snapshot._replace(data=None) == (instance.state, None, instance.version, instance.entered):
                data = codec.dumps(folded.snapshot.data)
                schema = getattr(type(folded.snapshot.data), "schema", 1)
                self._put_instance(attrs.evolve(self._as_recorded(instance, address), data=data, schema=schema))
                return
        self._unfolded += 1
        self._put_instance(self._as_recorded(instance, address, seen.last if cut_short else None, seen.entered))

    def _left_out(self, instance: _Instance, start: Row | None, seen: _Seen, address: str) -> bool:
        """Tell whether nothing of an instance is in the part that is exported."""
        if self._scope.cut.since <= 1 and instance.seq <= self._scope.until:
            return False
        if seen.last is not None:
            return False
        over = start is None or (instance.final > 0 and instance.seq <= self._scope.until)
        if over and start is not None:
            self._put("delete from checkpoints where address = ?", address)
        return over

    def _as_recorded(self, instance: _Instance, address: str, last: Row | None = None, entered: int = 0) -> _Instance:
        """Return the row that the journal has, hidden field by field; as of its last exported event if that is given."""
        shift = self._hiding.shift
        row = attrs.evolve(
            instance,
            address=address,
            machine=self._hiding.name(instance.machine),
            account=self._hiding.account(instance.account),
            chat=self._hiding.chat(instance.chat),
            state=self._hiding.name(instance.state),
            due=None if instance.due is None else fitting(instance.due - shift.at),
            at=fitting(instance.at - shift.at),
            data=self._hiding.remembered(instance.machine, instance.data),
        )
        if last is None:
            return row
        version, seq, at, _, goal = last
        return attrs.evolve(
            row, state=goal, version=version, entered=entered, seq=seq, at=at, due=None, live=0, final=0, data="{}"
        )

    def _as_folded(self, instance: _Instance, address: str, folded: Folded, seen: _Seen, machine: Machine) -> _Instance:
        """Return the row as it was when the last exported event was committed."""
        _, snapshot, seq = folded
        live = machine.name in IN_LANES and snapshot.state not in NO_LANE
        return attrs.evolve(
            self._as_recorded(instance, address),
            state=snapshot.state,
            version=snapshot.version,
            entered=snapshot.entered,
            seq=seq,
            ord=seen.lane or (instance.ord if instance.ord <= seq else 0),
            live=int(live),
            final=int(snapshot.state in machine.final),
            due=machine.due(snapshot),
            at=seen.last[2] if seen.last is not None else fitting(instance.at - self._hiding.shift.at),
            schema=getattr(type(snapshot.data), "schema", 1),
            data=codec.dumps(snapshot.data),
        )

    def _put_instance(self, row: _Instance) -> None:
        marks = ", ".join("?" * len(_INSTANCE_COLUMNS))
        self._put(
            f"insert into instances ({', '.join(_INSTANCE_COLUMNS)}) values ({marks})",  # noqa: S608 - constants
            *attrs.astuple(row),
        )

    # ---- everything else ---------------------------------------------------------------------------------------------

    def _rows(self, columns: str, table: str, where: tuple[str, list[Any]]) -> Iterator[Row]:
        condition, values = where
        return self._opened.execute(f"select {columns} from {table} where {condition}", values)  # noqa: S608 - bound

    def _copy_keys(self) -> None:
        hiding = self._hiding
        for account, key, address in self._rows("account, key, address", "keys", self._scope.addresses("address")):
            of = hiding.address(address)
            self._put(
                "insert into keys select ?, ?, ? where exists (select 1 from instances where address = ?)",
                hiding.account(account), hiding.key(key), of, of,
            )  # fmt: skip

    def _copy_leases(self) -> None:
        hiding, shift = self._hiding, self._hiding.shift
        columns = "account, epoch, boot, pid, host, since, beat, status"
        for account, epoch, boot, pid, host, since, beat, says in self._rows(
            columns, "leases", self._scope.names("account")
        ):
            self._put(
                f"insert into leases ({columns}) values (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - constants
                hiding.account(account), epoch, hiding.boot(boot), hiding.process(pid), hiding.host(host),
                fitting(since - shift.wall), fitting(beat - shift.wall), hiding.prose(says),
            )  # fmt: skip

    def _copy_commands(self) -> None:
        """Copy what is asked for, without what is to be sent; of a part of the time it is not known any more."""
        if self._scope.cut.since > 1 or self._scope.until < self._scope.last:
            return
        hiding, shift = self._hiding, self._hiding.shift
        columns = "id, account, kind, target, wall, done"
        for id_, account, kind, what, wall, done in self._rows(columns, "commands", self._scope.names("account")):
            self._put(
                f"insert into commands ({columns}, body) values (?, ?, ?, ?, ?, ?, '')",  # noqa: S608 - constants
                id_, hiding.account(account), hiding.name(kind), self._aim(what), fitting(wall - shift.wall),
                None if done is None else hiding.prose(done),
            )  # fmt: skip

    def _aim(self, what: str) -> str:
        """Hide what a command is about: an instance, or a chat."""
        return self._hiding.address(what) if Address.parse(what).machine in self._replays else self._hiding.chat(what)

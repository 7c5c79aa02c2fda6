"""Pruning: what is over and old leaves the journal, and what goes on for ever loses its old rows.

- An instance that is finished (delivered, expired, purged, done) goes with all its rows. What keeps a message from being
  taken twice, the id of a received one and the sender's key of a sent one, stays for as long as a platform or a program
  may repeat it; of those only the events go.
- A connection, a circuit or a window is never finished. Its old rows give way to a checkpoint: where the fold stood behind
  the last of them. Folding from there gives the recorded states as before.
- What is live is not touched, and neither is what waits for a person, unless that is asked for.

A journal may be pruned while a gateway writes to it. The work is cut into transactions of `ROWS_AT_ONCE` rows, so a commit
never waits long. After a crash between two of them the journal is whole, and the next run goes on.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs

from statecore import codec
from statecore.errors import JournalCorrupt
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.units import DAYS, MINUTES, SECONDS
from statecore_journal.fold import AT, CHECKPOINTS, EVENTS, INSTANCES, Divergence, Folded, Replay
from statecore_journal.problems import RECOVER, translated
from statecore_journal.reader import ACCOUNTS
from statecore_journal.schema import begin, connect, prepare

ROWS_AT_ONCE: Final = 500
"""Rows deleted in one transaction: some 10 ms, which is what an append that comes meanwhile waits."""

PAGES_AT_ONCE: Final = 256
"""Free pages given back to the disk in one transaction: 1 MB."""

YOUNGEST: Final = 5 * MINUTES
"""Nothing younger is pruned, whatever is asked: somebody may be about to ask what became of it, and a gateway that starts
looks at the messages of the last minute."""

DEDUP: Final = 7 * DAYS
"""How long ids and keys are kept at least. Platforms were seen to replay messages after days, and no longer than a week."""

BUSY_NS: Final = 5 * SECONDS
"""How long a transaction waits for a lock that another process holds."""


@attrs.frozen(kw_only=True)
class Pruned:
    """What a pruning came to.

    Args:
        instances: how many are gone.
        emptied: of how many only the id or the key is left.
        cut: how many lost old rows to a checkpoint.
        events: rows of events that are gone.
        keys: senders' keys that are gone.
        commands: commands that had been carried out, and are gone.
        bytes_before: what the journal used.
        bytes_after: what it uses now.
        age: what was finished this long ago, in ns, was pruned; less than what was asked for if that was too large.
        diverging: instances whose old rows were kept, because this code does not replay them as they were recorded.
    """

    instances: int = 0
    emptied: int = 0
    cut: int = 0
    events: int = 0
    keys: int = 0
    commands: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    age: int = 0
    diverging: tuple[str, ...] = ()


Work = Callable[[sqlite3.Connection], Any]
"""What is done in one transaction. It may be rolled back and run again."""

Pruning = Generator[Work, Any, Pruned]
"""A run: yields the work of one transaction after the other, and is sent what each returned."""


def prune(
    path: str | Path,
    *,
    now: int,
    older_than: int | None = None,
    max_bytes: int | None = None,
    dedup: int = DEDUP,
    dead: bool = False,
    machines: Mapping[str, Machine] = MACHINES,
) -> Pruned:
    """Prune a journal that this process does not drive; `Journal.prune` does it in a gateway.

    Args:
        path: the journal.
        now: the gateway's clock in ns, or the wall clock.
        older_than: prune what has been finished for this long, in ns.
        max_bytes: then go on with ever younger ones until the journal uses no more than this, or nothing is left to prune.
        dedup: how long ids and senders' keys are kept at least, in ns.
        dead: whether dead deliveries and messages that were set aside are pruned too.
        machines: by name.

    Raises:
        JournalBusy, JournalFull, JournalError: see there. What was pruned until then stays pruned.
    """
    file = Path(path)
    prepare(file, busy_ns=BUSY_NS)
    run = pruning(now=now, older_than=older_than, max_bytes=max_bytes, dedup=dedup, dead=dead, machines=machines)
    with translated(file), closing(connect(file, busy_ns=BUSY_NS)) as connection:
        work = next(run)
        while True:
            begin(connection, file, busy_ns=BUSY_NS)
            try:
                result = work(connection)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
            try:
                work = run.send(result)
            except StopIteration as end:
                connection.execute("pragma wal_checkpoint(truncate)").fetchone()
                pruned: Pruned = end.value
                return pruned


class _Limits(NamedTuple):
    """What may be pruned: what is older than `cutoff`; ids and keys if they are older than `known` too. In ns."""

    cutoff: int
    known: int


class _Batch(NamedTuple):
    """What one transaction did.

    Args:
        following: where the next one of its kind begins; None if there is nothing more to do.
        dropped: the instances that are gone.
        emptied: how many lost their events.
        cut: the instances that got a checkpoint.
        diverging: those that could not get one.
        events: rows that are gone.
        keys: rows that are gone.
        commands: rows that are gone.
    """

    following: str | None
    dropped: Sequence[str] = ()
    emptied: int = 0
    cut: Sequence[str] = ()
    diverging: Sequence[str] = ()
    events: int = 0
    keys: int = 0
    commands: int = 0


_Kind = Callable[[_Limits, str, sqlite3.Connection], _Batch]


def pruning(
    *,
    now: int,
    older_than: int | None,
    max_bytes: int | None,
    dedup: int,
    dead: bool,
    machines: Mapping[str, Machine],
    dropped: Callable[[Sequence[str]], None] = lambda _: None,
) -> Pruning:
    """Begin a run; see `prune` for the arguments.

    Args:
        dropped: told of the instances that are gone, after each transaction.

    Raises:
        ValueError: nothing is asked for, or a negative age or size.
    """
    if older_than is None and max_bytes is None:
        raise ValueError("say how old, how large, or both")
    if any(given is not None and given < 0 for given in (older_than, max_bytes, dedup)):
        raise ValueError("ages and sizes are not negative")
    kinds: list[_Kind] = [_finished, _known]
    if dead:
        kinds += [partial(_set_aside, "delivery", "dead"), partial(_set_aside, "inbound", "quarantined")]
    kinds += [partial(_endless, Replay(machine)) for machine in machines.values() if not machine.final]
    kinds.append(_commands)
    return _run(kinds, now, older_than, max_bytes, dedup, dropped)


def _run(
    kinds: Sequence[_Kind],
    now: int,
    older_than: int | None,
    max_bytes: int | None,
    dedup: int,
    dropped: Callable[[Sequence[str]], None],
) -> Pruning:
    size, latest, oldest = yield _measure
    now = max(now, latest)
    tally = _Tally(size)
    for age, goal in _ages(now - oldest, older_than, max_bytes):
        if goal is not None and tally.size <= goal:
            break
        tally.age = max(age, YOUNGEST)
        limits = _Limits(max(0, now - tally.age), max(0, now - max(tally.age, dedup)))
        for kind in kinds:
            following: str | None = ""
            while following is not None and not (goal is not None and tally.size <= goal):
                batch, tally.size = yield partial(_measured, partial(kind, limits, following))
                tally.add(batch)
                dropped(batch.dropped)
                following = batch.following
    free = None
    while (left := (yield _vacuum)) != free:
        free = left
    tally.size, _, _ = yield _measure
    return tally.pruned()


def _ages(span: int, older_than: int | None, max_bytes: int | None) -> Iterator[tuple[int, int | None]]:
    """Yield the ages to prune by, and the size at which to stop."""
    if older_than is not None:
        yield older_than, None
    if max_bytes is not None:
        age = span if older_than is None else min(span, older_than)
        while age > YOUNGEST:
            age //= 2
            yield age, max_bytes


class _Tally:
    """Adds up what the transactions did."""

    def __init__(self, size: int) -> None:
        self.age = 0
        self.size = size
        self._before = size
        self._counts: Counter[str] = Counter()
        self._cut: set[str] = set()
        self._diverging: set[str] = set()

    def add(self, batch: _Batch) -> None:
        self._counts["instances"] += len(batch.dropped)
        for name in ("emptied", "events", "keys", "commands"):
            self._counts[name] += getattr(batch, name)
        self._cut.update(batch.cut)
        self._diverging.update(batch.diverging)

    def pruned(self) -> Pruned:
        return Pruned(
            **self._counts,
            cut=len(self._cut),
            bytes_before=self._before,
            bytes_after=self.size,
            age=self.age,
            diverging=tuple(sorted(self._diverging)),
        )


# ---- the work of one transaction -------------------------------------------------------------------------------------


def _used(connection: sqlite3.Connection) -> int:
    pages, free, page_bytes = (
        connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * page_bytes)


def _measure(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return the bytes in use, and when the newest and the oldest event happened."""
    newest = connection.execute("select at from events order by seq desc limit 1").fetchone()
    oldest = connection.execute("select at from events order by seq limit 1").fetchone()
    return _used(connection), newest[0] if newest else 0, oldest[0] if oldest else 0


def _measured(work: Callable[[sqlite3.Connection], _Batch], connection: sqlite3.Connection) -> tuple[_Batch, int]:
    return work(connection), _used(connection)


def _vacuum(connection: sqlite3.Connection) -> int:
    """Give free pages back to the disk; return how many are left."""
    for _ in range(PAGES_AT_ONCE):
        connection.execute("pragma incremental_vacuum(1)")  # Python takes only the first step of it, which is a page
    return int(connection.execute("pragma freelist_count").fetchone()[0])


# The newest event stays whatever is asked, or the next one would get its position.
_FINISHED: Final = """
select address, machine = 'inbound' or exists (select 1 from keys where keys.address = instances.address), at
from instances where final > 0 and final = 1 and at < ? and seq < (select max(seq) from events) order by at limit ?
"""
_KNOWN: Final = """
select address from instances
where final > 0 and final = 2 and at < ? and seq < (select max(seq) from events) order by at limit ?
"""
_SET_ASIDE: Final = """
select address from instances
where account = ? and machine = ? and state = ? and at < ? and seq < (select max(seq) from events)
and (at < ? or not (machine = 'inbound' or exists (select 1 from keys where keys.address = instances.address))) limit ?
"""


def _finished(limits: _Limits, _: str, connection: sqlite3.Connection) -> _Batch:
    """Drop what is finished, the oldest first; of what must still be known, only the events."""
    removal = _Removal(connection)
    for address, known, at in connection.execute(_FINISHED, (limits.cutoff, ROWS_AT_ONCE)).fetchall():
        if not removal.empty(address):
            break
        if known and at >= limits.known:
            removal.remember(address)
        else:
            removal.drop(address)
    return removal.batch()


def _known(limits: _Limits, _: str, connection: sqlite3.Connection) -> _Batch:
    """Drop what was only known by its id or its key any more, and need not be known any longer."""
    return _drop_all(connection, connection.execute(_KNOWN, (limits.known, ROWS_AT_ONCE)).fetchall())


def _set_aside(machine: str, state: str, limits: _Limits, _: str, connection: sqlite3.Connection) -> _Batch:
    """Drop what waits for a person."""
    found: list[tuple[str]] = []
    for (account,) in connection.execute(ACCOUNTS).fetchall():
        values = account, machine, state, limits.cutoff, limits.known, ROWS_AT_ONCE - len(found)
        found += connection.execute(_SET_ASIDE, values).fetchall()
    return _drop_all(connection, found)


def _drop_all(connection: sqlite3.Connection, found: list[tuple[str]]) -> _Batch:
    removal = _Removal(connection)
    for (address,) in found:
        if not removal.empty(address):
            break
        removal.drop(address)
    return removal.batch()


class _Removal:
    """Takes instances out of a journal, no more than `ROWS_AT_ONCE` rows of them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._events = self._emptied = self._keys = 0
        self._dropped: list[str] = []
        self._worked = False

    def empty(self, address: str) -> bool:
        """Delete the events of an instance; return False if there are too many for this transaction.

        It gets a checkpoint where it is, so that what is left of them is nothing that anybody misses.
        """
        room = ROWS_AT_ONCE - self._events
        if room <= 0:
            return False
        self._worked = True
        deleted = _delete_events(self._connection, address, _ALL, room)
        self._events += deleted
        rest = self._connection.execute("select 1 from events where machine = ? limit 1", (address,)).fetchone()
        if rest is not None:
            self._check(deleted, address)
            self._connection.execute(_CHECKPOINT_HERE, (address,))
        return rest is None

    def remember(self, address: str) -> None:
        """Keep an instance without events, so that it is known that there was one."""
        self._connection.execute(_CHECKPOINT_HERE, (address,))
        changed = self._connection.execute("update instances set final = 2 where address = ?", (address,)).rowcount
        self._check(changed, address)
        self._emptied += 1

    def drop(self, address: str) -> None:
        """Delete everything else about an instance."""
        deleted = self._connection.execute("delete from instances where address = ?", (address,)).rowcount
        self._check(deleted, address)
        self._connection.execute("delete from checkpoints where address = ?", (address,))
        self._keys += self._connection.execute("delete from keys where address = ?", (address,)).rowcount
        self._dropped.append(address)

    def _check(self, changed: int, address: str) -> None:
        """See that what an index has is there, or it would be looked for again and again."""
        if not changed:
            raise JournalCorrupt(
                f"the journal is damaged: an index has {address!r:.80}, and its table has not. {RECOVER}"
            )

    def batch(self) -> _Batch:
        """Return what was done; there may be more to do if anything was."""
        following = "" if self._worked else None
        return _Batch(following, self._dropped, self._emptied, events=self._events, keys=self._keys)


_ALL: Final = 2**63 - 1
_CHECKPOINT_HERE: Final = (
    "insert or replace into checkpoints (address, version, entered, seq, state, schema, data)"
    " select address, version, entered, seq, state, schema, data from instances where address = ?"
)


def _delete_events(connection: sqlite3.Connection, address: str, upto: int, most: int) -> int:
    """Delete the oldest events of an instance up to a version; return how many."""
    oldest = "select seq from events where machine = ? and version <= ? order by version limit ?"
    return connection.execute(f"delete from events where seq in ({oldest})", (address, upto, most)).rowcount  # noqa: S608


def _endless(replay: Replay, limits: _Limits, begin: str, connection: sqlite3.Connection) -> _Batch:
    """Cut the old rows of instances that are never finished, in the order of their addresses."""
    name = replay.machine.name
    (newest,) = connection.execute("select max(seq) from events").fetchone()
    among = f"{INSTANCES} where address > ? and address >= ? and address < ? order by address limit ?"
    found = connection.execute(among, (begin, f"{name}/", f"{name}0", ROWS_AT_ONCE)).fetchall()  # "0" follows "/"
    done, cut, diverging, events = begin, [], [], 0
    for recorded in found:
        address = recorded[0]
        start = connection.execute(f"{CHECKPOINTS} where address = ?", (address,)).fetchone()
        version = start[1] if start is not None else 0
        events += _delete_events(connection, address, version, ROWS_AT_ONCE - events)  # the rest of an earlier cut
        rows = connection.execute(
            f"{EVENTS} where machine = ? and version > ? and seq < ? order by version limit ?",
            (address, version, newest, ROWS_AT_ONCE - events),
        )
        old = list(takewhile(lambda row: row[AT] < limits.cutoff, rows))
        if old:
            folded = replay.through(address, start, old)
            if isinstance(folded, Divergence) or (
                folded.snapshot.version == recorded[1] and replay.ends_at(folded, recorded)
            ):
                diverging.append(address)
            else:
                _checkpoint(connection, folded)
                events += _delete_events(connection, address, folded.snapshot.version, ROWS_AT_ONCE)
                cut.append(address)
        if events >= ROWS_AT_ONCE:
            return _Batch(done, cut=cut, diverging=diverging, events=events)
        done = address
    return _Batch(done if len(found) == ROWS_AT_ONCE else None, cut=cut, diverging=diverging, events=events)


def _checkpoint(connection: sqlite3.Connection, folded: Folded) -> None:
    address, (state, data, version, entered), seq = folded
    connection.execute(
        "insert or replace into checkpoints (address, version, entered, seq, state, schema, data)"
        " values (?, ?, ?, ?, ?, ?, ?)",
        (address, version, entered, seq, state, getattr(type(data), "schema", 1), codec.dumps(data)),
    )


def _commands(limits: _Limits, _: str, connection: sqlite3.Connection) -> _Batch:
    """Drop commands that have been carried out."""
    old = "select id from commands where done is not null and wall < ? order by id limit ?"
    count = connection.execute(
        f"delete from commands where id in ({old})",  # noqa: S608 - values are bound
        (limits.cutoff, ROWS_AT_ONCE),
    ).rowcount
    return _Batch("" if count == ROWS_AT_ONCE else None, commands=count)

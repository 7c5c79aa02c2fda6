"""A journal in SQLite."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs

from statecore import codec
from statecore.account import Command
from statecore.machines import MACHINES
from statecore.system import Unit
from statecore.units import SECONDS
from statecore_journal.problems import translated
from statecore_journal.reader import Owner, Status, open_reader
from statecore_journal.retention import DEDUP, Pruned, pruning
from statecore_journal.schema import begin, connect, prepare
from statecore_journal.store import SqliteStore
from statecore_journal.writer import Existing, Placed, Writer

BUSY_NS: Final = 5 * SECONDS
"""How long a write waits for a lock that another process holds, before the machines concerned are paused."""


@attrs.frozen
class Secrets:
    """One account's secrets, read when they are needed and kept nowhere."""

    _store: SqliteStore
    _account: str

    def get(self, name: str) -> str | None:
        """Return the newest value, or None."""
        return self._store.secret(self._account, name)


class Journal:
    """An open journal: one writer, and reads on the trio thread. Made by `open_journal`."""

    def __init__(self, path: Path, store: SqliteStore, writer: Writer, wall: Callable[[], int]) -> None:
        self.path = path
        self.store = store
        self._writer = writer
        self._wall = wall

    def secrets(self, account: str) -> Secrets:
        """Return an account's secrets."""
        return Secrets(self.store, account)

    def status(self, troubles: Mapping[str, str] | None = None) -> Status:
        """Return where every account is; see `Reader.status`."""
        with open_reader(self.path) as reader:
            return reader.status(self._wall(), troubles)

    def owner(self, account: str) -> Owner | None:
        """Return who drives an account; see `Reader.owner`."""
        with open_reader(self.path) as reader:
            return reader.owner(account, self._wall())

    def append(self, units: Sequence[Unit], placed: Placed | None = None) -> Coroutine[Any, Any, list[int | Existing]]:
        """Append units; see `Writer.append`."""
        return self._writer.append(units, placed)

    async def take(self, account: str, boot: str, pid: int, host: str) -> tuple[int, int]:
        """Take the lease of an account, whoever held it. Call it only while holding the account's lock.

        Returns:
            The new epoch: from now on an append under an older one is refused. And for how long nobody has driven the
            account, in ns, by the last owner's heartbeat; 0 if nobody ever has.
        """
        wall = self._wall()

        def take(connection: sqlite3.Connection) -> tuple[int, int]:
            row = connection.execute("select epoch, beat from leases where account = ?", (account,)).fetchone()
            held, beat = row if row is not None else (0, wall)
            connection.execute(
                "insert or replace into leases values (?, ?, ?, ?, ?, ?, ?, 'running')",
                (account, held + 1, boot, pid, host, wall, wall),
            )
            return held + 1, max(0, wall - beat)

        epoch, offline = await self._writer.run(take)
        self._writer.hold(account, epoch)
        return epoch, offline

    async def beat(self, statuses: dict[str, tuple[int, str]]) -> None:
        """Write the heartbeat of the accounts this process drives.

        Args:
            statuses: (epoch, what the owner says of itself) by account.
        """
        wall = self._wall()

        def beat(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "update leases set beat = ?, status = ? where account = ? and epoch = ?",
                [(wall, status, account, epoch) for account, (epoch, status) in statuses.items()],
            )

        await self._writer.run(beat)

    async def ask(self, account: str, command: Command) -> tuple[int, str]:
        """Record a command for whoever drives the account; see `insert_command`."""
        wall = self._wall()
        found: tuple[int, str] = await self._writer.run(
            lambda connection: insert_command(connection, account, command, wall)
        )
        return found

    async def finish(self, command: int, result: str) -> None:
        """Mark a command as carried out without a unit, as one that was refused."""
        await self._writer.run(
            lambda connection: connection.execute("update commands set done = ? where id = ?", (result, command))
        )

    async def prune(
        self,
        *,
        now: int,
        older_than: int | None = None,
        max_bytes: int | None = None,
        dedup: int = DEDUP,
        dead: bool = False,
        dropped: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> Pruned:
        """Prune, between the appends of those who drive accounts.

        Args:
            now: the gateway's clock, in ns.
            older_than: prune what has been finished for this long, in ns.
            max_bytes: then go on with ever younger ones until the journal uses no more than this, or nothing is left.
            dedup: how long ids and senders' keys are kept at least, in ns.
            dead: whether dead deliveries and messages that were set aside are pruned too.
            dropped: told of the instances that are gone, so that nobody keeps them in memory.

        Raises:
            JournalBusy, JournalFull, JournalError: see there. What was pruned until then stays pruned.
        """
        run = pruning(
            now=now,
            older_than=older_than,
            max_bytes=max_bytes,
            dedup=dedup,
            dead=dead,
            machines=MACHINES,
            dropped=dropped,
        )
        work = next(run)
        while True:
            result = await self._writer.run(work)
            try:
                work = run.send(result)
            except StopIteration as end:
                self._writer.restart_log()
                await self._writer.run(lambda _: None)
                pruned: Pruned = end.value
                return pruned


def insert_command(connection: sqlite3.Connection, account: str, command: Command, wall: int) -> tuple[int, str]:
    """Insert a command, in a transaction of the caller's.

    A "send" whose key was used before inserts nothing, so every receipt names a delivery that is, or will be.

    Returns:
        Its id (0 if nothing was inserted), and the id of the delivery it is about, if it is a "send".
    """
    if command.kind == "send" and command.key and (known := _keyed(connection, account, command.key)) is not None:
        return known
    cursor = connection.execute(
        "insert into commands (account, kind, target, body, wall) values (?, ?, ?, '', ?)",
        (account, command.kind, command.target, wall),
    )
    number = cursor.lastrowid
    assert number is not None, "an insert has a rowid"
    body = codec.dumps(attrs.evolve(command, id=number))
    connection.execute("update commands set body = ? where id = ?", (body, number))
    return number, command.delivery


def _keyed(connection: sqlite3.Connection, account: str, key: str) -> tuple[int, str] | None:
    row = connection.execute("select address from keys where account = ? and key = ?", (account, key)).fetchone()
    if row is not None:
        return 0, row[0].rpartition("/")[2]
    waiting = connection.execute(
        "select body from commands where account = ? and done is null and kind = 'send'"
        " and json_extract(body, '$.key') = ?",
        (account, key),
    ).fetchone()
    if waiting is None:
        return None
    command = codec.loads(waiting[0], Command)
    return command.id, command.delivery


@asynccontextmanager
async def open_journal(
    path: str | Path, *, wall: Callable[[], int], busy_ns: int = BUSY_NS, threaded: bool = True
) -> AsyncIterator[Journal]:
    """Open a journal for a gateway; it is made if it does not exist.

    Args:
        path: the file; its folder must exist.
        wall: the wall clock, in ns since 1970.
        busy_ns: how long a write waits for a lock that another process holds.
        threaded: whether the writer has a thread of its own; only under a virtual clock it has not.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalBusy, JournalError: see there; the file was not changed.
    """
    file = Path(path)
    prepare(file, busy_ns=busy_ns)
    with translated(file):
        writer = Writer(file, busy_ns=busy_ns, wall=wall, threaded=threaded)
    store = SqliteStore(file)
    try:
        yield Journal(file, store, writer, wall)
    finally:
        await writer.close()
        store.close()


def submit(path: str | Path, account: str, command: Command, *, wall: int, busy_ns: int = BUSY_NS) -> tuple[int, str]:
    """Record a command from a process that runs no gateway. When this returns, it is durable.

    Returns:
        See `insert_command`.

    Raises:
        JournalError: as for `open_journal`.
    """
    file = Path(path)
    prepare(file, busy_ns=busy_ns)
    with translated(file):
        connection = connect(file, busy_ns=busy_ns)
        try:
            begin(connection, file, busy_ns=busy_ns)
            found = insert_command(connection, account, command, wall)
            connection.execute("commit")
        finally:
            connection.close()
    return found

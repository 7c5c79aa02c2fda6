"""The machine's disk: what stands between a process and its journal, and what a power cut leaves of the file.

Faults are at the journal's port, where they are exact: before a write, in the middle of it, or after it is durable and
before anybody heard of it. What a torn log does is tried on the file itself: it is copied at the moment of the cut, and the
last transaction, which nobody was told of, is left in the log in part.
"""

import random  # noqa: TID251 - the run's own, from its seed
import sqlite3
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import attrs
import trio

from statecore.account import Command
from statecore.errors import JournalBusy, JournalError, JournalFull
from statecore.simulation.faithful.kernel import Killed, Process
from statecore.system import Unit

T = TypeVar("T")

When = Literal["before", "after", "torn"]

FRAME_HEADER_BYTES: Final = 24
WAL_HEADER_BYTES: Final = 32
"""https://sqlite.org/fileformat2.html#the_write_ahead_log"""


@attrs.define(kw_only=True)
class DiskSpell:
    """What the disk suffers from for a while.

    Args:
        begins, ends: in seconds of trio's clock.
        fault: "slow", "full", "busy" or "failed".
        share: of the writes that suffer.
        delay: longest delay of a slow write, in seconds.
    """

    begins: float
    ends: float
    fault: str
    share: float
    delay: float


@attrs.define
class Disk:
    """The disk.

    Args:
        chance: decides which writes suffer.
    """

    chance: random.Random
    spells: list[DiskSpell] = attrs.field(factory=list)
    seen: dict[str, int] = attrs.field(factory=dict)

    def note(self, what: str) -> None:
        """Count that something was really met."""
        self.seen[what] = self.seen.get(what, 0) + 1

    def fault(self, name: str) -> tuple[float, Exception | None]:
        """Return how many seconds a write takes, and what it fails with; without the folder, which no other run would share."""
        now, late = trio.current_time(), 0.0
        for spell in self.spells:
            if not spell.begins <= now < spell.ends or self.chance.random() >= spell.share:
                continue
            self.note(spell.fault)
            match spell.fault:
                case "slow":
                    late += spell.delay * self.chance.random()
                case "full":
                    return late, JournalFull(f"{name}: the disk is full")
                case "busy":
                    return late, JournalBusy(f"{name} is locked by another process")
                case _:
                    return late, JournalError(f"{name}: disk I/O error")
        return late, None


class WiredJournal:
    """A process's journal, on a disk that may fail and in a process that may die.

    Args:
        journal: the real one, made without a thread.
        process: whose.
        disk: where it is.
        took: told of every account that was taken, with its epoch.
        wrote: told how many rows are about to be written.
    """

    def __init__(
        self, journal: Any, process: Process, disk: Disk, took: Callable[[str, int], None], wrote: Callable[[int], None]
    ) -> None:
        self._journal = journal
        self._process = process
        self._disk = disk
        self._took = took
        self._wrote = wrote
        self._order = trio.Lock()  # the writer's queue: nobody overtakes at a slow disk
        self._setbacks: dict[str, int] = {}
        self.epochs: dict[str, int] = {}
        self.cut_next: When | None = None
        self.on_cut: Callable[[Before | None], None] = lambda _: process.kill()
        self.store = journal.store
        self.path: Path = journal.path
        self.secrets = journal.secrets
        self.status = journal.status
        self.owner = journal.owner

    async def append(self, units: list[Unit], placed: Any = None) -> Any:
        """Append units."""
        self._wrote(sum(len(unit.entries) for unit in units))
        account = units[0].account
        setbacks = self._setbacks.get(account, 0)

        def write() -> Awaitable[Any]:
            if placed is not None and self._setbacks.get(account, 0) != setbacks:
                raise JournalBusy("what the account decided before is not written yet")
            written: Awaitable[Any] = self._journal.append(units, placed)
            return written

        try:
            return await self._write(write, lambda: self._journal.append(units))
        except (JournalBusy, JournalFull):
            if placed is None:
                self._setbacks[account] = setbacks + 1
            raise

    async def take(self, account: str, boot: str, pid: int, host: str) -> tuple[int, int]:
        """Take a lease."""
        found: tuple[int, int] = await self._write(lambda: self._journal.take(account, boot, pid, host))
        self.epochs[account] = found[0]
        self._took(account, found[0])
        return found

    async def beat(self, statuses: dict[str, tuple[int, str]]) -> None:
        """Write the heartbeat."""
        await self._write(lambda: self._journal.beat(statuses))

    async def ask(self, account: str, command: Command) -> tuple[int, str]:
        """Record a command."""
        found: tuple[int, str] = await self._write(lambda: self._journal.ask(account, command))
        return found

    async def finish(self, command: int, result: str) -> None:
        """Mark a command."""
        await self._write(lambda: self._journal.finish(command, result))

    async def prune(self, **how: Any) -> Any:
        """Prune; it may be ended between two of its transactions."""
        self._process.check()
        return await self._journal.prune(**how)

    async def _write(self, write: Callable[[], Awaitable[T]], silent: Callable[[], Awaitable[Any]] | None = None) -> T:
        self._process.check()
        await trio.lowlevel.checkpoint_if_cancelled()
        late, error = self._disk.fault(self.path.name)
        with trio.CancelScope(shield=True):  # what was handed over is written, whoever waits for it
            async with self._order:
                if late:
                    await trio.sleep(late)
                self._process.check()
                if error is not None:
                    raise error
                if self.cut_next is not None and silent is not None:
                    await self._cut(self.cut_next, silent)
                return await write()
        raise AssertionError("nobody cancels the shield")

    async def _cut(self, when: When, silent: Callable[[], Awaitable[Any]]) -> None:
        """Let the power fail around a write that nobody will hear of."""
        self.cut_next = None
        before = Before(frames(self.path), self.path.read_bytes()) if when == "torn" else None
        if when != "before":
            await silent()
        self._disk.note(f"cut {when}")
        self.on_cut(before)
        raise Killed


# ---- the file --------------------------------------------------------------------------------------------------------


def _log(path: Path) -> Path:
    return Path(f"{path}-wal")


def frames(path: Path) -> int:
    """Return how many frames the log of a database holds since it last started anew."""
    try:
        log = _log(path).read_bytes()
    except FileNotFoundError:
        return 0
    if len(log) < WAL_HEADER_BYTES:
        return 0
    page_bytes, salts = struct.unpack(">4x4xI4x8s8x", log[:WAL_HEADER_BYTES])
    size, count = FRAME_HEADER_BYTES + page_bytes, 0
    while log[WAL_HEADER_BYTES + count * size + 8 :][:8] == salts:
        count += 1
    return count


@attrs.frozen
class Before:
    """What there was before a write.

    Args:
        frames: how many the log held.
        database: the bytes of the file.
    """

    frames: int
    database: bytes


@attrs.frozen
class Remains:
    """What a power cut leaves on the disk.

    Args:
        path: of the database.
        database: its bytes.
        log: the bytes of its log.
    """

    path: Path
    database: bytes
    log: bytes

    @classmethod
    def of(cls, path: Path, chance: random.Random, before: "Before | None" = None) -> "Remains":
        """Copy what is there now.

        Args:
            path: of the database.
            chance: decides where the log is torn.
            before: what there was before the last write, to tear the log somewhere in that; None to leave it whole. A log
                is copied into the database only when it is on the disk as a whole, so a torn one was not.
        """
        log = _log(path).read_bytes() if _log(path).exists() else b""
        database = path.read_bytes()
        if before is not None and len(log) > WAL_HEADER_BYTES:
            (page_bytes,) = struct.unpack(">I", log[8:12])
            size, count = FRAME_HEADER_BYTES + page_bytes, frames(path)
            if count > before.frames:
                # somewhere before the last byte of the last frame: without all of it the transaction is not there
                first, end = WAL_HEADER_BYTES + before.frames * size, WAL_HEADER_BYTES + count * size
                cut = chance.randrange(first, end)
                log = log[:cut] + (b"" if chance.random() < 0.5 else bytes(len(log) - cut))
                database = before.database
        return cls(path, database, log)

    def put_back(self) -> None:
        """Leave the disk as the cut left it; nobody may have the file open."""
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self.path.write_bytes(self.database)
        if self.log:
            _log(self.path).write_bytes(self.log)
            _log(self.path).chmod(0o600)


class Peephole:
    """Reads of a journal from outside every process.

    Args:
        path: the journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def one(self, sql: str, *values: Any) -> Any:
        """Return a row; None if there is none, or no journal yet."""
        if self._connection is None:
            if not self._path.exists() or not self._path.stat().st_size:
                return None
            self._connection = sqlite3.connect(self._path, isolation_level=None)
            self._connection.execute("pragma query_only = on")
        try:
            return self._connection.execute(sql, values).fetchone()
        except sqlite3.OperationalError:
            return None

    def last(self) -> int:
        """Return the position of the last durable row."""
        row = self.one("select max(seq) from events")
        return (row[0] or 0) if row is not None else 0

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

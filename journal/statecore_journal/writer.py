"""The one writer of a journal: a thread of its own, and group commit.

What is ready when a commit begins goes into it, so the cost of making a transaction durable is shared by all that wait for
it. A hop through a thread pool for each transition would cost ten times what the commit does, so the thread lives as long
as the journal and tasks are woken once a batch.

Two batches are under way at a time. Python runs one thread at a time, but not while SQLite writes to the disk. So the
thread takes half of those that wait; puts in their rows; only then wakes those of the batch before, which is durable; and
commits. While one half is being made durable, the tasks of the other half think. Waking them at once was a third slower:
they took the interpreter, and the disk stood still until they had all put in their next unit.
"""

import queue
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import suppress
from pathlib import Path
from timeit import default_timer
from typing import Any, Final, TypeVar

import attrs
import outcome
import trio

from statecore.errors import Conflict, Fenced, JournalBusy, JournalError, JournalFull
from statecore.system import Unit
from statecore_journal.files import Wal
from statecore_journal.problems import is_busy, problem
from statecore_journal.queueing import REST_S, let_others
from statecore_journal.rows import INSERT_EVENT, INSERT_INSTANCE, UPDATE_INSTANCE, Batch, Rows, encode, moved
from statecore_journal.schema import begin, connect

T = TypeVar("T")

BATCH_ROWS_MIN: Final = 32
"""So many rows go into one commit if they are there; of more, half. At 32 the cost of a row is within 10 % of the best."""

BATCH_ROWS_MAX: Final = 2048
"""Rows in one commit at most. More would not make a row cheaper, and would make those that wait for it wait longer."""

SLOW_S: Final = 0.002
"""A disk on which two commits running take longer is slower than the tasks that wait for it. One alone says little: one in
some twenty also copies the log into the file."""

UNBROKEN_S: Final = 0.25
"""After writing for so long without a pause the writer lets others have the lock, if anybody waits for it."""

Placed = Callable[[list[tuple[Unit, int]]], None]
"""Called on the trio thread, in the order of the journal, with units and the seq of each one's first row."""


@attrs.define(init=False)
class _Job:
    """Something for the thread: rows to append, or a function to run in a transaction of its own. Every append makes one,
    so it is made by hand.
    """

    size: int
    rows: Sequence[Rows]
    placed: Placed | None
    function: Callable[[sqlite3.Connection], Any] | None
    task: trio.lowlevel.Task | None
    setbacks: int
    result: Any
    error: BaseException | None

    def __init__(
        self,
        size: int,
        rows: Sequence[Rows],
        placed: Placed | None = None,
        function: Callable[[sqlite3.Connection], Any] | None = None,
    ) -> None:
        self.size = size
        self.rows = rows
        self.placed = placed
        self.function = function
        self.task = self.result = self.error = None
        self.setbacks = 0

    @property
    def account(self) -> str:
        """Whose rows these are; empty for a function."""
        return self.rows[0].unit.account if self.rows else ""


class _GoOn(outcome.Outcome[None]):
    """What a task is woken with. There is one for all: to make what trio would make for each took a quarter of waking it."""

    def unwrap(self) -> None:
        return None

    def send(self, gen: Generator[T, None, object]) -> T:
        return gen.send(None)

    async def asend(self, agen: AsyncGenerator[T, None]) -> T:
        return await agen.asend(None)


_GO_ON: Final = _GoOn()


@attrs.frozen
class Existing:
    """A unit was dropped: a delivery with its key is there already.

    Args:
        address: of that delivery.
    """

    address: str


@attrs.define
class _Setbacks:
    """Appends of an account's own loop that found the journal busy or full, and will be tried again.

    Args:
        happened: how many, as the thread knows.
        known: how many of them the account has heard of.
        error: what the last one failed with.
    """

    happened: int = 0
    known: int = 0
    error: JournalError | None = None


class Writer:
    """The writer.

    Args:
        path: the file.
        busy_ns: how long to wait for a lock another process holds.
        wall: the wall clock, in ns.
        threaded: whether it has its thread. Without, each append is committed on the spot: a virtual clock cannot see
            that a thread is busy, and would run ahead of it.
    """

    def __init__(self, path: Path, *, busy_ns: int, wall: Callable[[], int], threaded: bool = True) -> None:
        self._path = path
        self._wall = wall
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._epochs: dict[str, int] = {}
        self._fence: dict[str, int] = {}
        self._known_version = 0
        self._following = 0
        self._setbacks: dict[str, _Setbacks] = {}
        self._token = trio.lowlevel.current_trio_token()
        self._connection = connect(path, busy_ns=busy_ns)
        self._connection.execute("pragma busy_timeout = 0")
        self._busy_ns = busy_ns
        self._wal = Wal(path)
        self._durable: list[_Job] = []
        self._slow = False
        self._took = 0.0
        self._paused = default_timer()
        self._closed = False
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name="statecore-journal", daemon=True)
            self._thread.start()

    # ---- the trio side -----------------------------------------------------------------------------------------------

    def hold(self, account: str, epoch: int) -> None:
        """Write for *account* under *epoch* from now on."""
        self._epochs[account] = epoch

    def append(self, units: Sequence[Unit], placed: Placed | None = None) -> Coroutine[Any, Any, list[int | Existing]]:
        """Append units; return when they are durable.

        Units of one call are committed together or not at all. The call cannot be cancelled once it has begun: what was
        handed over may be durable already.

        An account's rows are in the order in which they were decided. What its loop decides is tried again when the
        journal was busy or full. What comes from beside the loop, with *placed*, is not, and does not overtake it: it
        fails like the append of the loop's that it was handed in behind.

        Args:
            units: in order, of one account.
            placed: called in the order of the journal, before anything else runs on the trio thread.

        Returns:
            The seq of each unit's first row, or `Existing`.

        Raises:
            CodecError: a value cannot be written.
            JournalBusy, JournalFull, JournalCorrupt, Conflict, Fenced: see there. Nothing was written.
        """
        rows: list[Rows] = []
        size = 0
        for unit in units:
            rows.append(encode(unit))
            size += len(unit.entries)
        job = _Job(size, rows, placed)
        if placed is not None and (setbacks := self._setbacks.get(job.account)) is not None:
            job.setbacks = setbacks.known
        return self._submit(job)

    def run(self, function: Callable[[sqlite3.Connection], T]) -> Coroutine[Any, Any, T]:
        """Run a function in a transaction, on the writer's thread.

        Others may be in the same transaction. If one of them fails it is rolled back and the function runs again, so it
        must do nothing but read and write through the connection.
        """
        return self._submit(_Job(1, (), function=function))

    async def _submit(self, job: _Job) -> Any:
        if self._closed:
            raise JournalError(f"{self._path} is closed")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._thread is None:
            self._write([job])
            self._deliver([job])
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            job.task = trio.lowlevel.current_task()
            self._jobs.put(job)
            await trio.lowlevel.wait_task_rescheduled(_refuse_to_abort)
        if job.error is not None:
            if job.placed is None and (setbacks := self._setbacks.get(job.account)) is not None:
                setbacks.known = setbacks.happened
            raise job.error
        return job.result

    def restart_log(self) -> None:
        """Start the log anew after the next commit, so that the disk gets back what was freed."""
        self._wal.restart()

    async def close(self) -> None:
        """Write what is waiting, and end the thread."""
        if self._closed:
            return
        self._closed = True
        if self._thread is None:
            self._connection.close()
            return
        self._jobs.put(None)
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._thread.join)

    def _deliver(self, jobs: list[_Job]) -> None:
        """Let the tasks of a batch go on; none of them runs before all of it is announced."""
        for job in jobs:
            if job.placed is not None and job.error is None:
                pairs = zip(job.rows, job.result, strict=True)
                job.placed([(rows.unit, at) for rows, at in pairs if isinstance(at, int)])
            if job.task is not None:
                trio.lowlevel.reschedule(job.task, _GO_ON)

    # ---- the thread's side -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        ending = False
        while not ending:
            jobs, ending = self._take()
            if default_timer() - self._paused > UNBROKEN_S:
                self._wake()
                let_others(self._path.parent)
                self._paused = default_timer()
            if jobs:
                self._write(jobs)
                self._wake()
                self._durable = jobs
        self._wake()
        self._connection.close()

    def _take(self) -> tuple[list[_Job], bool]:
        """Take some of what waits, or wait for it; tell whether it is the last."""
        if self._slow:
            return self._gather()
        jobs: list[_Job] = []
        try:
            job = self._jobs.get_nowait()
        except queue.Empty:
            job = self._wait()
        enough = min(max(BATCH_ROWS_MIN, self._jobs.qsize() // 2), BATCH_ROWS_MAX)
        size = 0
        while job is not None:
            jobs.append(job)
            size += job.size
            if size >= enough:
                return jobs, False
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _wait(self) -> _Job | None:
        """Wait for something to do."""
        self._wake()
        began = default_timer()
        job = self._jobs.get()
        if (now := default_timer()) - began > REST_S:
            self._paused = now
        return job

    def _gather(self) -> tuple[list[_Job], bool]:
        """Take all that comes while the tasks of the last batch think: the disk is slower than they are."""
        jobs, size, job = [], 0, self._wait()
        while job is not None:
            jobs.append(job)
            size += job.size
            if size >= BATCH_ROWS_MAX:
                return jobs, False
            try:
                job = self._jobs.get(timeout=0.0005)
            except queue.Empty:
                return jobs, False
        return jobs, True

    def _wake(self) -> None:
        """Wake the tasks whose batch is through."""
        jobs, self._durable = self._durable, []
        if jobs:
            with suppress(trio.RunFinishedError):  # whoever waited has gone with the run
                self._token.run_sync_soon(self._deliver, jobs)

    def _write(self, jobs: list[_Job]) -> None:
        """Commit all at once; if that fails for one of them, each for itself."""
        if self._setbacks:
            jobs = [job for job in jobs if not self._overtakes(job)]
        if not jobs:
            return
        error = self._attempt(jobs)
        if error is None:
            self._wal.bound(self._connection)
            return
        by_itself = len(jobs) > 1 and not isinstance(error, JournalFull | JournalBusy)
        for job in jobs:
            if not by_itself:
                job.error = error
            elif not self._overtakes(job):
                job.error = self._attempt([job])
            if isinstance(job.error, JournalFull | JournalBusy) and job.rows and job.placed is None:
                self._set_back(job.account, job.error)

    def _set_back(self, account: str, error: JournalError) -> None:
        setbacks = self._setbacks.setdefault(account, _Setbacks())
        setbacks.happened += 1
        setbacks.error = error

    def _overtakes(self, job: _Job) -> bool:
        """Refuse what was handed in from beside an account's loop before the loop knew that it must try again."""
        setbacks = None if job.placed is None else self._setbacks.get(job.account)
        if setbacks is None or job.setbacks == setbacks.happened:
            return False
        job.error = setbacks.error
        return True

    def _attempt(self, jobs: list[_Job]) -> BaseException | None:
        connection = self._connection
        try:
            self._begin(connection)
            try:
                following = self._perform(connection, jobs)
                self._wake()
                began = default_timer()
                connection.execute("commit")
                took = default_timer() - began
                self._slow = min(took, self._took) > SLOW_S
                self._took = took
                self._following = following
            except BaseException:
                self._known_version = 0
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
        except sqlite3.Error as error:
            return problem(error, self._path)
        except Exception as error:  # noqa: BLE001 - it is raised in the task that asked
            return error
        return None

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction. While another process keeps us waiting, nobody waits for what is durable already."""
        try:
            connection.execute("begin immediate")
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            self._wake()
            begin(connection, self._path, busy_ns=self._busy_ns)

    def _perform(self, connection: sqlite3.Connection, jobs: list[_Job]) -> int:
        """Do the jobs; return the place of the next row."""
        self._look_for_others(connection)
        batch = Batch(self._following, self._wall())
        for job in jobs:
            if job.function is not None:
                self._wake()  # it may take its time
                _flush(connection, batch)
                self._fence.clear()  # it may be the taking of a lease
                job.result = job.function(connection)
                batch = Batch(_following(connection), self._wall())
                continue
            job.result = results = []
            for rows in job.rows:
                unit = rows.unit
                epoch = self._fence.get(unit.account)
                if epoch is None:
                    epoch = self._check_lease(connection, unit.account)
                existing = _claim(connection, unit) if unit.key else None
                results.append(batch.add(rows, epoch) if existing is None else existing)
                if unit.secrets or unit.forget or unit.done:
                    _write_aside(connection, unit, dropped=existing is not None)
        _flush(connection, batch)
        return batch.following

    def _look_for_others(self, connection: sqlite3.Connection) -> None:
        """Look at the leases, and where the rows end, again if anybody else has written. Within a transaction nobody can."""
        (version,) = connection.execute("pragma data_version").fetchone()
        if version != self._known_version:
            self._fence.clear()
            self._following = _following(connection)
            self._known_version = version

    def _check_lease(self, connection: sqlite3.Connection, account: str) -> int:
        """Refuse to write for an account that another process has taken: the fence is in the journal, not in memory."""
        row = connection.execute("select epoch from leases where account = ?", (account,)).fetchone()
        held, ours = (row[0] if row else 0), self._epochs.get(account, 0)
        if held != ours:
            raise Fenced(account, ours, held)
        self._fence[account] = ours
        return ours


def _following(connection: sqlite3.Connection) -> int:
    """Return the place of the next row."""
    (last,) = connection.execute("select coalesce(max(seq), 0) from events").fetchone()
    return int(last) + 1


def _refuse_to_abort(_: Any) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def _flush(connection: sqlite3.Connection, batch: Batch) -> None:
    if not batch.events:
        return
    inserts, updates = batch.inserts(), batch.updates()
    try:
        connection.executemany(INSERT_EVENT, batch.events)
        if inserts:
            connection.executemany(INSERT_INSTANCE, inserts)
        if updates and connection.executemany(UPDATE_INSTANCE, updates).rowcount != len(updates):
            raise _conflict(connection, batch)
    except sqlite3.IntegrityError as error:
        raise _conflict(connection, batch) from error


def _conflict(connection: sqlite3.Connection, batch: Batch) -> Conflict:
    """Find an instance that is not where the batch found it, and was not put there by the batch."""
    for address, before, seq in batch.moves():
        row = connection.execute("select version, seq from instances where address = ?", (address,)).fetchone()
        version, written = row if row is not None else (0, 0)
        if version != before and written != seq:
            return moved(address)
    return Conflict("another writer appended at the same time; this append changed nothing")


def _claim(connection: sqlite3.Connection, unit: Unit) -> Existing | None:
    """Take the sender's key for a new delivery; return the delivery that has it already, if there is one."""
    key = unit.account, unit.key
    found = connection.execute("select address from keys where account = ? and key = ?", key).fetchone()
    if found is not None:
        return Existing(found[0])
    connection.execute("insert into keys values (?, ?, ?)", (*key, unit.entries[0].address))
    return None


def _write_aside(connection: sqlite3.Connection, unit: Unit, *, dropped: bool) -> None:
    """Write what belongs to a unit and is no event: commands that are carried out by it, and secrets."""
    for command in unit.done:
        connection.execute("update commands set done = 'done' where id = ?", (command,))
    if dropped:
        return
    if unit.forget:
        connection.execute("delete from secrets where account = ?", (unit.account,))
    for name, value in unit.secrets.items():
        if value is None:
            connection.execute("delete from secrets where account = ? and name = ?", (unit.account, name))
        else:
            connection.execute("insert or replace into secrets values (?, ?, ?)", (unit.account, name, value))

"""The one writer of a journal: a thread of its own, and group commit.

Whatever is ready when a commit begins goes into it, so the cost of making a transaction durable is shared by all that
wait for it. A hop through a thread pool for each transition would cost ten times what the commit does, so the thread
lives as long as the journal and tasks are woken once a batch.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from statecore.errors import Fenced, JournalBusy, JournalError, JournalFull
from statecore.system import Unit
from statecore_journal.problems import problem
from statecore_journal.rows import INSERT_EVENT, UPSERT_INSTANCE, Rows, encode, number
from statecore_journal.schema import connect

BATCH_ROWS_MAX: Final = 2048
"""Rows in one commit. More would not make a row cheaper (32 rows a commit are within 10 % of the best), and would make
those that wait for it wait longer."""

Placed = Callable[[list[tuple[Unit, int]]], None]
"""Called on the trio thread, in the order of the journal, with units and the seq of each one's first row."""


@attrs.define
class _Job:
    """Something for the thread: rows to append, or a function to run in a transaction of its own."""

    rows: Sequence[Rows] = ()
    function: Callable[[sqlite3.Connection], Any] | None = None
    placed: Placed | None = None
    task: trio.lowlevel.Task | None = None
    result: Any = None
    error: BaseException | None = None

    @property
    def size(self) -> int:
        return sum(len(rows.events) for rows in self.rows) or 1


@attrs.frozen
class Existing:
    """A unit was dropped: a delivery with its key is there already.

    Args:
        address: of that delivery.
    """

    address: str


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
        self._token = trio.lowlevel.current_trio_token()
        self._connection = connect(path, busy_ns=busy_ns)
        self._closed = False
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(target=self._run, name="statecore-journal", daemon=True)
            self._thread.start()

    # ---- the trio side -----------------------------------------------------------------------------------------------

    def hold(self, account: str, epoch: int) -> None:
        """Write for *account* under *epoch* from now on."""
        self._epochs[account] = epoch

    async def append(self, units: Sequence[Unit], placed: Placed | None = None) -> list[int | Existing]:
        """Append units; return when they are durable.

        Units of one call are committed together or not at all. The call cannot be cancelled once it has begun: what was
        handed over may be durable already.

        Args:
            units: in order.
            placed: called in the order of the journal, before anything else runs on the trio thread.

        Returns:
            The seq of each unit's first row, or `Existing`.

        Raises:
            CodecError: a value cannot be written.
            JournalBusy, JournalFull, JournalCorrupt, Conflict, Fenced: see there. Nothing was written.
        """
        result: list[int | Existing] = await self._submit(_Job(rows=[encode(unit) for unit in units], placed=placed))
        return result

    async def run(self, function: Callable[[sqlite3.Connection], Any]) -> Any:
        """Run a function in a transaction of its own, on the writer's thread."""
        return await self._submit(_Job(function=function))

    async def _submit(self, job: _Job) -> Any:
        if self._closed:
            raise JournalError(f"{self._path} is closed")
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._thread is None:
            self._write([job])
            self._announce([job])
            await trio.lowlevel.cancel_shielded_checkpoint()
        else:
            job.task = trio.lowlevel.current_task()
            self._jobs.put(job)
            await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        if job.error is not None:
            raise job.error
        return job.result

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

    def _announce(self, jobs: list[_Job]) -> None:
        for job in jobs:
            if job.placed is not None and job.error is None:
                pairs = zip(job.rows, job.result, strict=True)
                job.placed([(rows.unit, at) for rows, at in pairs if isinstance(at, int)])

    def _deliver(self, jobs: list[_Job]) -> None:
        self._announce(jobs)
        for job in jobs:
            assert job.task is not None, "every job comes from a task that waits for it"
            trio.lowlevel.reschedule(job.task)

    # ---- the thread's side -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        ending = False
        while not ending:
            jobs: list[_Job] = []
            size = 0
            job = self._jobs.get()
            while True:
                if job is None:
                    ending = True
                    break
                jobs.append(job)
                size += job.size
                if size >= BATCH_ROWS_MAX:
                    break
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
            if jobs:
                self._write(jobs)
                try:
                    self._token.run_sync_soon(self._deliver, jobs)
                except trio.RunFinishedError:
                    ending = True
        self._connection.close()

    def _write(self, jobs: list[_Job]) -> None:
        """Commit all at once; if that fails for one of them, each for itself."""
        error = self._attempt(jobs)
        if error is None:
            return
        if len(jobs) == 1 or isinstance(error, JournalFull | JournalBusy):
            for job in jobs:
                job.error = error
            return
        for job in jobs:
            job.error = self._attempt([job])

    def _attempt(self, jobs: list[_Job]) -> BaseException | None:
        connection = self._connection
        try:
            connection.execute("begin immediate")
            try:
                current = self._check_leases(connection, jobs)
                self._perform(connection, jobs, current)
                connection.execute("commit")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("rollback")
                raise
        except sqlite3.Error as error:
            return problem(error, self._path)
        except Exception as error:  # noqa: BLE001 - it is raised in the task that asked
            return error
        return None

    def _check_leases(self, connection: sqlite3.Connection, jobs: list[_Job]) -> dict[str, int]:
        """Refuse to write for an account that another process has taken: the fence is in the journal, not in memory."""
        accounts = {rows.unit.account for job in jobs for rows in job.rows}
        current = {}
        for account in accounts:
            row = connection.execute("select epoch from leases where account = ?", (account,)).fetchone()
            held, ours = (row[0] if row else 0), self._epochs.get(account, 0)
            if held != ours:
                raise Fenced(account, ours, held)
            current[account] = ours
        return current

    def _perform(self, connection: sqlite3.Connection, jobs: list[_Job], epochs: dict[str, int]) -> None:
        wall = self._wall()
        (last,) = connection.execute("select coalesce(max(seq), 0) from events").fetchone()
        following = last + 1
        events: list[tuple[Any, ...]] = []
        instances: dict[str, tuple[Any, ...]] = {}
        for job in jobs:
            if job.function is not None:
                job.result = job.function(connection)
                continue
            results: list[int | Existing] = []
            for rows in job.rows:
                unit = rows.unit
                if unit.key and (existing := self._claim(connection, rows)) is not None:
                    results.append(existing)
                    continue
                numbered = number(rows, following, wall, epochs[unit.account], instances)
                events += numbered
                results.append(following)
                following += len(numbered)
                if unit.secrets or unit.forget or unit.done:
                    self._side_tables(connection, unit)
            job.result = results
        connection.executemany(INSERT_EVENT, events)
        connection.executemany(UPSERT_INSTANCE, list(instances.values()))

    def _claim(self, connection: sqlite3.Connection, rows: Rows) -> Existing | None:
        unit = rows.unit
        found = connection.execute(
            "select address from keys where account = ? and key = ?", (unit.account, unit.key)
        ).fetchone()
        if found is not None:
            if unit.done:
                self._side_tables(connection, unit)
            return Existing(found[0])
        connection.execute("insert into keys values (?, ?, ?)", (unit.account, unit.key, unit.entries[0].address))
        return None

    def _side_tables(self, connection: sqlite3.Connection, unit: Unit) -> None:
        if unit.forget:
            connection.execute("delete from secrets where account = ?", (unit.account,))
        for name, value in unit.secrets.items():
            if value is None:
                connection.execute("delete from secrets where account = ? and name = ?", (unit.account, name))
            else:
                connection.execute("insert or replace into secrets values (?, ?, ?)", (unit.account, name, value))
        for command in unit.done:
            connection.execute("update commands set done = 'done' where id = ?", (command,))

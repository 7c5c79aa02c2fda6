"""The journal of a simulation: what is durable, who may write it, and a disk that takes its time, is full, fails or is torn.

It keeps the words of `statecore_journal.Journal` and the promises of its writer: what is ready when a commit begins goes into
it; units of one call are in one transaction; an account's units are refused under an epoch that is not the lease's; a sender's
key is taken once. A crash loses what was not committed. What a commit had under way may be there without anybody having heard.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import attrs

from statecore.account import Command
from statecore.errors import Conflict, Fenced, JournalBusy, JournalError, JournalFull
from statecore.machine import Snapshot, Verdict
from statecore.simulation.clockwork import Host
from statecore.simulation.guarantees import Row
from statecore.system import Entry, Unit
from statecore.units import MICROSECONDS
from statecore_journal.memory import MemoryStore

COMMIT: Final = (300 * MICROSECONDS, 3000 * MICROSECONDS)
"""How long a commit takes on a disk that is well."""

TORN: Final = 0.3
"""How often a commit that a crash interrupts is durable all the same."""


_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""


class Existing(NamedTuple):
    """A unit was dropped: a delivery with its key is there already.

    Args:
        address: of that delivery.
    """

    address: str


@attrs.define
class Lease:
    """Who drives an account.

    Args:
        epoch: grows with each owner.
        process: its name.
        boot: its own id.
        says: "running", or "stopped" once it has let go.
        beat: when it last wrote its heartbeat, by the wall clock; asked of the process while it lives.
    """

    epoch: int = 0
    process: str = ""
    boot: str = ""
    says: str = ""
    beat: Callable[[], int] = attrs.field(default=lambda: 0)


@attrs.define
class Asked:
    """A command, and whether it was carried out."""

    command: Command
    done: bool = False


class Ledger:
    """What the journal holds of one account."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.secrets: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.lease = Lease()
        self.commands: list[Asked] = []
        self.versions: dict[str, int] = {}

    def get(self, name: str) -> str | None:
        """Return a secret's newest value."""
        return self.secrets.get(name)

    def standing(self, address: str) -> Snapshot | None:
        """Return where an instance durably is."""
        held = self.store._held.get(address)  # noqa: SLF001 - `load` would put it through the codec
        return None if held is None else held.snapshot

    def waiting(self) -> list[Command]:
        """Return the commands that nobody has carried out."""
        self.commands = [asked for asked in self.commands if not asked.done]
        return [asked.command for asked in self.commands]

    def sends_wait(self) -> bool:
        """Tell whether messages that were asked for are not accepted yet."""
        return any(not asked.done and asked.command.kind == "send" for asked in self.commands)


@attrs.define(eq=False)
class Job:
    """Something that is written at once."""

    units: Sequence[Unit] = ()
    epoch: int = 0
    placed: Callable[[list[tuple[Unit, int]]], None] | None = None
    function: Callable[[], Any] | None = None
    then: Callable[[Any, JournalError | None], None] | None = None
    result: Any = None
    error: JournalError | None = None


class Writer:
    """The writer of one process.

    Args:
        disk: where it writes.
        call: has something happen in the process, at a time.
    """

    def __init__(self, disk: "Disk", call: Callable[..., None]) -> None:
        self._disk = disk
        self._call = call
        self._jobs: list[Job] = []
        self._writing: list[Job] = []

    def submit(self, job: Job) -> None:
        """Write something; `job.then` is called when it is durable, or could not be written."""
        self._jobs.append(job)
        if not self._writing:
            self._begin()

    def _begin(self) -> None:
        self._writing, self._jobs = self._jobs, []
        self._call(self._disk.reserve(), self._commit)

    def _commit(self) -> None:
        self._disk.write(self._writing)
        jobs, self._writing = self._writing, []
        if self._jobs and jobs[0].error is not None:
            jobs += self._refuse_overtaking(jobs)
        if self._jobs:
            self._begin()
        for job in jobs:
            if job.placed is not None and job.error is None:
                pairs = zip(job.units, job.result, strict=True)
                job.placed([(unit, at) for unit, at in pairs if at.__class__ is int])
        for job in jobs:
            if job.then is not None:
                job.then(job.result, job.error)

    def _refuse_overtaking(self, refused: list[Job]) -> list[Job]:
        """Refuse what would stand before what its account's loop must append again."""
        set_back = {
            job.units[0].account: job.error
            for job in refused
            if job.units and job.placed is None and isinstance(job.error, JournalBusy | JournalFull)
        }
        overtaking = [job for job in self._jobs if job.placed is not None and job.units[0].account in set_back]
        for job in overtaking:
            job.error = set_back[job.units[0].account]
            self._jobs.remove(job)
        return overtaking

    def crash(self, *, torn: float) -> None:
        """Lose what is not durable. What is being written may be durable all the same, and nobody hears of it."""
        if self._writing and self._disk.host.random.random() < torn:
            self._disk.write(self._writing)
        self._writing, self._jobs = [], []


class Disk:
    """The file of a journal, and the disk it is on.

    Args:
        host: the machine.
        accounts: their names.
    """

    def __init__(self, host: Host, accounts: Sequence[str]) -> None:
        self.host = host
        self.ledgers = {name: Ledger() for name in accounts}
        self.rows: list[Row] = []
        self.verdicts: list[Verdict] = []
        self.latest_at = 0
        self.latency: Callable[[], int] = lambda: 0
        self.failure: Callable[[], JournalError | None] = lambda: None
        self.changed: Callable[[str], None] = lambda _: None
        self.history: list[tuple[int, Unit | Lease, str]] | None = None
        """Units and leases as they were written, with the wall clock and the account; None if they are not kept."""
        self.watched: dict[tuple[str, str], Any] = {}
        self.entered: Callable[[str, Entry], None] = lambda _, __: None
        self._free_at = 0
        self._commands = 0

    @property
    def seq(self) -> int:
        """Position of the last durable row."""
        return len(self.rows)

    def reserve(self) -> int:
        """Return when a commit that begins now is through."""
        low, high = COMMIT
        took = low + int(self.host.random.random() * (high - low)) + self.latency()
        self._free_at = max(self._free_at, self.host.loop.now) + took
        return self._free_at

    def write(self, jobs: Sequence[Job]) -> None:
        """Write jobs in one transaction; if one of them cannot be, each for itself."""
        error = self.failure()
        if error is not None:
            for job in jobs:
                job.error = error
            return
        for job in jobs:
            if job.function is not None:
                job.result = job.function()
                continue
            job.error = self._refused(job)
            if job.error is None:
                job.result = [self._place(unit) for unit in job.units]

    def _refused(self, job: Job) -> JournalError | None:
        for unit in job.units:
            ledger = self.ledgers[unit.account]
            if job.epoch != ledger.lease.epoch:
                return Fenced(unit.account, job.epoch, ledger.lease.epoch)
            versions = ledger.versions
            for entry in unit.entries:
                address, version = entry[0], entry[4][0][2]
                if versions.get(address, 0) != version - 1:
                    self._take_back(job)
                    return Conflict(f"{address} was moved by another writer")
                versions[address] = version
        return None

    def _take_back(self, job: Job) -> None:
        """Go by what is durable again, where a job was refused after some of it had been looked at."""
        for unit in job.units:
            ledger = self.ledgers[unit.account]
            for entry in unit.entries:
                standing = ledger.standing(entry.address)
                ledger.versions[entry.address] = 0 if standing is None else standing.version

    def _place(self, unit: Unit) -> "int | Existing":
        ledger, rows, verdicts = self.ledgers[unit.account], self.rows, self.verdicts
        for command in unit.done:
            self.finish(unit.account, command)
        if unit.key:
            known = ledger.keys.setdefault(unit.key, unit.entries[0].address)
            if known != unit.entries[0].address:
                del ledger.versions[unit.entries[0].address]
                return Existing(known)
        first = len(rows) + 1
        if unit.entries:
            ledger.store.append(unit, first)
            self.latest_at = max(self.latest_at, unit.now)
            if self.history is not None:
                self.history.append((self.host.wall(), unit, unit.account))
        seq, now = first, unit.now
        for address, _, source, event, (snapshot, _, verdict), cause, _, _, _, _ in unit.entries:
            origin = cause if cause > 0 else first - cause - 1 if cause else None
            state, _, version, _ = snapshot
            rows.append(_new(Row, (seq, now, address, version, source, state, event, verdict[0], origin)))
            verdicts.append(verdict)
            seq += 1
        if self.watched:
            for entry in unit.entries:
                if (entry.machine.name, entry.decision.snapshot.state) in self.watched:
                    self.entered(unit.account, entry)
        if unit.secrets or unit.forget:
            _keep_secrets(ledger, unit)
        return first

    # ---- commands ----------------------------------------------------------------------------------------------------

    def ask(self, account: str, command: Command) -> tuple[int, str]:
        """Record a command; see `statecore_journal.sqlite.insert_command`. Call it in a job's function."""
        ledger = self.ledgers[account]
        if command.kind == "send" and command.key:
            known = ledger.keys.get(command.key)
            if known is not None:
                return 0, known.rpartition("/")[2]
            for asked in ledger.commands:
                if not asked.done and asked.command.kind == "send" and asked.command.key == command.key:
                    return asked.command.id, asked.command.delivery
        self._commands += 1
        ledger.commands.append(Asked(attrs.evolve(command, id=self._commands)))
        self.changed(account)
        return self._commands, command.delivery

    def finish(self, account: str, command: int) -> None:
        """Mark a command as carried out."""
        for asked in self.ledgers[account].commands:
            if asked.command.id == command:
                asked.done = True


def _keep_secrets(ledger: Ledger, unit: Unit) -> None:
    if unit.forget:
        ledger.secrets.clear()
    for name, value in unit.secrets.items():
        if value is None:
            ledger.secrets.pop(name, None)
        else:
            ledger.secrets[name] = value


def full() -> JournalError:
    """Return what a full disk raises."""
    return JournalFull("the disk is full")


def busy() -> JournalError:
    """Return what a locked database raises."""
    return JournalBusy("another process holds the database")


def failed() -> JournalError:
    """Return what a write error raises."""
    return JournalError("a write failed: input/output error")

"""One process at a time drives an account.

The lock is the kernel's: it belongs to an open file, so it ends with its holder however that ends, and there is nothing
stale to clean up. It is keyed by the account's identity and not by the journal, so two programs with two journals do
not poll one token either. What the file says is for people, and for whoever wants to reach the holder; only the lock
counts. A file that names the wrong process misleads nobody into signalling it: see `Lock.end_holder`.

The lock keeps honest processes apart. The epoch in the journal keeps out the rest: a former owner that was stopped and
goes on later finds its appends refused.
"""

import fcntl
import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from statecore import processes
from statecore.errors import StatecoreError
from statecore.units import MILLISECONDS
from statecore.world import here

NUMBERS_BELOW: Final = {"pid": 2**31}
"""What a number in a lock file must stay below to be one: the kernel's process numbers have 31 bits, and times have 63."""

ASK_EVERY: Final = 250 * MILLISECONDS
"""How often a process that waits asks for the lock; it takes over within about this time of the owner's end."""


_held: Final[set[int]] = set()
"""The open files of the locks that this process holds."""


def _leave_to_parent() -> None:
    """Let go of what was inherited: a worker that a handler forked would otherwise keep the account when its parent is killed."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_leave_to_parent)


def lock_folder() -> Path:
    """Return where locks are: $STATECORE_LOCK_DIR, else statecore/locks under the user's state folder."""
    if chosen := os.environ.get("STATECORE_LOCK_DIR"):
        return Path(chosen)
    return state_folder() / "statecore" / "locks"


def state_folder() -> Path:
    """Return the user's state folder."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")


@attrs.frozen(kw_only=True)
class Holder:
    """Who holds an account, as it says itself. What is not known is empty, or 0.

    Args:
        program: what it is: "process", or "Hermes gateway".
        pid: its number.
        host: the name of its host.
        begun: when it began, in its kernel's clock ticks; with the number, that names one process.
        boot: its gateway's own id.
        account: what it calls the account.
        journal: where its journal is.
        since: since when it has held the account, in ns since 1970.
    """

    program: str = "process"
    pid: int = 0
    host: str = ""
    begun: int = 0
    boot: str = ""
    account: str = ""
    journal: str = ""
    since: int = 0

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        return f"{self.program} {self.pid}" + (f" on {self.host}" if self.host else "")


@attrs.define
class Lock:
    """The lock of one account.

    Args:
        identity: what must be driven by one process at a time; only its hash is written.
        folder: where locks are; all processes of a machine that could share an account must agree on it.
    """

    identity: str = attrs.field(repr=False)
    folder: Path = attrs.field(factory=lock_folder)
    _file: int | None = None

    @property
    def path(self) -> Path:
        """Return the file that is locked."""
        return self.folder / f"{hashlib.sha256(self.identity.encode()).hexdigest()[:24]}.lock"

    def try_acquire(self, about: Holder) -> bool:
        """Take the lock if it is free.

        Args:
            about: what to tell those who look at the file.

        Raises:
            StatecoreError: the folder cannot be used. Driving an account without a lock is never the answer to that.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except PermissionError as error:
            if not self._exists():
                raise StatecoreError(self._unusable(error)) from error
            raise StatecoreError(  # another folder would be the wrong advice: two would drive one account
                f"the lock {self.path} is another user's, who may drive this account; run as that user, or delete it if"
                " nobody drives the account any more"
            ) from error
        except OSError as error:
            raise StatecoreError(self._unusable(error)) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError as error:
            os.close(file)
            raise StatecoreError(f"{self.path} cannot be locked: {error.strerror}; is it on a network disk?") from error
        self._file = file
        _held.add(file)
        with suppress(OSError):  # on a full disk the file says nothing; only the lock counts, and it is ours
            os.ftruncate(file, 0)
            os.pwrite(file, json.dumps(attrs.asdict(about)).encode(), 0)
        return True

    def _exists(self) -> bool:
        try:
            return self.path.exists()
        except PermissionError:  # the folder is not ours to look into
            return False

    def _unusable(self, error: OSError) -> str:
        return f"the lock folder {self.folder} cannot be used: {error.strerror}; set STATECORE_LOCK_DIR to one that can"

    def holder(self) -> Holder:
        """Return what the holder wrote about itself; what cannot be read, or makes no sense, is left out."""
        try:
            about: Any = json.loads(self.path.read_bytes() or b"{}")
        except (OSError, ValueError, RecursionError):
            return Holder()
        if not isinstance(about, dict):
            return Holder()
        sound = {
            field.name: about[field.name]
            for field in attrs.fields(Holder)
            if type(about.get(field.name)) is field.type
            and (field.type is str or 0 < about[field.name] < NUMBERS_BELOW.get(field.name, 2**63))
        }
        return Holder(**sound)

    def end_holder(self, holder: Holder, number: int) -> str:
        """Send a signal to the process that holds the lock, and to no other.

        The file only says where to look. The process it names is signalled if the kernel says that it began when the file
        says, and that it holds this very lock.

        Args:
            holder: who it is taken to be.
            number: the signal.

        Returns:
            Why no signal was sent; empty if it was.
        """
        pid, host = here()
        if holder.pid <= 1 or holder.pid == pid:
            return "it is this process itself" if holder.pid == pid else "it does not say which process it is"
        if holder.host != host:
            return f"it is on {holder.host or 'another host'}"

        def is_meant() -> str:
            if not processes.holds(holder.pid, self.path):
                return f"the kernel does not say that process {holder.pid} holds the lock"
            if processes.begun(holder.pid) != holder.begun:
                return f"process {holder.pid} is another one than that which took the lock"
            return ""

        return processes.end(holder.pid, number, is_meant)

    def release(self) -> None:
        """Let go of the lock."""
        if self._file in _held:
            _held.discard(self._file)
            os.close(self._file)
        self._file = None

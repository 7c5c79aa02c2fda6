"""One process at a time drives an account.

The lock is the kernel's: it belongs to an open file, so it ends with its holder however that ends, and there is nothing
stale to clean up. It is keyed by the account's identity and not by the journal, so two programs with two journals do
not poll one token either. What the file says is for people; only the lock counts.

The lock keeps honest processes apart. The epoch in the journal keeps out the rest: a former owner that was stopped and
goes on later finds its appends refused.
"""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore.units import MILLISECONDS

ASK_EVERY: Final = 250 * MILLISECONDS
"""How often a process that waits asks for the lock; it takes over within about this time of the owner's end."""


def lock_folder() -> Path:
    """Return where locks are: $STATECORE_LOCK_DIR, else statecore/locks under the user's state folder."""
    if chosen := os.environ.get("STATECORE_LOCK_DIR"):
        return Path(chosen)
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "statecore" / "locks"


@attrs.define
class Lock:
    """The lock of one account.

    Args:
        identity: what must be driven by one process at a time; only its hash is written.
        folder: where locks are; all processes of a machine that could share an account must agree on it.
    """

    identity: str
    folder: Path = attrs.field(factory=lock_folder)
    _file: int | None = None

    @property
    def path(self) -> Path:
        """Return the file that is locked."""
        return self.folder / f"{hashlib.sha256(self.identity.encode()).hexdigest()[:24]}.lock"

    def try_acquire(self, about: dict[str, Any]) -> bool:
        """Take the lock if it is free.

        Args:
            about: what to tell people who look at the file.

        Raises:
            StatecoreError: the folder cannot be used. Driving an account without a lock is never the answer to that.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StatecoreError(
                f"the lock folder {self.folder} cannot be used: {error.strerror}; set STATECORE_LOCK_DIR to one that can"
            ) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except OSError as error:
            os.close(file)
            raise StatecoreError(f"{self.path} cannot be locked: {error.strerror}; is it on a network disk?") from error
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(about).encode(), 0)
        self._file = file
        return True

    def holder(self) -> dict[str, Any]:
        """Return what the holder wrote about itself; empty if that cannot be read."""
        try:
            about = json.loads(self.path.read_bytes() or b"{}")
        except (OSError, ValueError):
            return {}
        return about if isinstance(about, dict) else {}

    def release(self) -> None:
        """Let go of the lock."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

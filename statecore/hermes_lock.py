"""The locks by which Hermes keeps two of its gateways from one bot, taken in its own way.

A statecore gateway and a Hermes gateway on one machine know nothing of each other, and would poll one token side by side.
So where Hermes is, an account also takes the lock that Hermes would take for it: a file per scope and identity, with the
process that holds it as JSON. It is no lock of the kernel's; whether it counts is judged by what it says, by both sides.

Two things follow from how Hermes judges (gateway/status.py of hermes-agent 0.19.0, `acquire_scoped_lock`):

- A record whose `start_time` fits a live process counts only if that process was called like a Hermes gateway. We are not.
  A record without a `start_time` counts for as long as there is a process of its number that is not stopped. So ours has
  none, and says for our own use, under `metadata`, when we began.
- An empty file counts as left over and is deleted. So ours appears whole, by a link, and not by opening and writing it.

A lock is removed only if it is ours to the byte, or if its holder is certainly gone. What Hermes deletes while we drive
(`hermes gateway run --replace` may) is noticed within seconds by `keep`.
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import attrs

from statecore import processes
from statecore.errors import StatecoreError
from statecore.lease import Holder, state_folder
from statecore.units import SECONDS
from statecore.world import here, random_id, wall_now

Scope = tuple[str, str]
"""Hermes' name of a kind of identity, and the identity: ("weixin-bot-token", the token)."""

KIND: Final = "statecore"

HALF_WRITTEN: Final = 5 * SECONDS
"""A record that cannot be read is given this long to be finished by who writes it; then it counts as left over."""

TRIES: Final = 5
"""A lock that changes under our hands this often in a row is somebody else's, for now."""


def lock_folder() -> Path:
    """Return where Hermes has its locks."""
    if chosen := os.environ.get("HERMES_GATEWAY_LOCK_DIR"):
        return Path(chosen)
    return state_folder() / "hermes" / "gateway-locks"


def is_here() -> bool:
    """Tell whether this user has, or had, a Hermes. Where there is none its folders are not made."""
    home = Path(os.environ.get("HERMES_HOME") or Path.home() / ".hermes")
    return bool(os.environ.get("HERMES_GATEWAY_LOCK_DIR")) or lock_folder().parent.is_dir() or home.is_dir()


@attrs.define
class HermesLocks:
    """Hermes' locks of one account.

    Args:
        scopes: returns what is to be locked now; a token may be replaced while it is held. Empty for platforms that
            Hermes does not know.
    """

    scopes: Callable[[], Sequence[Scope]] = attrs.field(repr=False)
    _held: dict[Path, str] = attrs.field(factory=dict, repr=False)

    def holder(self) -> Holder | None:
        """Return who else holds one of them, if anybody. Nothing is changed."""
        return next((found for path, _, _ in self._wanted() if (found := _owner(_read(path))) is not None), None)

    def try_acquire(self) -> Holder | None:
        """Take them all, or none.

        Returns:
            Who holds one of them; None if they are ours now.

        Raises:
            StatecoreError: the folder cannot be used.
        """
        try:
            for path, scope, digest in self._wanted():
                if (other := self._take(path, scope, digest)) is not None:
                    self.release()
                    return other
        except OSError as error:
            self.release()
            raise StatecoreError(
                f"the locks of Hermes in {lock_folder()} cannot be used: {error.strerror}; set HERMES_GATEWAY_LOCK_DIR to a"
                " folder that you and Hermes can write"
            ) from error
        return None

    def keep(self) -> Holder | None:
        """See that they are still held: take again what was deleted, and let go of what is wanted no more.

        Returns:
            Who has taken one of them from us; None if they are all ours.

        Raises:
            StatecoreError: the folder cannot be used.
        """
        wanted = {path for path, _, _ in self._wanted()}
        for path in set(self._held) - wanted:
            self._let_go(path)
        return self.try_acquire()

    @property
    def holds(self) -> bool:
        """Whether any is held."""
        return bool(self._held)

    def release(self) -> None:
        """Let go of them."""
        for path in list(self._held):
            self._let_go(path)

    def _wanted(self) -> Iterator[tuple[Path, str, str]]:
        scopes = self.scopes()
        if not scopes or not is_here():
            return
        for scope, identity in scopes:
            if identity:
                digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
                yield lock_folder() / f"{scope}-{digest}.lock", scope, digest

    def _take(self, path: Path, scope: str, digest: str) -> Holder | None:
        for _ in range(TRIES):
            found = _read(path)
            if found is not None and found == self._held.get(path):
                return None
            if found is not None:
                if (owner := _owner(found)) is not None:
                    return owner
                if _is_of_this_process(found):
                    return None  # Hermes itself runs us, and has it; it is not ours to delete
                _remove(path, found)
            record = _record(scope, digest)
            if _create(path, record):
                self._held[path] = record
                return None
        return Holder()

    def _let_go(self, path: Path) -> None:
        record = self._held.pop(path)
        with suppress(OSError):  # what cannot be deleted counts as left over when this process has ended
            if _read(path) == record:
                path.unlink()


def _record(scope: str, digest: str) -> str:
    pid, host = here()
    now = dt.datetime.fromtimestamp(wall_now() / SECONDS, tz=dt.UTC)
    about = {"platform": scope.partition("-")[0], "host": host, "begun": processes.begun(pid), "machine": _machine()}
    record = {"pid": pid, "kind": KIND, "argv": [KIND], "start_time": None, "scope": scope}
    return json.dumps({**record, "identity_hash": digest, "metadata": about, "updated_at": now.isoformat()})


def _machine() -> str:
    """Return what tells this run of the machine from every other; empty where there is no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _read(path: Path) -> str | None:
    """Return a record as it is; None if there is none."""
    try:
        return path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None


def _parsed(record: str) -> Mapping[str, Any] | None:
    try:
        found = json.loads(record)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _pid(found: Mapping[str, Any]) -> int | None:
    pid = found.get("pid")
    return pid if type(pid) is int and pid > 0 else None


def _about(found: Mapping[str, Any]) -> Mapping[str, Any]:
    about = found.get("metadata")
    return about if isinstance(about, dict) else {}


def _is_of_this_process(record: str) -> bool:
    found = _parsed(record)
    if found is None or _pid(found) != os.getpid():
        return False
    begun = processes.begun(os.getpid())
    said = _about(found).get("begun") if found.get("kind") == KIND else found.get("start_time")
    return said == begun and _about(found).get("machine", _machine()) == _machine()


def _owner(record: str | None) -> Holder | None:
    """Return the live process, other than this one, that holds a lock with this record."""
    found = _parsed(record) if record is not None else None
    pid = _pid(found) if found is not None else None
    if found is None or pid is None or pid == os.getpid() or processes.dead(pid):
        return None
    about, ours = _about(found), found.get("kind") == KIND
    if ours and about.get("machine") != _machine():
        return None
    said, begun = about.get("begun") if ours else found.get("start_time"), processes.begun(pid)
    if said is not None and begun is not None and said != begun:
        return None
    words = processes.command_line(pid)
    if not ours and words is not None and not _may_be_hermes(words):
        return None  # number and tick fit by accident: after a restart of the machine services get the same ones again
    host = about.get("host") if ours else here()[1]
    return Holder(program="process" if ours else "Hermes gateway", pid=pid, host=host if isinstance(host, str) else "")


def _may_be_hermes(words: Sequence[str]) -> bool:
    """Judge by how a process was called. It is laxer than Hermes' own judgement: waiting in vain can be seen and ended."""
    return any("hermes" in word.lower() or word.replace("\\", "/").endswith("gateway/run.py") for word in words)


def _create(path: Path, record: str) -> bool:
    """Make a lock file at once and whole; return whether there was none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{random_id()}")
    draft.write_text(record)
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _remove(path: Path, record: str) -> None:
    """Remove what a dead process left, unless it has changed hands meanwhile.

    It is moved aside, looked at again and only then deleted: between reading and deleting a path somebody may have put
    his own lock there.
    """
    if _parsed(record) is None and _is_young(path):
        return
    aside = path.with_name(f"{path.name}.{random_id()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if aside.read_bytes().decode(errors="replace") != record:
        with suppress(FileExistsError):
            os.link(aside, path)
    aside.unlink()


def _is_young(path: Path) -> bool:
    try:
        return wall_now() - path.stat().st_mtime_ns < HALF_WRITTEN
    except FileNotFoundError:
        return False

"""What the kernel says about other processes, and how to signal one and no other.

A process number alone names nobody: it is used again. So a process is named by its number and the moment at which it
began, and is signalled through a descriptor that goes on meaning that one process when its number means another.

Linux only. Elsewhere nothing is known, and what is not known is not signalled.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROC = Path("/proc")


def begun(pid: int) -> int | None:
    """Return when a process began, in clock ticks since the machine did; None if it is gone or that is not told.

    Source: proc_pid_stat(5), field 22. The second field is the command's name in parentheses, and may hold anything.
    """
    found = _stat(pid)
    return None if found is None else int(found[19])


def dead(pid: int) -> bool:
    """Tell whether a process has certainly ended: there is none of that number, or nobody has fetched its exit status."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    found = _stat(pid)
    return found is not None and found[0] in ("Z", "X")


def _stat(pid: int) -> list[str] | None:
    try:
        text = (PROC / str(pid) / "stat").read_bytes().decode(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return fields if len(fields) > 19 else None


def command_line(pid: int) -> list[str] | None:
    """Return how a process was called; None if that is not told."""
    try:
        text = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return None
    return [word.decode(errors="replace") for word in text.split(b"\0") if word] or None


def holds(pid: int, path: Path) -> bool:
    """Tell whether the kernel says that a process has *path* open with an exclusive lock (flock) on it.

    /proc/locks is not asked: it tells who took a lock, by a number, and the lock may have outlived that process in a
    child that inherited it, and the number may be another's by now. What is open in a process, and locked, is a fact about
    that process. Device numbers are compared as `stat` tells them, since on btrfs and overlayfs those in lock tables are
    others.
    """
    try:
        wanted = path.stat()
        for file in (PROC / str(pid) / "fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                there = file.stat()
                if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino) and _locked(pid, file.name):
                    return True
    except OSError:
        return False
    return False


def _locked(pid: int, file: str) -> bool:
    """Source: proc_pid_fdinfo(5), "lock": "1: FLOCK  ADVISORY  WRITE 359 00:13:11691 0 EOF"."""
    lines = (PROC / str(pid) / "fdinfo" / file).read_text().splitlines()
    locks = [line.split() for line in lines if line.startswith("lock:")]
    return any("FLOCK" in words and "WRITE" in words for words in locks)


def end(pid: int, number: int, is_meant: Callable[[], str]) -> str:
    """Send a signal to a process, if it is the one that is meant.

    Args:
        pid: its number.
        number: the signal.
        is_meant: says why the process of that number is not meant, or nothing if it is. It is asked while the descriptor
            is open, so whatever it looks at and the signal concern one process.

    Returns:
        Why no signal was sent; empty if it was.
    """
    try:
        with _handle(pid) as send:
            refusal = is_meant()
            if not refusal:
                send(number)
            return refusal
    except ProcessLookupError:
        return "it has ended"
    except PermissionError:
        return "it belongs to another user"


@contextmanager
def _handle(pid: int) -> Iterator[Callable[[int], None]]:
    """Open a process. Before Linux 5.3 there are no descriptors of processes; then a number is all there is."""
    try:
        file = os.pidfd_open(pid)
    except (AttributeError, NotImplementedError):
        yield lambda number: os.kill(pid, number)
        return
    except OSError as error:
        if isinstance(error, ProcessLookupError | PermissionError):
            raise
        yield lambda number: os.kill(pid, number)
        return
    try:
        yield lambda number: signal.pidfd_send_signal(file, number)
    finally:
        os.close(file)

"""Who waits for a journal's lock is seen by who holds it.

SQLite's lock is not fair: who lets go of it and takes it again at once keeps everybody else out, be it a `statecore send` or
another gateway on the same journal. So whoever waits for it says so, by a shared lock on the folder that the journal is in,
and a writer that has written for a while without a pause leaves the journal's lock alone for as long as somebody does.
A lock on the folder needs no file of its own, and ends with its process. Other journals in the folder see it too, and lose
nothing by a short pause.
"""

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

REST_S: Final = 0.003
"""One rest of a writer: longer than those that wait take to ask again."""

RESTS_MAX: Final = 20
"""Rests in a row. A process that says that it waits, and is stopped, must not stop the writer too."""

_NEVER: Final = threading.Event()


@contextmanager
def waiting(folder: Path) -> Iterator[Callable[[], None]]:
    """Wait for the lock of a journal in *folder*, and be seen to.

    Yields:
        Says so; to be called each time the lock was asked for in vain, since somebody may look at that very moment. Where
        it cannot be said, only chance decides who is next.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield lambda: None
        return

    def say() -> None:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)

    try:
        yield say
    finally:
        os.close(descriptor)


def let_others(folder: Path) -> None:
    """Rest for as long as somebody waits for the lock of a journal in *folder*; once, if that cannot be seen."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        _NEVER.wait(REST_S)
        return
    try:
        for _ in range(RESTS_MAX):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                _NEVER.wait(REST_S)
            else:
                return
    finally:
        os.close(descriptor)

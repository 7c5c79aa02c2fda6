"""What the kernel says about processes, asked about real ones.

B4: numbers are used again. Whatever is decided about a process is decided about the one that is meant, or not at all.
"""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from statecore import processes
from statecore.errors import StatecoreError
from statecore.lease import Holder, Lock
from statecore.world import here

HOLDS = """
import fcntl, sys
file = open(sys.argv[1], "r+")
getattr(fcntl, "flock" if sys.argv[2] != "record" else "lockf")(file, {"shared": fcntl.LOCK_SH}.get(sys.argv[2], fcntl.LOCK_EX))
print(flush=True)
sys.stdin.read()
"""

FORKS = """
import os, signal, sys
from pathlib import Path
from statecore.lease import Holder, Lock
lock = Lock("an identity", Path(sys.argv[1]))
assert lock.try_acquire(Holder())
if os.fork() == 0:
    lock.release()
    print(flush=True)
    sys.stdin.read()
    os._exit(0)
signal.pause()
"""


@contextmanager
def process(*arguments: str, code: str = "print(flush=True); input()") -> Iterator["subprocess.Popen[bytes]"]:
    """Run a process that waits."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        try:
            assert running.stdout is not None
            running.stdout.readline()
            yield running
        finally:
            running.kill()


@pytest.mark.parametrize(("how", "held"), [("exclusive", True), ("shared", False), ("record", False)])
def test_a_lock_is_seen_in_the_process_that_holds_it(tmp_path: Path, how: str, *, held: bool) -> None:
    """
    Another kind of lock on the file excludes nobody, and to have the file open is no lock at all.
    """
    file = tmp_path / "a file"
    file.touch()

    with process(str(file), how, code=HOLDS) as running, file.open():
        assert processes.holds(running.pid, file) is held
        assert not processes.holds(os.getpid(), file)
        assert not processes.holds(running.pid, tmp_path / "another")
    assert not processes.holds(running.pid, file)


def test_a_lock_of_another_file_by_the_same_name_is_none(tmp_path: Path) -> None:
    """
    The file was deleted and made anew: who holds the old one keeps nobody from the new one.
    """
    file = tmp_path / "a file"
    file.touch()

    with process(str(file), "exclusive", code=HOLDS) as running:
        file.rename(tmp_path / "old")
        file.touch()
        assert not processes.holds(running.pid, file)


def test_a_process_is_known_by_when_it_began_whatever_it_is_called(tmp_path: Path) -> None:
    """
    Its name stands in the same line, and may hold blanks and parentheses.
    """
    odd = tmp_path / "a ) S 1 (b"
    odd.symlink_to(sys.executable)

    with subprocess.Popen([str(odd), "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as running:
        try:
            mine, its = processes.begun(os.getpid()), processes.begun(running.pid)
            assert mine is not None
            assert its is not None
            assert its > mine
        finally:
            running.kill()
    assert processes.begun(running.pid) is None


def test_a_process_that_nobody_has_buried_is_dead() -> None:
    """
    hermes-agent#42126: a supervisor that had not fetched its exit status kept the successor waiting.
    """
    with process() as running:
        assert not processes.dead(running.pid)
        running.kill()
        os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOWAIT)
        assert processes.dead(running.pid)
    assert processes.dead(running.pid)


@pytest.mark.parametrize("pidfd", [True, False], ids=["by a descriptor", "by its number"])
def test_who_is_not_meant_is_not_signalled(monkeypatch: pytest.MonkeyPatch, *, pidfd: bool) -> None:
    """
    It is asked while the process is held, and before the signal; an older kernel lets nothing be held.
    """
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open")
    with process() as running:
        assert processes.end(running.pid, signal.SIGKILL, lambda: "it is another one") == "it is another one"
        assert running.poll() is None

        assert processes.end(running.pid, signal.SIGTERM, lambda: "") == ""

        assert running.wait() == -signal.SIGTERM
    assert processes.end(running.pid, signal.SIGTERM, lambda: "") == "it has ended"


def test_a_lock_never_ends_its_own_process_nor_the_first_of_all(tmp_path: Path) -> None:
    """
    Two gateways in one process, and a file that somebody has written by hand.
    """
    lock = Lock("an identity", tmp_path)
    _, host = here()
    mine = Holder(pid=os.getpid(), host=host, begun=processes.begun(os.getpid()) or 0)
    assert lock.try_acquire(mine)

    assert "this process" in lock.end_holder(mine, signal.SIGKILL)
    for pid in (0, 1, -1):
        assert lock.end_holder(Holder(pid=pid, host=host), signal.SIGKILL)
    lock.release()


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[1]", '{"pid": true}', '{"pid": "12"}', '{"pid": -12}', '{"pid": 1.5, "host": 3}', "\x00" * 9),
        *("[" * 100_000, f'{{"pid": {2**31}}}', f'{{"since": {2**63}, "begun": {10**40}}}'),
    ],
)
def test_a_lock_file_that_makes_no_sense_names_nobody(tmp_path: Path, text: str) -> None:
    """
    F5: it is cut off, or somebody has written it by hand.
    """
    lock = Lock("an identity", tmp_path)
    lock.path.write_text(text)

    assert lock.holder() == Holder()
    with lock.path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not lock.try_acquire(Holder())
        assert lock.end_holder(lock.holder(), signal.SIGKILL) == "it does not say which process it is"


def test_a_lock_ends_with_its_process_and_not_with_what_that_has_forked(tmp_path: Path) -> None:
    """
    B4: a handler has a pool of workers. They outlive a process that is killed, and would keep its account for good. And a
    worker that lets go takes nothing from its parent.
    """
    lock = Lock("an identity", tmp_path)
    with process(str(tmp_path), code=FORKS) as running:
        assert not lock.try_acquire(Holder())
        running.kill()
        running.wait()

        assert lock.try_acquire(Holder())
        lock.release()


def test_a_disk_that_is_full_keeps_nobody_from_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What the file says is for people. Who has the lock drives the account, and lets go of it like any other.
    """
    lock = Lock("an identity", tmp_path)

    def write(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", write)
    assert lock.try_acquire(Holder(pid=1))
    assert lock.holder() == Holder()
    monkeypatch.undo()

    other = Lock("an identity", tmp_path)
    assert not other.try_acquire(Holder())
    lock.release()
    assert other.try_acquire(Holder())
    other.release()


def test_the_lock_of_another_user_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    To look for another folder would be wrong here: two processes would drive one account. Where there is no such file the
    folder is what cannot be used.
    """
    lock = Lock("an identity", tmp_path)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(StatecoreError, match="set STATECORE_LOCK_DIR"):
        lock.try_acquire(Holder())
    lock.path.write_text("{}")
    with pytest.raises(StatecoreError, match="another user's") as refused:
        lock.try_acquire(Holder())
    assert "STATECORE_LOCK_DIR" not in str(refused.value)

"""Hermes' own locks: who holds one, who left one behind, and what may be touched.

B4 (hermes-agent#16376, #18778, #28561): locks that outlive their holder, whose number another process has by now; empty
files. B6: a lock that excludes nobody. Whether Hermes itself respects ours is asked of Hermes, in tests/peers.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from statecore import hermes_lock
from statecore.errors import StatecoreError
from statecore.hermes_lock import HermesLocks
from statecore.processes import begun

TOKEN = "0a1b2c3d4e5f@im.bot:CANARY"
NAME = "weixin-bot-token-d6939cb3853487f7.lock"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have a Hermes on this machine."""
    monkeypatch.setenv("HERMES_GATEWAY_LOCK_DIR", str(tmp_path / "locks"))
    return tmp_path / "locks"


def locks(*scopes: tuple[str, str]) -> HermesLocks:
    return HermesLocks(lambda: scopes or (("weixin-bot-token", TOKEN),))


@contextmanager
def process(*words: str) -> Iterator[int]:
    """Run a process that was called like this."""
    command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        try:
            yield running.pid
        finally:
            running.kill()


def left(folder: Path, record: dict[str, Any] | str) -> Path:
    """Leave a lock file there."""
    folder.mkdir(exist_ok=True)
    path = folder / NAME
    path.write_text(record if isinstance(record, str) else json.dumps(record))
    return path


def by_hermes(pid: int, start: int | None) -> dict[str, Any]:
    """Return what Hermes writes."""
    return {"pid": pid, "kind": "hermes-gateway", "argv": ["hermes", "gateway"], "start_time": start, "metadata": {}}


def test_a_lock_is_where_hermes_looks_and_says_what_it_reads(folder: Path) -> None:
    """
    The name is the scope and 16 digits of the identity's SHA-256. The token itself is nowhere, and `start_time` is not given:
    with one Hermes would look at our command line, find no Hermes, and delete the lock.
    """
    assert locks().try_acquire() is None

    (file,) = folder.iterdir()
    record = json.loads(file.read_text())
    assert file.name == NAME
    assert (record["pid"], record["start_time"], record["scope"]) == (os.getpid(), None, "weixin-bot-token")
    assert "CANARY" not in file.read_text()


def test_a_lock_is_gone_when_it_is_let_go(folder: Path) -> None:
    """
    Otherwise Hermes waits for a process that lives on and drives something else.
    """
    held = locks(("weixin-bot-token", TOKEN), ("qqbot-appid", "102"))
    assert held.try_acquire() is None
    assert len(list(folder.iterdir())) == 2

    held.release()

    assert list(folder.iterdir()) == []


def test_a_live_hermes_keeps_the_account(folder: Path) -> None:
    """
    Its lock is neither taken nor touched, and who it is is told. When it has ended the lock is ours.
    """
    with process("hermes", "gateway", "run") as pid:
        file = left(folder, by_hermes(pid, begun(pid)))
        before = file.read_bytes()

        owner = locks().try_acquire()

        assert str(owner).startswith(f"Hermes gateway {pid}")
        assert locks().holder() == owner
        held = locks()
        held.release()
        assert file.read_bytes() == before
        os.kill(pid, signal.SIGSTOP)  # Hermes would call that one gone; but it may go on, and poll
        assert locks().try_acquire() == owner
    assert locks().try_acquire() is None


@pytest.mark.parametrize(
    "how", ["number", "call", "no process", "no number", "not JSON", "a list", "ours, older", "ours, machine"]
)
def test_what_was_left_behind_keeps_nobody_out(folder: Path, how: str) -> None:
    """
    A number that another process has by now; the same number and even the same tick, for a service that is always started
    at the same moment (hermes-agent#28561); files cut off in the middle.
    """
    with process("cron") as pid:
        ours = {"pid": pid, "kind": "statecore", "start_time": None}
        records: dict[str, dict[str, Any] | str] = {
            "number": by_hermes(pid, (begun(pid) or 0) + 1),
            "call": by_hermes(pid, begun(pid)),
            "no process": by_hermes(2**22 + 1, 7),
            "no number": {"kind": "hermes-gateway"},
            "not JSON": '{"pid": 1',
            "a list": "[1]",
            "ours, older": {**ours, "metadata": {"begun": 7, "machine": hermes_lock._machine()}},
            "ours, machine": {**ours, "metadata": {"begun": begun(pid), "machine": "another run"}},
        }
        file = left(folder, records[how])
        os.utime(file, (0, 0))

        assert locks().holder() is None
        assert locks().try_acquire() is None

        assert json.loads(file.read_text())["pid"] == os.getpid()
        assert len(list(folder.iterdir())) == 1


def test_a_record_that_is_just_being_written_is_waited_for(folder: Path) -> None:
    """
    Hermes makes the file and then fills it. To delete it in between is to take a lock that somebody has.
    """
    file = left(folder, "")

    assert locks().try_acquire() is not None

    assert file.read_text() == ""


def test_another_statecore_that_has_it_is_waited_for(folder: Path) -> None:
    """
    Two accounts with one token, under two names: the kernel's locks are two, and this one is the same.
    """
    with process("anything") as pid:
        about = {"begun": begun(pid), "machine": hermes_lock._machine(), "host": "here"}
        left(folder, {"pid": pid, "kind": "statecore", "start_time": None, "metadata": about})

        assert str(locks().try_acquire()) == f"process {pid} on here"


def test_if_one_of_several_is_taken_none_is_kept(folder: Path) -> None:
    """
    Half a hold would keep Hermes out of a bot that nobody drives.
    """
    with process("hermes", "gateway", "run") as pid:
        left(folder, by_hermes(pid, begun(pid)))

        assert locks(("qqbot-appid", "102"), ("weixin-bot-token", TOKEN)).try_acquire() is not None

        assert [file.name for file in folder.iterdir()] == [NAME]


def test_what_others_put_in_its_place_is_not_deleted(folder: Path) -> None:
    """
    `hermes gateway run --replace` deletes every lock and takes its own. It is noticed, and what is there now stays.
    """
    held = locks()
    assert held.try_acquire() is None
    with process("hermes", "gateway", "run") as pid:
        file = left(folder, by_hermes(pid, begun(pid)))

        other = held.keep()

        assert other is not None
        held.release()
        assert json.loads(file.read_text())["pid"] == pid


def test_a_lock_that_was_deleted_is_taken_again(folder: Path) -> None:
    """
    Whoever tidied up did not mean to invite a second reader.
    """
    held = locks()
    held.try_acquire()
    (folder / NAME).unlink()

    assert held.keep() is None

    assert (folder / NAME).exists()


def test_a_new_token_is_locked_and_the_old_one_let_go(folder: Path) -> None:
    """
    A new login gives a new token, and that is what Hermes would lock.
    """
    scopes = [("weixin-bot-token", TOKEN)]
    held = HermesLocks(lambda: scopes)
    held.try_acquire()
    scopes[:] = [("weixin-bot-token", "another")]

    assert held.keep() is None

    (file,) = folder.iterdir()
    assert file.name != NAME


def test_a_lock_of_this_very_process_is_no_obstacle_and_not_ours_to_delete(folder: Path) -> None:
    """
    A Hermes that runs us inside it has its lock already.
    """
    file = left(folder, by_hermes(os.getpid(), begun(os.getpid())))
    held = locks()

    assert held.try_acquire() is None

    held.release()
    assert file.exists()


def test_where_there_is_no_hermes_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    It is not for us to make another program's folders.
    """
    monkeypatch.delenv("HERMES_GATEWAY_LOCK_DIR")
    monkeypatch.delenv("HERMES_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert locks().try_acquire() is None
    assert list(tmp_path.iterdir()) == []

    (tmp_path / ".hermes").mkdir()
    assert locks().try_acquire() is None
    assert (tmp_path / ".local/state/hermes/gateway-locks" / NAME).exists()


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    To drive the account all the same could make two readers of it.
    """
    (tmp_path / "file").touch()
    monkeypatch.setenv("HERMES_GATEWAY_LOCK_DIR", str(tmp_path / "file"))

    with pytest.raises(StatecoreError, match="HERMES_GATEWAY_LOCK_DIR"):
        locks().try_acquire()

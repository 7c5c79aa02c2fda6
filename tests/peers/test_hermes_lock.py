"""Whether Hermes itself, hermes-agent 0.19.0 from the package index, respects our locks in its folder, and we its.

What is a lock there is decided by its code, which looks at process numbers, start times and command lines; reading it is no
proof that it was understood.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from statecore.hermes_lock import HermesLocks
from tests.support.peers import HERMES

pytestmark = pytest.mark.peer

TOKEN: Final = "0a1b2c3d4e5f@im.bot:token"
OURS: Final = """
import sys
from statecore.hermes_lock import HermesLocks
held = HermesLocks(lambda: [("weixin-bot-token", sys.argv[1])])
print(held.try_acquire(), flush=True)
sys.stdin.read()
held.release()
"""
THEIRS: Final = """
import json, sys
from gateway.status import acquire_scoped_lock, release_scoped_lock
for line in sys.stdin:
    do, token = line.split()
    if do == "take":
        print(json.dumps(acquire_scoped_lock("weixin-bot-token", token, metadata={"platform": "weixin"})), flush=True)
    else:
        release_scoped_lock("weixin-bot-token", token)
        print("null", flush=True)
"""


@pytest.fixture(scope="module")
def python() -> str:
    """Return the interpreter of an environment with Hermes in it."""
    return HERMES.interpreter()


@attrs.define
class Other:
    """Another process."""

    process: "subprocess.Popen[str]"

    def do(self, what: str) -> Any:
        """Have Hermes take or release the lock; return what its function returns."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what} {TOKEN}\n")
        self.process.stdin.flush()
        return json.loads(self.hear())

    def hear(self) -> str:
        """Return its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@contextmanager
def running(folder: Path, *command: str, **environment: str) -> Iterator[Other]:
    surroundings = {"HOME": str(folder), "HERMES_GATEWAY_LOCK_DIR": str(folder / "locks"), "PATH": os.defpath}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings | environment
    ) as process:
        try:
            yield Other(process)
        finally:
            process.kill()


@contextmanager
def hermes(folder: Path, python: str) -> Iterator[Other]:
    """Run a Hermes that is called as its gateways are."""
    with running(folder, python, "-I", "-c", THEIRS, "hermes", "gateway", "run") as other:
        yield other


def test_hermes_keeps_away_from_a_bot_that_we_have(python: str, tmp_path: Path) -> None:
    """
    And takes it when we have let it go; or have died, without being able to.
    """
    path = os.pathsep.join(entry for entry in sys.path if entry)
    for ending in ("in order", "killed"):
        with (
            hermes(tmp_path, python) as theirs,
            running(tmp_path, sys.executable, "-c", OURS, TOKEN, PYTHONPATH=path) as ours,
        ):
            assert ours.hear() == "None\n"

            acquired, existing = theirs.do("take")

            assert acquired is False
            assert existing["pid"] == ours.process.pid
            if ending == "in order":
                ours.process.communicate("")
            else:
                ours.process.kill()
                ours.process.wait()
            acquired, _ = theirs.do("take")
            assert acquired is True
            theirs.do("release")


def test_we_keep_away_from_a_bot_that_hermes_has(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    And take it when it was let go; or was left behind.
    """
    monkeypatch.setenv("HERMES_GATEWAY_LOCK_DIR", str(tmp_path / "locks"))
    held = HermesLocks(lambda: [("weixin-bot-token", TOKEN)])
    for ending in ("in order", "killed"):
        with hermes(tmp_path, python) as theirs:
            acquired, _ = theirs.do("take")
            assert acquired is True

            assert str(held.try_acquire()).startswith(f"Hermes gateway {theirs.process.pid}")

            if ending == "in order":
                theirs.do("release")
            else:
                theirs.process.kill()
                theirs.process.wait()
            assert held.try_acquire() is None
            held.release()

"""The command line, as a person at a terminal or a cron job runs it."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from click.testing import CliRunner, Result

from statecore.cli import main

CONFIG = """\
journal = "gateway.db"
[accounts.wx]
platform = "weixin"
account_id = "0a1b2c3d4e5f@im.bot"
token = "token"
base_url = "http://127.0.0.1:9"
"""

HUNG_S = 120
"""A process that has not ended by then never would."""

CHAT = "o9cq80anna@im.wechat"


def environment(folder: Path) -> Mapping[str, str]:
    """Return an environment in which nothing outside of *folder* is used."""
    roots = [root for root in sys.path if root]
    return os.environ | {
        "STATECORE_LOCK_DIR": str(folder / "locks"),
        "COLUMNS": "100",
        "PYTHONPATH": os.pathsep.join(roots),
        "PYTHONUNBUFFERED": "1",
    }


def statecore(*arguments: str, cwd: Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "statecore", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=environment(cwd), input=stdin, capture_output=True, text=True, check=False, timeout=60
    )


def invoke(*arguments: object, stdin: str | bytes = b"") -> Result:
    """Run the command line in this process, which is ten times as fast. What it raises is an error of the test."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@contextmanager
def started(*arguments: str, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a Python program, and end it when the context is left. What it says, on either stream, is its `stdout`."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=cwd, env=environment(cwd), stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watchdog = threading.Timer(HUNG_S, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Read what a process says up to the line that holds *text*, and return that line."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"it ended without saying {text!r}; it said {''.join(seen)}")


def type_into(process: subprocess.Popen[str], line: str) -> None:
    """Type a line."""
    keyboard: IO[str] | None = process.stdin
    assert keyboard is not None
    keyboard.write(f"{line}\n")
    keyboard.flush()

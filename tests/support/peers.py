"""Clients no one here wrote, each in an environment of its own, driven by a script beside the tests that use it."""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

ENVIRONMENTS: Final = Path(__file__).parents[2] / ".cache" / "peers"
UNREACHABLE: Final = re.compile(r"Retrying \(|ConnectionError|ConnectTimeout|Temporary failure in name resolution")
STEP_S: Final = 60  # for one step of the other side; it imports for seconds, and the machine may be busy


@attrs.frozen
class Environment:
    """An environment with a peer in it.

    Args:
        name: of its folder.
        requirements: what is installed there, for pip.
    """

    name: str
    requirements: tuple[str, ...]

    def interpreter(self) -> str:
        """Return its interpreter; made once, and reused while its stamp is there."""
        folder = ENVIRONMENTS / self.name
        interpreter, stamp = folder / "bin" / "python", folder / "complete"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder.with_name(folder.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes make it once
            if not stamp.exists() or stamp.read_text() != "\n".join(self.requirements):
                shutil.rmtree(folder, ignore_errors=True)
                subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
                self._install(str(interpreter))
                stamp.write_text("\n".join(self.requirements))
        return str(interpreter)

    def _install(self, interpreter: str) -> None:
        options = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
        options += ["--no-compile"]  # thousands of modules come along, and dozens of them are imported
        command = [sys.executable, "-m", "pip", "--python", interpreter, "install", *options, *self.requirements]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        reasons = [line for line in result.stderr.splitlines() if UNREACHABLE.search(line)]
        if result.returncode and reasons:
            pytest.skip(f"the package index cannot be reached: {reasons[0]}")
        assert result.returncode == 0, result.stderr


HERMES: Final = Environment("hermes-0.19.0", ("hermes-agent==0.19.0", "aiohttp==3.14.1"))  # aiohttp: extra `messaging`
BOTPY: Final = Environment("botpy-1.2.1", ("qq-botpy==1.2.1", "aiohttp==3.14.1"))


def hermes_surroundings(home: Path) -> dict[str, str]:
    """Return the environment variables that keep a Hermes in *home*, away from the real one."""
    return {"HERMES_HOME": str(home / "hermes"), "HERMES_GATEWAY_LOCK_DIR": str(home / "locks")}


@attrs.define
class Peer:
    """The driver process."""

    process: trio.Process
    lines: AsyncIterator[str]
    errors: Path

    async def told(self, event: str) -> dict[str, Any]:
        """Wait for the next line it prints, which has to be this event."""
        with trio.fail_after(STEP_S):
            line = await anext(self.lines, None)
        assert line is not None, f"it ended: {self.errors.read_text()[-2000:]}"
        fact: dict[str, Any] = json.loads(line)
        assert fact["event"] == event, fact
        return fact

    async def do(self, what: str, **arguments: str) -> None:
        """Have it do something."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps({"do": what, **arguments}).encode() + b"\n")

    async def stop(self) -> None:
        """Have it stop, and wait until it has."""
        await self.do("stop")
        await self.told("stopped")


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[str, None]:
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()


@asynccontextmanager
async def running(
    python: str, driver: Path, options: Mapping[str, Any], home: Path, surroundings: Mapping[str, str] | None = None
) -> AsyncGenerator[Peer, None]:
    """Run a driver, away from the real home directory and from any proxy.

    Args:
        python: the interpreter of its environment.
        driver: the script.
        options: what it is told, as JSON in its first argument.
        home: what it takes for the home directory.
        surroundings: further environment variables.
    """
    with (home / "stderr.txt").open("wb") as errors:
        start = partial(
            trio.run_process,
            [python, "-I", str(driver), json.dumps(dict(options))],
            env={"HOME": str(home), "PATH": os.defpath, **(surroundings or {})},
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
        async with trio.open_nursery() as nursery:
            process: trio.Process = await nursery.start(start)
            assert process.stdout is not None
            async with aclosing(_lines(process.stdout)) as lines:
                yield Peer(process, lines, home / "stderr.txt")
            nursery.cancel_scope.cancel()

"""A client no one here wrote against the simulated WeChat server: hermes-agent 0.19.0, from the package index.

The simulator and our adapter come from one fact sheet, so they could be wrong together. Hermes was written against
the real server, by others; what it does here is evidence about the simulator.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from statecore_adapters.weixin.simulator import Bot, Knobs, Simulator, open_simulator

pytestmark = pytest.mark.peer

REQUIREMENTS: Final = ("hermes-agent==0.19.0", "aiohttp==3.14.1")  # aiohttp is in its extra `messaging`
ENVIRONMENT: Final = Path(__file__).parents[2] / ".cache" / "peers" / "hermes-0.19.0"
DRIVER: Final = Path(__file__).with_name("hermes_weixin_driver.py")
UNREACHABLE: Final = re.compile(r"Retrying \(|ConnectionError|ConnectTimeout|Temporary failure in name resolution")
ANN: Final = "o9cq80ann@im.wechat"
STEP_S: Final = 60  # for one step of the other side; it imports for seconds, and the machine may be busy


@pytest.fixture(scope="module")
def python() -> str:
    """Return the interpreter of an environment with the peer in it; made once, and reused while its stamp is there."""
    interpreter, stamp = ENVIRONMENT / "bin" / "python", ENVIRONMENT / "complete"
    ENVIRONMENT.parent.mkdir(parents=True, exist_ok=True)
    with ENVIRONMENT.with_name(ENVIRONMENT.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test processes make it once
        if not stamp.exists() or stamp.read_text() != "\n".join(REQUIREMENTS):
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
            _install(str(interpreter))
            stamp.write_text("\n".join(REQUIREMENTS))
    return str(interpreter)


def _install(interpreter: str) -> None:
    options = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
    command = [interpreter, "-m", "pip", "install", *options, *REQUIREMENTS]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    reasons = [line for line in result.stderr.splitlines() if UNREACHABLE.search(line)]
    if result.returncode and reasons:
        pytest.skip(f"the package index cannot be reached: {reasons[0]}")
    assert result.returncode == 0, result.stderr


@attrs.define
class Hermes:
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
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps({"do": what, **arguments}).encode() + b"\n")


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[str, None]:
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()


@asynccontextmanager
async def hermes(python: str, home: Path, sim: Simulator, bot: Bot) -> AsyncGenerator[Hermes, None]:
    """Run the adapter against *sim*, away from the real home directory and from any proxy."""
    options = {"base_url": sim.base_url, "token": bot.token, "account_id": bot.account_id, "user": ANN}
    environment = {
        "HOME": str(home),
        "HERMES_HOME": str(home / "hermes"),
        "HERMES_GATEWAY_LOCK_DIR": str(home / "locks"),
        "PATH": os.defpath,
    }
    with (home / "stderr.txt").open("wb") as errors:
        start = partial(
            trio.run_process,
            [python, "-I", str(DRIVER), json.dumps(options)],
            env=environment,
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
                yield Hermes(process, lines, home / "stderr.txt")
            nursery.cancel_scope.cancel()


async def _connected(peer: Hermes, sim: Simulator, bot: Bot) -> None:
    assert (await peer.told("connected"))["ok"] is True
    with trio.fail_after(STEP_S):
        await sim.wait_until(lambda: sim.held_polls(bot) == 1)


def test_hermes_hears_a_user_and_its_reply_reaches_the_phone(python: str, tmp_path: Path) -> None:
    """
    Poll, message, typing, reply: a whole turn, with every request in the official form.
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(hold_ms=35_000)) as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim, bot)
                message_id = sim.say(bot, ANN, "hello from the phone")
                heard = await peer.told("message")
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: len(sim.delivered(bot, ANN)) == 1)
                await peer.do("stop")
                await peer.told("stopped")
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: sim.held_polls(bot) == 0)
            reply = sim.delivered(bot, ANN)[0]

            assert heard["text"] == "hello from the phone"
            assert heard["message_id"] == str(message_id)  # no digit was lost on the way
            assert reply.text == "you said: hello from the phone"
            assert reply.context_token == bot.peer(ANN).latest_token
            assert sim.refusals() == []

    trio.run(main)


def test_hermes_reports_a_bare_refusal_as_a_failure(python: str, tmp_path: Path) -> None:
    """
    {"ret":-2} must look to Hermes as it does on the real server: it invents "rate limited" for it.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim, bot)
                await peer.do("send", to=ANN, text="nobody asked me")
                refused = await peer.told("sent")
                await peer.do("stop")
                await peer.told("stopped")

            assert refused["success"] is False
            assert "rate limited" in refused["error"]
            assert [(record.why, record.answer) for record in sim.refusals()] == [("window", {"ret": -2})]
            assert sim.delivered(bot) == []

    trio.run(main)


def test_a_send_of_hermes_is_recorded_with_its_client_id(python: str, tmp_path: Path) -> None:
    """
    The ground truth and the client agree on what was sent.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim, bot)
                sim.say(bot, ANN, "hello")
                await peer.told("message")
                await peer.do("send", to=ANN, text="one more thing")
                sent = await peer.told("sent")
                await peer.do("stop")
                await peer.told("stopped")
            by_text = {delivered.text: delivered for delivered in sim.delivered(bot, ANN)}

            assert sent["success"] is True
            assert by_text["one more thing"].client_id == sent["message_id"]

    trio.run(main)

"""The platform's own Python library against the simulated QQ platform: qq-botpy 1.2.1, from the package index.

It was written by those who run the real platform, so what it cannot digest here the simulator has wrong.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from statecore_adapters.qqbot.simulator import Bot, Close, Knobs, Simulator, open_simulator, problem

pytestmark = pytest.mark.peer

REQUIREMENTS: Final = ("qq-botpy==1.2.1", "aiohttp==3.14.1")
ENVIRONMENT: Final = Path(__file__).parents[2] / ".cache" / "peers" / "botpy-1.2.1"
DRIVER: Final = Path(__file__).with_name("botpy_driver.py")
UNREACHABLE: Final = re.compile(r"Retrying \(|ConnectionError|ConnectTimeout|Temporary failure in name resolution")
ANN: Final = "5A0C8D1E2B"
GROUP: Final = "9F3B77C2D0"
CHANNEL: Final = "600100200"
MEMBER: Final = "7460172331083428999"
INTENTS: Final = 1 << 25 | 1 << 30 | 1 << 12
STEP_S: Final = 60  # for one step of the other side; it imports for seconds, and the machine may be busy
CONCURRENCY: Final = 5  # it waits 5 s / max_concurrency after every connection


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
class Botpy:
    """The driver process."""

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


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncGenerator[str, None]:
    rest = b""
    async for data in stream:
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()


@asynccontextmanager
async def botpy(python: str, home: Path, sim: Simulator, bot: Bot) -> AsyncGenerator[Botpy, None]:
    """Run the library against *sim*, away from the real home directory and from any proxy."""
    options = {"api_base": sim.api_base, "token_url": sim.token_url, "app_id": bot.app_id, "secret": bot.secret}
    with (home / "stderr.txt").open("wb") as errors:
        start = partial(
            trio.run_process,
            [python, "-I", str(DRIVER), json.dumps(options)],
            env={"HOME": str(home), "PATH": os.defpath},
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
                yield Botpy(lines, home / "stderr.txt")
            nursery.cancel_scope.cancel()


async def _until(sim: Simulator, count: int) -> None:
    with trio.fail_after(STEP_S):
        await sim.wait_until(lambda: len(sim.delivered) == count)


def test_botpy_hears_four_scenes_and_its_replies_reach_them(python: str, tmp_path: Path) -> None:
    """
    Token, who am I, gateway/bot, Hello, Identify, READY; then every kind of message, and a reply to each.
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(max_concurrency=CONCURRENCY)) as sim:
            bot = sim.add_bot()
            async with botpy(python, tmp_path, sim, bot) as peer:
                ready = await peer.told("ready")
                ids, heard = [], []
                says: list[Callable[[], str]] = [
                    partial(sim.say_c2c, ANN, "one"),
                    partial(sim.say_group, GROUP, MEMBER, "two"),
                    partial(sim.say_channel, CHANNEL, MEMBER, "three"),
                    partial(sim.say_dm, MEMBER, "four"),
                ]
                for say in says:
                    ids.append(say())
                    heard.append(await peer.told("message"))
                    assert (await peer.told("sent"))["id"] == sim.delivered[-1].id
            identify = sim.identifies[0]

            assert ready["name"] == "robot"
            assert [record.endpoint for record in sim.requests[:3]] == ["token", "me", "gateway/bot"]
            assert (identify.intents, identify.shard, identify.refused) == (INTENTS, [0, 1], 0)
            assert [fact["scene"] for fact in heard] == ["c2c", "group", "channel", "dm"]
            assert [fact["id"] for fact in heard] == ids
            assert [fact["who"] for fact in heard] == [ANN, MEMBER, MEMBER, MEMBER]
            assert [(sent.scene, sent.target, sent.msg_id) for sent in sim.delivered] == [
                ("c2c", ANN, ids[0]),
                ("group", GROUP, ids[1]),
                ("channel", CHANNEL, ids[2]),
                ("dm", sim.dm_guild(MEMBER), ids[3]),
            ]
            assert [sent.text for sent in sim.delivered[:2]] == ["you said: one", "you said: two"]
            assert sim.refused == []
            assert sim.heartbeats != []

    trio.run(main)


def test_botpy_resumes_after_4009_and_hears_what_was_said_meanwhile(python: str, tmp_path: Path) -> None:
    """
    It resumes with session id and the last number, and takes the replay for ordinary events.
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(max_concurrency=CONCURRENCY)) as sim:
            bot = sim.add_bot()
            async with botpy(python, tmp_path, sim, bot) as peer:
                await peer.told("ready")
                sim.say_c2c(ANN, "before")
                await peer.told("message")
                await peer.told("sent")
                sim.order(Close(4009))
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: not sim.is_up())
                missed = sim.say_c2c(ANN, "meanwhile")
                events = [json.loads(await anext(peer.lines)) for _ in range(2)]
                await _until(sim, 2)
            by_name = {fact["event"]: fact for fact in events}

            assert by_name["message"]["id"] == missed
            assert [(fact.refused, fact.seq, fact.replayed) for fact in sim.resumes] == [(0, 2, 1)]
            assert len(sim.identifies) == 1
            assert [sent.text for sent in sim.seen] == ["you said: before", "you said: meanwhile"]

    trio.run(main)


def test_botpy_identifies_anew_after_op_9(python: str, tmp_path: Path) -> None:
    """
    It waits for the close that follows, and then begins a new session.
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(max_concurrency=CONCURRENCY)) as sim:
            bot = sim.add_bot()
            async with botpy(python, tmp_path, sim, bot) as peer:
                await peer.told("ready")
                sim.end_sessions()
                sim.order(Close(4009))
                await peer.told("ready")

            assert [fact.refused for fact in sim.resumes] == [4006]
            assert len(sim.identifies) == 2

    trio.run(main)


def test_botpy_reports_a_duplicate_with_the_words_of_the_platform(python: str, tmp_path: Path) -> None:
    """
    Every reply of this bot has msg_seq 1, so a message that is pushed twice is answered once.
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(max_concurrency=CONCURRENCY)) as sim:
            bot = sim.add_bot()
            async with botpy(python, tmp_path, sim, bot) as peer:
                await peer.told("ready")
                message_id = sim.say_c2c(ANN, "again")
                await peer.told("message")
                await peer.told("sent")
                sim.say_again(message_id)
                await peer.told("message")
                failed = await peer.told("failed")
                sim.script("messages", problem(11244), times=1)
                sim.say_c2c(ANN, "and now")
                await peer.told("message")
                refused = await peer.told("failed")

            assert failed["error"] == "message deduplicated, check msgseq"
            assert refused["type"] == "AuthenticationFailedError"
            assert [record.err_code for record in sim.refused] == [40054005, 11244]
            assert len(sim.delivered) == 1

    trio.run(main)

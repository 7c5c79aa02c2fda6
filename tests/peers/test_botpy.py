"""The platform's own Python library against the simulated QQ platform: qq-botpy 1.2.1, from the package index.

It was written by those who run the real platform, so what it cannot digest here the simulator has wrong.
"""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import trio

from statecore_adapters.qqbot.simulator import Bot, Close, Knobs, Simulator, open_simulator, problem
from tests.support.peers import BOTPY, STEP_S, Peer, running

pytestmark = pytest.mark.peer

DRIVER: Final = Path(__file__).with_name("botpy_driver.py")
ANN: Final = "5A0C8D1E2B"
GROUP: Final = "9F3B77C2D0"
CHANNEL: Final = "600100200"
MEMBER: Final = "7460172331083428999"
INTENTS: Final = 1 << 25 | 1 << 30 | 1 << 12
CONCURRENCY: Final = 5  # it waits 5 s / max_concurrency after every connection


@pytest.fixture(scope="module")
def python() -> str:
    """Return the interpreter of an environment with the peer in it."""
    return BOTPY.interpreter()


def botpy(python: str, home: Path, sim: Simulator, bot: Bot) -> AbstractAsyncContextManager[Peer]:
    """Run the library against *sim*, away from the real home directory and from any proxy."""
    options = {"api_base": sim.api_base, "token_url": sim.token_url, "app_id": bot.app_id, "secret": bot.secret}
    return running(python, DRIVER, options, home)


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

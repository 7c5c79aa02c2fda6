"""A client no one here wrote against the simulated QQ platform: hermes-agent 0.19.0, from the package index.

The simulator and our adapter come from one fact sheet, so they could be wrong together. Hermes was written against
the real platform, by others; what it does here is evidence about the simulator.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from statecore_adapters.qqbot.simulator import (
    Abort,
    Bot,
    Close,
    Knobs,
    Reconnect,
    Send,
    Simulator,
    open_simulator,
)
from tests.support.peers import HERMES, STEP_S, Peer, hermes_surroundings, running

pytestmark = pytest.mark.peer

DRIVER: Final = Path(__file__).with_name("hermes_qqbot_driver.py")
ANN: Final = "5A0C8D1E2B"
GROUP: Final = "9F3B77C2D0"
MEMBER: Final = "C0FFEE0001"
INTENTS: Final = 1 << 25 | 1 << 30 | 1 << 12 | 1 << 26  # what this version asks for


@pytest.fixture(scope="module")
def python() -> str:
    """Return the interpreter of an environment with the peer in it."""
    return HERMES.interpreter()


def hermes(python: str, home: Path, sim: Simulator, bot: Bot, **more: Any) -> AbstractAsyncContextManager[Peer]:
    """Run the adapter against *sim*, away from the real home directory and from any proxy."""
    options = {
        "api_base": sim.api_base,
        "token_url": sim.token_url,
        "app_id": bot.app_id,
        "secret": bot.secret,
        "user": ANN,
        **more,
    }
    return running(python, DRIVER, options, home, hermes_surroundings(home))


async def _connected(peer: Peer, sim: Simulator) -> None:
    assert (await peer.told("connected"))["ok"] is True
    with trio.fail_after(STEP_S):
        await sim.wait_until(sim.is_up)


async def _until(sim: Simulator, count: int) -> None:
    with trio.fail_after(STEP_S):
        await sim.wait_until(lambda: len(sim.delivered) == count)


def test_hermes_hears_a_person_and_a_group_and_its_replies_reach_them(python: str, tmp_path: Path) -> None:
    """
    Token, gateway, Hello, Identify, READY, and a whole turn in both scenes, each with its msg_id.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim)
                person = sim.say_c2c(ANN, "hello from a person")
                heard = await peer.told("message")
                await _until(sim, 1)
                group = sim.say_group(GROUP, MEMBER, "hello from a group")
                heard_too = await peer.told("message")
                await _until(sim, 2)
                await peer.stop()
            identify, (one, two) = sim.identifies[0], sim.delivered

            assert [record.endpoint for record in sim.requests[:2]] == ["token", "gateway"]
            assert (identify.intents, identify.shard, identify.refused) == (INTENTS, [0, 1], 0)
            assert (heard["text"], heard["message_id"], heard["chat_id"]) == ("hello from a person", person, ANN)
            assert (heard_too["text"], heard_too["message_id"]) == ("hello from a group", group)
            assert (heard_too["chat_id"], heard_too["user_id"]) == (GROUP, MEMBER)
            assert (one.scene, one.target, one.msg_id) == ("c2c", ANN, person)
            assert one.text == "you said: hello from a person"
            assert (two.scene, two.target, two.msg_id) == ("group", GROUP, group)
            assert two.text == "you said: hello from a group"
            assert sim.refused == []
            assert sim.seen == sim.delivered

    trio.run(main)


def test_hermes_resumes_after_4009_and_hears_what_was_said_meanwhile(python: str, tmp_path: Path) -> None:
    """
    The platform's most ordinary end of a connection, and what a Resume is for.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim)
                sim.say_c2c(ANN, "before")
                await peer.told("message")
                await _until(sim, 1)
                sim.order(Close(4009))
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: not sim.is_up())
                missed = sim.say_c2c(ANN, "meanwhile")
                heard = await peer.told("message")
                await _until(sim, 2)
                await peer.stop()

            assert heard["message_id"] == missed
            assert [(fact.refused, fact.replayed) for fact in sim.resumes] == [(0, 1)]
            assert sim.resumes[0].session_id == sim.identifies[0].session_id
            assert len(sim.identifies) == 1
            assert [sent.text for sent in sim.seen] == ["you said: before", "you said: meanwhile"]

    trio.run(main)


def test_hermes_resumes_after_op_7_and_after_a_reset(python: str, tmp_path: Path) -> None:
    """
    Two more ends of a connection, both without a close code of the platform.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim)
                sim.order(Reconnect())
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: len(sim.resumes) == 1 and sim.is_up())
                sim.order(Abort())
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: len(sim.resumes) == 2 and sim.is_up())
                await peer.stop()

            assert [fact.refused for fact in sim.resumes] == [0, 0]
            assert len(sim.identifies) == 1

    trio.run(main)


def test_hermes_identifies_anew_when_its_session_is_gone(python: str, tmp_path: Path) -> None:
    """
    Op 9 false to a Resume: the session is dropped, and the next connection identifies.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim)
                sim.end_sessions()
                sim.order(Close(4009))
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: len(sim.identifies) == 2 and sim.is_up())
                sim.say_c2c(ANN, "still there?")
                await peer.told("message")
                await _until(sim, 1)
                await peer.stop()

            assert [fact.refused for fact in sim.resumes] == [4006]
            assert len({fact.session_id for fact in sim.identifies}) == 2

    trio.run(main)


def test_hermes_beats_in_time_and_takes_odd_frames(python: str, tmp_path: Path) -> None:
    """
    It beats at 80 % of the interval it was told, which is inside the tolerance here; and the session survives an
    unknown op and an event nobody knows.
    """

    async def main() -> None:
        async with open_simulator(knobs=Knobs(heartbeat_interval_ms=500, heartbeat_tolerance=None)) as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot) as peer:
                await _connected(peer, sim)
                sim.order(Send({"op": 42}))
                sim.dispatch("SOMETHING_NEW", {"x": 1})
                with trio.fail_after(STEP_S):
                    await sim.wait_until(lambda: any(beat.seq == 2 for beat in sim.heartbeats))
                await peer.stop()

            assert len(sim.dials) == 1

    trio.run(main)


def test_hermes_reports_a_refusal_in_the_words_of_the_platform(python: str, tmp_path: Path) -> None:
    """
    Its error keeps the message and drops the number. Markdown with an approved bot goes through as it is.
    """

    async def main() -> None:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            async with hermes(python, tmp_path, sim, bot, markdown=True) as peer:
                await _connected(peer, sim)
                await peer.do("send", to=ANN, text="nobody asked me", reply_to="made up")
                refused = await peer.told("sent")
                message_id = sim.say_c2c(ANN, "hello")
                await peer.told("message")
                await _until(sim, 1)
                await peer.do("send", to=ANN, text="**one more**", reply_to=message_id)
                sent = await peer.told("sent")
                await peer.stop()

            assert refused["success"] is False
            assert "msg_id invalid" in refused["error"]
            assert [record.err_code for record in sim.refused] == [40034024]
            assert sent["success"] is True
            assert (sim.delivered[1].msg_type, sim.delivered[1].text) == (2, "**one more**")
            assert sim.delivered[1].id == sent["message_id"]

    trio.run(main)

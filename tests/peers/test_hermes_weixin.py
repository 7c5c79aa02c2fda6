"""A client no one here wrote against the simulated WeChat server: hermes-agent 0.19.0, from the package index.

The simulator and our adapter come from one fact sheet, so they could be wrong together. Hermes was written against
the real server, by others; what it does here is evidence about the simulator.
"""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final

import pytest
import trio

from statecore_adapters.weixin.simulator import Bot, Knobs, Simulator, open_simulator
from tests.support.peers import HERMES, STEP_S, Peer, hermes_surroundings, running

pytestmark = pytest.mark.peer

DRIVER: Final = Path(__file__).with_name("hermes_weixin_driver.py")
ANN: Final = "o9cq80ann@im.wechat"


@pytest.fixture(scope="module")
def python() -> str:
    """Return the interpreter of an environment with the peer in it."""
    return HERMES.interpreter()


def hermes(python: str, home: Path, sim: Simulator, bot: Bot) -> AbstractAsyncContextManager[Peer]:
    """Run the adapter against *sim*, away from the real home directory and from any proxy."""
    options = {"base_url": sim.base_url, "token": bot.token, "account_id": bot.account_id, "user": ANN}
    return running(python, DRIVER, options, home, hermes_surroundings(home))


async def _connected(peer: Peer, sim: Simulator, bot: Bot) -> None:
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

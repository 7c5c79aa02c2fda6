"""A7: what was said while there was no socket, on a platform that replays it to whoever resumes and to nobody else.

The real adapter, gateway and simulator of QQ, in virtual time.
"""

from pathlib import Path

import pytest
import trio

from statecore_adapters.qqbot.simulator import Close, Freeze
from tests.support.clock import virtual
from tests.support.qq_scene import QQScene, open_virtual_qq, stands

USER, GROUP = "5A0C8D1E", "9F3B77C2"


@pytest.mark.parametrize("stood_s", [4, 20, 50])
def test_a_platform_that_ends_good_sessions_every_few_seconds_loses_no_message(tmp_path: Path, stood_s: int) -> None:
    """
    As while its gateways are restarted one after the other. Each end is a routine resume; a new session would get no replay.
    """

    async def main() -> tuple[list[str], int]:
        async with open_virtual_qq(tmp_path) as scene, trio.open_nursery() as nursery:
            nursery.start_soon(scene.echo)
            for number in range(6):
                await stands(scene)
                await trio.sleep(stood_s)
                scene.sim.order(Close(4009))
                await trio.sleep(0.2)
                scene.sim.say_c2c(USER, f"hello {number}")
            with trio.move_on_after(600):
                await scene.sim.wait_until(lambda: len(scene.sim.seen) >= 6)
            nursery.cancel_scope.cancel()
            return [one.text for one in scene.sim.seen], len(scene.sim.identifies)

    texts, begun = virtual(main)

    assert texts == [f"hello {number}" for number in range(6)]
    assert begun == 1


def test_what_is_answered_too_late_after_an_outage_that_went_unnoticed_waits_and_is_not_refused(tmp_path: Path) -> None:
    """
    Nobody acknowledges for up to two intervals before the socket is given up, and the message that is replayed then is as
    old as that. The platform counts its five minutes from when it was written.
    """

    async def main() -> tuple[int, list[str]]:
        async with open_virtual_qq(tmp_path) as scene, trio.open_nursery() as nursery:
            nursery.start_soon(_answer_late, scene)
            await stands(scene)
            scene.sim.order(Freeze())
            scene.sim.say_group(GROUP, USER, "hello")
            await trio.sleep(400)
            scene.sim.say_group(GROUP, USER, "still there?")
            with trio.move_on_after(600):
                await scene.sim.wait_until(lambda: len(scene.sim.seen) >= 1)
            nursery.cancel_scope.cancel()
            return len(scene.sim.refused), [one.text for one in scene.sim.seen]

    refused, texts = virtual(main)

    assert refused == 0
    assert texts == ["the answer"]


async def _answer_late(scene: QQScene) -> None:
    """Think for longer than the group is open, if it was written when it says; and answer once."""
    async for message in scene.gateway.inbox():
        async with message:
            if message.text == "hello":
                await trio.sleep(265)
                await scene.gateway.send(message.account, message.chat, "the answer", reply_to=message, key=message.id)

"""Figures 1 to 3 of the gateway: what becomes of messages that the platform refuses."""

from typing import Final

import trio

from tests.figures.registry import Measured
from tests.figures.scene import Scene, open_scene, send_all, tally

RATE_LIMITED: Final = {"ret": -2, "errcode": -2, "errmsg": "rate limited"}
PREPARE_FAILED: Final = {"ret": -2, "errmsg": "prepare failed"}

CHATS: Final = 4
EACH: Final = 5


def _texts(scene: Scene) -> dict[str, list[str]]:
    return {user: [f"message {number}" for number in range(EACH)] for user in scene.users}


async def storm() -> Measured:
    """Measure 20 messages to 4 chats while all sends are refused for the first 20 s."""
    async with open_scene(CHATS) as scene:
        texts = _texts(scene)
        began = trio.current_time()
        scene.sim.script("sendmessage", RATE_LIMITED, until=began + 20)
        receipts = await send_all(scene.gateway, texts)
        with trio.move_on_after(75 - (trio.current_time() - began)):
            for receipt in receipts:
                await receipt.settled()
        await trio.sleep(3)  # long enough for a copy to show
        found = tally(scene.sim.delivered(scene.bot), texts)
        took = found.last_at - began
        return Measured(
            f"{found} after {took:.1f} s, {scene.sim.refused} refused requests",
            holds=found.whole and took <= 75 and scene.sim.refused <= 12,
        )


async def stale_tokens() -> Measured:
    """Measure the same while three of four chats hold a stale token."""
    async with open_scene(CHATS) as scene:
        texts = _texts(scene)
        for user in scene.users[:3]:
            scene.sim.stale(scene.bot, user, body=RATE_LIMITED)
        began = trio.current_time()
        receipts = await send_all(scene.gateway, texts)
        with trio.move_on_after(35):
            for receipt in receipts:
                await receipt.settled()
        await trio.sleep(3)
        found = tally(scene.sim.delivered(scene.bot), texts)
        took = found.last_at - began
        refused = [sum(one.user == user for one in scene.sim.refusals("sendmessage")) for user in scene.users]
        return Measured(
            f"{found} after {took:.1f} s, {', '.join(map(str, refused[:3]))} refused requests in the stale chats",
            holds=found.whole and took <= 30 and max(refused[:3]) <= 1 and refused[3] == 0,
        )


async def dead_chat() -> Measured:
    """Measure the same while one chat is answered "prepare failed" for ever; in the end its user writes."""
    async with open_scene(CHATS) as scene:
        dead, *others = scene.users
        texts = _texts(scene)
        refusing = scene.sim.script("sendmessage", PREPARE_FAILED, for_user=dead)
        began = trio.current_time()
        receipts = await send_all(scene.gateway, texts)
        healthy = {user: texts[user] for user in others}
        with trio.move_on_after(30):
            while tally(scene.sim.delivered(scene.bot), healthy).arrived < len(others) * EACH:
                await scene.sim.next_change()
        took = tally(scene.sim.delivered(scene.bot), healthy).last_at - began
        await trio.sleep(max(0.0, began + 35 - trio.current_time()))  # and it stays refused for longer than that
        seen = scene.chat(dead)
        refused = scene.sim.refused
        refusing.cancel()
        scene.sim.say(scene.bot, dead, "are you there?")
        wrote = trio.current_time()
        with trio.move_on_after(20):
            for receipt in receipts:
                await receipt.settled()
        await trio.sleep(3)
        found = tally(scene.sim.delivered(scene.bot), healthy)
        freed = tally(scene.sim.delivered(scene.bot, dead), {dead: texts[dead]})
        explained = seen is not None and seen.waiting == EACH and bool(seen.reason) and bool(seen.action)
        said = f"{seen.waiting} live as {seen.state!r}" if seen is not None else "not in the status"
        return Measured(
            f"the others: {found} after {took:.1f} s; the refused chat: {said}, {refused} refused requests in 35 s, "
            f"then {freed} {freed.last_at - wrote:.1f} s after its user wrote",
            holds=found.whole and took <= 25 and explained and freed.whole,
            notes=() if seen is None else (f"status says: {seen.reason}; {seen.action}",),
        )

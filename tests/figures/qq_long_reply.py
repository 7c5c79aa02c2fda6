"""Figure 4 of QQ: a reply of 9,000 characters, with what the platform allows in answer to one message."""

from typing import Any, Final

import attrs
import trio

from statecore_adapters.qqbot.simulator import Delivered
from statecore_adapters.qqbot.simulator.records import Scene
from tests.figures.registry import Measured, scratch
from tests.support.qq_scene import ACCOUNT, QQScene, open_qq

CHARS: Final = 9000
BUDGET: Final = 4
USER: Final = "5A0C8D1E"
GROUP: Final = "9F3B77C2"
LONG_TEXT: Final = "".join(f"{'word ' * 17}{number:04d}\n" for number in range(CHARS // 90))
assert len(LONG_TEXT) == CHARS

AFTER_S: Final = 3.0
"""Nothing may follow within it."""


@attrs.frozen
class Variant:
    """One way in which a long reply comes about.

    Args:
        scene: where.
        text_chars: the longest part; None for what an account has by default.
    """

    scene: Scene
    text_chars: int | None = None

    @property
    def says(self) -> str:
        """What it is, for the figure."""
        return f"{self.scene}, {f'{self.text_chars} a part' if self.text_chars else 'as configured by default'}"


VARIANTS: Final = (Variant("c2c"), Variant("c2c", 2000), Variant("group", 2000))


@attrs.frozen
class _Found:
    """What came of one variant.

    Args:
        variant: which.
        parts: what the reply was cut into.
        first: what was seen in answer to the first message, and
        rest: in answer to the second.
        said: the ids of these messages.
        reason: what status said in between.
        refused: sends that were refused.
        whole: whether all of it was seen, in order.
    """

    variant: Variant
    parts: int
    first: list[Delivered]
    rest: list[Delivered]
    said: tuple[str, str]
    reason: str
    refused: int
    whole: bool

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        expected = min(self.parts, BUDGET)
        answers = [self.first, self.rest] if self.rest else [self.first]
        return (
            len(self.first) == expected
            and len(self.rest) == self.parts - expected
            and all(one.msg_id == said for part, said in zip(answers, self.said, strict=False) for one in part)
            and all([one.msg_seq for one in part] == [*range(1, len(part) + 1)] for part in answers)
            and bool(self.reason) == (self.parts > BUDGET)
            and self.whole
            and not self.refused
        )

    def __str__(self) -> str:
        seqs = " ".join(str(one.msg_seq) for one in self.first)
        rest = f", then {len(self.rest)} in answer to the next message" if self.rest else ""
        return (
            f"{self.variant.says}: {len(self.first)} of {self.parts} parts as number {seqs}{rest}, {self.refused} refused"
            f"{'' if self.holds else ', which is not as it must be'}"
        )


async def long_reply() -> Measured:
    """Measure every variant, one after the other."""
    found = [await _measure(variant) for variant in VARIANTS]
    return Measured(
        "; ".join(map(str, found)),
        holds=all(one.holds for one in found),
        notes=tuple(f"{one.variant.says}: status said: {one.reason or 'nothing'}" for one in found),
    )


async def _measure(variant: Variant) -> _Found:
    settings: dict[str, Any] = {} if variant.text_chars is None else {"text_chars": variant.text_chars}
    with scratch() as folder:
        async with open_qq(folder, **settings) as scene:
            sim, inbox = scene.sim, scene.gateway.inbox()
            await sim.wait_until(sim.is_up)
            asked = _say(scene, variant, "tell me everything")
            async with await anext(inbox) as message:
                await scene.gateway.send(ACCOUNT, message.chat, LONG_TEXT, reply_to=message)
            parts = scene.parts(LONG_TEXT)
            first = await _arrive(scene, min(len(parts), BUDGET))
            chats = scene.status().chats
            again = _say(scene, variant, "go on")
            rest = (await _arrive(scene, len(parts)))[len(first) :]
            return _Found(
                variant=variant,
                parts=len(parts),
                first=first,
                rest=rest,
                said=(asked, again),
                reason=f"{chats[0].state}: {chats[0].reason}; {chats[0].action}" if chats else "",
                refused=len(sim.refused),
                whole=[one.text for one in sim.seen] == parts,
            )


async def _arrive(scene: QQScene, count: int) -> list[Delivered]:
    """Wait for so many parts, and whether more follow."""
    with trio.move_on_after(20):
        await scene.sim.wait_until(lambda: len(scene.sim.seen) >= count)
    await trio.sleep(AFTER_S)
    return list(scene.sim.seen)


def _say(scene: QQScene, variant: Variant, text: str) -> str:
    if variant.scene == "group":
        return scene.sim.say_group(GROUP, USER, text)
    return scene.sim.say_c2c(USER, text)

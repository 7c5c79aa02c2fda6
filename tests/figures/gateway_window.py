"""Figure 4 of the gateway: what the platform allows is spent in advance, and each message of the user allows more."""

from typing import Final

import attrs
import trio

from statecore import open_gateway
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin.simulator import Bot, Simulator, open_simulator
from tests.figures.registry import Measured, scratch
from tests.figures.scene import Scene

PARTS: Final = 25
ALLOWED: Final = 10
USER: Final = "o9cq80user@im.wechat"
PART_CHARS: Final = 100


@attrs.frozen
class Variant:
    """One way in which 25 parts come about; each has an account of its own.

    Args:
        account: its name.
        says: what it is, for the figure.
        texts: what is sent.
    """

    account: str
    says: str
    texts: tuple[str, ...]


LONG_TEXT: Final = " ".join(f"{'word ' * 17}{number:04d}." for number in range(PARTS))
VARIANTS: Final = (
    Variant("text", "one text of 25 parts", (LONG_TEXT,)),
    Variant("messages", "25 messages", tuple(f"message {number}" for number in range(PARTS))),
)


async def quota() -> Measured:
    """Measure both variants side by side, each against its own bot with the quota as it is on the platform."""
    with scratch() as folder:
        async with open_simulator() as sim:
            bots = {one.account: sim.add_bot(f"00000000000{n}@im.bot") for n, one in enumerate(VARIANTS)}
            accounts = {
                name: Weixin(
                    account_id=bot.account_id,
                    token=bot.token,
                    base_url=sim.base_url,
                    **({"text_chars": PART_CHARS} if name == "text" else {}),  # type: ignore[arg-type]
                )
                for name, bot in bots.items()
            }
            parts = {one.account: _parts(accounts[one.account], one) for one in VARIANTS}
            assert all(len(found) == PARTS for found in parts.values()), {name: len(p) for name, p in parts.items()}
            async with open_gateway(folder / "gateway.db", accounts, signals=False) as gateway:
                found: dict[str, _Found] = {}

                async def measure(variant: Variant) -> None:
                    scene = Scene(sim, bots[variant.account], gateway, [USER])
                    found[variant.account] = await _measure(scene, variant, parts[variant.account])

                async with trio.open_nursery() as nursery:
                    for variant in VARIANTS:
                        nursery.start_soon(measure, variant)
    return Measured(
        "; ".join(f"{one.says}: {found[one.account].text}" for one in VARIANTS),
        holds=all(one.holds for one in found.values()),
        notes=tuple(f"{one.says}: status said: {found[one.account].reason}" for one in VARIANTS),
    )


def _parts(account: Weixin, variant: Variant) -> list[str]:
    return [part for text in variant.texts for part in account.platform.split(text)]


@attrs.frozen
class _Found:
    text: str
    reason: str
    holds: bool


async def _measure(scene: Scene, variant: Variant, parts: list[str]) -> _Found:
    """Send everything after one message of the user, let them write twice more, and look after each time."""
    sim, bot, account = scene.sim, scene.bot, variant.account
    delivered: list[int] = []
    reasons: list[str] = []
    for round_ in range(3):
        sim.say(bot, USER, f"hello {round_}")
        await scene.heard(round_ + 1, account)
        if round_ == 0:
            for text in variant.texts:
                await scene.gateway.send(account, USER, text)
        expected = min(PARTS, ALLOWED * (round_ + 1))
        with trio.move_on_after(20):
            await _arrived(sim, bot, expected)
        await trio.sleep(3)  # nothing may follow
        delivered.append(len(sim.delivered(bot)))
        chat = scene.chat(USER, account)
        reasons.append(f"{chat.reason}; {chat.action}" if chat is not None and chat.reason and chat.action else "")
    refused = sum(one.bot is bot for one in sim.refusals("sendmessage"))
    in_order = [one.text for one in sim.delivered(bot)] == parts
    return _Found(
        f"{', '.join(map(str, delivered))} delivered after 1, 2, 3 messages of the user, {refused} refused requests"
        f"{'' if in_order else ', not in order or not whole'}",
        reason=reasons[0] or "nothing",
        holds=delivered == [10, 20, 25] and refused <= 1 and in_order and all(reasons[:2]) and not reasons[2],
    )


async def _arrived(sim: Simulator, bot: Bot, count: int) -> None:
    await sim.wait_until(lambda: len(sim.delivered(bot)) >= count)

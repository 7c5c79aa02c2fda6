"""The scenes of the demo: one gateway, two simulated platforms, and what befalls them."""

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from statecore.cli.demo.display import Display, Phones, Scene
from statecore.gateway import Gateway, Options
from statecore.messages import Delivered, Receipt
from statecore.settings import build
from statecore.wiring import open_gateway
from statecore.world import cpu_seconds
from statecore_adapters.qqbot import QQBot
from statecore_adapters.qqbot.simulator import Close
from statecore_adapters.qqbot.simulator import open_simulator as open_qq
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin.simulator import Knobs
from statecore_adapters.weixin.simulator import open_simulator as open_wechat

USERS: Final = tuple(f"o9cq80{name}@im.wechat" for name in ("anna", "bela", "chen", "dong"))
PEOPLE: Final = ("ANNA", "BELA")
REFUSAL: Final = {"ret": -2, "errcode": -2, "errmsg": "rate limited"}
TOKEN: Final = "demo-token"  # noqa: S105 - of a simulated bot
APP_ID: Final = "102000001"

QUICK: Final[dict[str, dict[str, str | float]]] = {
    "pacing": {"per_second": 4, "burst": 2, "recovery": "2s"},
    "circuit": {"cooldown": "1s", "chat_cooldown": "3s", "forget": "1s"},
}
"""Faster than the defaults (one message a second, circuits from 2 s and 30 s), so that it all fits into a minute."""


@attrs.define
class Stage:
    """What all scenes share."""

    sim: Any
    bot: Any
    qq: Any
    path: Path
    folder: Path
    brief: bool
    display: Display = attrs.field(init=False)

    def settings(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return the accounts, as a user would write them: (platform, settings) by name."""
        wx = {"account_id": self.bot.account_id, "token": self.bot.token, "base_url": self.sim.base_url, **QUICK}
        qq = {
            "app_id": APP_ID,
            "client_secret": TOKEN,
            "api_base": self.qq.api_base,
            "token_url": self.qq.token_url,
            "backoff": {"cap": "4s"},
        }
        return {"wx": ("weixin", wx), "qq": ("qqbot", qq)}

    def accounts(self) -> dict[str, Any]:
        """Return the accounts."""
        settings = self.settings()
        kinds = {"wx": Weixin, "qq": QQBot}
        return {name: build(kinds[name], values, f"accounts.{name}") for name, (_, values) in settings.items()}

    def delivered(self) -> list[tuple[str, str]]:
        """Return (to whom, text) of what is on the phones."""
        wechat = [(message.to, message.text) for message in self.bot.delivered]
        return wechat + [(message.target, message.text) for message in self.qq.seen]

    def refused(self) -> int:
        """Return how many requests were refused."""
        return int(self.sim.refused) + len(self.qq.refused)

    def outage(self, seconds: float) -> float:
        """Shorten an outage if asked to."""
        return seconds / 3 if self.brief else seconds

    @asynccontextmanager
    async def measured(self, scene: Scene) -> AsyncIterator[None]:
        """Count what a scene does."""
        self.display.begin(scene)
        before, refused, began = self.delivered(), self.refused(), trio.current_time()
        yield
        texts = self.delivered()
        for text in before:
            texts.remove(text)
        scene.delivered = len(set(texts))
        scene.duplicates = len(texts) - len(set(texts))
        scene.refused = self.refused() - refused
        scene.seconds = trio.current_time() - began
        for user in (*USERS, *PEOPLE):
            mine = list(dict.fromkeys(text for to, text in texts if to == user))
            scene.in_order &= mine == sorted(mine, key=_number)
        self.display.end(scene)


def _number(text: str) -> int:
    return int(text.rpartition(" ")[2])


async def play(path: Path, folder: Path, *, brief: bool, quiet: bool) -> list[Scene]:
    """Play all scenes.

    Args:
        path: of the journal.
        folder: for whatever else is needed.
        brief: whether outages are shorter.
        quiet: whether nothing is shown.
    """
    os.environ.setdefault("STATECORE_LOCK_DIR", str(folder / "locks"))
    scenes: list[Scene] = []
    async with open_wechat(knobs=Knobs(hold_ms=2000)) as sim, open_qq() as qq, trio.open_nursery() as nursery:
        qq.add_bot(APP_ID, TOKEN)
        stage = Stage(sim, sim.add_bot("0a1b2c3d4e5f@im.bot", TOKEN), qq, path, folder, brief)
        stage.display = Display(path, Phones(stage.delivered, stage.refused), quiet=quiet)
        nursery.start_soon(stage.display.run)
        async with open_gateway(path, stage.accounts(), options=Options(incidents="off"), signals=False) as gateway:
            for user in USERS:
                sim.say(stage.bot, user, "hello")
            acts: tuple[Callable[[Stage, Gateway], Awaitable[Scene]], ...] = (_storm, _outlast, _stale)
            for act in acts:
                scenes.append(await act(stage, gateway))
                for user in USERS:
                    sim.say(stage.bot, user, "go on")
        scenes.append(await _handover(stage))
        scenes.append(await _busy_loop(stage))
        await stage.display.finish()
        nursery.cancel_scope.cancel()
    return scenes


async def _send(gateway: Gateway, scene: Scene, each: int, word: str) -> list[Receipt]:
    receipts = []
    for number in range(each):
        for user in USERS:
            receipts.append(await gateway.send("wx", user, f"{word} {number}"))
            scene.accepted += 1
    return receipts


async def _settle(receipts: list[Receipt]) -> None:
    with trio.move_on_after(120):
        for receipt in receipts:
            outcome = await receipt.settled()
            assert isinstance(outcome, Delivered), outcome


# ---- the scenes ------------------------------------------------------------------------------------------------------


async def _storm(stage: Stage, gateway: Gateway) -> Scene:
    seconds = stage.outage(6)
    scene = Scene(
        "1. retry storm",
        f"20 messages to 4 chats at once, and the platform refuses everything for {seconds:.0f} s. "
        "One program made 160 requests of it and died of its own retries.",
    )
    return await _through_refusals(stage, gateway, scene, seconds, 5, "storm")


async def _outlast(stage: Stage, gateway: Gateway) -> Scene:
    seconds = stage.outage(14)
    scene = Scene(
        "2. silent drop",
        f"The platform refuses for {seconds:.0f} s, longer than any fixed number of retries lasts. "
        "One program gave up after 12 s, and told nobody.",
    )
    return await _through_refusals(stage, gateway, scene, seconds, 1, "answer")


async def _through_refusals(
    stage: Stage, gateway: Gateway, scene: Scene, seconds: float, each: int, word: str
) -> Scene:
    async with stage.measured(scene):
        stage.sim.script("sendmessage", REFUSAL, until=trio.current_time() + seconds)
        await _settle(await _send(gateway, scene, each, word))
    return scene


async def _stale(stage: Stage, gateway: Gateway) -> Scene:
    scene = Scene(
        "3. stale token",
        "Three of four chats hold a token that has gone stale, which is refused with the very code of a rate limit. "
        "One attempt without the token tells the two apart.",
    )
    async with stage.measured(scene):
        for user in USERS[:3]:
            stage.sim.stale(stage.bot, user)
        await _settle(await _send(gateway, scene, 3, "hello"))
    return scene


async def _handover(stage: Stage) -> Scene:
    """Start a second process while the first still holds the account, and let the first go slowly."""
    seconds = stage.outage(6)
    scene = Scene(
        "4. restart race",
        f"A second process starts while the first still drives the account, and goes on doing so for {seconds:.0f} s. "
        "One program exited for good when it found the account taken.",
    )
    config = stage.folder / "demo.toml"
    config.write_text(_toml(stage), encoding="utf-8")
    command = [sys.executable, "-m", "statecore", "run", str(config), "--quiet"]
    second: trio.Process | None = None
    try:
        async with stage.measured(scene):
            async with open_gateway(
                stage.path, stage.accounts(), options=Options(incidents="off"), signals=False
            ) as first:
                with (stage.folder / "second.log").open("wb") as log:
                    second = await trio.lowlevel.open_process(command, stdout=log, stderr=log)
                await trio.sleep(seconds / 2)
                await _send(first, scene, 1, "before")
                await trio.sleep(seconds / 2)
                stage.sim.script("sendmessage", REFUSAL, until=trio.current_time() + 1)
                await _send(first, scene, 2, "during")
            left = trio.current_time()
            expected = stage.display.delivered_before + scene.accepted
            with trio.move_on_after(60):
                await stage.sim.wait_until(lambda: len(stage.delivered()) >= expected)
            scene.note = (
                f"the second process had delivered the rest {trio.current_time() - left:.1f} s after the first left"
            )
    finally:
        if second is not None:
            with trio.CancelScope(shield=True), trio.move_on_after(20):
                second.send_signal(signal.SIGTERM)
                await second.wait()
            second.kill()
    return scene


async def _busy_loop(stage: Stage) -> Scene:
    """Let the gateway of QQ hang up, and be away for a while, with people writing meanwhile."""
    seconds = stage.outage(9)
    scene = Scene(
        "5. busy loop",
        f"QQ closes the connection, and for {seconds:.0f} s neither its gateway nor its address can be had. Two people write "
        "meanwhile. One program went round in circles on the closed socket, at 93 % of a core, and called itself connected.",
    )
    async with (
        open_gateway(stage.path, stage.accounts(), options=Options(incidents="off"), signals=False) as gateway,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_echo, gateway)
        with trio.move_on_after(20):
            await stage.qq.wait_until(stage.qq.is_up)
        async with stage.measured(scene):
            began, used = trio.current_time(), cpu_seconds()
            stage.qq.order(Close(4009))
            stage.qq.refuse(for_ms=seconds * 1000)
            for number in range(2):
                await trio.sleep(seconds / 3)
                for name in PEOPLE:
                    stage.qq.say_c2c(name, f"echo {number}")
                    scene.accepted += 1
            expected = stage.display.delivered_before + scene.accepted
            with trio.move_on_after(90):
                await stage.qq.wait_until(lambda: len(stage.delivered()) >= expected)
            share = (cpu_seconds() - used) / (trio.current_time() - began)
            scene.note = f"{share:.1%} of a core, the simulated platforms and this display included"
        nursery.cancel_scope.cancel()
    return scene


async def _echo(gateway: Gateway) -> None:
    """Be the program behind the bots: say again what people on QQ say."""
    async for message in gateway.inbox():
        async with message:
            if message.account == "qq":
                await gateway.send(message.account, message.chat, message.text, reply_to=message, key=message.id)


def _toml(stage: Stage) -> str:
    lines = [f"journal = {json.dumps(str(stage.path))}"]
    for name, (platform, values) in stage.settings().items():
        lines += [f"[accounts.{name}]", f"platform = {json.dumps(platform)}"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
        for key, table in values.items():
            if isinstance(table, dict):
                lines += [
                    f"[accounts.{name}.{key}]",
                    *(f"{inner} = {json.dumps(value)}" for inner, value in table.items()),
                ]
    return "\n".join(lines) + "\n"

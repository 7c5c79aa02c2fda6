"""`statecore demo`: the main job over real sockets, and four incidents it was built for."""

import importlib.util
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import click
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from statecore.cli.common import AS_JSON, console, fail, paint, print_json, printable, run_async
from statecore.gateway import Gateway, Options
from statecore.messages import Delivered, Receipt
from statecore.wiring import open_gateway
from statecore.world import wall_now

USERS: Final = tuple(f"o9cq80{name}@im.wechat" for name in ("anna", "bela", "chen", "dong"))
REFUSAL: Final = {"ret": -2, "errcode": -2, "errmsg": "rate limited"}
TOKEN: Final = "demo-token"  # noqa: S105 - of a simulated bot

SETTINGS: Final[dict[str, dict[str, str | float]]] = {
    "pacing": {"per_second": 4, "burst": 2, "recovery": "2s"},
    "circuit": {"cooldown": "1s", "chat_cooldown": "3s", "forget": "1s"},
}
"""Faster than the defaults (one message a second, circuits from 2 s and 30 s), so that it all fits into a minute."""


PASSING: Final = frozenset({"queued", "sending", "pacing"})
"""States of a delivery that is on its way. They come and go too fast to be worth a line."""


@attrs.define
class Scene:
    """One incident, and what came of it."""

    title: str
    story: str
    accepted: int = 0
    delivered: int = 0
    refused: int = 0
    duplicates: int = 0
    in_order: bool = True
    seconds: float = 0.0
    note: str = ""

    @property
    def survived(self) -> bool:
        """Whether everything arrived, once, in order."""
        return self.delivered == self.accepted and not self.duplicates and self.in_order


@click.command(
    epilog="""\b
Examples:
  statecore demo
  statecore demo --journal demo.db && statecore log demo.db --last 30
"""
)
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="Where the journal goes (a new file).")
@click.option("--brief", is_flag=True, help="Shorter outages: about 25 seconds instead of a minute.")
@AS_JSON
def demo(*, journal: Path | None, brief: bool, as_json: bool) -> None:
    """Run a gateway against a simulated WeChat over real sockets, and replay four incidents that killed others.

    The platform refuses everything for a while; it goes on refusing for longer than any fixed number of retries; it
    refuses tokens that have gone stale with the code of a rate limit; and the process is restarted while the old one
    still holds the account. Nothing leaves this machine.
    """
    if journal is not None and journal.exists():
        raise click.UsageError(f"{journal} exists; name a new file, or leave --journal out")
    if importlib.util.find_spec("h11") is None:
        fail("the simulator needs h11: pip install 'statecore[simulator]'")
    folder = Path(tempfile.mkdtemp(prefix="statecore-demo-"))
    path = journal.absolute() if journal is not None else folder / "gateway.db"
    told = False
    try:
        scenes = run_async(lambda: _play(path, folder, brief, as_json))
        told = journal is None
    finally:
        if not told:  # then nobody will look into it
            shutil.rmtree(folder, ignore_errors=True)
    if as_json:
        print_json({"journal": str(path), "scenes": scenes, "survived": all(scene.survived for scene in scenes)})
    else:
        _report(scenes, path)
    sys.exit(0 if all(scene.survived for scene in scenes) else 1)


def _report(scenes: list[Scene], path: Path) -> None:
    out = console()
    table = Table(title="what came of it", title_justify="left", title_style="bold")
    table.add_column("incident")
    for heading in ("accepted", "delivered", "refused", "duplicates", "order", "took"):
        table.add_column(heading, justify="right")
    for scene in scenes:
        table.add_row(
            scene.title, str(scene.accepted), Text(str(scene.delivered), style="green" if scene.survived else "red"),
            str(scene.refused), str(scene.duplicates), "kept" if scene.in_order else "broken", f"{scene.seconds:.0f} s",
        )  # fmt: skip
    out.print()
    out.print(table)
    out.print("\nEvery step is in the journal. Read on with:", markup=False)
    us = _us()
    for command, what in (
        (f"{us} status {path}", "where everything is, and why"),
        (f"{us} log {path} --machine circuit", "how the circuits opened, probed and closed"),
        (f"{us} log {path} --event PartRefused", "every refusal, how it was read, and on what evidence"),
        (f"{us} log {path} --machine connection", "who drove the account, and when it changed hands"),
    ):
        out.print(f"  {command}", style="bold", markup=False)
        out.print(f"      {what}", style="dim", markup=False)


def _us() -> str:
    """Return how this command was, or can be, called."""
    if shutil.which("statecore"):
        return "statecore"
    return f"{sys.executable} -m statecore" if sys.argv[0].endswith(".py") else sys.argv[0]


# ---- the stage -------------------------------------------------------------------------------------------------------


@attrs.define
class Stage:
    """What all scenes share."""

    sim: Any
    bot: Any
    path: Path
    folder: Path
    display: "Display"
    brief: bool

    def config(self) -> Any:
        """Return the account, as a user would write it."""
        from statecore.settings import build
        from statecore_adapters.weixin import Weixin

        values = {"account_id": self.bot.account_id, "token": self.bot.token, "base_url": self.sim.base_url, **SETTINGS}
        return build(Weixin, values, "accounts.wx")

    def outage(self, seconds: float) -> float:
        """Shorten an outage if asked to."""
        return seconds / 3 if self.brief else seconds

    @asynccontextmanager
    async def measured(self, scene: Scene) -> AsyncIterator[None]:
        """Count what a scene does."""
        self.display.begin(scene)
        before, refused, began = len(self.bot.delivered), self.sim.refused, trio.current_time()
        yield
        new = self.bot.delivered[before:]
        texts = [(message.to, message.text) for message in new]
        scene.delivered = len(set(texts))
        scene.duplicates = len(texts) - len(set(texts))
        scene.refused = self.sim.refused - refused
        scene.seconds = trio.current_time() - began
        for user in USERS:
            mine = list(dict.fromkeys(text for to, text in texts if to == user))
            scene.in_order &= mine == sorted(mine, key=_number)
        self.display.end(scene)


def _number(text: str) -> int:
    return int(text.rpartition(" ")[2])


async def _play(path: Path, folder: Path, brief: bool, quiet: bool) -> list[Scene]:
    from statecore_adapters.weixin.simulator import Knobs, open_simulator

    os.environ.setdefault("STATECORE_LOCK_DIR", str(folder / "locks"))
    scenes: list[Scene] = []
    async with open_simulator(knobs=Knobs(hold_ms=2000)) as sim, trio.open_nursery() as nursery:
        bot = sim.add_bot("0a1b2c3d4e5f@im.bot", TOKEN)
        display = Display(path, sim, bot, quiet=quiet)
        nursery.start_soon(display.run)
        stage = Stage(sim, bot, path, folder, display, brief)
        async with open_gateway(path, {"wx": stage.config()}, options=Options(), signals=False) as gateway:
            for user in USERS:
                sim.say(bot, user, "hello")
            acts: tuple[Callable[[Stage, Gateway], Awaitable[Scene]], ...] = (_storm, _outlast, _stale)
            for act in acts:
                scenes.append(await act(stage, gateway))
                for user in USERS:
                    sim.say(bot, user, "go on")
        scenes.append(await _handover(stage))
        await display.finish()
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
    async with stage.measured(scene):
        stage.sim.script("sendmessage", REFUSAL, until=trio.current_time() + seconds)
        await _settle(await _send(gateway, scene, 5, "storm"))
    return scene


async def _outlast(stage: Stage, gateway: Gateway) -> Scene:
    seconds = stage.outage(14)
    scene = Scene(
        "2. silent drop",
        f"The platform refuses for {seconds:.0f} s, longer than any fixed number of retries lasts. "
        "One program gave up after 12 s, and told nobody.",
    )
    async with stage.measured(scene):
        stage.sim.script("sendmessage", REFUSAL, until=trio.current_time() + seconds)
        await _settle(await _send(gateway, scene, 1, "answer"))
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
            async with open_gateway(stage.path, {"wx": stage.config()}, options=Options(), signals=False) as first:
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
                await stage.sim.wait_until(lambda: len(stage.bot.delivered) >= expected)
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


def _toml(stage: Stage) -> str:
    tables = "".join(
        f"[accounts.wx.{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
        for name, table in SETTINGS.items()
    )
    return (
        f'journal = {json.dumps(str(stage.path))}\n[accounts.wx]\nplatform = "weixin"\naccount_id = "{stage.bot.account_id}"\n'
        f'token = "{stage.bot.token}"\nbase_url = "{stage.sim.base_url}"\n{tables}'
    )


# ---- the display -----------------------------------------------------------------------------------------------------


@attrs.define
class Display:
    """Shows the machines live on a terminal, and a line whenever one moves elsewhere."""

    path: Path
    sim: Any
    bot: Any
    quiet: bool
    scene: Scene | None = None
    delivered_before: int = 0
    refused_before: int = 0
    _out: Console = attrs.field(factory=lambda: console(stderr=True))
    _seen: dict[str, str] = attrs.field(factory=dict)
    _live: Live | None = None

    def begin(self, scene: Scene) -> None:
        """Announce a scene."""
        self.scene = scene
        self.delivered_before, self.refused_before = len(self.bot.delivered), self.sim.refused
        if not self.quiet:
            self._out.print(Text(f"\n{scene.title}", style="bold"))
            self._out.print(Text(scene.story), soft_wrap=False)

    def end(self, scene: Scene) -> None:
        """Say how a scene went."""
        if not self.quiet:
            mark = Text(
                "  survived: " if scene.survived else "  NOT survived: ", style="green" if scene.survived else "red"
            )
            mark.append(
                f"{scene.delivered} of {scene.accepted} delivered in {scene.seconds:.0f} s, {scene.refused} refused "
                f"requests, {scene.duplicates} duplicates, order {'kept' if scene.in_order else 'broken'}"
            )
            if scene.note:
                mark.append(f"; {scene.note}")
            self._out.print(mark)

    async def run(self) -> None:
        """Show where every machine is, four times a second."""
        if self.quiet:
            return
        if not self._out.is_terminal:
            while True:
                self._lines()
                await trio.sleep(0.25)
        with Live(console=self._out, refresh_per_second=8, transient=True) as live:
            self._live = live
            while True:
                live.update(self._table())
                await trio.sleep(0.25)

    async def finish(self) -> None:
        """Take the live table away."""
        if self._live is not None:
            self._live.update(Text(""))
            await trio.sleep(0.3)

    def _account(self) -> Any | None:
        from statecore_journal import open_reader

        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        with open_reader(self.path) as reader:
            status = reader.status(wall_now())
        return status.accounts[0] if status.accounts else None

    def _table(self) -> Group | Text:
        account = self._account()
        if account is None or self.scene is None:
            return Text("starting ...")
        table = Table(box=None, padding=(0, 2))
        table.add_row("connection", paint(account.state), Text(printable(account.reason, 80), style="dim"))
        table.add_row(
            "circuit of the account", paint(account.circuit), Text(printable(account.circuit_reason, 80), style="dim")
        )
        waiting = {chat.chat: chat for chat in account.chats}
        for user in USERS:
            chat = waiting.get(user)
            state = paint(chat.state) if chat is not None else Text("-", style="dim")
            why = f"{chat.waiting} waiting  {printable(chat.reason, 70)}" if chat is not None else ""
            table.add_row(f"chat {user[6:10]}", state, Text(why, style="dim"))
        done = len(self.bot.delivered) - self.delivered_before
        foot = Text(
            f"  delivered {done} of {self.scene.accepted}, refused requests {self.sim.refused - self.refused_before}"
        )
        return Group(table, foot)

    def _lines(self) -> None:
        account = self._account()
        for line in self.news(account) if account is not None else ():
            self._out.print(line, markup=False)

    def news(self, account: Any) -> list[str]:
        """Return a line for whatever is elsewhere than when this was asked last."""
        now = {"connection": "connected" if account.state == "resting" else account.state}
        now |= {"circuit of the account": account.circuit}
        now |= {f"chat {chat.chat[6:10]}": "" if chat.state in PASSING else chat.state for chat in account.chats}
        before, self._seen = self._seen, now
        return [
            f"  {name:<24}{now.get(name) or 'goes on'}"
            for name in {**now, **before}
            if now.get(name, "") != before.get(name, "")
        ]

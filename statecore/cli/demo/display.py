"""What a demo shows while it runs: the machines live on a terminal, and else a line whenever one moves elsewhere."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from statecore.cli.common import console, paint, printable
from statecore.world import wall_now

PASSING: Final = frozenset({"queued", "sending", "pacing"})
"""States of a delivery that is on its way. They come and go too fast to be worth a line."""

WELL: Final = frozenset({"connected", "resting", "beating"})
"""States of a connection that takes care of itself."""

PLATFORMS: Final = {"wx": "WeChat", "qq": "QQ"}


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


@attrs.frozen
class Phones:
    """What the simulated platforms have seen.

    Args:
        delivered: returns (to whom, text) of every message on a phone, in order.
        refused: returns how many requests were refused.
    """

    delivered: Callable[[], list[tuple[str, str]]]
    refused: Callable[[], int]


def person(chat: str) -> str:
    """Return the name in the id of a chat of the demo."""
    return chat.removeprefix("o9cq80").removesuffix("@im.wechat").rpartition(":")[2].lower()


@attrs.define
class Display:
    """Shows the machines live on a terminal, and a line whenever one moves elsewhere."""

    path: Path
    phones: Phones
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
        self.delivered_before, self.refused_before = len(self.phones.delivered()), self.phones.refused()
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

    def _accounts(self) -> list[Any]:
        from statecore_journal import open_reader

        if not self.path.exists() or self.path.stat().st_size == 0:
            return []
        with open_reader(self.path) as reader:
            return [account for account in reader.status(wall_now()).accounts if account.since]

    def _table(self) -> Group | Text:
        accounts = self._accounts()
        if not accounts or self.scene is None:
            return Text("starting ...")
        table = Table(box=None, padding=(0, 2))
        for account in accounts:
            table.add_row(
                PLATFORMS[account.name], paint(account.state), Text(printable(account.reason, 80), style="dim")
            )
            table.add_row(
                "  its circuit", paint(account.circuit), Text(printable(account.circuit_reason, 80), style="dim")
            )
            for chat in account.chats:
                why = f"{chat.waiting} waiting  {printable(chat.reason, 70)}"
                table.add_row(f"  chat {person(chat.chat)}", paint(chat.state), Text(why, style="dim"))
        done = len(self.phones.delivered()) - self.delivered_before
        refused = self.phones.refused() - self.refused_before
        return Group(table, Text(f"  delivered {done} of {self.scene.accepted}, refused requests {refused}"))

    def _lines(self) -> None:
        for line in self.news(self._accounts()):
            self._out.print(line, markup=False)

    def news(self, accounts: list[Any]) -> list[str]:
        """Return a line for whatever is elsewhere than when this was asked last."""
        now: dict[str, str] = {}
        for account in accounts:
            name = PLATFORMS[account.name]
            now[name] = "connected" if account.state in WELL else account.state
            now[f"{name}, its circuit"] = account.circuit
            now |= {
                f"{name}, chat {person(chat.chat)}": "" if chat.state in PASSING else chat.state
                for chat in account.chats
            }
        before, self._seen = self._seen, now
        return [
            f"  {name:<24}{now.get(name) or 'goes on'}"
            for name in {**now, **before}
            if now.get(name, "") != before.get(name, "")
        ]

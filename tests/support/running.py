"""Gateways in processes of their own, as a user runs them, against a simulated WeChat over real sockets.

Nothing here waits for time to pass: it waits for what a process says, for what the platform sees, or for what the journal
holds.
"""

import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from subprocess import PIPE
from typing import Any, Final

import attrs
import trio

from statecore.account import Command
from statecore.world import random_id, wall_now
from statecore_adapters.weixin.simulator import Bot, Knobs, Simulator, open_simulator
from statecore_journal import submit

ANN: Final = "o9cq80ann@im.wechat"
PATIENCE_S: Final = 60
"""For one step of another process: it imports for a second, and the machine may be busy."""

CONFIG: Final = """\
journal = "gateway.db"
{handler}
[accounts.wx]
platform = "weixin"
account_id = "{bot.account_id}"
token = "{bot.token}"
base_url = "{url}"
agent = "{agent}"
pacing = {{ per_second = 1000, burst = 1000 }}
window = {{ messages = 1000000 }}
retry = {{ resend_after = "50ms" }}
[gateway]
drain = "{drain}"
"""

ECHO: Final = """\
async def handle(message, gateway):
    await gateway.send(message.account, message.chat, f"you said {message.text}", key=message.id)
"""


@attrs.define
class Running:
    """One gateway.

    Args:
        process: it.
        lines: what it has said.
    """

    process: trio.Process
    lines: list[str] = attrs.field(factory=list)
    _heard: trio.Event = attrs.field(factory=trio.Event)
    _mute: bool = False

    @property
    def pid(self) -> int:
        """Its number."""
        return self.process.pid

    async def says(self, text: str, times: int = 1) -> str:
        """Wait until it has said something; return the last line that has it."""
        with trio.fail_after(PATIENCE_S):
            while len(found := [line for line in self.lines if text in line]) < times:
                assert not self._mute, f"it ended without saying {text!r}: {self.lines}"
                await self._heard.wait()
        return found[-1]

    async def ends(self) -> int:
        """Wait until it has ended; return its exit status."""
        with trio.fail_after(PATIENCE_S):
            status = await self.process.wait()
            while not self._mute:
                await self._heard.wait()
        assert not [line for line in self.lines if "Traceback" in line], self.lines
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def listen(self) -> None:
        """Take in what it says until it has ended."""
        assert self.process.stderr is not None
        rest = b""
        async for chunk in self.process.stderr:
            *lines, rest = (rest + chunk).split(b"\n")
            self.lines += [line.decode() for line in lines]
            self._wake()
        self._mute = True
        self._wake()

    def _wake(self) -> None:
        self._heard.set()
        self._heard = trio.Event()


@attrs.define
class Street:
    """A platform, a folder with a configuration, and the gateways that run there.

    Args:
        folder: the folder.
        sim: the platform.
        bot: the account there.
    """

    folder: Path
    sim: Simulator
    bot: Bot
    _nursery: trio.Nursery
    _all: list[Running] = attrs.field(factory=list)

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.folder / "gateway.db"

    def configure(
        self, *, agent: str = "Test/1.0", drain: str = "10s", handler: bool = True, program: str = ECHO
    ) -> None:
        """Write gateway.toml, and the program behind it."""
        (self.folder / "bot.py").write_text(program)
        text = CONFIG.format(
            bot=self.bot, url=self.sim.base_url, agent=agent, drain=drain, handler='handler = "bot:handle"' * handler
        )
        (self.folder / "gateway.toml").write_text(text)

    async def start(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """Start `statecore` with these arguments."""
        surroundings = {
            **os.environ,
            "HOME": str(self.folder),
            "STATECORE_LOCK_DIR": str(self.folder / "locks"),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "statecore", *arguments], stderr=PIPE, cwd=self.folder, env=surroundings
        )
        running = Running(process)
        self._all.append(running)
        self._nursery.start_soon(running.listen)
        return running

    async def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        """Start `statecore run` and wait until it is connected."""
        running = await self.start("run", "gateway.toml", *arguments, environment=environment)
        await running.says("connected")
        return running

    def send(self, text: str) -> str:
        """Ask for a message to Ann as another process would; return the address of its delivery."""
        command = Command(id=0, kind="send", target=ANN, delivery=random_id(), text=text)
        submit(self.journal, "wx", command, wall=wall_now())
        return f"delivery/wx/{command.delivery}"

    def say(self, text: str) -> None:
        """Let Ann write."""
        self.sim.say(self.bot, ANN, text)

    def shown(self) -> list[str]:
        """Return what Ann has got."""
        return [one.text for one in self.sim.delivered(self.bot, ANN)]

    def sent_by(self, agent: str) -> list[str]:
        """Return the texts that a gateway with this agent has tried to send."""
        bodies = [record.body for record in self.sim.requests if record.endpoint == "sendmessage"]
        return [
            body["msg"]["item_list"][0]["text_item"]["text"]
            for body in bodies
            if agent in str(body.get("base_info", body))
        ]

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the platform has seen something."""
        with trio.fail_after(PATIENCE_S):
            await self.sim.wait_until(holds)

    async def quiet(self) -> None:
        """Wait until the journal holds the outcome of everything that was sent and handled."""
        sql = "select count(*) from instances where machine in ('delivery', 'inbound') and state not in ('delivered', 'done')"
        await self.comes_true(sql, [(0,)])

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the journal."""
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    async def comes_true(self, sql: str, expected: list[tuple[Any, ...]]) -> None:
        """Wait until the journal says so. It cannot tell us, so it is asked."""
        with trio.fail_after(PATIENCE_S):
            while self.rows(sql) != expected:  # noqa: ASYNC110
                await trio.sleep(0.05)

    def tidy(self) -> None:
        """Kill what is left."""
        for running in self._all:
            if running.process.returncode is None:
                running.process.kill()


@asynccontextmanager
async def open_street(folder: Path, knobs: Knobs | None = None) -> AsyncIterator[Street]:
    """Open a simulated WeChat, and a folder with a configuration for it. Ann has written already.

    Args:
        folder: an empty one.
        knobs: of the simulator.
    """
    async with open_simulator(knobs=knobs or Knobs(quota=1_000_000)) as sim, trio.open_nursery() as nursery:
        street = Street(folder, sim, sim.add_bot(), nursery)
        street.configure()
        try:
            yield street
        finally:
            street.tidy()
            with trio.move_on_after(5, shield=True):
                for running in street._all:
                    await running.process.wait()
            nursery.cancel_scope.cancel()

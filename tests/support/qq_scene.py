"""A gateway with one QQ bot and the simulated platform it is connected to, in one process: in real time, or in virtual.

In virtual time nothing is replaced but the clocks: the gateway, the adapter and the simulator are those that ship, and
talk over real sockets. The clock jumps only when no task has anything to do and no socket anything to be read.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from unittest.mock import patch

import attrs
import trio

from statecore import Gateway, open_gateway
from statecore.gateway import Options, run_gateway
from statecore.units import SECONDS
from statecore.world import VirtualWorld
from statecore_adapters.qqbot import QQBot
from statecore_adapters.qqbot.simulator import Bot, Knobs, Simulator, open_simulator
from statecore_journal import AccountStatus, LogRow, open_journal, open_reader

ACCOUNT = "qq"


@attrs.define
class QQScene:
    """What a measurement or a test works with.

    Args:
        sim: the platform.
        bot: the account there.
        gateway: it runs in this process.
        account: as the gateway has it.
    """

    sim: Simulator
    bot: Bot
    gateway: Gateway
    account: QQBot

    def parts(self, text: str) -> list[str]:
        """Return what a text is cut into."""
        return list(self.account.platform.split(text))

    def status(self) -> AccountStatus:
        """Return where the account is, as `statecore status` would."""
        (account,) = self.gateway.status().accounts
        assert isinstance(account, AccountStatus)
        return account

    def rows(self, event: str | None = None) -> list[LogRow]:
        """Return what the journal says of the session."""
        with open_reader(self.gateway.path) as reader:
            return list(reader.log(machine=f"session/{ACCOUNT}", event=event))

    async def echo(self) -> None:
        """Be the program: answer every message once, with what it says."""
        async for message in self.gateway.inbox():
            async with message:
                await self.gateway.send(message.account, message.chat, message.text, reply_to=message, key=message.id)


@asynccontextmanager
async def open_qq(folder: Path, *, knobs: Knobs | None = None, **settings: object) -> AsyncIterator[QQScene]:
    """Open the simulator and a gateway against it, in real time.

    Args:
        folder: where the journal is put.
        knobs: of the simulator.
        settings: of the account, beyond the default ones.
    """
    async with open_simulator(knobs=knobs) as sim:
        bot = sim.add_bot()
        account = _account(sim, bot, settings)
        async with open_gateway(folder / "gateway.db", {ACCOUNT: account}, signals=False) as gateway:
            yield QQScene(sim, bot, gateway, account)


@asynccontextmanager
async def open_virtual_qq(folder: Path, *, knobs: Knobs | None = None) -> AsyncIterator[QQScene]:
    """Open the same in virtual time. The gateway looks around less often, and beats so that it is not taken for silent.

    Args:
        folder: where the journal is put.
        knobs: of the simulator.
    """
    world = VirtualWorld()
    with patch.multiple("statecore.gateway", LOOK_EVERY=10 * SECONDS, BEAT_EVERY=10 * SECONDS):
        async with (
            open_simulator(knobs=knobs) as sim,
            open_journal(folder / "gateway.db", wall=world.wall, threaded=False) as journal,
        ):
            bot = sim.add_bot()
            account = _account(sim, bot, {})
            options = Options(lock_folder=folder / "locks")
            async with run_gateway(journal, {ACCOUNT: account}, world, options, signals=()) as gateway:
                yield QQScene(sim, bot, gateway, account)


def _account(sim: Simulator, bot: Bot, settings: dict[str, object]) -> QQBot:
    return QQBot(
        app_id=bot.app_id,
        client_secret=bot.secret,
        api_base=sim.api_base,
        token_url=sim.token_url,
        **settings,  # type: ignore[arg-type]
    )


async def stands(scene: QQScene) -> None:
    """Wait until the session stands, and the journal says so."""
    await scene.sim.wait_until(scene.sim.is_up)
    while not scene.status().connected:  # noqa: ASYNC110 - asked as another process asks
        await trio.sleep(0.05)

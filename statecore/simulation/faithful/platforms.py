"""The platform of an account, running, with the configuration that leads there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from statecore.platform import AccountConfig
from statecore.settings import build
from statecore.simulation.faithful.link import Link
from statecore.simulation.faithful.notes import Notes, Side
from statecore.simulation.faithful.qqbot import QQSide
from statecore.simulation.faithful.weixin import WeixinSide
from statecore.simulation.plan import PlanError, PlannedAccount
from statecore_adapters.qqbot import QQBot
from statecore_adapters.qqbot import simulator as qq
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin import simulator as wx


@asynccontextmanager
async def open_platform(
    planned: PlannedAccount, notes: Notes, link: Link, seed: int
) -> AsyncIterator[tuple[Side, AccountConfig, tuple[str, ...]]]:
    """Run the platform of an account.

    Args:
        planned: the account.
        notes: what its truth is told by.
        link: to its host.
        seed: of the platform's ids.

    Yields:
        The platform; the account's configuration; its secrets.
    """
    async with trio.open_nursery() as nursery:
        if planned.platform == "weixin":
            async with wx.open_simulator(knobs=wx.Knobs(), seed=seed, host=link.address) as sim:
                bot = sim.add_bot()
                wechat = WeixinSide(sim, bot, notes, link, nursery)
                sim.script("getupdates", {}, when=wechat.polled)
                settings = {
                    "account_id": bot.account_id, "token": bot.token, "base_url": _named(sim.base_url, link),
                    **planned.settings,
                }  # fmt: skip
                yield wechat, build(Weixin, settings, planned.name), (bot.token, "AARzJW")
                nursery.cancel_scope.cancel()
        elif planned.platform == "qqbot":
            proactive = bool(planned.settings.get("proactive", False))
            async with qq.open_simulator(knobs=qq.Knobs(proactive=proactive), seed=seed, host=link.address) as gate:
                robot = gate.add_bot()
                side = QQSide(gate, robot, notes, link, nursery)
                settings = {
                    "app_id": robot.app_id, "client_secret": robot.secret, "api_base": _named(gate.api_base, link),
                    "token_url": _named(gate.token_url, link), **planned.settings,
                }  # fmt: skip
                yield side, build(QQBot, settings, planned.name), (robot.secret,)
                nursery.cancel_scope.cancel()
        else:
            raise PlanError(f"there is no simulated platform {planned.platform!r}; there are weixin and qqbot")


def _named(url: str, link: Link) -> str:
    return url.replace(link.address, link.name)

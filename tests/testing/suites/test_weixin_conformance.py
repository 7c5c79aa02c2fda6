"""The WeChat adapter keeps what every adapter has to keep, against the simulated iLink server."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from statecore.testing.adapters import AdapterSuite, Peer
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin.simulator import open_simulator

ANN = "o9cq80ann@im.wechat"
TOKEN = "canary-5c1e7-bot-token-of-nobody"


class TestWeixin(AdapterSuite):
    """iLink by its simulator."""

    kind: ClassVar[type[Any] | None] = Weixin
    settings: ClassVar[Mapping[str, Any]] = {"account_id": "0a1b2c3d4e5f@im.bot", "token": TOKEN}

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Peer]:
        """Run the simulator with one bot and one user."""
        async with open_simulator() as sim:
            bot = sim.add_bot(token=TOKEN)
            yield Peer(
                account=lambda through: Weixin(account_id=bot.account_id, token=TOKEN, base_url=through(sim.base_url)),
                chat=ANN,
                say=lambda text: sim.say(bot, ANN, text),
                shown=lambda: [one.text for one in sim.delivered(bot, ANN)],
                canaries=(TOKEN,),
            )

    def fits(self, part: str) -> bool:
        """By default it takes so much."""
        return len(part) <= 2000 and len(part.encode()) <= 6000

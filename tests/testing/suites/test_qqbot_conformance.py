"""The QQ adapter keeps what every adapter has to keep, against the simulated platform."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from statecore.testing.adapters import AdapterSuite, Peer
from statecore_adapters.qqbot import QQBot
from statecore_adapters.qqbot.simulator import Knobs, open_simulator

ANN = "5A0C8D1E5A0C8D1E5A0C8D1E5A0C8D1E"
SECRET = "canary5c1e7AppSecretOfNobody0000"


class TestQQBot(AdapterSuite):
    """QQ by its simulator."""

    kind: ClassVar[type[Any] | None] = QQBot
    settings: ClassVar[Mapping[str, Any]] = {"app_id": "102000001", "client_secret": SECRET}
    bad_chats: ClassVar[tuple[str, ...]] = ("", "c2c", "c2c:", ":x", "person:x", "c2c:a b")
    # where /gateway/bot is not known, /gateway is asked in the same attempt
    requests_most: ClassVar[Mapping[str, int]] = {"look_up": 2}

    @asynccontextmanager
    async def platform(self) -> AsyncIterator[Peer]:
        """Run the simulator with one bot and one user."""
        knobs = Knobs(heartbeat_tolerance=None, connection_s=None, lookups_burst=100_000)
        async with open_simulator(knobs=knobs) as sim:
            bot = sim.add_bot(secret=SECRET)
            yield Peer(
                account=lambda through: QQBot(
                    app_id=bot.app_id,
                    client_secret=SECRET,
                    api_base=through(sim.api_base),
                    token_url=through(sim.token_url),
                ),
                chat=f"c2c:{ANN}",
                say=lambda text: sim.say_c2c(ANN, text),
                shown=lambda: [one.text for one in sim.seen],
                canaries=(SECRET,),
            )

    def fits(self, part: str) -> bool:
        """By default it takes so much."""
        return len(part) <= 4000

"""A gateway with its default settings, a simulated WeChat, and users who have all written once just before."""

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from statecore import Gateway, Receipt, open_gateway
from statecore_adapters.qqbot import simulator as qqbot_simulator
from statecore_adapters.weixin import Weixin
from statecore_adapters.weixin.simulator import Bot, Delivered, Knobs, Simulator, open_simulator
from statecore_journal import AccountStatus, ChatStatus
from tests.figures.registry import scratch

ACCOUNT = "wx"
Texts = Mapping[str, Sequence[str]]
"""What is sent, by user, in the order in which it is handed to `send`."""


@attrs.define
class Scene:
    """What a measurement works with.

    Args:
        sim: the platform.
        bot: the account there.
        gateway: it runs in this process; only figures about CPU and memory need it elsewhere.
        users: those who have written.
    """

    sim: Simulator
    bot: Bot
    gateway: Gateway
    users: list[str]

    def status(self, account: str = ACCOUNT) -> AccountStatus | None:
        """Return where the account is, as `statecore status` would; None before the gateway has taken it."""
        return next((one for one in self.gateway.status().accounts if one.name == account), None)

    def chat(self, user: str, account: str = ACCOUNT) -> ChatStatus | None:
        """Return what status says of one chat; None if nothing waits there."""
        status = self.status(account)
        return next((chat for chat in status.chats if chat.chat == user), None) if status is not None else None

    async def heard(self, count: int, account: str = ACCOUNT) -> None:
        """Wait until so many messages of users are in the journal."""
        while (status := self.status(account)) is None or sum(status.messages.values()) < count:  # noqa: ASYNC110
            await trio.sleep(0.05)


def weixin(sim: Simulator, bot: Bot) -> dict[str, Any]:
    """Return the table of an account for a bot of the simulator, as in a configuration file."""
    about = {"account_id": bot.account_id, "token": bot.token, "base_url": sim.base_url}
    return {"platform": "weixin", **about}


def qqbot(sim: qqbot_simulator.Simulator, bot: qqbot_simulator.Bot) -> dict[str, Any]:
    """Return the table of an account for a QQ bot of its simulator."""
    about = {"app_id": bot.app_id, "client_secret": bot.secret, "api_base": sim.api_base, "token_url": sim.token_url}
    return {"platform": "qqbot", **about}


@asynccontextmanager
async def open_scene(users: int, *, knobs: Knobs | None = None, **settings: object) -> AsyncIterator[Scene]:
    """Open the simulator and a gateway against it; when this returns every user has written, and that is journaled.

    Args:
        users: how many there are.
        knobs: of the simulator.
        settings: of the account, beyond the default ones.
    """
    with scratch() as folder:
        async with open_simulator(knobs=knobs) as sim:
            bot = sim.add_bot()
            account = Weixin(account_id=bot.account_id, token=bot.token, base_url=sim.base_url, **settings)  # type: ignore[arg-type]
            async with open_gateway(folder / "gateway.db", {ACCOUNT: account}, signals=False) as gateway:
                scene = Scene(sim, bot, gateway, [f"o9cq80user{number}@im.wechat" for number in range(users)])
                for user in scene.users:
                    sim.say(bot, user, "hello")
                await scene.heard(users)
                yield scene


async def send_all(gateway: Gateway, texts: Texts, account: str = ACCOUNT) -> list[Receipt]:
    """Send everything at once: all chats at the same time, each chat's texts in their order."""
    receipts: list[Receipt] = []

    async def send(user: str) -> None:
        for text in texts[user]:
            receipts.append(await gateway.send(account, user, text))  # noqa: PERF401 - a comprehension would hide the await

    async with trio.open_nursery() as nursery:
        for user in texts:
            nursery.start_soon(send, user)
    return receipts


@attrs.frozen
class Tally:
    """What of the texts that were sent is on the phones.

    Args:
        sent: how many there are.
        arrived: how many of them arrived, counting none twice.
        twice: copies beyond the first.
        disordered: users on whose phone they are not in the order in which they were sent.
        last_at: trio time of the last arrival.
    """

    sent: int
    arrived: int
    twice: int
    disordered: tuple[str, ...]
    last_at: float

    @property
    def whole(self) -> bool:
        """Whether all arrived, in order, none twice."""
        return self.arrived == self.sent and not self.twice and not self.disordered

    def __str__(self) -> str:
        order = f"out of order in {len(self.disordered)} chats" if self.disordered else "in order"
        return f"{self.arrived} of {self.sent}, {order}, {self.twice or 'none'} twice"


def tally(delivered: Sequence[Delivered], texts: Texts) -> Tally:
    """Compare the phones with what was sent. A copy is in order only right behind its original."""
    arrived = 0
    disordered = []
    for user, sent in texts.items():
        seen = [text for text, _copies in itertools.groupby(one.text for one in delivered if one.to == user)]
        arrived += len(set(seen) & set(sent))
        if seen != [text for text in sent if text in seen]:
            disordered.append(user)
    concerned = [one for one in delivered if one.to in texts]
    return Tally(
        sent=sum(map(len, texts.values())),
        arrived=arrived,
        twice=len(concerned) - len({(one.to, one.text) for one in concerned}),
        disordered=tuple(disordered),
        last_at=max((one.at for one in concerned), default=0.0),
    )

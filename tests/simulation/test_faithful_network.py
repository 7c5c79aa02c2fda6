"""The network in memory: what real clients and servers meet on it."""

import random  # noqa: TID251 - the same network every time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext

import httpx
import pytest
import trio

from statecore.simulation.faithful.clock import Spun, virtual
from statecore.simulation.faithful.connection import GIVES_UP_S, WINDOW_BYTES
from statecore.simulation.faithful.link import Link, Spell
from statecore.simulation.faithful.network import Network
from statecore_adapters import httpd

URL = "http://shop.test:{port}/buy"


class Shop:
    """A server that counts what it sells, the network it is reached by, and the link to it."""

    def __init__(self, network: Network, link: Link) -> None:
        self.network = network
        self.link = link
        self.sold: list[float] = []
        self.port = 0

    async def handle(self, request: httpd.Request) -> httpd.Answer:
        self.sold.append(request.at)
        return httpd.Response(200, {}, b"thanks")

    def suffer(self, kind: str, amount: float = 1.0, until: float = 1000.0, **direction: bool) -> None:
        self.link.spells.append(Spell(begins=0, ends=until, kind=kind, amount=amount, **direction))

    async def buy(self, timeout: float = 10) -> httpx.Response:
        async with httpx.AsyncClient(timeout=timeout, trust_env=False) as client:
            return await client.post(URL.format(port=self.port), content=b"one, please")


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    """Open a shop on a network of its own."""
    network = Network(random.Random(1), lambda data: data.startswith(b"POST"))
    shop = Shop(network, network.link("shop.test", "10.0.0.1"))
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        async with httpd.serve(shop.handle, "10.0.0.1") as server:
            shop.port = server.port
            yield shop
        nursery.cancel_scope.cancel()


def play(scene: Callable[[Shop], Awaitable[None]]) -> None:
    """Play a scene in virtual time."""

    async def main() -> None:
        async with open_shop() as shop:
            await scene(shop)

    virtual(main, seed=1, limit_s=3600)


def test_a_request_takes_as_long_as_the_way_is() -> None:
    """
    Time passes on the way and nowhere else.
    """

    async def scene(shop: Shop) -> None:
        shop.link.delay = (0.5, 0.5)
        assert (await shop.buy()).text == "thanks"
        assert trio.current_time() == pytest.approx(2.0, abs=0.01)  # there and back for the connection, and once more

    play(scene)


@pytest.mark.parametrize(
    ("kind", "error"), [("refuse", httpx.ConnectError), ("resolve", httpx.ConnectError), ("loss", httpx.ConnectTimeout)]
)
def test_a_host_that_cannot_be_reached_is_told_like_a_real_one(kind: str, error: type[Exception]) -> None:
    """
    The stage of a failure decides whether a message may be sent again.
    """

    async def scene(shop: Shop) -> None:
        shop.suffer(kind)
        with pytest.raises(error):
            await shop.buy()
        assert shop.sold == []

    play(scene)


def test_what_is_lost_is_sent_again_until_it_arrives() -> None:
    """
    TCP hides loss, but not the time it takes.
    """

    async def scene(shop: Shop) -> None:
        shop.suffer("loss", until=5, down=False)
        assert (await shop.buy(timeout=30)).text == "thanks"
        assert shop.sold[0] > 5

    play(scene)


def test_an_answer_that_is_cut_off_was_a_request_that_arrived() -> None:
    """
    This is the case in which nobody knows whether a message was sent.
    """

    async def scene(shop: Shop) -> None:
        shop.suffer("cut")
        with pytest.raises(httpx.ReadError):
            await shop.buy()
        assert len(shop.sold) == 1

    play(scene)


def test_on_a_dead_connection_nobody_is_told_anything() -> None:
    """
    Only a timeout finds out, or the kernel after a quarter of an hour.
    """

    async def scene(shop: Shop) -> None:
        stream = await trio.open_tcp_stream("10.0.0.1", shop.port)
        assert shop.network.deaden(shop.link) == 1
        await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
        with trio.move_on_after(GIVES_UP_S - 1) as waited:
            await stream.receive_some()
        assert waited.cancelled_caught
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()

    play(scene)


def test_a_proxy_that_repeats_a_request_sells_twice_and_answers_once() -> None:
    """
    An idempotency key is for this.
    """

    async def scene(shop: Shop) -> None:
        shop.suffer("duplicate")
        assert (await shop.buy()).text == "thanks"
        await trio.sleep(1)
        assert len(shop.sold) == 2

    play(scene)


def test_who_sends_more_than_is_read_waits() -> None:
    """
    Buffers are bounded, here as in a kernel.
    """

    async def scene(_: Shop) -> None:
        listeners = await trio.open_tcp_listeners(0, host="10.0.0.1")
        stream = await trio.open_tcp_stream("10.0.0.1", listeners[0].socket.getsockname()[1])
        other = await listeners[0].accept()
        with trio.move_on_after(60) as sending:
            await stream.send_all(bytes(2 * WINDOW_BYTES))
        assert sending.cancelled_caught
        read = 0
        with trio.move_on_after(1):
            while True:
                read += len(await other.receive_some())
        assert read == WINDOW_BYTES

    play(scene)


def test_a_task_that_never_waits_ends_the_run_with_its_name() -> None:
    """
    Otherwise the virtual clock would stand for ever.
    """

    async def whirl() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(whirl)

    with pytest.raises(Spun, match="whirl"):
        virtual(main, seed=1, limit_s=10)


@pytest.mark.parametrize(("sent", "spins"), [(0, True), (1, False)])
def test_a_task_that_polls_ends_the_run_unless_a_platform_sends_as_much(sent: int, spins: bool) -> None:
    """
    A session that is resumed is sent at once all that it has missed. A simulator that polls would hide that a gateway does.
    """
    rounds = 0

    async def polls() -> None:
        nonlocal rounds
        while trio.current_time() < 3:
            rounds += 1
            await trio.sleep(0.001)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(polls)

    with pytest.raises(Spun, match="polls") if spins else nullcontext():
        virtual(main, seed=1, limit_s=10, answered=lambda: sent * rounds)

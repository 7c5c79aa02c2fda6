"""Requests over connections of their own, or over one that is kept."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial

import attrs
import pytest
import trio
import trio.testing
import trustme

from statecore_adapters import lines
from statecore_adapters.http import Answer, NoAnswer
from statecore_adapters.lines import Line, request

PROXIES = ("all_proxy", "http_proxy", "https_proxy", "no_proxy")


@attrs.define
class Peer:
    """Something that answers every request with "ok", and remembers what it was asked over which connection.

    Args:
        port: where it listens.
        heads: what came, by connection.
        ends: whether it hangs up after each answer.
    """

    port: int = 0
    heads: list[list[str]] = attrs.field(factory=list)
    ends: bool = False

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def meet(self, stream: trio.abc.Stream) -> None:
        """Answer whoever has connected."""
        heads: list[str] = []
        self.heads.append(heads)
        with suppress(trio.BrokenResourceError):  # who gives a request up does not wait for the answer
            async for head in stream:
                heads.append(head.decode())
                await stream.send_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                if self.ends:
                    break
        await stream.aclose()


@asynccontextmanager
async def listening(*, ends: bool = False) -> AsyncIterator[Peer]:
    """Have a peer listen."""
    peer = Peer(ends=ends)
    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, peer.meet, 0, host="127.0.0.1"))
        peer.port = listener.socket.getsockname()[1]
        yield peer
        nursery.cancel_scope.cancel()


async def ask(line: Line | None, url: str) -> Answer | NoAnswer:
    """Make a request such as an adapter makes."""
    return await request(
        line, "GET", url, headers={"Accept": "text/plain"}, content=None, timeout_s=5, limit=100, setting="base_url"
    )


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene; one that hangs fails."""

    async def main() -> None:
        with trio.fail_after(20):
            await scene()

    trio.run(main)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_line_is_one_connection_for_all_its_requests() -> None:
    async def scene() -> None:
        async with listening() as peer:
            line = Line()
            for _ in range(3):
                assert await ask(line, f"{peer.url}/poll") == Answer(
                    status=200, body=b"ok", headers={"content-length": "2"}
                )
            assert list(map(len, peer.heads)) == [3]
            await line.close()

    run(scene)


def test_a_line_is_kept_over_tls_too_and_only_to_a_host_that_can_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    authority, served = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    monkeypatch.setattr(lines, "tls", lambda: trusting)

    async def scene() -> None:
        peer = Peer()

        async def meet(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError):
                await peer.meet(trio.SSLStream(stream, served, server_side=True, https_compatible=True))

        async with trio.open_nursery() as nursery:
            (listener,) = await nursery.start(partial(trio.serve_tcp, meet, 0, host="127.0.0.1"))
            port, line = listener.socket.getsockname()[1], Line()
            for _ in range(3):
                assert isinstance(await ask(line, f"https://localhost:{port}/poll"), Answer)
            assert list(map(len, peer.heads)) == [3]
            await line.close()
            refused = await ask(None, f"https://127.0.0.1:{port}/poll")
            assert isinstance(refused, NoAnswer)
            assert refused.stage == "tls"
            nursery.cancel_scope.cancel()

    run(scene)


def test_without_a_line_every_request_has_a_connection_of_its_own() -> None:
    async def scene() -> None:
        async with listening() as peer:
            await ask(None, peer.url)
            await ask(None, peer.url)
            assert list(map(len, peer.heads)) == [1, 1]

    run(scene)


def test_a_line_that_the_peer_has_hung_up_on_is_not_used_again() -> None:
    """
    A request that meets the end of its connection may have arrived or not, and nobody could say.
    """

    async def scene() -> None:
        async with listening(ends=True) as peer:
            line = Line()
            for _ in range(2):
                assert isinstance(await ask(line, peer.url), Answer)
                await trio.testing.wait_all_tasks_blocked(0.05)
            assert list(map(len, peer.heads)) == [1, 1]
            await line.close()

    run(scene)


def test_a_line_whose_request_was_given_up_begins_anew() -> None:
    """
    What was asked may still be answered over the old connection, and would be taken for the answer to the next request.
    """

    async def scene() -> None:
        async with listening() as peer:
            line = Line()
            with trio.move_on_after(0):
                await ask(line, peer.url)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ask, line, peer.url)
                    while not peer.heads:
                        await trio.lowlevel.checkpoint()
                    scope.cancel()
            assert isinstance(await ask(line, peer.url), Answer)
            assert len(peer.heads) == 2
            await line.close()

    run(scene)


@pytest.mark.parametrize("named", ["http_proxy", "all_proxy"])
def test_a_proxy_of_the_environment_is_asked_with_its_password(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with listening() as proxy:
            monkeypatch.setenv(named, f"http://user:pa%20ss@127.0.0.1:{proxy.port}")
            assert isinstance(await ask(None, "http://ilink.example/poll"), Answer)
            ((head,),) = proxy.heads
            assert head.startswith("GET http://ilink.example/poll HTTP/1.1\r\n")
            assert "Proxy-Authorization: Basic dXNlcjpwYSBzcw==" in head

    run(scene)


def test_a_host_that_the_environment_excepts_is_asked_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with listening() as proxy, listening() as peer:
            monkeypatch.setenv("http_proxy", proxy.url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            assert isinstance(await ask(None, peer.url), Answer)
            assert (len(proxy.heads), len(peer.heads)) == (0, 1)

    run(scene)


@pytest.mark.parametrize("proxy", ["gopher://user:pa55word@127.0.0.1:1", "http://user:pa55word@127.0.0.1:99999"])
def test_what_cannot_be_a_proxy_is_named_without_its_password(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        monkeypatch.setenv("http_proxy", proxy)
        found = await ask(None, "http://ilink.example/poll")
        assert isinstance(found, NoAnswer)
        assert (found.stage, found.error) == ("connect", "the proxy's address is not valid")

    run(scene)


@pytest.mark.parametrize(
    ("url", "host", "target"),
    [
        ("http://localhost:{port}", "localhost:{port}", "/"),
        ("http://127.0.0.1:{port}/a b/\u00e9?x=1&y=%20", "127.0.0.1:{port}", "/a%20b/%C3%A9?x=1&y=%20"),
    ],
)
def test_an_address_is_written_as_http_wants_it(url: str, host: str, target: str) -> None:
    async def scene() -> None:
        async with listening() as peer:
            assert isinstance(await ask(None, url.format(port=peer.port)), Answer)
            ((head,),) = peer.heads
            assert head.startswith(f"GET {target} HTTP/1.1\r\n")
            assert f"\r\nHost: {host.format(port=peer.port)}\r\n" in head
            assert "\r\nAccept: text/plain\r\n" in head  # and not what is sent where nothing is said

    run(scene)


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://host:99999/", "http://h\u00f6st\u0000/"])
def test_an_address_that_is_none_is_said_to_be_corrected(url: str) -> None:
    async def scene() -> None:
        found = await ask(None, url)
        assert isinstance(found, NoAnswer)
        assert (found.stage, found.action) == ("resolve", "correct base_url")

    run(scene)

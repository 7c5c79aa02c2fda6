"""What every check of an adapter stands on: the server, the network, the clock, and one client in hand."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, ClassVar, Final, TypeVar

import attrs
import pytest
import trio
import trio.testing

from statecore.platform import AccountConfig
from statecore.testing.adapters.hand import Hand, Peer
from statecore.testing.adapters.network import Network

T = TypeVar("T")

LIMIT_S: Final = 24 * 3600.0
"""Virtual seconds after which a check has hung."""

PROXIES: Final = ("all_proxy", "http_proxy", "https_proxy", "ws_proxy", "wss_proxy", "socks_proxy")


class Base:
    """What the author of an adapter says about it. Override `platform`; the rest where the default does not fit.

    Attributes:
        requests_most: by call, how many requests it may make where that is not one. Say why where you set it.
        bad_chats: ids that `Platform.check` must refuse.
        patience_s: virtual seconds within which every call comes back, whatever the platform does.
        connections_most: connections that a client may leave standing between calls.
        answer_bytes_max: bytes of an answer after which no client reads on.
        settings: a table of settings as a user would write it, with everything that has no default.
        kind: the class that is built from it.
        quiet_s: real seconds without anything happening after which the virtual clock jumps. More on a machine that is
            slower than most; less makes the checks faster.
    """

    # httpx leaves generators behind where an exchange ends in the middle; nothing is lost by it
    pytestmark: ClassVar[Any] = pytest.mark.filterwarnings("ignore:Async generator 'http(x|core):ResourceWarning")

    requests_most: ClassVar[Mapping[str, int]] = {}
    bad_chats: ClassVar[tuple[str, ...]] = ()
    patience_s: ClassVar[float] = 180.0
    connections_most: ClassVar[int] = 3
    answer_bytes_max: ClassVar[int] = 16 * 1024 * 1024
    settings: ClassVar[Mapping[str, Any]] = {}
    kind: ClassVar[type[Any] | None] = None
    quiet_s: ClassVar[float] = 0.01  # what one task writes to the loopback another can read at once

    # ---- the author's --------------------------------------------------------------------------------------------------

    def platform(self) -> AbstractAsyncContextManager[Peer]:
        """Run a server, and tell about it. Each check has one of its own."""
        raise NotImplementedError("override platform(): an async context manager that yields a Peer")

    def offline(self) -> AccountConfig:
        """Return a configuration for the checks that need no server. By default it is built from *settings*."""
        from statecore.settings import build

        assert self.kind is not None, "set `kind` and `settings`, or override offline()"
        made: AccountConfig = build(self.kind, dict(self.settings), "account")
        return made

    def requests(self, sent: bytes) -> list[bytes]:
        """Cut what was written to one connection into the requests that are there whole. By default it is HTTP/1.1."""
        return http_requests(sent)

    def refusal(self, words: str) -> bytes:
        """Return an answer by which the platform refuses, with words of its own. By default over HTTP, in JSON."""
        import json

        said = dict.fromkeys(("message", "msg", "errmsg", "error", "error_description"), words)
        codes = dict.fromkeys(("ret", "errcode", "code", "err_code"), -31_337)
        return http_answer(400, json.dumps(said | codes).encode(), "application/json")

    def key(self, request: bytes) -> Any:
        """Return of a send what the platform can recognise a repetition by. By default all of its body."""
        return request.partition(b"\r\n\r\n")[2] or request

    def frame(self, payload: bytes) -> bytes:
        """Return the bytes that carry a frame on the socket of a session. By default a WebSocket message."""
        size = len(payload)
        length = (
            bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65_536 else b"\x7f" + size.to_bytes(8)
        )
        return b"\x81" + length + payload

    def fits(self, part: str) -> bool:  # noqa: ARG002 - of whoever overrides it
        """Tell whether the platform takes a part of this size."""
        return True

    # ---- the stage -----------------------------------------------------------------------------------------------------

    def run(self, check: Callable[[Hand], Awaitable[T]], *, encrypted: bool = False) -> T:
        """Run a check on a virtual clock, with a server and one client."""

        async def main() -> T:
            async with self.stage(encrypted=encrypted) as (peer, network), self.client(peer, network) as hand:
                return await check(hand)

        return self.virtually(main)

    def virtually(self, main: Callable[[], Awaitable[T]]) -> T:
        """Run something on a virtual clock, which stands still while anything happens."""

        async def bounded() -> T:
            with trio.fail_after(LIMIT_S):
                return await main()

        with without_proxies():
            try:
                return trio.run(bounded, clock=trio.testing.MockClock(autojump_threshold=self.quiet_s))
            except BaseExceptionGroup as group:
                raise alone(group) from group

    @asynccontextmanager
    async def stage(self, *, encrypted: bool = False) -> AsyncIterator[tuple[Peer, Network]]:
        """Run a server, and what lies between it and the adapter."""
        async with trio.open_nursery() as nursery, self.platform() as peer:
            network = Network(nursery, self.requests, encrypted=encrypted)
            trio.socket.set_custom_hostname_resolver(network)
            yield peer, network
            nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def client(self, peer: Peer, network: Network, secrets: dict[str, str] | None = None) -> AsyncIterator[Hand]:
        """Make an account, and a client of it."""
        config = peer.account(network.through)
        hand = Hand(config, peer, network, {} if secrets is None else secrets, self.patience_s)
        async with config.connect(hand.secrets) as client:
            hand.hold(client)
            yield hand


@attrs.frozen
class without_proxies:  # noqa: N801 - it is used like a function
    """Keeps the environment's proxies from standing between the adapter and the relays."""

    _kept: dict[str, str] = attrs.field(factory=dict)

    def __enter__(self) -> None:
        for name in (*PROXIES, *map(str.upper, PROXIES)):
            if name in os.environ:
                self._kept[name] = os.environ.pop(name)

    def __exit__(self, *_: object) -> None:
        os.environ.update(self._kept)


def alone(error: BaseException) -> BaseException:
    """Take the only error out of the groups that nurseries put around it."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


# ---- HTTP ------------------------------------------------------------------------------------------------------------

_HEAD: Final = re.compile(rb"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)


def http_requests(sent: bytes) -> list[bytes]:
    """Cut what was written to a connection into HTTP/1.1 requests. What follows an upgrade is none.

    >>> http_requests(b"GET / HTTP/1.1\\r\\n\\r\\nPOST /x HTTP/1.1\\r\\ncontent-length: 5\\r\\n\\r\\nab")
    [b'GET / HTTP/1.1\\r\\n\\r\\n']
    """
    found = []
    while _HEAD.match(sent) and b"\r\n\r\n" in sent:
        head, _, rest = sent.partition(b"\r\n\r\n")
        if _CHUNKED.search(head):
            body, ended, _ = rest.partition(b"0\r\n\r\n")
            size = len(body) + len(ended) if ended else len(rest) + 1
        else:
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
        if len(rest) < size:
            break
        end = len(head) + 4 + size
        found.append(sent[:end])
        sent = sent[end:]
    return found


def http_answer(status: int, body: bytes, kind: str = "text/html", **headers: str) -> bytes:
    """Write an HTTP/1.1 answer."""
    lines = [
        f"HTTP/1.1 {status} Whatever",
        f"content-type: {kind}",
        f"content-length: {len(body)}",
        "connection: close",
    ]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body

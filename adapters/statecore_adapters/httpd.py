"""A small HTTP/1.1 server that keeps its word exactly, also when its word is to misbehave.

A handler turns one request into one *answer*: a `Response`, or a fault, which is plain data describing how to break
the exchange. Nothing in here is random, so a test that asks for half a response gets half a response.
"""

# How one connection works: two tasks and a channel of one chunk between them.
#
#   reader   socket -> channel. Always waiting in receive_some(), also while a handler holds a long poll; so an
#            end of stream is seen the moment it happens, and cancels the exchange in progress.
#   worker   channel -> h11 -> handler -> socket. Runs one exchange after another.
#
# What did not work: a nursery per request, with the watcher beside the handler. It costs a nursery for each of the
# thousands of requests that answer at once, to serve the few that wait. What this costs instead: a client that
# shuts down only its sending half counts as gone, and one that pipelines is not watched beyond its next chunk.

import contextlib
import math
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final, Literal
from urllib.parse import parse_qsl, unquote

import attrs
import trio

try:
    import h11
except ImportError as missing:
    raise ImportError("the simulators need h11: pip install 'statecore[simulator]'") from missing

__all__ = [
    "Answer",
    "BadContentLength",
    "CloseAtOnce",
    "Fault",
    "Flood",
    "HalfResponse",
    "Handler",
    "Request",
    "Reset",
    "Response",
    "Server",
    "SlowBody",
    "Stall",
    "serve",
    "serve_stream",
]

HEADER_BYTES_MAX: Final = 64 * 1024
# Request line and headers together. h11 allows 16 KiB, Apache 8 KiB per line; a context token or a cursor in a
# query string stays far below either.
BODY_BYTES_MAX: Final = 32 * 1024 * 1024
# The real upload endpoint takes about 100 MiB. A body is held in memory in the process that also runs the test.
READ_BYTES: Final = 64 * 1024
CONNECTIONS_MAX: Final = 4096
# Far above what any client here opens.
LINGER_S: Final = 1.0
# After refusing a request the rest of it is read and dropped for this long; closing with unread bytes makes the
# kernel send RST, which can overtake the refusal.
SLOW_SLICES_PER_S: Final = 10


# ---- what a handler sees, and what it may answer ----


@attrs.frozen(kw_only=True)
class Request:
    """One request, read to its end.

    Attributes:
        path: decoded target without the query string.
        query: the first value of each query parameter.
        headers: lower-case names; of a repeated header, the last one.
        at: trio time when the last byte had arrived, in seconds.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float


@attrs.frozen
class Response:
    """A well-formed answer. Content-Length is added."""

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""


@attrs.frozen
class CloseAtOnce:
    """Close the connection in good order, without having answered a byte."""


@attrs.frozen
class Reset:
    """Tear the connection down with a TCP reset."""


@attrs.frozen
class HalfResponse:
    """Send the whole head and the first *after_bytes* of the body, then fall silent or close."""

    response: Response
    after_bytes: int
    then: Literal["stall", "close"] = "close"


@attrs.frozen
class Stall:
    """Say nothing for *seconds*, by default for ever, and only then answer."""

    seconds: float = math.inf
    then: "Answer" = CloseAtOnce()


@attrs.frozen
class SlowBody:
    """Send the head at once and the body at this rate."""

    response: Response
    bytes_per_s: float = attrs.field(validator=attrs.validators.gt(0))


@attrs.frozen
class Flood:
    """Send a body that never ends, as fast as the client reads it."""

    piece: bytes = b" " * 16384
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class BadContentLength:
    """Announce a length that is wrong by *delta*, or the literal *value*, then send the body and close."""

    response: Response
    delta: int = 0
    value: str | None = None


Fault = CloseAtOnce | Reset | HalfResponse | Stall | SlowBody | Flood | BadContentLength
Answer = Response | Fault
Handler = Callable[[Request], Awaitable[Answer]]


# ---- the server ----


@attrs.define(eq=False)
class Server:
    """A listening server. It stops when the block of `serve` that made it ends."""

    host: str
    port: int
    connections: int = 0

    @property
    def url(self) -> str:
        """Where it listens, without a trailing slash."""
        return f"http://{self.host}:{self.port}"


@contextlib.asynccontextmanager
async def serve(handler: Handler, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[Server, None]:
    """Listen on *host*:*port* and answer every request with *handler* until the block ends.

    Args:
        handler: called once for each request, concurrently. It is cancelled when its client goes away.
            An exception in it is a bug of the simulator: it ends the server and is raised from this block.
        port: 0 takes any free port; read it from the server.

    Raises:
        OSError: the port is taken.
    """
    listeners = await trio.open_tcp_listeners(port, host=host)
    server = Server(host, listeners[0].socket.getsockname()[1])
    failures: list[Exception] = []  # the first is raised below, as itself and not inside a group

    async def guarded(request: Request) -> Answer:
        # Caught here and not on its way through the nurseries: the client sees the connection end, the block fails
        # of that, and a Cancelled takes the place of the bug that was the reason.
        try:
            return await handler(request)
        except Exception as bug:  # noqa: BLE001
            failures.append(bug)
            nursery.cancel_scope.cancel()
            return CloseAtOnce()

    async def on_stream(stream: trio.SocketStream) -> None:
        if server.connections >= CONNECTIONS_MAX:
            await stream.aclose()
            return
        server.connections += 1
        try:
            await serve_stream(guarded, stream)
        finally:
            server.connections -= 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(trio.serve_listeners, on_stream, listeners))
        try:
            yield server
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


async def serve_stream(handler: Handler, stream: trio.abc.HalfCloseableStream) -> None:
    """Answer the requests that arrive on one connection, and close it."""
    try:
        async with trio.open_nursery() as nursery:
            chunks_in, chunks_out = trio.open_memory_channel[bytes](0)
            connection = _Connection(handler, stream, chunks_out)
            nursery.start_soon(connection.read, chunks_in)
            await connection.work()
            nursery.cancel_scope.cancel()
    finally:
        await trio.aclose_forcefully(stream)


class _Connection:
    def __init__(
        self,
        handler: Handler,
        stream: trio.abc.HalfCloseableStream,
        chunks: trio.MemoryReceiveChannel[bytes],
    ) -> None:
        self._handler = handler
        self._stream = stream
        self._chunks = chunks
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEADER_BYTES_MAX)
        self._exchange = trio.CancelScope()  # the request in progress; replaced for each
        self._gone = False
        self._head_only = False

    async def read(self, chunks: trio.MemorySendChannel[bytes]) -> None:
        async with chunks:
            while True:
                try:
                    data = await self._stream.receive_some(READ_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    data = b""
                if not data:
                    self._gone = True
                    self._exchange.cancel()
                    return
                await chunks.send(bytes(data))

    async def work(self) -> None:
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._one_exchange():
                self._http.start_next_cycle()

    async def _one_exchange(self) -> bool:
        """Read one request and answer it. True when the connection can carry another."""
        try:
            request = await self._read_request()
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
            return False
        if request is None:
            return False  # the client closed between two requests, or in one
        with trio.CancelScope() as self._exchange:
            if self._gone:  # it asked and left; what it asked for still happens, up to the first wait
                self._exchange.cancel()
            await self._carry_out(await self._handler(request))
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _next_event(self) -> h11.Event | None:
        """Wait for the next event; None when the connection can bring no other."""
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Event):
                return event
            if event is h11.PAUSED:
                return None
            if self._http.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            try:
                data = await self._chunks.receive()
            except trio.EndOfChannel:
                data = b""
            self._http.receive_data(data)

    async def _read_request(self) -> Request | None:
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._head_only = head.method == b"HEAD"
        body = bytearray()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            if len(body) > BODY_BYTES_MAX:
                raise h11.RemoteProtocolError("request body too large", error_status_hint=413)
        if not isinstance(event, h11.EndOfMessage):
            return None
        path, _, search = head.target.decode("ascii").partition("?")
        query: dict[str, str] = {}
        for name, value in parse_qsl(search, keep_blank_values=True):
            query.setdefault(name, value)
        return Request(
            method=head.method.decode("ascii"),
            path=unquote(path),
            query=query,
            headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
            body=bytes(body),
            at=trio.current_time(),
        )

    async def _refuse(self, status: int) -> None:
        """Answer a request that is not HTTP, and drop the rest of it."""
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = HTTPStatus(status).phrase.encode()
            await self._respond(Response(status, {"connection": "close"}, body))
            await self._stream.send_eof()
        with trio.move_on_after(LINGER_S):
            async for _ in self._chunks:
                pass

    async def _send(self, *events: h11.Event) -> None:
        wire = b"".join(self._http.send(event) or b"" for event in events)
        await self._stream.send_all(wire)

    async def _respond(self, response: Response) -> None:
        headers = [*response.headers.items(), ("content-length", str(len(response.body)))]
        await self._send(
            h11.Response(status_code=response.status, headers=headers, reason=_reason(response.status)),
            h11.Data(data=b"" if self._head_only else response.body),
            h11.EndOfMessage(),
        )

    async def _carry_out(self, answer: Answer) -> None:
        """Do exactly what *answer* says. After a fault h11 is not told, so the connection is not used again."""
        match answer:
            case Response():
                await self._respond(answer)
            case CloseAtOnce():
                pass
            case Reset():
                if isinstance(self._stream, trio.SocketStream):
                    self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            case Stall(seconds, then):
                await trio.sleep(seconds)
                await self._carry_out(then)
            case HalfResponse(response, after_bytes, then):
                await self._stream.send_all(_head(response) + response.body[:after_bytes])
                if then == "stall":
                    await trio.sleep_forever()
            case SlowBody(response, bytes_per_s):
                await self._stream.send_all(_head(response))
                async for piece in _paced(response.body, bytes_per_s):
                    await self._stream.send_all(piece)
            case BadContentLength(response, delta, value):
                length = str(len(response.body) + delta) if value is None else value
                await self._stream.send_all(_head(response, length) + response.body)
            case Flood(piece, headers):
                await self._stream.send_all(_head(Response(200, headers), None))
                while True:
                    await self._stream.send_all(piece)


def _reason(status: int) -> str:
    """Phrase for the status line; gateways invent numbers (524) that the registry does not have."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unregistered"


def _head(response: Response, length: str | None = "") -> bytes:
    """Write status line and headers by hand, for the faults h11 would rightly refuse to write.

    Args:
        length: the Content-Length to announce; "" the true one, None not any.
    """
    headers = [*response.headers.items(), ("connection", "close")]
    if length is not None:
        headers.append(("content-length", length or str(len(response.body))))
    lines = [f"HTTP/1.1 {response.status} {_reason(response.status)}", *(f"{name}: {value}" for name, value in headers)]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _paced(body: bytes, bytes_per_s: float) -> AsyncIterator[bytes]:
    """Cut *body* into pieces and wait before each, so that the whole keeps to the rate."""
    size = max(1, int(bytes_per_s / SLOW_SLICES_PER_S))
    for start in range(0, len(body), size):
        piece = body[start : start + size]
        await trio.sleep(len(piece) / bytes_per_s)
        yield piece

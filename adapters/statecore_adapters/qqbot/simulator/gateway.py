"""The gateway: who is let in."""

from collections.abc import Callable
from typing import Final

import trio
from websockets.http11 import Request, Response
from websockets.trio.server import ServerConnection

from .connection import Connection
from .faults import Abort, Eof, Proceed, Reject, Wait
from .records import Dial
from .state import State
from .wire import Socket

__all__ = ["PATH", "Gateway"]

PATH: Final = "/websocket"
CONNECTIONS_MAX: Final = 256  # far above what any client opens


class Gateway:
    """Serves WebSockets out of a `State`.

    Args:
        on_bug: told of an exception in here, which is a bug of the simulator.
    """

    def __init__(self, state: State, on_bug: Callable[[Exception], None]) -> None:
        self._state = state
        self._on_bug = on_bug

    async def greet(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer the opening handshake; None accepts it."""
        assert isinstance(connection, Socket)
        dial = connection.dial = self._state.new_dial(request.path)
        try:
            reject = await self._judge(connection, dial)
        except Exception as bug:
            self._on_bug(bug)
            raise
        if connection.stream_closed.is_set():
            dial.closed_at = self._state.now()
            self._state.note(f"dial {dial.number} gone without an answer")
            return connection.respond(503, "")  # to nobody
        dial.status = 101 if reject is None else reject.status
        if reject is None:
            return None
        dial.closed_at = self._state.now()
        self._state.note(f"dial {dial.number} rejected with {reject.status}")
        return connection.respond(reject.status, reject.body)

    async def _judge(self, connection: Socket, dial: Dial) -> Reject | None:
        """Return how to reject this dial; None accepts it, or finds the client gone."""
        outage = self._state.outage_now()
        if outage is not None:
            return Reject(outage.status)
        if dial.path.partition("?")[0].rstrip("/") != PATH:
            return Reject(404)
        if len(self._state.live) >= CONNECTIONS_MAX:
            return Reject(503, "too many connections")
        cue = self._state.cue("connect", dial)
        for step in () if cue is None else cue.steps:
            match step:
                case Proceed():
                    return None
                case Reject():
                    return step
                case Wait(ms):
                    with trio.move_on_after(ms / 1000):
                        await connection.stream_closed.wait()
                case Abort():
                    await connection.wire.reset()
                case Eof():
                    await trio.aclose_forcefully(connection.wire)
        if cue is not None:
            await connection.stream_closed.wait()  # it was ended, or waits for an answer until the client gives up
        return None

    async def serve(self, connection: ServerConnection) -> None:
        """Carry one open connection to its end."""
        assert isinstance(connection, Socket)
        try:
            await Connection(self._state, connection).serve()
        except Exception as bug:  # noqa: BLE001 - websockets would log it, and the client would see 1011
            while isinstance(bug, ExceptionGroup):
                bug = bug.exceptions[0]
            self._on_bug(bug)

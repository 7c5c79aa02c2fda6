"""One WebSocket, with the other end in hand: what the protocol answers by itself, and what a message may come as."""

from collections.abc import Awaitable, Callable

import trio
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from statecore_adapters.qqbot.wire import Gone, Socket


class Peer:
    """The other end."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.protocol = ServerProtocol(state=State.OPEN)

    async def send(self) -> None:
        """Send what the protocol has to send."""
        await self.stream.send_all(b"".join(self.protocol.data_to_send()))

    async def frame(self) -> Frame:
        """Return the next frame that comes."""
        while not (events := self.protocol.events_received()):
            self.protocol.receive_data(bytes(await self.stream.receive_some()))
        frame = events[0]
        assert isinstance(frame, Frame)
        return frame


def run(scene: Callable[[Socket, Peer], Awaitable[None]]) -> None:
    """Run a scene over a socket that was opened; one that hangs fails."""

    async def main() -> None:
        ours, theirs = trio.socket.socketpair()
        peer = Peer(trio.SocketStream(theirs))
        socket = Socket(trio.SocketStream(ours), ClientProtocol(parse_uri("ws://peer/"), state=State.OPEN))
        with trio.fail_after(10):
            await scene(socket, peer)
        socket.drop()
        await peer.stream.aclose()

    trio.run(main)


def test_a_message_that_comes_in_pieces_is_one_and_a_ping_between_them_is_answered() -> None:
    async def scene(socket: Socket, peer: Peer) -> None:
        peer.protocol.send_text(b'{"op"', fin=False)
        peer.protocol.send_ping(b"there?")
        peer.protocol.send_continuation(b": ", fin=False)
        peer.protocol.send_continuation(b"11}", fin=True)
        peer.protocol.send_text(b"next")
        await peer.send()
        assert await socket.receive() == b'{"op": 11}'
        assert await socket.receive() == b"next"
        pong = await peer.frame()
        assert (pong.opcode, bytes(pong.data)) == (Opcode.PONG, b"there?")

    run(scene)


def test_what_comes_before_the_answer_to_a_goodbye_does_not_hold_it_up() -> None:
    async def scene(socket: Socket, peer: Peer) -> None:
        async def answer() -> None:
            peer.protocol.send_text(b"one more")
            await peer.send()
            assert (await peer.frame()).opcode is Opcode.CLOSE
            await peer.send()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            assert await socket.leave()
        assert isinstance(await socket.send("too late"), Gone)

    run(scene)

"""One WebSocket, with the other end in hand: what the protocol answers by itself, and what a message may come as."""

import ssl
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing
import trustme
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from statecore_adapters.qqbot.wire import Gone, Socket


class Peer:
    """The other end."""

    def __init__(self, stream: trio.abc.Stream) -> None:
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


async def pair(*, tls: bool) -> tuple[trio.abc.Stream, trio.abc.Stream]:
    """Return the two ends of a connection."""
    ours, theirs = map(trio.SocketStream, trio.socket.socketpair())
    if not tls:
        return ours, theirs
    authority, served = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("peer").configure_cert(served)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    ends = trio.SSLStream(ours, trusting, server_hostname="peer"), trio.SSLStream(theirs, served, server_side=True)
    async with trio.open_nursery() as nursery:
        for end in ends:
            nursery.start_soon(end.do_handshake)
    return ends


def run(scene: Callable[[Socket, Peer], Awaitable[None]], *, tls: bool) -> None:
    """Run a scene over a socket that was opened; one that hangs fails."""

    async def main() -> None:
        ours, theirs = await pair(tls=tls)
        peer = Peer(theirs)
        socket = Socket(ours, ClientProtocol(parse_uri("ws://peer/"), state=State.OPEN))
        with trio.fail_after(10):
            await scene(socket, peer)
        socket.drop()
        await trio.aclose_forcefully(theirs)

    trio.run(main)


@pytest.mark.parametrize("tls", [False, True])
def test_a_message_that_comes_in_pieces_is_one_and_a_ping_between_them_is_answered(*, tls: bool) -> None:
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

    run(scene, tls=tls)


@pytest.mark.parametrize("tls", [False, True])
def test_a_read_that_is_given_up_again_and_again_loses_nothing_and_a_drop_ends_it(*, tls: bool) -> None:
    """
    Each heartbeat gives one up.
    """

    async def scene(socket: Socket, peer: Peer) -> None:
        found: list[bytes | Gone] = []
        for number in range(20):
            with trio.move_on_after(0.001):
                await socket.receive()
            assert await socket.send(f"beat {number}") is None
            peer.protocol.send_text(b"ack")
            await peer.send()
            found.append(await socket.receive())
        assert found == [b"ack"] * 20

        async def last() -> None:
            found.append(await socket.receive())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(last)
            await trio.testing.wait_all_tasks_blocked()
            socket.drop()
        assert isinstance(found[-1], Gone)

    run(scene, tls=tls)


@pytest.mark.parametrize("tls", [False, True])
def test_what_comes_before_the_answer_to_a_goodbye_does_not_hold_it_up(*, tls: bool) -> None:
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

    run(scene, tls=tls)

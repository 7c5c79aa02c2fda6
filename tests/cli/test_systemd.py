"""The command, started as systemd starts it."""

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from statecore_adapters.httpd import Stall
from tests.support.running import PATIENCE_S, open_street


@asynccontextmanager
async def manager(path: Path) -> AsyncIterator[trio.socket.SocketType]:
    """Listen as systemd does."""
    with trio.socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        await listening.bind(str(path))
        yield listening


async def told(listening: trio.socket.SocketType, *wanted: str) -> list[str]:
    """Wait for a message that has all of these; return the lines of it."""
    with trio.fail_after(PATIENCE_S):
        while True:
            lines = (await listening.recv(65536)).decode().split("\n")
            if all(any(text in line for line in lines) for text in wanted):
                return lines


def test_systemd_hears_of_a_start_of_a_takeover_and_of_a_stop(tmp_path: Path) -> None:
    """
    Ready while it waits, for the platform or for another process; the status says which; a stop is announced, and more time
    asked for while a send is under way.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street, manager(tmp_path / "notify") as listening:
            street.configure(drain="1m")
            other = await street.run()
            environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
            service = await street.start("run", "gateway.toml", environment=environment)
            await told(listening, "READY=1")
            await told(listening, f"STATUS=wx: waiting for process {other.pid}", "WATCHDOG=1")
            other.signal(signal.SIGTERM)
            await told(listening, "STATUS=wx: connected", "WATCHDOG=1")
            street.say("hello")
            await street.until(lambda: len(street.shown()) == 1)
            await street.quiet()
            script = street.sim.script("sendmessage", lambda answer: Stall(2, then=answer))
            street.send("slowly")
            await street.until(lambda: len(street.shown()) == 2)
            service.signal(signal.SIGTERM)
            await told(listening, "STOPPING=1")
            await told(listening, "EXTEND_TIMEOUT_USEC=", "STATUS=wx: draining", "WATCHDOG=1")
            script.cancel()
            assert await service.ends() == 0

    trio.run(main)

"""A gateway in a process of its own, commanded over its pipes, so that it can be measured from outside, and killed.

The process reads its accounts as JSON from the first line of stdin and a command from each line that follows, and answers
each with a line on stdout; whatever else it has to tell (what was accepted) are lines in between. It ends with its stdin.
"""

import json
import os
import resource
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE
from time import process_time
from timeit import default_timer
from typing import Any, Final

import attrs
import trio

from statecore import Gateway, open_gateway
from statecore.cli.run import keep_what_stands
from statecore.config import platforms
from statecore.platform import AccountConfig
from statecore.settings import build
from tests.figures.registry import ROOT

ACCOUNT: Final = "wx"
"""The account of a figure that needs only one."""

Accounts = Mapping[str, Mapping[str, Any]]
"""The tables of accounts by name, as in a configuration file: each names its platform."""

SENDERS: Final = 64
"""Tasks of the program that hand over many messages: enough to fill a commit."""


# ---- the side that commands ------------------------------------------------------------------------------------------


@attrs.define
class Worker:
    """A gateway in another process; made by `open_worker`.

    Args:
        process: it.
        accepted: keys for which its `send` has returned, as far as it could say so.
        ended: whether all that it said has been heard.
    """

    process: trio.Process
    accepted: list[str] = attrs.field(factory=list)
    ended: trio.Event = attrs.field(factory=trio.Event)
    _answers: dict[int, Any] = attrs.field(factory=dict)
    _changed: trio.Event = attrs.field(factory=trio.Event)
    _asked: int = 0

    async def ask(self, do: str, **arguments: Any) -> Any:
        """Give a command and wait for its answer.

        Raises:
            EOFError: the process ended before it answered.
        """
        self._asked += 1
        number = self._asked
        await self.tell(do, number=number, **arguments)
        while number not in self._answers:
            if self.ended.is_set():
                raise EOFError(f"the gateway ended before it answered {do!r}")
            await self._changed.wait()
        return self._answers.pop(number)

    async def tell(self, do: str, **arguments: Any) -> None:
        """Give a command without waiting."""
        assert self.process.stdin is not None
        await self.process.stdin.send_all(json.dumps({"do": do, **arguments}).encode() + b"\n")

    async def cpu(self) -> float:
        """Return the CPU seconds it has used."""
        return float(await self.ask("cpu"))

    def memory(self, field: str = "VmRSS") -> float:
        """Return its memory in MB: resident now, or at most so far with "VmHWM"."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return int(line.split()[1]) / 1000
        raise AssertionError(f"the kernel tells no {field}")

    async def listen(self) -> None:
        """Take in what it says until it ends."""
        assert self.process.stdout is not None
        async for line in _lines(self.process.stdout):
            said = json.loads(line)
            if "accepted" in said:
                self.accepted.append(said["accepted"])
            else:
                self._answers[said["number"]] = said["answer"]
            self._wake()
        self.ended.set()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


@asynccontextmanager
async def open_worker(journal: Path, accounts: Accounts) -> AsyncIterator[Worker]:
    """Start a gateway in a process of its own; leaving the block kills it.

    Args:
        journal: its file.
        accounts: of any platforms.
    """
    command = [sys.executable, "-m", "tests.figures.worker", str(journal)]
    async with trio.open_nursery() as nursery:
        process = await trio.lowlevel.open_process(command, stdin=PIPE, stdout=PIPE, cwd=ROOT)
        worker = Worker(process)
        nursery.start_soon(worker.listen)
        try:
            assert process.stdin is not None
            tables = {name: dict(table) for name, table in accounts.items()}
            await process.stdin.send_all(json.dumps(tables).encode() + b"\n")
            yield worker
        finally:
            with trio.CancelScope(shield=True):
                process.kill()
                await process.wait()
            nursery.cancel_scope.cancel()


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in stream:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


# ---- the side that is measured ---------------------------------------------------------------------------------------


async def _work(journal: str) -> None:
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))  # an account holds two: a lock and a socket
    lines = _lines(trio.lowlevel.FdStream(os.dup(0)))
    accounts = {name: _account(name, table) for name, table in json.loads(await anext(lines)).items()}
    async with open_gateway(journal, accounts) as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(keep_what_stands)  # as `statecore run` does
        async for line in lines:
            command = json.loads(line)
            do, number = command.pop("do"), command.pop("number", None)
            if do in _PROGRAMS:
                nursery.start_soon(_PROGRAMS[do], gateway)
                answer: Any = None
            else:
                answer = await _COMMANDS[do](gateway, **command)
            if number is not None:
                _say({"number": number, "answer": answer})
        nursery.cancel_scope.cancel()


def _account(name: str, table: Mapping[str, Any]) -> AccountConfig:
    kind = platforms()[table["platform"]].load()
    settings = {key: value for key, value in table.items() if key != "platform"}
    account: AccountConfig = build(kind, settings, f"accounts.{name}")
    return account


def _say(said: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def _take(gateway: Gateway) -> None:
    """Be the program: take every message, and be done with it at once."""
    async for message in gateway.inbox():
        async with message:
            pass


async def _echo(gateway: Gateway) -> None:
    """Be the program: answer every message once, with what it says."""
    async for message in gateway.inbox():
        async with message:
            await gateway.send(message.account, message.chat, message.text, reply_to=message, key=message.id)


async def _cpu(_gateway: Gateway) -> float:
    return process_time()


async def _status(gateway: Gateway) -> dict[str, Any]:
    began = default_timer()
    status = gateway.status()
    took = default_timer() - began
    return {"seconds": took, "accounts": [attrs.asdict(account) for account in status.accounts]}


async def _send(gateway: Gateway, *, chats: Mapping[str, Sequence[tuple[str, str]]], account: str = ACCOUNT) -> None:
    """Send to several chats at once, to each in order, and tell each key once it is accepted."""

    async def send(chat: str, items: Sequence[tuple[str, str]]) -> None:
        for key, text in items:
            await gateway.send(account, chat, text, key=key)
            _say({"accepted": key})

    async with trio.open_nursery() as nursery:
        for chat, items in chats.items():
            nursery.start_soon(send, chat, items)


async def _fill(gateway: Gateway, *, chat: str, count: int) -> float:
    """Send many messages to one chat as fast as they are taken, every second one with an expiry; return the seconds."""
    numbers = iter(range(count))

    async def send() -> None:
        for number in numbers:
            text = f"message {number}, as long as most of what a bot says in one go"
            await gateway.send(ACCOUNT, chat, text, expires="12h" if number % 2 else None)

    began = default_timer()
    async with trio.open_nursery() as nursery:
        for _ in range(SENDERS):
            nursery.start_soon(send)
    return default_timer() - began


_PROGRAMS: Final[Mapping[str, Callable[[Gateway], Awaitable[None]]]] = {"take": _take, "echo": _echo}
"""What goes on until the process ends."""

_COMMANDS: Final[Mapping[str, Callable[..., Awaitable[Any]]]] = {
    "cpu": _cpu,
    "status": _status,
    "send": _send,
    "fill": _fill,
}

if __name__ == "__main__":
    trio.run(_work, sys.argv[1])

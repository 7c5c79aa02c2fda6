"""Crashes and broken disks: what stands between a gateway and its journal.

A power cut leaves what was committed, and nothing else: no task gets another word in, neither to the journal nor to the
platform. The tasks themselves end by an error that nothing catches, which a real cut would not trouble to raise; but by
then nobody listens to them.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import attrs
import trio

from statecore.account import Command
from statecore.system import Unit
from statecore_journal import Journal

T = TypeVar("T")

Fault = Callable[[str], Exception | None]
"""Asked before every write ("append", "take", "beat", "ask", "finish", "prune") for what it fails with."""


class Cut(BaseException):
    """The power is gone."""


@attrs.define
class Power:
    """What keeps one process running.

    Args:
        before: cut before this write (from 1) becomes durable.
        after: cut when this write is durable, and before anybody heard of it.
        fault: see `Fault`.
        writes: how many there have been; the heartbeat does not count.
        on: whether it is still there.
    """

    before: int | None = None
    after: int | None = None
    fault: Fault | None = None
    writes: int = 0
    on: bool = True
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)

    @classmethod
    def failing(cls, when: Literal["before", "after"], write: int) -> Self:
        """Make one that fails before or after its so-many-th write."""
        return cls(before=write) if when == "before" else cls(after=write)

    def cut(self) -> None:
        """Cut it now."""
        self.on = False
        self.scope.cancel()

    def check(self) -> None:
        """Go on only while there is any.

        Raises:
            Cut: there is none.
        """
        if not self.on:
            raise Cut

    async def write(self, kind: str, loud: Callable[[], Awaitable[T]], silent: Callable[[], Awaitable[Any]]) -> T:
        """Write, unless the power fails first.

        Args:
            kind: of write.
            loud: writes, and tells whoever waits for it.
            silent: writes.
        """
        self.check()
        if self.fault is not None and (error := self.fault(kind)) is not None:
            await trio.lowlevel.checkpoint()
            raise error
        self.writes += kind != "beat"
        if kind != "beat" and self.writes == self.before:
            self.cut()
            self.check()
        if kind != "beat" and self.writes == self.after:
            self.on = False
            with trio.CancelScope(shield=True):
                await silent()
            self.cut()
            self.check()
        return await loud()


class WiredJournal:
    """A journal on somebody's power.

    Args:
        journal: the real one.
        power: what it is on.
    """

    def __init__(self, journal: Journal, power: Power) -> None:
        self._journal = journal
        self._power = power
        self.store = journal.store
        self.path: Path = journal.path
        self.secrets = journal.secrets
        self.status = journal.status

    async def append(self, units: list[Unit], placed: Any = None) -> Any:
        """Append units."""
        return await self._power.write(
            "append", lambda: self._journal.append(units, placed), lambda: self._journal.append(units)
        )

    async def take(self, account: str, boot: str, pid: int, host: str) -> tuple[int, int]:
        """Take a lease."""
        return await self._write("take", lambda: self._journal.take(account, boot, pid, host))

    async def beat(self, statuses: dict[str, tuple[int, str]]) -> None:
        """Write the heartbeat."""
        await self._write("beat", lambda: self._journal.beat(statuses))

    async def ask(self, account: str, command: Command) -> tuple[int, str]:
        """Record a command."""
        return await self._write("ask", lambda: self._journal.ask(account, command))

    async def finish(self, command: int, result: str) -> None:
        """Mark a command."""
        await self._write("finish", lambda: self._journal.finish(command, result))

    async def prune(self, **how: Any) -> Any:
        """Prune; each of its transactions is a write."""
        writer: Any = self._journal._writer
        run = writer.run

        async def counted(work: Any) -> Any:
            return await self._power.write("prune", lambda: run(work), lambda: run(work))

        writer.run = counted
        try:
            return await self._journal.prune(**how)
        finally:
            writer.run = run

    async def _write(self, kind: str, write: Callable[[], Awaitable[T]]) -> T:
        return await self._power.write(kind, write, write)

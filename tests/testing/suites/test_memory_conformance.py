"""The projection in memory keeps what it claims: to be where the machines are, read as a journal's is."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import trio

from statecore.system import Unit
from statecore.testing.journals import Claim, JournalSuite
from statecore_journal.memory import MemoryStore


class MemoryJournal:
    """What a what-if does with it: units one behind the other, from one writer."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self._following = 1

    async def append(self, units: Sequence[Unit], placed: Any = None) -> list[int]:
        """Append units."""
        firsts = []
        for unit in units:
            self.store.append(unit, self._following)
            firsts.append(self._following)
            self._following += len(unit.entries)
        if placed is not None:
            placed(list(zip(units, firsts, strict=True)))
        await trio.lowlevel.checkpoint()
        return firsts


class TestMemoryStore(JournalSuite):
    """A projection and nothing else."""

    absent: ClassVar[Mapping[Claim, str]] = {
        "rows": "it holds where instances are, and not how they got there",
        "conflicts": "it has one writer, and looks at nothing",
        "keys": "whoever runs a what-if knows what was accepted",
        "leases": "it belongs to one run of one process",
        "commands": "nobody else can ask it for anything",
        "secrets": "there are none in a recording",
        "several": "it is in the memory of one process",
        "lasts": "it is of a run that nobody wants to keep",
        "crash": "it is of a run that nobody wants to keep",
        "damage": "there is no file",
        "busy": "there is nobody else",
        "full": "there is no disk",
    }

    @asynccontextmanager
    async def open(self, _place: Any, _wall: Callable[[], int]) -> AsyncIterator[Any]:
        """Make one."""
        yield MemoryJournal()

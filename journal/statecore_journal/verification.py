"""Does this code still do what a journal records?

Everything is folded once more and compared: with every row's states, version, outcome and guards, and in the end with the
table `instances`. What does not fit is named with what was recorded and what this code makes of it, the versions of the
definition and of the fields on both sides, and the upcaster that could settle it.
"""

import heapq
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from statecore.loading import load_machines
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES
from statecore_journal.advice import explained
from statecore_journal.apart import Task, parts, run
from statecore_journal.files import undisturbed
from statecore_journal.fold import INSTANCES, VERSION, Divergence, Folded, Replay
from statecore_journal.reader import open_reader
from statecore_journal.sweep import EVERYWHERE, Aside, Sweep, Where

NAMED_MAX: Final = 20
"""Divergences that are named one by one, the first of them; the others are counted."""

ADDRESSES_AT_ONCE: Final = 500
"""Places in `instances` that are asked for in one question."""


@attrs.frozen(kw_only=True)
class Verified:
    """What came of comparing a journal with this code.

    Args:
        path: of the journal.
        events: rows there are.
        instances: instances whose every row, and whose place in `instances`, was compared.
        diverging: instances that part from the record.
        named: where, the first first; at most `NAMED_MAX`.
        unknown: rows of machines that this code does not have, by the machine's name. They were not compared.
    """

    path: str
    events: int
    instances: int
    diverging: int
    named: tuple[Divergence, ...]
    unknown: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Whether all of it was compared, and fits."""
        return not self.diverging and not self.unknown


@undisturbed
def verify(
    path: str | Path, *, machines: Mapping[str, Machine] | None = None, specs: Sequence[str] = (), jobs: int = 1
) -> Verified:
    """Compare a journal with the machines of this code. Memory does not grow with it.

    Args:
        path: of the journal. A gateway may be writing it.
        machines: by name; the shipped ones unless something else is given.
        specs: where to find machines instead, as "package.module:ATTRIBUTE"; with the shipped ones.
        jobs: processes that share the work, where the machines can be found by another process; 0 for as many as there are
            processors.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
        ConfigError: there is no such machine.
    """
    known = load_machines(specs) if machines is None else machines
    with open_reader(path) as reader, reader.reading() as connection:
        several = parts(connection, EVERYWHERE, 1 if machines is not None else jobs)
        if len(several) == 1:
            return _verify(connection, str(path), known, EVERYWHERE)
    tasks = [
        Task(
            work=f"{__name__}:verify_part",
            path=str(path),
            condition=where.condition,
            values=where.values,
            specs=tuple(specs),
        )
        for where in several
    ]
    return _joined(run(tasks, Verified))


def diverges(path: str | Path, *, machines: Mapping[str, Machine] = MACHINES) -> Divergence | None:
    """Return the first place in a journal where this code does not do what was recorded, or None.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    found = verify(path, machines=machines)
    if found.unknown:
        return _unknown(path, found, machines)
    return found.named[0] if found.named else None


def _unknown(path: str | Path, found: Verified, machines: Mapping[str, Machine]) -> Divergence:
    """Name the first row of a machine that this code does not have."""
    name = min(found.unknown)
    with open_reader(path) as reader, reader.reading() as connection:
        rows = connection.execute(
            "select seq, machine, version, event from events where machine >= ? and machine < ? order by seq limit 1",
            (f"{name}/", f"{name}0"),
        ).fetchall()
    seq, address, version, event = rows[0] if rows else (0, f"{name}/", 0, "")
    because = f"nothing, because this code has no machine {name!r}; it has {', '.join(machines)}"
    return Divergence(seq, address, version, event, "a row", because)


# ---- the parts of a journal ------------------------------------------------------------------------------------------


@undisturbed
def verify_part(task: Task) -> Verified:
    """Compare some of the instances of a journal; for a process of its own."""
    with open_reader(task.path) as reader, reader.reading() as connection:
        return _verify(connection, task.path, load_machines(task.specs), task.where)


def _joined(parts: Sequence[Verified]) -> Verified:
    unknown: Counter[str] = Counter()
    for part in parts:
        unknown.update(part.unknown)
    named = sorted((one for part in parts for one in part.named), key=_place)
    return Verified(
        path=parts[0].path,
        events=sum(part.events for part in parts),
        instances=sum(part.instances for part in parts),
        diverging=sum(part.diverging for part in parts),
        named=tuple(named[:NAMED_MAX]),
        unknown=dict(unknown),
    )


# ---- one part --------------------------------------------------------------------------------------------------------


def _verify(connection: sqlite3.Connection, path: str, machines: Mapping[str, Machine], where: Where) -> Verified:
    comparison = _Comparison(connection, machines, where)
    comparison.run()
    named = sorted(comparison.named, key=_place)
    return Verified(
        path=path,
        events=comparison.sweep.events,
        instances=comparison.compared,
        diverging=comparison.diverging,
        named=tuple(explained(connection, machines, one) for one in named),
        unknown=dict(comparison.sweep.unknown),
    )


def _place(divergence: Divergence) -> tuple[int, str]:
    return divergence.seq, divergence.address


class _Comparison:
    """Compares a sweep with the table `instances`."""

    def __init__(self, connection: sqlite3.Connection, machines: Mapping[str, Machine], where: Where) -> None:
        self._aside = Aside()
        self.sweep = Sweep(connection, machines, where, self._leave, self._note, self._aside)
        self.sweep.back = self._back
        self.compared = self.diverging = 0
        self.named: list[Divergence] = []
        self._connection = connection
        self._machines = machines
        self._where = where
        self._replays = {name: Replay(machine) for name, machine in machines.items()}

    def run(self) -> None:
        self.sweep.run()
        self.sweep.settle()
        for address, snapshot, parted in self._aside.standing(self._machines):
            if not parted:
                self._compare(address, snapshot, self._recorded(address))
            self.compared += 1
        if self.compared != self._count():
            for address, version, seq, state in self._orphans():
                self._note(Divergence(seq, address, version, "", state, "no history"))

    def _note(self, divergence: Divergence) -> None:
        self.diverging += 1
        self.named.append(divergence)
        if len(self.named) > 2 * NAMED_MAX:
            self.named = heapq.nsmallest(NAMED_MAX, self.named, key=_place)

    def _leave(self, held: Mapping[str, Snapshot]) -> set[str]:
        """Compare those whose place in `instances` is as far as they are: nothing more will happen to them."""
        left: set[str] = set()
        addresses = iter(held)
        while several := list(islice(addresses, ADDRESSES_AT_ONCE)):
            wanted = ",".join("?" * len(several))
            for recorded in self._connection.execute(f"{INSTANCES} where address in ({wanted})", several):
                address, snapshot = recorded[0], held[recorded[0]]
                if recorded[VERSION] == snapshot.version:
                    self._compare(address, snapshot, recorded)
                    left.add(address)
        self.compared += len(left)
        return left

    def _back(self, _address: str, _snapshot: Snapshot) -> None:
        self.compared -= 1

    def _recorded(self, address: str) -> tuple[object, ...] | None:
        found: tuple[object, ...] | None = self._connection.execute(
            f"{INSTANCES} where address = ?", (address,)
        ).fetchone()
        return found

    def _compare(self, address: str, snapshot: Snapshot, recorded: tuple[object, ...] | None) -> None:
        replay = self._replays[address.partition("/")[0]]
        found = replay.ends_at(Folded(address, snapshot, 0), recorded)
        if found is not None:
            last = "select seq from events where machine = ? and version = ?"
            (seq,) = self._connection.execute(last, (address, snapshot.version)).fetchone() or (0,)
            self._note(attrs.evolve(found, seq=seq))

    def _count(self) -> int:
        sql = f"select machine, count(*) from instances where {self._where.about('address')} group by machine"  # noqa: S608
        counts = self._connection.execute(sql, self._where.values)
        return sum(count for machine, count in counts if machine in self._machines)

    def _orphans(self) -> Iterator[tuple[str, int, int, str]]:
        """Yield the instances that no event made."""
        sql = f"{INSTANCES} where {self._where.about('address')} and {_UNKNOWN_TO_THE_ROWS}"
        rows = (row[:4] for row in self._connection.execute(sql, self._where.values))
        return (row for row in rows if row[0].partition("/")[0] in self._machines)


_UNKNOWN_TO_THE_ROWS: Final = """not exists (select 1 from events where events.machine = address)
and not exists (select 1 from checkpoints where checkpoints.address = instances.address)"""

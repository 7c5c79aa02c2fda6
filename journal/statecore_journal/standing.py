"""Where everything was at some moment of a journal, as its events say."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

from statecore import codec
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES
from statecore_journal.fold import Divergence
from statecore_journal.reader import instances_of, open_reader
from statecore_journal.sweep import Sweep, Where


@attrs.frozen(kw_only=True)
class Standing:
    """One instance at that moment. Times in ns; those of `at` and `deadlines` are of the gateway's clock.

    Args:
        address: of the instance.
        state: where it was.
        version: how many events it had taken.
        seq: position of the last of them; None if it is pruned.
        since: when it had entered the state, by the wall clock; None if that row is pruned.
        held: for how long it had been in it, by the gateway's clock; likewise.
        remembered: its fields that are not at their defaults.
        deadlines: of the timers that ran, with how long they still had, the next one first.
        parted: whether this code parts from the record before that moment; then it is shown where that was.
    """

    address: str
    state: str
    version: int
    seq: int | None
    since: int | None
    held: int | None
    remembered: Mapping[str, Any]
    deadlines: tuple[tuple[str, int], ...]
    parted: bool


@attrs.frozen(kw_only=True)
class Replayed:
    """A journal at some moment.

    Args:
        seq: position of the last row that was replayed; 0 for none.
        at: when it happened, on the gateway's clock, in ns.
        wall: when it was written, in ns since 1970.
        events: how many rows were replayed.
        counts: instances in each state, by machine; with those that are finished.
        unknown: rows of machines that this code does not have, by the machine's name.
        parted: where this code parts from the record, the first first; of each instance the first.
        standing: where each was, in the order of their addresses.
    """

    seq: int
    at: int
    wall: int
    events: int
    counts: Mapping[str, Mapping[str, int]]
    unknown: Mapping[str, int]
    parted: tuple[Divergence, ...]
    standing: Iterator[Standing]


PARTED_MAX = 20
"""Divergences that are kept. `statecore verify` is about them."""


@contextmanager
def replay(
    path: str | Path,
    until: int | None = None,
    *,
    machines: Mapping[str, Machine] = MACHINES,
    machine: str | None = None,
    account: str | None = None,
    finished: bool = False,
) -> Iterator[Replayed]:
    """Fold a journal up to some moment.

    Memory does not grow with the journal: what stands is read as it is asked for, from a temporary file where it is much.

    Args:
        path: of the journal. A gateway may be writing it.
        until: the position up to which; None for the end.
        machines: by name.
        machine: only instances whose address begins with this.
        account: only this account.
        finished: whether instances are listed to which nothing more can happen.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    with open_reader(path) as reader, reader.reading() as connection:
        condition, values, narrow = instances_of(machine, account)
        fold = _Fold(connection, machines, Where(condition, values, narrow), finished=finished)
        fold.sweep.run(until)
        fold.sweep.settle(until)
        counts = fold.counted()
        last = connection.execute(
            "select seq, at, wall from events where seq <= ? order by seq desc limit 1",
            (2**63 - 1 if until is None else until,),
        ).fetchone()
        seq, at, wall = last or (0, 0, 0)
        yield Replayed(
            seq=seq,
            at=at,
            wall=wall,
            events=fold.sweep.events,
            counts=counts,
            unknown=dict(fold.sweep.unknown),
            parted=tuple(fold.parted),
            standing=fold.standing(at),
        )


class _Fold:
    """A sweep that keeps what is not finished."""

    def __init__(
        self, connection: sqlite3.Connection, machines: Mapping[str, Machine], where: Where, *, finished: bool
    ) -> None:
        self.sweep = Sweep(connection, machines, where, self._leave, self._note)
        self.sweep.back = self._back
        self.parted: list[Divergence] = []
        self._over: Counter[tuple[str, str]] = Counter()
        self._connection = connection
        self._machines = machines
        self._finished = finished

    def _note(self, divergence: Divergence) -> None:
        if len(self.parted) < PARTED_MAX:
            self.parted.append(divergence)

    def _leave(self, held: Mapping[str, Snapshot]) -> set[str]:
        left: set[str] = set()
        for address, snapshot in held.items():
            name = address.partition("/")[0]
            if not self._finished and snapshot.state in self._machines[name].final:
                self._over[name, snapshot.state] += 1
                left.add(address)
        return left

    def _back(self, address: str, snapshot: Snapshot) -> None:
        self._over[address.partition("/")[0], snapshot.state] -= 1

    def counted(self) -> dict[str, dict[str, int]]:
        """Return how many instances are in each state, by machine."""
        counts: dict[str, dict[str, int]] = {}
        for (name, state), count in sorted((self._over + self.sweep.counts()).items()):
            counts.setdefault(name, {})[state] = count
        return counts

    def standing(self, at: int) -> Iterator[Standing]:
        """Yield where each instance stands."""
        for address, snapshot, parted in self.sweep.standing():
            machine = self._machines[address.partition("/")[0]]
            deadlines = sorted((deadline - at, name) for deadline, name in machine.deadlines(snapshot))
            rows = dict(
                self._connection.execute(
                    "select version, json_array(seq, wall, at) from events where machine = ? and version in (?, ?)",
                    (address, snapshot.version, snapshot.entered),
                )
            )
            last, entered = (
                json.loads(rows.get(version, "[null, null, null]")) for version in (snapshot.version, snapshot.entered)
            )
            yield Standing(
                address=address,
                state=snapshot.state,
                version=snapshot.version,
                seq=last[0],
                since=entered[1],
                held=None if entered[2] is None else max(0, at - entered[2]),
                remembered=json.loads(codec.dumps(snapshot.data)),
                deadlines=tuple((name, left) for left, name in deadlines),
                parted=parted,
            )

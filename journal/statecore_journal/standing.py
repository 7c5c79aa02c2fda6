"""Where everything was at some moment of a journal, as its events say."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs

from statecore import codec
from statecore.loading import load_machines
from statecore.machine import Machine, Snapshot
from statecore_journal.apart import Task, parts, run
from statecore_journal.files import undisturbed
from statecore_journal.fold import Divergence
from statecore_journal.reader import instances_of, open_reader
from statecore_journal.sweep import Aside, Sweep, Where


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


PARTED_MAX: Final = 20
"""Divergences that are kept. `statecore verify` is about them."""


@contextmanager
def replay(
    path: str | Path,
    until: int | None = None,
    *,
    machines: Mapping[str, Machine] | None = None,
    specs: Sequence[str] = (),
    jobs: int = 1,
    machine: str | None = None,
    account: str | None = None,
    finished: bool = False,
) -> Iterator[Replayed]:
    """Fold a journal up to some moment.

    Memory does not grow with the journal: what stands is read as it is asked for, from a temporary file where it is much.

    Args:
        path: of the journal. A gateway may be writing it.
        until: the position up to which; None for the end.
        machines: by name; the shipped ones unless something else is given.
        specs: where to find machines instead, as "package.module:ATTRIBUTE"; with the shipped ones.
        jobs: processes that share the work, where the machines can be found by another process; 0 for as many as there are
            processors.
        machine: only instances whose address begins with this.
        account: only this account.
        finished: whether instances are listed to which nothing more can happen.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
        ConfigError: there is no such machine.
    """
    known = load_machines(specs) if machines is None else machines
    with ExitStack() as stack:
        reader = stack.enter_context(open_reader(path))
        connection = stack.enter_context(reader.reading())
        where = Where(*instances_of(machine, account))
        upto = 2**63 - 1 if until is None else until
        last = connection.execute("select seq, at, wall from events where seq <= ? order by seq desc limit 1", (upto,))
        seq, at, wall = last.fetchone() or (0, 0, 0)
        several = parts(connection, where, 1 if machines is not None else jobs)
        if len(several) == 1:
            asides = [Aside()]
            found = [_fold(connection, known, where, asides[0], seq, finished=finished)]
        else:
            folder = stack.enter_context(TemporaryDirectory(prefix="statecore-"))
            files = [f"{folder}/{number}" for number in range(len(several))]
            tasks = [
                Task(
                    work=f"{__name__}:fold_part",
                    path=str(path),
                    condition=part.condition,
                    values=part.values,
                    specs=tuple(specs),
                    until=seq,
                    finished=finished,
                    aside=file,
                )
                for part, file in zip(several, files, strict=True)
            ]
            found, asides = run(tasks, Part), [Aside(file) for file in files]
        yield Replayed(
            seq=seq,
            at=at,
            wall=wall,
            events=sum(part.events for part in found),
            counts=_added(part.counts for part in found),
            unknown=_added({"": part.unknown} for part in found).get("", {}),
            parted=tuple(sorted((one for part in found for one in part.parted), key=lambda one: one.seq)[:PARTED_MAX]),
            standing=(one for aside in asides for one in _standing(connection, known, aside, at)),
        )


# ---- one part --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Part:
    """What came of folding some of the instances; see `Replayed`."""

    events: int
    counts: Mapping[str, Mapping[str, int]]
    unknown: Mapping[str, int]
    parted: tuple[Divergence, ...]


@undisturbed
def fold_part(task: Task) -> Part:
    """Fold some of the instances of a journal; for a process of its own."""
    assert task.until is not None, "whoever shares the work out says where it ends"
    with open_reader(task.path) as reader, reader.reading() as connection:
        machines, aside = load_machines(task.specs), Aside(task.aside)
        return _fold(connection, machines, task.where, aside, task.until, finished=task.finished)


def _fold(
    connection: sqlite3.Connection,
    machines: Mapping[str, Machine],
    where: Where,
    aside: Aside,
    until: int,
    *,
    finished: bool,
) -> Part:
    over: Counter[tuple[str, str]] = Counter()
    parted: list[Divergence] = []

    def leave(held: Mapping[str, Snapshot]) -> set[str]:
        left: set[str] = set()
        for address, snapshot in held.items():
            name = address.partition("/")[0]
            if not finished and snapshot.state in machines[name].final:
                over[name, snapshot.state] += 1
                left.add(address)
        return left

    def back(address: str, snapshot: Snapshot) -> None:
        over[address.partition("/")[0], snapshot.state] -= 1

    def note(divergence: Divergence) -> None:
        if len(parted) < PARTED_MAX:
            parted.append(divergence)

    sweep = Sweep(connection, machines, where, leave, note, aside)
    sweep.back = back
    sweep.run(until)
    sweep.settle(until)
    counts: dict[str, dict[str, int]] = {}
    for (name, state), count in sorted((over + aside.counts()).items()):
        counts.setdefault(name, {})[state] = count
    return Part(events=sweep.events, counts=counts, unknown=dict(sweep.unknown), parted=tuple(parted))


def _added(several: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """Add counts up."""
    total: dict[str, Counter[str]] = {}
    for counts in several:
        for name, states in counts.items():
            total.setdefault(name, Counter()).update(states)
    return {name: dict(sorted(states.items())) for name, states in sorted(total.items())}


def _standing(
    connection: sqlite3.Connection, machines: Mapping[str, Machine], aside: Aside, at: int
) -> Iterator[Standing]:
    """Yield where each instance stands."""
    for address, snapshot, parted in aside.standing(machines):
        deadlines = machines[address.partition("/")[0]].deadlines(snapshot)
        asked = (address, snapshot.version, snapshot.entered)
        rows = {version: rest for version, *rest in connection.execute(_ROWS_OF, asked)}
        last, entered = rows.get(snapshot.version), rows.get(snapshot.entered)
        yield Standing(
            address=address,
            state=snapshot.state,
            version=snapshot.version,
            seq=None if last is None else last[0],
            since=None if entered is None else entered[1],
            held=None if entered is None else max(0, at - entered[2]),
            remembered=json.loads(codec.dumps(snapshot.data)),
            deadlines=tuple((name, deadline - at) for deadline, name in sorted(deadlines)),
            parted=parted,
        )


_ROWS_OF: Final = "select version, seq, wall, at from events where machine = ? and version in (?, ?)"

"""Where two journals part, or two versions of the machines over one journal.

Instances are compared one by one, in the order of their addresses, so what is in memory is one row of each side.
"""

import heapq
import sqlite3
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from statecore import codec
from statecore.errors import StatecoreError
from statecore.machine import Machine, Snapshot
from statecore_journal.fields import read_fields
from statecore_journal.files import undisturbed
from statecore_journal.fold import CHECKPOINTS, EVENTS, VERSION, Replay
from statecore_journal.reader import SHOWN_MAX, instances_of, open_reader

BY_NATURE: Final = frozenset({"boot", "pid", "host", "epoch"})
"""Fields of events that differ whenever something is done twice: they name the process."""

PARTINGS_MAX: Final = 20
"""Instances that are named one by one, those that part first; the others are counted."""


@attrs.frozen(kw_only=True)
class Side:
    """One row, or what one version of the machines makes of it.

    Args:
        seq: its position.
        at: when it happened, on the gateway's clock, in ns.
        event: what happened.
        source: the state before.
        target: the state after.
        outcome: what became of the event; None if it moved.
        guards: the guards asked, with their answers.
        fields: of the event; or what is remembered afterwards, where versions are compared.
        error: why this version makes nothing of it; empty if it does.
    """

    seq: int
    at: int
    event: str
    source: str
    target: str
    outcome: str | None
    guards: str | None
    fields: Mapping[str, Any]
    error: str = ""


@attrs.frozen(kw_only=True)
class Parting:
    """The first row at which an instance differs.

    Args:
        address: of the instance.
        version: of the row.
        left: the row of the first journal; None if its history is over by then.
        right: the row of the second; likewise.
        differs: what is not the same: names of columns, and of fields as "data.wait"; "events" where one history is over.
    """

    address: str
    version: int
    left: Side | None
    right: Side | None
    differs: tuple[str, ...]

    @property
    def at(self) -> int:
        """When it happened, on the clock of the side that has it."""
        return min(side.at for side in (self.left, self.right) if side is not None)


@attrs.frozen(kw_only=True)
class Difference:
    """What came of a comparison.

    Args:
        left: what was compared.
        right: with what.
        instances: that both have.
        partings: of instances that both have, the first in time first; at most `PARTINGS_MAX`.
        parted: how many of them part.
        only_left: addresses that only the first has, likewise; `lonely_left` is their number.
        only_right: addresses that only the second has; `lonely_right` is their number.
        unread: how many instances neither of two versions can take through all their rows; they are compared up to there.
        why_unread: why the first of them cannot be, in a sentence.
    """

    left: str
    right: str
    instances: int
    parted: int
    partings: tuple[Parting, ...]
    lonely_left: int
    only_left: tuple[str, ...]
    lonely_right: int
    only_right: tuple[str, ...]
    unread: int = 0
    why_unread: str = ""

    @property
    def same(self) -> bool:
        """Whether there is no difference."""
        return not (self.parted or self.lonely_left or self.lonely_right)


class _Tally:
    def __init__(self) -> None:
        self.instances = self.parted = 0
        self.partings: list[Parting] = []
        self.only: tuple[list[str], list[str]] = ([], [])
        self.lonely = [0, 0]
        self.unread = 0
        self.why_unread = ""

    def neither(self, why: str) -> None:
        self.unread += 1
        self.why_unread = self.why_unread or why

    def part(self, parting: Parting) -> None:
        self.parted += 1
        self.partings.append(parting)
        if len(self.partings) > 2 * PARTINGS_MAX:
            self.partings = self._first()

    def alone(self, side: int, address: str) -> None:
        self.lonely[side] += 1
        if len(self.only[side]) < PARTINGS_MAX:
            self.only[side].append(address)

    def _first(self) -> list[Parting]:
        return heapq.nsmallest(PARTINGS_MAX, self.partings, key=lambda parting: (parting.at, parting.address))

    def difference(self, left: str, right: str) -> Difference:
        return Difference(
            left=left,
            right=right,
            instances=self.instances,
            parted=self.parted,
            partings=tuple(self._first()),
            lonely_left=self.lonely[0],
            only_left=tuple(self.only[0]),
            lonely_right=self.lonely[1],
            only_right=tuple(self.only[1]),
            unread=self.unread,
            why_unread=self.why_unread,
        )


# ---- two journals ----------------------------------------------------------------------------------------------------

_COLUMNS: Final = "version, seq, at, event, source, target, outcome, guards, data, wall, epoch, cause"
_ALWAYS: Final = (("event", 3), ("source", 4), ("target", 5), ("outcome", 6), ("guards", 7))
_BY_NATURE: Final = (("seq", 1), ("at", 2), ("wall", 9), ("epoch", 10), ("cause", 11))
_DATA: Final = 8


@undisturbed
def diff(
    left: str | Path, right: str | Path, *, machine: str | None = None, account: str | None = None, strict: bool = False
) -> Difference:
    """Compare two journals, instance by instance.

    Args:
        left: path of the one.
        right: path of the other.
        machine: only instances whose address begins with this.
        account: only this account.
        strict: whether what differs by nature counts: positions, times, epochs, processes.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    tally = _Tally()
    where = instances_of(machine, account)
    with (
        open_reader(left) as one,
        open_reader(right) as other,
        one.reading() as left_rows,
        other.reading() as right_rows,
    ):
        for address, mine, theirs in _addresses(left_rows, right_rows, where):
            if not (mine and theirs):
                tally.alone(0 if mine else 1, address)
                continue
            tally.instances += 1
            parting = _first_parting(address, _rows(left_rows, address), _rows(right_rows, address), strict=strict)
            if parting is not None:
                tally.part(parting)
    return tally.difference(str(left), str(right))


def _addresses(
    left: sqlite3.Connection, right: sqlite3.Connection, where: tuple[str, tuple[Any, ...], bool]
) -> Iterator[tuple[str, bool, bool]]:
    """Yield (address, whether the first has it, whether the second has it), in order."""
    condition, values, _ = where
    sql = f"select distinct machine from events where {condition} order by machine"  # noqa: S608 - values are bound
    both = [(address for (address,) in connection.execute(sql, values)) for connection in (left, right)]
    mine, theirs = next(both[0], None), next(both[1], None)
    while mine is not None or theirs is not None:
        first = min(address for address in (mine, theirs) if address is not None)
        yield first, mine == first, theirs == first
        mine = next(both[0], None) if mine == first else mine
        theirs = next(both[1], None) if theirs == first else theirs


def _rows(connection: sqlite3.Connection, address: str) -> Iterator[tuple[Any, ...]]:
    sql = f"select {_COLUMNS} from events where machine = ? order by version"  # noqa: S608 - constants
    return iter(connection.execute(sql, (address,)))


def _first_parting(
    address: str, left: Iterator[tuple[Any, ...]], right: Iterator[tuple[Any, ...]], *, strict: bool
) -> Parting | None:
    for mine, theirs in _together(left, right):
        differs = ("events",) if mine is None or theirs is None else _differing(mine, theirs, strict=strict)
        if differs:
            version = (mine or theirs or (0,))[0]
            return Parting(address=address, version=version, left=_side(mine), right=_side(theirs), differs=differs)
    return None


def _together(
    left: Iterator[tuple[Any, ...]], right: Iterator[tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]]:
    """Pair the rows of an instance; where one side was pruned, both begin at the first version that both have."""
    mine, theirs = next(left, None), next(right, None)
    if mine is not None and theirs is not None:
        while mine is not None and theirs is not None and mine[0] < theirs[0]:
            mine = next(left, None)
        while mine is not None and theirs is not None and theirs[0] < mine[0]:
            theirs = next(right, None)
    yield mine, theirs
    yield from zip_longest(left, right)


def _differing(mine: tuple[Any, ...], theirs: tuple[Any, ...], *, strict: bool) -> tuple[str, ...]:
    columns = (*_ALWAYS, *_BY_NATURE) if strict else _ALWAYS
    found = [name for name, place in columns if mine[place] != theirs[place]]
    if mine[_DATA] != theirs[_DATA]:
        one, other = read_fields(mine[_DATA]), read_fields(theirs[_DATA])
        if one is None or other is None:
            return (*found, "data")
        names = sorted(name for name in {*one, *other} if one.get(name) != other.get(name))
        found += [f"data.{name}" for name in names if strict or name not in BY_NATURE]
    return tuple(found)


def _side(row: tuple[Any, ...] | None) -> Side | None:
    if row is None:
        return None
    _, seq, at, event, source, target, outcome, guards, data, *_ = row
    found = read_fields(data)
    return Side(
        seq=seq,
        at=at,
        event=event,
        source=source,
        target=target,
        outcome=outcome,
        guards=guards,
        fields=found if found is not None else {"unreadable": data[:SHOWN_MAX]},
    )


# ---- two versions of the machines ------------------------------------------------------------------------------------


@undisturbed
def diff_versions(
    path: str | Path,
    left: Mapping[str, Machine],
    right: Mapping[str, Machine],
    *,
    names: tuple[str, str],
    machine: str | None = None,
    account: str | None = None,
) -> Difference:
    """Take one journal through two versions of its machines, and find where they part.

    Args:
        path: of the journal.
        left: the one version, by name.
        right: the other.
        names: what they are called.
        machine: only instances whose address begins with this.
        account: only this account.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    tally = _Tally()
    condition, values, _ = instances_of(machine, account)
    replays = tuple({name: Replay(one) for name, one in several.items()} for several in (left, right))
    with open_reader(path) as reader, reader.reading() as connection:
        sql = f"select distinct machine from events where {condition} order by machine"  # noqa: S608 - values are bound
        for (address,) in connection.execute(sql, values):
            name = address.partition("/")[0]
            one, other = replays[0].get(name), replays[1].get(name)
            if one is None or other is None:
                if one is not other:
                    tally.alone(1 if one is None else 0, address)
                else:
                    tally.neither(f"{address}: there is no machine {name!r}")
                continue
            tally.instances += 1
            parting = _version_parting(connection, address, one, other)
            if isinstance(parting, Parting):
                tally.part(parting)
            elif parting:
                tally.neither(parting)
    return tally.difference(*names)


def _version_parting(connection: sqlite3.Connection, address: str, one: Replay, other: Replay) -> Parting | str:
    """Return where two versions part over an instance, or why neither can go on; empty if they are the same to the end."""
    start = connection.execute(f"{CHECKPOINTS} where address = ?", (address,)).fetchone()
    after = -(2**63) if start is None else start[VERSION]
    rows = connection.execute(f"{EVENTS} where machine = ? and version > ? order by version", (address, after))
    mine, theirs = _begun(one, start), _begun(other, start)
    for row in rows:
        mine, left = _made(one, mine, row)
        theirs, right = _made(other, theirs, row)
        differs = tuple(
            name
            for name in ("source", "target", "outcome", "guards", "error")
            if getattr(left, name) != getattr(right, name)
        )
        remembered = sorted(
            name for name in {*left.fields, *right.fields} if left.fields.get(name) != right.fields.get(name)
        )
        differs += tuple(f"remembered.{name}" for name in remembered)
        if differs:
            return Parting(address=address, version=row[VERSION], left=left, right=right, differs=differs)
        if left.error:
            return left.error
    return ""


def _begun(replay: Replay, start: tuple[Any, ...] | None) -> Snapshot | None:
    try:
        return replay.start(start)[0]
    except StatecoreError:
        return None


def _made(replay: Replay, snapshot: Snapshot | None, row: tuple[Any, ...]) -> tuple[Snapshot | None, Side]:
    """Return where a version is after a row, and the row as that version would have recorded it."""
    _, _, seq, at, event, source, target, *_ = row
    nothing = {"seq": seq, "at": at, "event": event, "fields": {}, "outcome": None, "guards": None}
    if snapshot is None:
        return None, Side(source=source, target=target, error="the checkpoint cannot be read", **nothing)
    try:
        after, outcome, guards = replay.step(snapshot, row)
        fields = orjson.loads(codec.dumps(after.data))
    except StatecoreError as error:
        return snapshot, Side(source=snapshot.state, target=snapshot.state, error=str(error), **nothing)
    return after, Side(
        seq=seq,
        at=at,
        event=event,
        source=snapshot.state,
        target=after.state,
        outcome=outcome,
        guards=guards,
        fields=fields,
    )

"""What happened, over time: a lane for each instance, bars in the colours of its states, causes as arrows.

What is drawn is bounded, however long the journal: so many lanes, so many bars. What does not fit is counted and said.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.system import Address
from statecore_journal.reader import Reader

LANES_MAX: Final = 40
BARS_MAX: Final = 2_000
"""More lanes than a screen holds, or more bars than it has points, show less and not more."""

DRAWN_MAX: Final = 20_000
ROWS_MAX: Final = 500_000
"""Rows kept, and rows looked at: many stay in their state, or are of instances for which there is no lane."""

_FIRST: Final = ("connection", "session", "circuit", "window")
"""Machines of which an account has few are above the others."""


class NothingHappened(StatecoreError):
    """No row fits what was asked for."""


@attrs.frozen
class Bar:
    """A time in one state.

    Args:
        state: the state.
        begins: ns of the gateway's clock.
        ends: likewise.
        event: what led there; empty if that was before the first row drawn.
        seq: of the row that led there; 0 likewise.
        final: whether nothing more can happen.
    """

    state: str
    begins: int
    ends: int
    event: str
    seq: int
    final: bool = False


@attrs.frozen
class Lane:
    """An instance and its bars."""

    address: str
    bars: tuple[Bar, ...]


@attrs.frozen
class Cause:
    """One instance's row that caused another's.

    Args:
        tail: lane of the cause, by its place.
        head: lane of what it caused.
        tail_at: when the cause was, in ns of the gateway's clock.
        head_at: when what it caused was.
        event: what it caused.
        seq: of the row it caused.
    """

    tail: int
    head: int
    tail_at: int
    head_at: int
    event: str
    seq: int


@attrs.frozen(kw_only=True)
class Timeline:
    """What is drawn.

    Args:
        lanes: from top to bottom.
        causes: between lanes.
        begins: ns of the gateway's clock.
        ends: likewise.
        wall: what a wall clock said at the beginning, ns since 1970.
        drawn: how many rows are in it.
        others: how many rows of other instances are not, because there are too many lanes.
        cut: when the first row was that fits and is not drawn, nor any after it; ns of the gateway's clock. None if all are.
    """

    lanes: tuple[Lane, ...]
    causes: tuple[Cause, ...]
    begins: int
    ends: int
    wall: int
    drawn: int
    others: int
    cut: int | None


def read(
    reader: Reader,
    *,
    account: str | None = None,
    machine: str | None = None,
    chat: str | None = None,
    after: int = 0,
    until: int | None = None,
    lanes_max: int = LANES_MAX,
    bars_max: int = BARS_MAX,
    machines: Mapping[str, Machine] = MACHINES,
) -> Timeline:
    """Read a part of a journal, which may be in use.

    Args:
        reader: of the journal.
        account: only this account.
        machine: only instances whose address begins with this.
        chat: only instances of this chat.
        after: only rows behind this position.
        until: only rows up to this position.
        lanes_max: how many instances are drawn, those that move first.
        bars_max: how many bars are drawn, the earliest.
        machines: by name; they know which states are final.

    Raises:
        NothingHappened: no row fits.
    """
    builder = _Builder(lanes_max, bars_max, machines)
    for row in reader.log(after=after, machine=machine, account=account, chat=chat):
        if (until is not None and row.seq > until) or not builder.see(row):
            break
    return builder.finish()


class _Builder:
    def __init__(self, lanes_max: int, bars_max: int, machines: Mapping[str, Machine]) -> None:
        self._lanes_max, self._bars_max, self._machines = lanes_max, bars_max, machines
        self._bars: dict[str, list[Bar]] = {}
        self._where: dict[int, tuple[str, int]] = {}
        self._causes: list[tuple[int, str, int, str, int]] = []
        self._count = self._drawn = self._others = 0
        self._cut: int | None = None
        self._begins = self._ends = self._wall = 0

    def see(self, row: Any) -> bool:
        """Take a row of the log; return whether it had room."""
        if self._count >= self._bars_max or self._drawn >= DRAWN_MAX or self._drawn + self._others >= ROWS_MAX:
            self._cut = row.at
            return False
        if not self._drawn:
            self._begins, self._wall = row.at, row.wall
        bars = self._bars.get(row.machine)
        if bars is None:
            if len(self._bars) >= self._lanes_max:
                self._others += 1
                return True
            bars = self._bars[row.machine] = []
            if row.version > 1:
                bars.append(Bar(row.source, self._begins, row.at, "", 0))
        self._drawn += 1
        self._ends = row.at
        self._where[row.seq] = (row.machine, row.at)
        if row.cause is not None and (caused := self._where.get(row.cause)) and caused[0] != row.machine:
            self._causes.append((row.cause, row.machine, row.at, row.event, row.seq))
        if not bars or row.target != bars[-1].state:
            self._enter(bars, row)
        return True

    def _enter(self, bars: list[Bar], row: Any) -> None:
        if bars:
            bars[-1] = attrs.evolve(bars[-1], ends=row.at)
        definition = self._machines.get(Address.parse(row.machine).machine)
        final = definition is not None and row.target in definition.final
        bars.append(Bar(row.target, row.at, row.at, row.event, row.seq, final))
        self._count += 1

    def finish(self) -> Timeline:
        """Return what was seen."""
        if not self._bars:
            raise NothingHappened("nothing happened that fits; widen --since and --until, or name less")
        order = sorted(self._bars, key=lambda address: (_rank(address), *self._begun(address)))
        lanes = tuple(Lane(address, self._closed(self._bars[address])) for address in order)
        places = {address: place for place, address in enumerate(order)}
        causes = tuple(
            Cause(places[self._where[cause][0]], places[machine], self._where[cause][1], at, event, seq)
            for cause, machine, at, event, seq in self._causes
        )
        return Timeline(
            lanes=lanes, causes=causes, begins=self._begins, ends=self._ends, wall=self._wall, drawn=self._drawn,
            others=self._others, cut=self._cut,
        )  # fmt: skip

    def _begun(self, address: str) -> tuple[int, int]:
        first = self._bars[address][0]
        return first.begins, first.seq

    def _closed(self, bars: list[Bar]) -> tuple[Bar, ...]:
        """Let the last state last until the end of the picture."""
        return (*bars[:-1], attrs.evolve(bars[-1], ends=self._ends))


def _rank(address: str) -> int:
    name = Address.parse(address).machine
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)

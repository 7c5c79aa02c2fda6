"""Units to rows.

A row is a plain tuple in the order of the statement that writes it: what the unit alone decides first, what its place in
the journal decides last. So giving a row its place is one concatenation, on the thread that all writers wait for.
"""

from typing import Any, Final, NamedTuple

import orjson

from statecore import codec
from statecore.errors import Conflict
from statecore.events import Elapsed, name_of
from statecore.machine import Verdict
from statecore.system import LAST, PLACED, Unit

Row = tuple[Any, ...]

INSERT_EVENT: Final = (
    "insert into events (at, machine, version, event, source, target, outcome, data, guards, schema, definition,"
    " seq, wall, cause, epoch) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_INSTANCE: Final = (
    "insert into instances (machine, account, chat, state, version, entered, live, final, due, at, schema, data,"
    " ord, seq, address) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE_INSTANCE: Final = (
    "update instances set state = ?, version = ?, entered = ?, live = ?, final = ?, due = ?, at = ?, schema = ?, data = ?,"
    " ord = coalesce(?, ord), seq = ? where address = ? and version = ?"
)
_json, _PLAIN = orjson.dumps, codec.PLAIN  # looked up once: this is done for every row
_KEPT: Final = 3
"""Columns of an instance that its first row decides once and for all: machine, account, chat."""


class Rows(NamedTuple):
    """A unit, ready to be written.

    Args:
        unit: what it was made from.
        entries: of each entry: the row for `INSERT_EVENT` up to its place in the journal, its cause as `Entry` has it, the
            row for `INSERT_INSTANCE` up to its place in its lane, that place as `Entry` has it, and the instance's address.
    """

    unit: Unit
    entries: list[tuple[Row, int, Row, int, str]]


def encode(unit: Unit) -> Rows:
    """Encode a unit.

    Raises:
        CodecError: a value cannot be written.
    """
    now, account = unit.now, unit.account
    entries: list[tuple[Row, int, Row, int, str]] = []
    for address, machine, source, event, (snapshot, _, verdict), cause, chat, order, live, due in unit.entries:
        state, data, version, entered = snapshot
        outcome, guards, _ = SHOWN.get(id(verdict)) or shown(verdict)
        kind = event.__class__
        try:
            plain = _PLAIN[kind](event)
            fields = _json(plain).decode() if plain else "{}"  # most events say all by their name
            remembered = _json(_PLAIN[data.__class__](data)).decode()
        except Exception:  # noqa: BLE001 - which says what it is, or writes the first of a class
            fields, remembered = codec.dumps(event), codec.dumps(data)
        name = kind.__name__ if kind is not Elapsed else name_of(event)
        schema, definition = event.schema, machine.version
        happened = (now, address, version, name, source, state, outcome, fields, guards, schema, definition)
        schema, final = getattr(data, "schema", 1), state in machine.final
        there = (machine.name, account, chat, state, version, entered, live, final, due, now, schema, remembered)
        entries.append((happened, cause, there, order, address))
    return _new(Rows, (unit, entries))


_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""

Shown = tuple[str | None, str | None, Verdict]
"""The columns `outcome` and `guards`, and the verdict they are of."""

SHOWN: Final[dict[int, Shown]] = {}
"""What `shown` returned for a verdict, by its identity. It is held, so that nothing else gets its id."""

SHOWN_MAX: Final = 4096
"""Tables have few verdicts; the others are made for one event and forgotten with it."""


def shown(verdict: Verdict) -> Shown:
    """Write a verdict as the columns `outcome` and `guards`; where that is done for every row, ask `SHOWN` first."""
    kind, reason, guards = verdict
    outcome = None if kind == "moved" else kind if kind == "stayed" else f"{kind}: {reason}"
    if len(SHOWN) >= SHOWN_MAX:
        SHOWN.clear()
    text = ",".join(f"{name}={int(held)}" for name, held in guards) or None
    found = SHOWN[id(verdict)] = (outcome, text, verdict)
    return found


class Batch:
    """The rows of one commit, in their places.

    Args:
        first: place of its first event.
        wall: the wall clock, in ns.
    """

    def __init__(self, first: int, wall: int) -> None:
        self.following = first
        self._wall = wall
        self.events: list[Row] = []
        self._lasts: dict[str, tuple[int, Row, int | None, int]] = {}

    def add(self, rows: Rows, epoch: int) -> int:
        """Give the rows of a unit their places; return that of the first.

        Raises:
            Conflict: an instance is not where the unit found it, because another unit of the batch moved it.
        """
        first = seq = self.following
        lasts = self._lasts
        for happened, cause, there, order, address in rows.entries:
            settled = cause if cause > 0 else first - cause - 1 if cause else None
            self.events.append(happened + (seq, self._wall, settled, epoch))  # noqa: RUF005 - twice as fast as unpacking
            place = seq if order == LAST else None if order == PLACED else order
            before = there[_VERSION] - 1
            if (earlier := lasts.get(address)) is not None:
                start, last, given, _ = earlier
                if last[_VERSION] != before:
                    raise moved(address)
                before = start  # what the projection must hold is what the first of them found
                place = given if place is None else place
            lasts[address] = before, there, place, seq
            seq += 1
        self.following = seq
        return first

    def moves(self) -> list[tuple[str, int, int]]:
        """Return (address, version before, place of the last event) of every instance."""
        return [(address, before, seq) for address, (before, _, _, seq) in self._lasts.items()]

    def inserts(self) -> list[Row]:
        """Return the rows of `INSERT_INSTANCE`."""
        return [
            (*row, place or 0, seq, address) for address, (before, row, place, seq) in self._lasts.items() if not before
        ]

    def updates(self) -> list[Row]:
        """Return the rows of `UPDATE_INSTANCE`."""
        return [
            row[_KEPT:] + (place, seq, address, before)  # noqa: RUF005 - twice as fast as unpacking
            for address, (before, row, place, seq) in self._lasts.items()
            if before
        ]


_VERSION: Final = 4
"""Where the version stands in a row of an instance."""


def moved(address: str) -> Conflict:
    """Say that an instance is not where a unit found it."""
    return Conflict(f"another writer appended to {address} first; this append changed nothing")

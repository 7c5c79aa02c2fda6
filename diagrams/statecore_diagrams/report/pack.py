"""Rows of a journal as text that a page carries: columns, deflated, a few thousand rows a piece.

A piece is base64 of zlib of JSON, twice: the columns that a page needs of every row to draw it, and the fields of the
events, which it unpacks when somebody looks at them. Names that come again and again are numbers into tables, which are
complete only at the end; so the head, which holds them, comes last. Nothing but those tables stays in memory.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from statecore.system import Address
from statecore_journal import LogRow

ROWS_A_PIECE: Final = 5_000
"""Unpacking one takes a few milliseconds; half as many make the file larger by a tenth."""

Given: TypeAlias = tuple[str, LogRow]
"""A row as it is to be shown, and the address of its instance as the journal has it."""

COLUMNS: Final = ("seq", "at", "wall", "who", "event", "source", "target", "outcome", "guards", "cause", "epoch")


@attrs.define
class Tables:
    """The names that rows refer to by number."""

    addresses: list[str] = attrs.field(factory=list)
    chats: list[str] = attrs.field(factory=list)
    accounts: list[str] = attrs.field(factory=list)
    machines: list[str] = attrs.field(factory=list)
    versions: list[int] = attrs.field(factory=list)
    events: dict[str, int] = attrs.field(factory=dict)
    states: dict[str, int] = attrs.field(factory=dict)
    outcomes: dict[str, int] = attrs.field(factory=dict)
    guards: dict[str, int] = attrs.field(factory=dict)

    def plain(self) -> dict[str, list[Any]]:
        """Return them as lists; of a dict, its keys in the order in which they were numbered."""
        return {field.name: list(getattr(self, field.name)) for field in attrs.fields(Tables)}


class Packer:
    """Packs rows.

    Args:
        chats: returns the chats that instances belong to, by the addresses that the journal has; those that belong to none
            may be left out.
    """

    def __init__(self, chats: Callable[[list[str]], Mapping[str, str]]) -> None:
        self.tables = Tables()
        self.count = 0
        self.first: LogRow | None = None
        self.last: LogRow | None = None
        self._chats = chats
        self._numbers: dict[str, int] = {}

    def pieces(self, rows: Iterable[Given]) -> Iterator[tuple[str, str]]:
        """Yield (columns, fields) of some thousand rows each."""
        piece: list[Given] = []
        for row in rows:
            piece.append(row)
            if len(piece) == ROWS_A_PIECE:
                yield self._piece(piece)
                piece = []
        if piece:
            yield self._piece(piece)

    def _piece(self, given: list[Given]) -> tuple[str, str]:
        if self.first is None:
            _, self.first = given[0]
        tables, before = self.tables, self.last or self.first
        self._number({address: row for address, row in reversed(given) if row.machine not in self._numbers})
        columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        for _, row in given:
            columns["seq"].append(row.seq - before.seq)
            columns["at"].append(row.at - before.at)
            columns["wall"].append(row.wall - before.wall)
            columns["who"].append(self._numbers[row.machine])
            columns["event"].append(_of(tables.events, row.event))
            columns["source"].append(_of(tables.states, row.source))
            columns["target"].append(_of(tables.states, row.target))
            columns["outcome"].append(_of(tables.outcomes, row.outcome or ""))
            columns["guards"].append(_of(tables.guards, row.guards or ""))
            columns["cause"].append(0 if row.cause is None else row.seq - row.cause)
            columns["epoch"].append(row.epoch - before.epoch)
            before = row
        self.last, self.count = before, self.count + len(given)
        return _deflated(columns), _deflated([row.data for _, row in given])

    def _number(self, new: dict[str, LogRow]) -> None:
        """Give instances that were not seen before their numbers, in the order of their first rows."""
        chats = self._chats(list(new))
        for address, row in sorted(new.items(), key=lambda item: item[1].seq):
            self._numbers[row.machine] = len(self._numbers)
            where = Address.parse(row.machine)
            self.tables.addresses.append(row.machine)
            self.tables.machines.append(where.machine)
            self.tables.accounts.append(where.account)
            self.tables.chats.append(chats.get(address, ""))
            self.tables.versions.append(row.version)


def _of(table: dict[str, int], name: str) -> int:
    return table.setdefault(name, len(table))


def _deflated(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()

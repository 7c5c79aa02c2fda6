"""Rows of a journal as text that a page carries: columns, deflated, a few thousand rows a piece.

A piece is base64 of zlib of JSON, twice: the columns that a page needs of every row to draw it, and the fields of the
events, which it unpacks when somebody looks at them. Names that come again and again are numbers into tables, which are
complete only at the end; so the head, which holds them, comes last. Nothing but those tables stays in memory.
"""

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from statecore.system import Address
from statecore_journal import LogRow
from statecore_journal.export.redact import Hiding

ROWS_A_PIECE: Final = 5_000
"""Unpacking one takes a few milliseconds; half as many make the file larger by a tenth."""

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
        chats: returns the chats that instances belong to, by address; those that belong to none may be left out.
        hiding: replaces what is not to be shown.
    """

    def __init__(self, chats: Callable[[list[str]], Mapping[str, str]], hiding: Hiding) -> None:
        self.tables = Tables()
        self.count = 0
        self.first: LogRow | None = None
        self.last: LogRow | None = None
        self._chats = chats
        self._hiding = hiding
        self._numbers: dict[str, int] = {}

    def pieces(self, rows: Iterable[LogRow]) -> Iterator[tuple[str, str]]:
        """Yield (columns, fields) of some thousand rows each."""
        piece: list[LogRow] = []
        for row in rows:
            piece.append(row)
            if len(piece) == ROWS_A_PIECE:
                yield self._piece(piece)
                piece = []
        if piece:
            yield self._piece(piece)

    def _piece(self, rows: list[LogRow]) -> tuple[str, str]:
        if self.first is None:
            self.first = rows[0]
        tables, hiding, before = self.tables, self._hiding, self.last or self.first
        self._number({row.machine: row for row in reversed(rows) if row.machine not in self._numbers})
        columns: dict[str, list[int]] = {name: [] for name in COLUMNS}
        for row in rows:
            columns["seq"].append(row.seq - before.seq)
            columns["at"].append(row.at - before.at)
            columns["wall"].append(row.wall - before.wall)
            columns["who"].append(self._numbers[row.machine])
            columns["event"].append(_of(tables.events, hiding.name(row.event)))
            columns["source"].append(_of(tables.states, hiding.name(row.source)))
            columns["target"].append(_of(tables.states, hiding.name(row.target)))
            columns["outcome"].append(_of(tables.outcomes, hiding.outcome(row.outcome) or ""))
            columns["guards"].append(_of(tables.guards, hiding.guards(row.guards) or ""))
            columns["cause"].append(0 if row.cause is None else row.seq - row.cause)
            columns["epoch"].append(row.epoch - before.epoch)
            before = row
        self.last, self.count = before, self.count + len(rows)
        fields = [hiding.event(row.machine.partition("/")[0], row.event, row.data) for row in rows]
        return _deflated(columns), _deflated(fields)

    def _number(self, new: dict[str, LogRow]) -> None:
        """Give instances that were not seen before their numbers, in the order of their first rows."""
        chats = self._chats(list(new))
        for address, row in sorted(new.items(), key=lambda item: item[1].seq):
            self._numbers[address] = len(self._numbers)
            where = Address.parse(address)
            self.tables.addresses.append(self._hiding.address(address))
            self.tables.machines.append(self._hiding.name(where.machine))
            self.tables.accounts.append(self._hiding.account(where.account))
            self.tables.chats.append(self._hiding.chat(chats.get(address, "")))
            self.tables.versions.append(row.version)


def _of(table: dict[str, int], name: str) -> int:
    return table.setdefault(name, len(table))


def _deflated(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"), 9)).decode()

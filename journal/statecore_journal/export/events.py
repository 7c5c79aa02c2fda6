"""The rows of events of an export: read, checked, hidden; and as lines of JSON."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, suppress
from itertools import product
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from statecore.errors import JournalCorrupt
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore.units import DAYS
from statecore_journal.export.cut import WHOLE, Cut, Scope
from statecore_journal.export.names import Names
from statecore_journal.export.redact import Hiding, Open, Redactor, Shift
from statecore_journal.export.target import target
from statecore_journal.export.vocabulary import vocabulary
from statecore_journal.reader import open_reader

FIXED_DATE: Final = 10_957 * DAYS
"""2000-01-01 00:00 UTC: where an export begins whose times are shifted."""


@attrs.frozen(kw_only=True)
class How:
    """How an export is hidden.

    Args:
        plain: whether nothing is hidden at all. Secrets and the bodies of commands stay out all the same.
        keep: fields that are left as they are: `field`, or `Event.field`.
        keep_accounts: whether accounts keep their names.
        shift: whether times are moved, so that the first row is of 2000-01-01.
        packages: whose source says which words free text may keep.
        machines: by name.
    """

    plain: bool = False
    keep: Collection[str] = ()
    keep_accounts: bool = False
    shift: bool = False
    packages: Collection[str] = ("statecore",)
    machines: Mapping[str, Machine] = MACHINES


REDACTED: Final = How()
"""Everything that may tell of somebody is hidden."""

EVENT_COLUMNS: Final = (
    "seq", "at", "wall", "machine", "version", "event", "source", "target", "outcome", "data", "guards", "cause", "epoch",
    "schema", "definition",
)  # fmt: skip
_KINDS: Final = frozenset(
    (int, int, int, str, int, str, str, str, outcome, str, guards, cause, int, int, int)
    for outcome, guards, cause in product((str, type(None)), (str, type(None)), (int, type(None)))
)
_ALL: Final = ", ".join(EVENT_COLUMNS)
INSERT_EVENT: Final = f"insert into events ({_ALL}) values ({', '.join('?' * len(EVENT_COLUMNS))})"  # noqa: S608

LATEST: Final = 2**62
"""The last moment that can be one, in ns: a hundred years from now. What is later could not be shifted."""

Row = tuple[Any, ...]


def events_of(opened: sqlite3.Connection, scope: Scope, since: int) -> Iterator[Row]:
    """Yield the rows of a part of a journal from a position on, in their order."""
    condition, values = scope.addresses("machine")
    where = f"seq >= ? and seq <= ? and {condition}"
    sql = f"select {_ALL} from events not indexed where {where} order by seq"  # noqa: S608 - values are bound
    for row in opened.execute(sql, (since, scope.until, *values)):
        if tuple(map(type, row)) not in _KINDS or not (0 <= row[1] <= LATEST and 0 <= row[2] <= LATEST):
            raise JournalCorrupt(
                f"row {row[0]} holds what no journal does (at {row[1]!r}, wall {row[2]!r}); the file is damaged. "
                "Keep it; restore a copy of it, or export what is before it with --until"
            )
        yield row


def hidden(row: Row, hiding: Hiding) -> Row:
    """Hide a row. Names of machines, events, states and guards, and why one ignores an event, are out of code, and kept."""
    seq, at, wall, machine, version, event, source, goal, outcome, data, guards, cause, epoch, schema, definition = row
    shift = hiding.shift
    return (
        seq, at - shift.at, wall - shift.wall, hiding.address(machine), version, hiding.name(event), hiding.name(source),
        hiding.name(goal), outcome, hiding.event(machine.partition("/")[0], event, data),
        hiding.guards(guards), cause, epoch, schema, definition,
    )  # fmt: skip


def lines(source: str | Path, *, how: How = REDACTED, cut: Cut = WHOLE) -> Iterator[str]:
    """Yield the rows of events as JSON, a line each.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: the journal cannot be read, or not any further.
    """
    with open_reader(source) as reader, closing(Names()) as names, reader.reading() as opened:
        scope = Scope(opened, cut)
        hiding = hiding_of(how, names, opened, scope)
        for row in events_of(opened, scope, cut.since):
            fields = dict(zip(EVENT_COLUMNS, hidden(row, hiding), strict=True))
            with suppress(ValueError):  # what is no JSON is shown as the text it is
                fields["data"] = orjson.loads(fields["data"])
            yield orjson.dumps(fields).decode()


def write_lines(source: str | Path, to: str | Path, *, how: How, cut: Cut, force: bool = False) -> int:
    """Write the rows of events to a file, as lines of JSON; return how many. For what it raises see `export`."""
    count = 0
    with target(Path(to), Path(source), force=force) as part, part.open("w", encoding="utf-8") as file:
        for line in lines(source, how=how, cut=cut):
            file.write(line + "\n")
            count += 1
    return count


def hiding_of(how: How, names: Names, opened: sqlite3.Connection, scope: Scope) -> Hiding:
    """Return what hides, or does not."""
    if how.plain:
        return Open()
    first = opened.execute(
        "select at, wall from events where seq >= ? order by seq limit 1", (scope.cut.since,)
    ).fetchone()
    shift = Shift(first[0] - FIXED_DATE, first[1] - FIXED_DATE) if how.shift and first is not None else Shift()
    return Redactor(
        vocabulary(tuple(how.packages)),
        names,
        keep=how.keep,
        keep_accounts=how.keep_accounts,
        shift=shift,
        machines=how.machines,
    )

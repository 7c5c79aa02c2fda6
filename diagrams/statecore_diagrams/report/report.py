"""Writing the report: one file that holds a journal, or a part of it, and the page that shows it."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore_diagrams.report import facts
from statecore_diagrams.report.pack import Given, Packer
from statecore_diagrams.report.page import Page
from statecore_diagrams.report.watching import Columns, Feed
from statecore_journal import LogRow, Reader, open_reader
from statecore_journal.export import Cut, How
from statecore_journal.export.cut import LAST, WHOLE, Scope
from statecore_journal.export.events import EVENT_COLUMNS, hidden, hiding_of
from statecore_journal.export.names import Names
from statecore_journal.export.redact import Hiding
from statecore_journal.export.target import target
from statecore_journal.files import undisturbed
from statecore_journal.incidents import Incident
from statecore_journal.incidents.finding import clock_at_end

ROWS_MAX: Final = 500_000
"""More rows than this make a file that a browser takes long to open. There is `--since`, and there is `inspect`."""


PACKAGES: Final = ("statecore", "statecore_journal")
"""Whose words may be shown: of the machines, and of what is said of incidents."""


@attrs.frozen
class ReportError(StatecoreError):
    """A report cannot be made as it was asked for."""

    message: str

    def __str__(self) -> str:
        return self.message


@attrs.frozen
class Written:
    """What was written.

    Args:
        path: of the file.
        rows: how many rows are in it.
        incidents: how many incidents it tells of.
        size: of the file, in bytes.
    """

    path: str
    rows: int
    incidents: int
    size: int


def write_report(
    journal: str | Path,
    output: str | Path,
    *,
    cut: Cut = WHOLE,
    plain: bool = False,
    force: bool = False,
    packages: Collection[str] = (),
    machines: Mapping[str, Machine] = MACHINES,
) -> Written:
    """Write a report of a journal, or of a part of it. The journal is not changed, and a gateway may be writing it.

    Args:
        journal: the journal.
        output: the new file, readable by its owner alone.
        cut: which part.
        plain: whether texts, ids and tokens are shown as they are.
        force: whether a file of that name may be replaced.
        packages: whose source, beside ours, says which words free text may keep.
        machines: definitions by name, for the diagrams.

    Raises:
        ReportError: there is nothing in that part, or too much.
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: the journal cannot be read, or the file not be written.
        JournalFull: the disk is full.
    """
    path, goal = Path(journal), Path(output)
    with open_reader(path) as reader, target(goal, path, force=force) as part, closing(Names()) as names:
        how = How(plain=plain, packages=(*PACKAGES, *packages), machines=machines)
        with reader.reading() as connection:
            hiding = hiding_of(how, names, connection, Scope(connection, cut))
        count, incidents = _Report(reader, cut, hiding, machines, plain=plain).write(part)
    return Written(str(goal), count, incidents, goal.stat().st_size)


class _Report:
    """One report: the rows go by once, are hidden, watched, and packed where they are in the part that is wanted."""

    def __init__(
        self, reader: Reader, cut: Cut, hiding: Hiding, machines: Mapping[str, Machine], *, plain: bool
    ) -> None:
        self.reader = reader
        self.cut = cut
        self.hiding = hiding
        self.plain = plain
        self.machines = facts.machines(machines)
        self.packer = Packer(self._chats)
        self.feed = Feed(reader)
        self.found: dict[tuple[str, str, int], Incident] = {}
        self.title = reader.path.name if plain else "journal"

    def write(self, part: Path) -> tuple[int, int]:
        """Write it to a file; return how many rows and how many incidents are in it."""
        pieces, styles = self.packer.pieces(self._rows()), facts.styles(self.machines)
        with part.open("w", encoding="utf-8") as file:
            for text in Page().parts(f"{self.title} - statecore", self._head, pieces, styles=styles):
                file.write(text)
        return self.packer.count, len(self.found)

    def _rows(self) -> Iterator[Given]:
        """Yield the rows that were asked for. What came before may be why, so it is watched too."""
        members, count = self._members(), 0
        for row in self.reader.log(account=self.cut.account):
            if row.seq > self.cut.until:
                return
            shown = row.seq >= self.cut.since and (members is None or row.machine in members)
            watched = self.feed.wants(_columns(row))
            if shown or watched:
                given = self._hidden(row)
                if watched:  # as it is shown: then what is said of an incident holds nothing that is hidden
                    self.found |= {one.identity: one for one in self.feed.see(_columns(given))}
                if shown:
                    count += 1
                    yield row.machine, given
            if count > ROWS_MAX:
                raise ReportError(
                    f"there are more than {ROWS_MAX:,} rows, which a browser would take long to open. Say which part"
                    f" with --since and --until, or look at all of it with: statecore inspect {self.reader.path}"
                )

    def _hidden(self, row: LogRow) -> LogRow:
        if self.plain:
            return row
        values = hidden(
            (
                row.seq, row.at, row.wall, row.machine, row.version, row.event, row.source, row.target, row.outcome,
                row.data, row.guards, row.cause, row.epoch, 0, 0,
            ),
            self.hiding,
        )  # fmt: skip
        return LogRow(**dict(zip(EVENT_COLUMNS[:-2], values[:-2], strict=True)))

    def _head(self) -> dict[str, Any]:
        first, last = self.packer.first, self.packer.last
        if first is None or last is None:
            raise ReportError(f"{self.reader.path} has no row in that part; there is nothing to report")
        for one in self.feed.going_on(clock_at_end(self.reader, None if self.cut.until == LAST else last.seq)):
            self.found[one.identity] = one
        self.found = {key: one for key, one in self.found.items() if one.last is None or one.last >= first.seq}
        status = self.reader.status(last.wall)
        shown = tuple(account for account in status.accounts if self.cut.account in (None, account.name))
        return {
            "live": False,
            "redacted": not self.plain,
            "path": self.title,
            "count": self.packer.count,
            "first": first.seq,
            "last": last.seq,
            "wall": first.wall / 1e6,
            "epoch": first.epoch,
            "machines": self.machines,
            "accounts": facts.accounts(attrs.evolve(status, accounts=shown), self.hiding),
            "incidents": facts.incidents(self.found.values(), first.at),
            "tables": self.packer.tables.plain(),
        }

    @undisturbed
    def _members(self) -> frozenset[str] | None:
        """Return the instances of the chat that was asked for, and those its account's chats share; None for all."""
        if self.cut.chat is None:
            return None
        with self.reader.reading() as connection:
            condition, values = Scope(connection, self.cut).instances()
            found = connection.execute(f"select address from instances where {condition}", values)  # noqa: S608 - bound
            return frozenset(address for (address,) in found)

    def _chats(self, addresses: list[str]) -> dict[str, str]:
        sql = "select address, chat from instances where address in (select value from json_each(?)) and chat != ''"
        found = self.reader.ask(sql, json.dumps(addresses))
        return {address: self.hiding.chat(chat) for address, chat in found}


def _columns(row: LogRow) -> Columns:
    return (
        row.seq, row.at, row.wall, row.machine, row.version, row.event, row.source, row.target, row.outcome, row.data,
        row.cause, row.epoch,
    )  # fmt: skip

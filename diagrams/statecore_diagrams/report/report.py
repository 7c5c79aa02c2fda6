"""Writing the report: one file that holds a journal, or a part of it, and the page that shows it."""

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore_diagrams.report import facts
from statecore_diagrams.report.pack import Packer
from statecore_diagrams.report.page import Page
from statecore_journal import LogRow, Reader, open_reader
from statecore_journal.export import Cut
from statecore_journal.export.cut import WHOLE
from statecore_journal.export.names import Names
from statecore_journal.export.redact import Hiding, Open, Redactor
from statecore_journal.export.target import target
from statecore_journal.export.vocabulary import vocabulary
from statecore_journal.incidents import Incident, Row, Watch, installed
from statecore_journal.incidents.finding import made, rows

log = logging.getLogger("statecore")

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
        hiding: Hiding = Open() if plain else Redactor(vocabulary({*PACKAGES, *packages}), names, machines=machines)
        count, incidents = _Report(reader, cut, hiding, machines, plain=plain).write(part)
    return Written(str(goal), count, incidents, goal.stat().st_size)


class _Report:
    def __init__(
        self, reader: Reader, cut: Cut, hiding: Hiding, machines: Mapping[str, Machine], *, plain: bool
    ) -> None:
        self.reader = reader
        self.cut = cut
        self.hiding = hiding
        self.plain = plain
        self.machines = facts.machines(machines)
        self.packer = Packer(partial(chats_of, reader), hiding)
        self.incidents: list[Incident] = []
        self.title = reader.path.name if plain else "journal"

    def write(self, part: Path) -> tuple[int, int]:
        """Write it to a file; return how many rows and how many incidents are in it."""
        pieces = self.packer.pieces(self._rows())
        with part.open("w", encoding="utf-8") as file:
            for text in Page().parts(
                f"{self.title} - statecore", self._head, pieces, styles=facts.styles(self.machines)
            ):
                file.write(text)
        return self.packer.count, len(self.incidents)

    def _rows(self) -> Iterator[LogRow]:
        """Yield the rows that were asked for, and no more than fit."""
        found = self.reader.log(after=self.cut.since - 1, account=self.cut.account, chat=self.cut.chat)
        for count, row in enumerate(found, start=1):
            if row.seq > self.cut.until:
                return
            if count > ROWS_MAX:
                raise ReportError(
                    f"there are more than {ROWS_MAX:,} rows, which a browser would take long to open. Say which part"
                    f" with --since and --until, or look at all of it with: statecore inspect {self.reader.path}"
                )
            yield row

    def _head(self) -> dict[str, Any]:
        first, last = self.packer.first, self.packer.last
        if first is None or last is None:
            raise ReportError(f"{self.reader.path} has no row in that part; there is nothing to report")
        self.incidents = [one for one in self._found(last) if one.last is None or one.last >= first.seq]
        status = self.reader.status(last.wall)
        shown = attrs.evolve(status, accounts=tuple(one for one in status.accounts if self._shown(one.name)))
        return {
            "live": False,
            "redacted": not self.plain,
            "path": self.title,
            "count": self.packer.count,
            "first": first.seq,
            "last": last.seq,
            "wall": first.wall / 1e6,
            "machines": self.machines,
            "accounts": facts.accounts(shown, self.hiding),
            "incidents": facts.incidents(self.incidents, first.at),
            "tables": self.packer.tables.plain(),
        }

    def _found(self, last: LogRow) -> list[Incident]:
        """Look for incidents in the rows as they are shown: then what is said of them holds nothing that is hidden."""
        watch, found = Watch(made(installed(log.warning).values(), log.warning)), {}
        for row in rows(self.reader, until=last.seq, wanted=watch.wanted):
            if self._shown(row.account):
                for one in watch.see(self._hidden(row)):
                    found[one.identity] = one
        for one in watch.going_on(last.at):
            found[one.identity] = one
        return list(found.values())

    def _hidden(self, row: Row) -> Row:
        if self.plain:
            return row
        hiding, data = self.hiding, json.dumps(row.fields)
        return Row(
            row.seq, row.at, row.wall, hiding.address(row.address), row.version, hiding.name(row.event),
            hiding.name(row.source), hiding.name(row.target), hiding.outcome(row.outcome),
            hiding.event(row.machine, row.event, data), row.cause, row.epoch, hiding.chat(row.chat),
        )  # fmt: skip

    def _shown(self, account: str) -> bool:
        return self.cut.account in (None, account)


def chats_of(reader: Reader, addresses: list[str]) -> dict[str, str]:
    """Return the chats of instances that belong to one, by address."""
    with reader.reading() as connection:
        sql = "select address, chat from instances where address in (select value from json_each(?)) and chat != ''"
        return dict(connection.execute(sql, (json.dumps(addresses),)))

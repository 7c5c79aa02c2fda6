"""Writing the report: one file that holds a journal, or a part of it, and the page that shows it."""

import datetime as dt
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore.machine import Machine
from statecore.machines import MACHINES
from statecore_diagrams.report import facts
from statecore_diagrams.report.pack import Packer
from statecore_diagrams.report.page import Page
from statecore_diagrams.report.veil import Plain, Redacted, Veil
from statecore_journal import LogRow, Reader, open_reader

ROWS_MAX: Final = 500_000
"""More rows than this make a file that a browser takes long to open. There is `--since`, and there is `inspect`."""


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
    account: str | None = None,
    since: str | None = None,
    until: str | None = None,
    plain: bool = False,
    machines: Mapping[str, Machine] = MACHINES,
) -> Written:
    """Write a report of a journal, or of a part of it. The journal is not changed, and a gateway may be writing it.

    Args:
        journal: the journal.
        output: where the report goes. What was there is replaced once the new one is complete.
        account: only this account.
        since: only rows from here on: a position, or a time (see `position`).
        until: only rows up to here.
        plain: whether texts, ids and tokens are shown as they are.
        machines: definitions by name, for the diagrams.

    Raises:
        ReportError: there is nothing in that range, or too much; the output cannot be written.
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
    """
    target = Path(output)
    if target.exists() and target.samefile(journal):
        raise ReportError(f"{target} is the journal itself; name another file for the report")
    veil: Veil = Plain() if plain else Redacted()
    with open_reader(journal) as reader:
        first = 1 if since is None else position(reader, since)
        last = None if until is None else position(reader, until, ending=True)
        return _write(_Job(reader, veil, target, account, first, last, machines))


@attrs.frozen
class _Job:
    reader: Reader
    veil: Veil
    target: Path
    account: str | None
    first: int
    last: int | None
    machines: Mapping[str, Machine]

    def rows(self) -> Iterator[LogRow]:
        """Yield the rows that were asked for, and no more than fit."""
        found = self.reader.log(after=self.first - 1, account=self.account)
        for count, row in enumerate(takewhile(lambda row: self.last is None or row.seq <= self.last, found), start=1):
            if count > ROWS_MAX:
                raise ReportError(
                    f"more than {ROWS_MAX:,} rows; a browser would take long to open that. Say which part with --since"
                    f" and --until, or look at all of it with: statecore inspect {self.reader.path}"
                )
            yield row


def _write(job: _Job) -> Written:
    page, about = Page(), facts.machines(job.machines)
    packer = Packer(partial(chats, job.reader), job.veil)
    head: dict[str, Any] = {}

    def finish() -> dict[str, Any]:
        head.update(_head(job, packer, about))
        return head

    handle, scratch = _beside(job.target)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            for part in page.parts(
                f"{job.reader.path.name} - statecore", finish, packer.pieces(job.rows()), styles=facts.styles(about)
            ):
                file.write(part)
        Path(scratch).replace(job.target)
    except OSError as error:
        raise ReportError(f"{job.target} cannot be written: {error.strerror}") from error
    finally:
        with suppress(FileNotFoundError):
            Path(scratch).unlink()
    return Written(str(job.target), packer.count, len(head["incidents"]), job.target.stat().st_size)


def _beside(target: Path) -> tuple[int, str]:
    """Open a file beside the target, readable by its owner alone until it is known to be complete."""
    try:
        return tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise ReportError(f"{target} cannot be written: {error.strerror}") from error


def _head(job: _Job, packer: Packer, about: dict[str, Any]) -> dict[str, Any]:
    if packer.first is None or packer.last is None:
        raise ReportError(f"{job.reader.path} has no rows in that range")
    return {
        "live": False,
        "redacted": job.veil.hides,
        "path": job.reader.path.name,
        "account": job.account,
        "count": packer.count,
        "first": packer.first.seq,
        "last": packer.last.seq,
        "at": packer.first.at,
        "wall": packer.first.wall / 1e6,
        "machines": about,
        "accounts": [
            account
            for account in facts.accounts(job.reader.status(packer.last.wall), job.veil)
            if job.account in (None, account["name"])
        ],
        "incidents": [
            incident
            for incident in facts.incidents(job.reader, job.veil, packer.first.at, first=packer.first.seq, last=packer.last.seq)
            if job.account in (None, incident["account"])
        ],
        "tables": packer.tables.plain(),
    }


def chats(reader: Reader, addresses: list[str]) -> dict[str, str]:
    """Return the chats of instances that belong to one, by address."""
    with reader.reading() as connection:
        return dict(
            connection.execute(
                "select address, chat from instances where address in (select value from json_each(?)) and chat != ''",
                (json.dumps(addresses),),
            )
        )


# ---- positions -------------------------------------------------------------------------------------------------------

_TIMES: Final = "a position like 1234, or a time like 2026-03-02T14:05 or 14:05:30"


def position(reader: Reader, text: str, *, ending: bool = False) -> int:
    """Return the position that a person means.

    Args:
        reader: the journal.
        text: a position, or a local time; one without a date is of the day on which the journal ends.
        ending: whether it is the last row that is wanted, and not the first.

    Raises:
        ReportError: it is neither.
    """
    if re.fullmatch(r"#?\d{1,18}", text):
        return int(text.lstrip("#"))
    with reader.reading() as connection:
        newest = connection.execute("select wall from events order by seq desc limit 1").fetchone()
        try:
            if re.match(r"\d{1,2}:", text):
                day = dt.datetime.fromtimestamp((newest[0] if newest else 0) / 1e9).astimezone().date()
                moment = dt.datetime.combine(day, dt.time.fromisoformat(text)).astimezone()
            else:
                moment = dt.datetime.fromisoformat(text).astimezone()
        except ValueError:
            raise ReportError(f"{text!r} is neither {_TIMES}") from None
        wall = int(moment.timestamp() * 1e9)
        edge = "select max(seq) from events where wall <= ?" if ending else "select min(seq) from events where wall >= ?"
        (seq,) = connection.execute(edge, (wall,)).fetchone()
    if seq is None:
        raise ReportError(f"{reader.path} has no row {'up to' if ending else 'since'} {moment:%Y-%m-%d %H:%M:%S}")
    found: int = seq
    return found

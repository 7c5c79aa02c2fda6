"""`statecore follow`: what happens in a journal, as it happens."""

import os
import sys
import time
from pathlib import Path
from typing import Any, Final

import click

from statecore.cli.common import AS_JSON, JOURNAL, check_account, console
from statecore.cli.read import FILTERS, print_row
from statecore.errors import JournalBusy, JournalError

LOOK_EVERY_S: Final = 0.1
"""How often the files are looked at; that is three questions to the kernel, and nothing is opened."""

READ_EVERY_S: Final = 5.0
"""How often the journal is read although its files look the same."""


@click.command(
    epilog="""\b
Examples:
  statecore follow gateway.db
  statecore follow gateway.db --last 20 --machine delivery
  statecore follow gateway.db --event PartRefused --json | jq --unbuffered .data.code
\b
Ctrl-C ends it. It goes on when the gateway is restarted, and holds nothing open while it waits.
"""
)
@JOURNAL
@click.option("--last", type=click.IntRange(0, 100_000), default=0, help="Begin with the last N rows that fit.")
@FILTERS
@AS_JSON
def follow(journal: str, *, last: int, as_json: bool, **filters: str | None) -> None:
    """Show rows of JOURNAL as they are committed; with --json one object a line."""
    from statecore_journal import open_reader

    out = console()
    try:
        with open_reader(journal) as reader:
            check_account(reader, filters["account"])
            end = reader.last()
            if last:
                for row in reader.log(last=last, until=end, **filters):
                    print_row(out, row, as_json=as_json)
            _tail(reader, end, as_json=as_json, **filters)
    except KeyboardInterrupt:
        sys.exit(0)


def _tail(reader: Any, end: int, *, as_json: bool, **filters: str | None) -> None:
    out = console()
    watch = Watch(reader.path)
    while True:
        try:
            newest = reader.last()
            for row in reader.log(after=end, until=newest, **filters):
                print_row(out, row, as_json=as_json)
            end = max(end, newest)
        except JournalBusy:
            pass  # somebody repairs it after a crash; there is a next time
        except JournalError as error:
            if reader.path.exists():
                raise
            raise JournalError(f"{reader.path} is gone: {error}") from error
        sys.stdout.flush()
        watch.wait()


class Watch:
    """Waits until a journal's files change.

    Args:
        path: of the journal; what is committed is written to the log beside it, and later to the file itself.
    """

    def __init__(self, path: Path) -> None:
        real = os.path.realpath(path)
        self._files = (real, f"{real}-wal")
        self._seen: object = None

    def wait(self) -> None:
        """Wait until something was written since the last call, or for `READ_EVERY_S`."""
        deadline = time.monotonic() + READ_EVERY_S
        while (now := [_stamp(file) for file in self._files]) == self._seen and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        self._seen = now


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - ten times a second
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

"""`statecore follow`: what happens in a journal, as it happens."""

import os
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import trio

from statecore.cli.common import AS_JSON, JOURNAL, Whole, check_account, console, run_async
from statecore.cli.read import FILTERS, print_row
from statecore.errors import JournalBusy

LOOK_EVERY_S: Final = 0.1
"""How often the files are looked at; that is three questions to the kernel, and nothing is opened."""

LOOKS: Final = 50
"""After so many, the journal is read although its files look the same."""


@click.command(
    epilog="""\b
Examples:
  statecore follow gateway.db
  statecore follow gateway.db --last 20 --machine delivery
  statecore follow gateway.db --event PartRefused --json | jq --unbuffered .data.code

Ctrl-C ends it. It goes on when the gateway is restarted, and holds nothing open while it waits.
"""
)
@JOURNAL
@click.option("--last", type=Whole(0, 100_000), default=0, metavar="N", help="Begin with the last N rows that fit.")
@FILTERS
@AS_JSON
def follow(journal: str, *, last: int, as_json: bool, **filters: Any) -> None:
    """Show rows of JOURNAL as they are committed; with --json one object a line."""
    from statecore_journal import open_reader

    with open_reader(journal) as reader:
        check_account(reader, filters["account"])
        with suppress(KeyboardInterrupt):
            run_async(partial(_follow, reader, last, as_json=as_json, **filters))


async def _follow(reader: Any, last: int, *, as_json: bool, **filters: Any) -> None:
    out = console()
    end = reader.last()
    for row in reader.log(last=last, until=end, **filters) if last else ():
        print_row(out, row, as_json=as_json)
    watch = Watch(reader.path)
    while True:
        sys.stdout.flush()
        await watch.changed()
        with suppress(JournalBusy):  # somebody repairs it after a crash; there is a next time
            newest = reader.last()
            for row in reader.log(after=end, until=newest, **filters):
                print_row(out, row, as_json=as_json)
                await trio.lowlevel.checkpoint()
            end = max(end, newest)


class Watch:
    """Waits for a journal's files to change.

    Args:
        path: of the journal; what is committed is written to the log beside it, and later to the file itself.
    """

    def __init__(self, path: Path) -> None:
        real = os.path.realpath(path)
        self._files = (real, f"{real}-wal")
        self._seen: object = None

    async def changed(self) -> None:
        """Wait until something was written since the last call; return after `LOOKS` in any case."""
        for _ in range(LOOKS):
            now = [_stamp(file) for file in self._files]
            if now != self._seen:
                self._seen = now
                return
            await trio.sleep(LOOK_EVERY_S)


def _stamp(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)  # noqa: PTH116 - ten times a second
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns

"""`statecore prune`."""

import contextlib
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from statecore.cli.common import AS_JSON, JOURNAL, LENGTH, counted, print_json
from statecore.errors import JournalFull
from statecore.gateway import Retention
from statecore.units import show_duration
from statecore.world import wall_now

EPILOG = """\b
Examples:
  statecore prune gateway.db --older-than 30d --dry-run
  statecore prune gateway.db --older-than 7d --export before.db
  statecore prune gateway.db --max-size 200MB
  statecore prune gateway.db --older-than 90d --dead

Without --older-than and --max-size it prunes what a gateway would: what has been over for 30 days. It works whether or not a
gateway is running.
"""

_SIZES: Final = {
    "": 1,
    "B": 1,
    "KB": 1_000,
    "MB": 1_000_000,
    "GB": 1_000_000_000,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}


class _Size(click.ParamType[int]):
    """A number of bytes, written for people."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([A-Za-z]*)", str(value), re.ASCII)
        if found is None or found[2].upper() not in _SIZES:
            self.fail(f"{value!r} is no size; write 200MB, 1.5GB or a number of bytes", param, ctx)
        return round(float(found[1]) * _SIZES[found[2].upper()])


SIZE: Final = _Size()


@click.command(epilog=EPILOG)
@JOURNAL
@click.option("--older-than", type=LENGTH, help="Prune what has been over for this long, as 30d.")
@click.option(
    "--max-size", type=SIZE, help="Then ever younger ones, until the journal uses no more than this, as 200MB."
)
@click.option(
    "--dead", is_flag=True, help="Also what waits for a person: dead deliveries, and messages that were set aside."
)
@click.option(
    "--dry-run", is_flag=True, help="Say what would go, and change nothing. It takes a copy in the temporary folder."
)
@click.option("--export", "save", type=click.Path(), help="Write all there is to this file first; with nothing hidden.")
@AS_JSON
def prune(
    journal: str,
    *,
    older_than: int | None,
    max_size: int | None,
    dead: bool,
    dry_run: bool,
    save: str | None,
    as_json: bool,
) -> None:
    """Take out of JOURNAL what is over and old, and give its space back to the disk.

    What is live stays, and so does what waits for a person, unless --dead is said. Ids of messages and senders' keys stay for
    a week, so that nothing is taken twice. A connection, a window or a circuit loses its old rows and goes on from a
    checkpoint.
    """
    from statecore_journal import open_reader
    from statecore_journal import prune as prune_

    if older_than is None and max_size is None:
        older_than = Retention().keep
    path = Path(journal)
    with open_reader(path) as reader:
        now = reader.status(wall_now()).now
    if save is not None and not dry_run:
        _save(path, save)
    before = path.stat().st_size
    with _copy(path) if dry_run else contextlib.nullcontext(path) as file:
        done = prune_(file, now=now, older_than=older_than, max_bytes=max_size, dead=dead)
        after = file.stat().st_size
    if as_json:
        print_json({"pruned": done, "file_before": before, "file_after": after, "dry_run": dry_run})
        return
    would = "would go" if dry_run else "gone"
    click.echo(
        f"{would}: {counted(done.instances, 'delivery or message', 'deliveries and messages')}, "
        f"{counted(done.events, 'row')}, {counted(done.keys, 'key')}, {counted(done.commands, 'command')}"
    )
    if done.emptied:
        click.echo(f"only their ids are kept: {done.emptied}")
    if done.cut:
        click.echo(f"cut to a checkpoint: {done.cut} connections, windows and circuits")
    if done.diverging:
        click.echo(
            f"kept, because this code does not replay them as they were recorded: {', '.join(done.diverging[:5])}"
            + (f" and {len(done.diverging) - 5} more" if len(done.diverging) > 5 else "")
        )
    if max_size is not None:
        click.echo(f"as old as {show_duration(done.age)} and older" if done.age else "it is small enough as it is")
    click.echo(f"{path}: {_shown(before)} {'would become' if dry_run else 'became'} {_shown(after)}")
    if max_size is not None and done.bytes_after > max_size:
        click.echo(
            f"nothing more can go: what is left is live, young, or waits for a person ({_shown(done.bytes_after)})"
        )


def _save(path: Path, to: str) -> None:
    from statecore_journal.export import How, export

    done = export(path, to, how=How(plain=True))
    click.echo(f"{to}: {done.events} events, with nothing hidden but secrets", err=True)


@contextlib.contextmanager
def _copy(path: Path) -> Iterator[Path]:
    """Copy a journal as it is at this moment, for as long as the context lasts."""
    from statecore_journal import open_reader

    with tempfile.TemporaryDirectory(prefix="statecore-") as folder, open_reader(path) as reader:
        copy = Path(folder) / "journal.db"
        with reader.reading() as opened, contextlib.closing(sqlite3.connect(copy)) as copied:
            try:
                opened.backup(copied)
            except sqlite3.OperationalError as error:
                raise JournalFull(
                    f"a dry run copies the journal to {folder}: {error}; set TMPDIR to a larger disk"
                ) from error
        yield copy


def _shown(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 100_000 else f"{size / 1e3:.1f} kB"

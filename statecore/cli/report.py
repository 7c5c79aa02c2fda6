"""`statecore report` and `statecore inspect`: a journal as a page to look at."""

import contextlib
import tempfile
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from statecore.cli.common import AS_JSON, JOURNAL, TEXT, counted, print_json
from statecore.cli.moments import MOMENTS, since, until
from statecore.cli.sharing import cut, packages


@click.command(
    epilog="""\b
Examples:
  statecore report gateway.db -o incident.html
  statecore report gateway.db -o incident.html --account wx --since 2h
  statecore report gateway.db -o incident.html --since 120000 --plain

The file opens in any browser, from disk and offline. Nothing in it is loaded from elsewhere.

"""
    + MOMENTS
)
@JOURNAL
@click.option("-o", "--output", type=click.Path(dir_okay=False), required=True, help="The new file.")
@click.option("--account", type=TEXT, help="Only this account.")
@click.option("--chat", type=TEXT, help="Only this chat.")
@since()
@until()
@click.option("--plain", is_flag=True, help="Show texts, ids and tokens as they are. Without, they are placeholders.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@AS_JSON
def report(
    journal: str, *, output: str, account: str | None, chat: str | None, since: Any, until: Any, plain: bool, force: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Write what is in JOURNAL to one file to look at: what went wrong, a timeline, each machine's diagram, every event.

    Texts, ids and tokens are placeholders unless --plain is given, so that the file can be shown to others. Credentials
    are never in a journal's events.
    """
    from statecore_diagrams.report import write_report

    part = cut(journal, account, chat, since, until)
    found = write_report(journal, output, cut=part, plain=plain, force=force, packages=packages())
    if as_json:
        print_json(found)
        return
    told = counted(found.incidents, "incident") if found.incidents else "no incident"
    size = f"{found.rows:,} {'event' if found.rows == 1 else 'events'}, {told}, {found.size / 1e6:.1f} MB"
    click.echo(f"{found.path}: {size}{'' if plain else ', redacted'}")


@click.command(
    epilog="""\b
Examples:
  statecore inspect gateway.db
  statecore inspect gateway.db --port 8700 --no-browser

The address holds a token; whoever has it can read the journal while this runs. Ctrl-C ends it.
"""
)
@JOURNAL
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to listen; any free port if not given.")
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@AS_JSON
def inspect(journal: str, *, port: int, no_browser: bool, as_json: bool) -> None:
    """Look at JOURNAL in a browser, while a gateway writes it or afterwards. Reachable from this machine only."""
    from statecore_diagrams.report import open_inspector

    with contextlib.suppress(KeyboardInterrupt), open_inspector(journal, port=port) as inspector:
        if as_json:
            print_json({"url": inspector.url})
        else:
            click.echo(f"{inspector.url}\n(Ctrl-C ends it)")
        with contextlib.nullcontext() if no_browser else _browser(inspector.url):
            inspector.wait()


@contextlib.contextmanager
def _browser(url: str) -> Iterator[None]:
    """Open an address in a browser by way of a file that only its owner can read.

    Everybody on a machine can see the arguments of a command, and the address holds the token.
    """
    with tempfile.TemporaryDirectory(prefix="statecore-") as folder:
        file = Path(folder) / "inspect.html"
        file.write_text(f'<!doctype html><meta http-equiv="refresh" content="0; url={url}"><a href="{url}">inspect</a>')
        if not webbrowser.open(file.as_uri()):
            click.echo("no browser could be opened; open the address above in one", err=True)
        yield

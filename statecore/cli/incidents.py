"""`statecore incidents`."""

import sys
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from statecore.cli.common import AS_JSON, TEXT, check_account, clock, console, counted, fail, print_json, printable
from statecore.cli.moments import MOMENTS, since, span, until
from statecore.units import show_duration


@click.command(
    epilog="""\b
Examples:
  statecore incidents gateway.db
  statecore incidents gateway.db --since 24h --account wx
  statecore incidents gateway.db --kind flapping --json | jq '.[].first'
  statecore incidents gateway.db --since 1h --check || page someone
  statecore incidents --list
  statecore incidents --explain zombie

"""
    + MOMENTS
)
@click.argument("journal", type=click.Path(dir_okay=False), required=False)
@click.option("--account", help="Only this account.")
@click.option("--kind", "kinds", multiple=True, type=TEXT, help="Only this kind; may be given several times.")
@since("Only what was not over before.")
@until("Read the journal as if it ended there.")
@click.option("--list", "listing", is_flag=True, help="List the kinds there are.")
@click.option("--explain", "asked", metavar="KIND", help="Say what a kind looks for, and where it comes from.")
@click.option("--check", is_flag=True, help="Exit with 1 if there are any.")
@AS_JSON
def incidents(
    journal: str | None, *, account: str | None, kinds: tuple[str, ...], since: Any, until: Any,
    listing: bool, asked: str | None, check: bool, as_json: bool,
) -> None:  # fmt: skip
    """Name what went wrong in JOURNAL, where it started, what it cost, and what to change."""
    from statecore_journal import open_reader
    from statecore_journal.incidents import find, installed

    known = installed(_warn)
    if listing or asked is not None:
        _about(known, asked, as_json=as_json)
        return
    if journal is None:
        raise click.UsageError("Missing argument 'JOURNAL'.")
    if unknown := [kind for kind in kinds if kind not in known]:
        fail(f"there is no kind {unknown[0]!r} of incident; `statecore incidents --list` lists them")
    with open_reader(journal) as reader:
        check_account(reader, account)
        first, last = span(reader, since, until)
        makes = [make for name, make in known.items() if not kinds or name in kinds]
        found = [
            incident
            for incident in find(reader, until=last, monitors=makes, report=_warn)
            if account in (None, incident.account) and (incident.last is None or incident.last >= (first or 0))
        ]
        rows = _rows(reader, last)
    if as_json:
        print_json(found)
    elif not found:
        click.echo(f"no incidents in {counted(rows, 'row')}")
    else:
        out = console()
        for incident in found:
            out.print(render(incident, journal))
    if check and found:
        sys.exit(1)


def _warn(text: str) -> None:
    click.echo(f"statecore: {text}", err=True)


def _about(known: dict[str, Any], asked: str | None, *, as_json: bool) -> None:
    from statecore_journal.incidents import explained

    if asked is not None:
        if asked not in known:
            fail(f"there is no kind {asked!r} of incident; `statecore incidents --list` lists them")
        known = {asked: known[asked]}
    texts = {name: explained(name, make) for name, make in known.items()}
    if as_json:
        print_json(texts)
    elif asked is not None:
        click.echo(f"{asked}\n\n{printable_lines(texts[asked])}")
    else:
        width = max(map(len, texts))
        for name, text in texts.items():
            click.echo(f"{name:<{width}}  {printable(text.partition(chr(10))[0])}")


def printable_lines(text: str) -> str:
    """Make text of several lines safe to show."""
    return "\n".join(printable(line) for line in text.splitlines())


def _rows(reader: Any, until: int | None) -> int:
    sql = "select count(*) from events" if until is None else "select count(*) from events where seq <= ?"
    ((count,),) = reader.ask(sql, *(() if until is None else (until,)))
    return int(count)


def render(incident: Any, journal: str) -> Group:
    """Lay an incident out for people."""
    head = Text(incident.kind, style="bold red" if incident.last is None else "bold")
    head.append(f"  {clock(incident.wall)}", style="dim")
    if incident.ended is None:
        head.append("  goes on", style="red")
    elif incident.ended > incident.began:
        head.append(f"  for {show_duration(incident.ended - incident.began)}")
    head.append(f"  {printable(incident.address)}")
    head.append(f"  #{incident.first}", style="bold")
    head.append("" if incident.last in (None, incident.first) else f" to #{incident.last}")
    lines = [head]
    for label, text in (
        ("what", incident.summary),
        ("cause", incident.cause),
        ("cost", cost(incident.cost)),
        ("change", incident.advice),
        ("look", _next(incident, journal)),
    ):
        if text:
            lines.append(Text(f"  {label:<8}{printable(text)}"))
    lines.append(Text(""))
    return Group(*lines)


def cost(of: Any) -> str:
    """Write what an incident cost; nothing if it cost nothing.

    >>> from statecore_journal.incidents import Cost
    >>> cost(Cost(delayed=2, delay_max=90 * 10**9, refused=5))
    '2 messages delayed by up to 1m30s, 5 requests refused'
    """
    said = {
        "delayed": f"{counted(of.delayed, 'message')} delayed by up to {show_duration(of.delay_max)}",
        "refused": f"{counted(of.refused, 'request')} refused",
        "dead": f"{counted(of.dead, 'message')} dead",
        "doubled": f"{of.doubled} perhaps twice",
        "down": f"{show_duration(of.down)} without a connection",
    }
    return ", ".join(text for name, text in said.items() if getattr(of, name))


def _next(incident: Any, journal: str) -> str:
    """Return the commands to look with next."""
    log = f"statecore log {journal} --account {incident.account} --after {incident.first - 1}"
    return f"{log}; statecore why {journal} {incident.first}"

"""`statecore replay`: where everything was at some moment."""

import json
import sys
from typing import Any, Final

import click
from rich.text import Text

from statecore.cli.common import (
    AS_JSON,
    JOURNAL,
    TEXT,
    ago,
    check_account,
    clock,
    console,
    counted,
    fail,
    paint,
    plain,
    printable,
)
from statecore.cli.fields import Moment, show_fields
from statecore.cli.machines import OWN
from statecore.cli.moments import MOMENTS, until
from statecore.loading import load_machines
from statecore.units import show_duration

LISTED_MAX: Final = 100
"""Instances that are listed for people; --json has them all."""

JOBS = click.option(
    "--jobs",
    type=click.IntRange(0, 64),
    default=0,
    help="Processes that share the work on a long journal; 0 for as many as there are processors.",
)


@click.command(
    epilog="""\b
Examples:
  statecore replay gateway.db
  statecore replay gateway.db --until 4711 --machine delivery
  statecore replay gateway.db --until 18:04:05 --account wx
  statecore replay gateway.db --until "2026-11-21 18:04:05" --json | jq -s '.[] | select(.state == "unknown")'

"""
    + MOMENTS
)
@JOURNAL
@until("The moment; without it, the end.")
@click.option("--machine", type=TEXT, help="Only instances whose address begins with this: delivery, connection/wx.")
@click.option("--account", help="Only this account.")
@click.option("--finished", is_flag=True, help="List those too to which nothing more can happen.")
@OWN
@JOBS
@AS_JSON
def replay(
    journal: str, *, until: Any, machine: str | None, account: str | None, finished: bool, specs: tuple[str, ...],
    jobs: int, as_json: bool,
) -> None:  # fmt: skip
    """Fold JOURNAL up to a moment, and show where everything was: states, what was remembered, since when, deadlines.

    With --json an object a line: first the moment with counts, then the instances.
    """
    from statecore_journal import open_reader
    from statecore_journal import replay as replayed

    load_machines(specs)  # what is wrong with them is said first
    with open_reader(journal) as reader:
        check_account(reader, account)
        upto = None if until is None else reader.until(until)
    with replayed(
        journal,
        upto,
        specs=specs,
        jobs=jobs,
        machine=machine,
        account=account,
        finished=finished or machine is not None,
    ) as found:
        if as_json:
            head = {
                name: plain(getattr(found, name))
                for name in ("seq", "at", "wall", "events", "counts", "unknown", "parted")
            }
            click.echo(json.dumps(head, ensure_ascii=False))
            for one in found.standing:
                click.echo(json.dumps(plain(one), ensure_ascii=False))
        elif found.seq or until is None:
            _show(found, journal)
        for name, rows in found.unknown.items():
            click.echo(f"statecore: {counted(rows, 'row')} are of machine {printable(name)!r}, which this code does not have; "
                       "name it with --machines", err=True)  # fmt: skip
        if found.parted and not as_json:
            click.echo(f"statecore: this code parts from the record: {printable(str(found.parted[0]))}; "
                       "see `statecore verify`", err=True)  # fmt: skip
    if found.unknown or found.parted:
        sys.exit(1)
    if not found.events and until is not None and not found.seq:
        fail(f"{journal} begins after {until.text}")


def _show(found: Any, journal: str) -> None:
    out = console()
    if not found.seq:
        out.print(f"{journal}: nothing had happened", markup=False)
        return
    out.print(
        f"{journal} at row {found.seq}, {clock(found.wall)}: {counted(found.events, 'row')} replayed", markup=False
    )
    for machine, states in found.counts.items():
        line = Text(f"  {machine:<11}", style="bold")
        for number, (state, count) in enumerate(states.items()):
            line.append(", " if number else "")
            line.append_text(paint(state))
            line.append(f" {count}")
        out.print(line)
    left_out = 0
    for number, one in enumerate(found.standing):
        if number < LISTED_MAX:
            out.print(render_standing(one, found.at))
        else:
            left_out += 1
    if left_out:
        out.print(f"and {left_out} more; --machine picks some, --json has all", markup=False)


def render_standing(one: Any, at: int) -> Text:
    """Lay one instance out on one line.

    Args:
        one: the instance.
        at: the moment, on the gateway's clock, in ns.
    """
    line = Text(printable(one.address), style="bold")
    line.append("  ")
    line.append_text(paint(one.state))
    if one.held is not None:
        line.append(f" for {show_duration(one.held)}", style="not bold")
    for name, left in one.deadlines:
        when = f"in {show_duration(left)}" if left >= 0 else f"{show_duration(-left)} overdue"
        line.append(f"  {name} {when}", style="cyan not bold")
    running = dict(one.deadlines)
    fields = {name: _moment(name, value, at) for name, value in one.remembered.items() if name not in running}
    line.append(show_fields(fields), style="dim not bold")
    line.append(f"  #{one.seq}" if one.seq is not None else "  (pruned)", style="dim not bold")
    if one.parted:
        line.append("  parted from the record", style="red not bold")
    return line


def _moment(name: str, value: Any, at: int) -> Any:
    """Show a moment on the gateway's clock as how long ago it was, also within others; everything else as it is."""
    if isinstance(value, dict):
        return {key: _moment(key, item, at) for key, item in value.items()}
    if isinstance(value, list):
        return [_moment(name, item, at) for item in value]
    known = isinstance(value, int) and name.endswith(("_at", "_since", "_until", "until"))
    return Moment(ago(value, at)) if known else value

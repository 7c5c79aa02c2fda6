"""`statecore verify`: whether this code does what journals record."""

import json
import sys
from typing import Any

import click
from rich.text import Text

from statecore.cli.common import AS_JSON, console, counted, plain, printable
from statecore.cli.machines import OWN
from statecore.cli.replay import JOBS
from statecore.errors import StatecoreError
from statecore.loading import load_machines


@click.command(
    epilog="""\b
Examples:
  statecore verify gateway.db
  statecore verify incidents/*.db                        in CI: a line each, exit status 1 if one diverges
  statecore verify gateway.db --machines mypackage.machines:MACHINES
  statecore verify gateway.db --json | jq .diverging

Every row is taken through the machines of this code and compared with what was recorded: the states before and after,
version, outcome and guards; and in the end where every instance is. Nothing is written.
"""
)
@click.argument("journals", nargs=-1, required=True, metavar="JOURNAL...", type=click.Path())
@OWN
@JOBS
@AS_JSON
def verify(journals: tuple[str, ...], *, jobs: int, specs: tuple[str, ...], as_json: bool) -> None:
    """Fold each JOURNAL, compare with what it records, and name the first divergence."""
    from statecore_journal import verify as verified

    load_machines(specs)  # what is wrong with them is said once
    failed = False
    for journal in journals:
        try:
            found = verified(journal, specs=specs, jobs=jobs)
        except StatecoreError as error:
            failed = True
            _report_error(journal, error, as_json=as_json)
            continue
        failed = failed or not found.holds
        if as_json:
            click.echo(json.dumps({**plain(found), "holds": found.holds}, ensure_ascii=False))
        else:
            _show(found, briefly=len(journals) > 1)
    if failed:
        sys.exit(1)


def _report_error(journal: str, error: StatecoreError, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"path": journal, "holds": False, "error": str(error)}, ensure_ascii=False))
    else:
        click.echo(f"{printable(journal)}: {printable(str(error))}")


def _show(found: Any, *, briefly: bool) -> None:
    out = console()
    line = Text(f"{printable(found.path)}: ")
    line.append(
        "holds" if found.holds else "diverges" if found.diverging else "not all of it is known",
        "green" if found.holds else "red",
    )
    line.append(f", {counted(found.events, 'row')}, {counted(found.instances, 'instance')}")
    if found.diverging:
        line.append(f", {found.diverging} of them part from the record")
    for name, rows in found.unknown.items():
        line.append(
            f"; {counted(rows, 'row')} of machine {printable(name)!r}, which this code does not have (name it with --machines)"
        )
    if briefly and found.named:
        line.append(f"; first {printable(str(found.named[0]))}")
    out.print(line)
    if briefly or not found.named:
        return
    for number, one in enumerate(found.named):
        if number == 0:
            out.print(_divergence(one))
        else:
            out.print(Text(f"  then {printable(str(one), 300)}", style="dim"))
    if found.diverging > len(found.named):
        out.print(Text(f"  and {found.diverging - len(found.named)} more", style="dim"))


def _divergence(one: Any) -> Text:
    """Lay the first divergence out."""
    what = f"{one.event} of {one.address}" if one.event else f"{one.address} in table instances"
    text = Text(f"  first at row {one.seq}: {printable(what)}, version {one.version}\n", style="bold")
    text.append(f"    recorded  {printable(one.recorded)}\n", style="default not bold")
    text.append(f"    computed  {printable(one.folded)}\n", style="red not bold")
    for name, pair in (("definition", one.definition), ("schema", one.schema)):
        if pair is not None:
            text.append(
                f"    {name:<10}version {pair[0]} when it was recorded, {pair[1]} in this code\n", style="not bold"
            )
    if one.advice:
        text.append(f"    what to do: {printable(one.advice)}", style="not bold")
    if one.stub:
        text.append(
            "\n" + "\n".join(f"      {printable(line)}".rstrip() for line in one.stub.splitlines()),
            style="cyan not bold",
        )
    return text

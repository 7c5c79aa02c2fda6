"""`statecore diff`: where two journals part, or two versions of the machines."""

import sys
from typing import Any

import click
from rich.text import Text

from statecore.cli.common import (
    AS_JSON,
    MESSAGE_CHARACTERS_MAX,
    TEXT,
    console,
    counted,
    plain,
    print_json,
    printable,
)
from statecore.cli.fields import show_fields
from statecore.cli.machines import OWN
from statecore.loading import load_machines


@click.command(
    epilog="""\b
Examples:
  statecore diff before.db after.db
  statecore diff before.db after.db --machine delivery --json
  statecore diff gateway.db --machines old.machines:MACHINES --machines new.machines:MACHINES

Exit status: 0 they are the same, 1 they part, or cannot be compared to the end. What differs by nature is not looked at
unless --strict asks for it: positions, times, epochs and processes. To compare a journal with the machines of this code,
use `statecore verify`.
"""
)
@click.argument("journals", nargs=-1, required=True, metavar="A [B]", type=click.Path(dir_okay=False))
@click.option("--machine", type=TEXT, help="Only instances whose address begins with this: delivery, connection/wx.")
@click.option("--account", help="Only this account.")
@click.option("--strict", is_flag=True, help="Compare positions, times, epochs and processes as well.")
@OWN
@AS_JSON
def diff(
    journals: tuple[str, ...],
    *,
    machine: str | None,
    account: str | None,
    strict: bool,
    specs: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the first row of each instance in which journals A and B differ, the first in time first.

    With one journal and --machines given twice: where the two versions of the machines part over it.
    """
    from statecore_journal import diff as compared
    from statecore_journal import diff_versions

    if len(journals) == 2 and not specs:
        found = compared(journals[0], journals[1], machine=machine, account=account, strict=strict)
    elif len(journals) == 1 and len(specs) == 2:
        left, right = load_machines(specs[:1]), load_machines(specs[1:])
        found = diff_versions(journals[0], left, right, names=(specs[0], specs[1]), machine=machine, account=account)
    else:
        raise click.UsageError("name two journals, or one journal and --machines twice")
    if as_json:
        print_json({**plain(found), "same": found.same})
    else:
        _show(found)
    if found.unread:
        click.echo(f"statecore: {found.unread} instances can be followed to the end by neither version, first "
                   f"{printable(found.why_unread, MESSAGE_CHARACTERS_MAX)}; see `statecore verify`", err=True)  # fmt: skip
    if not found.same or found.unread:
        sys.exit(1)


def _show(found: Any) -> None:
    out = console()
    names = f"{printable(found.left)} and {printable(found.right)}"
    if found.same:
        out.print(f"{names} are the same: {counted(found.instances, 'instance')}", markup=False)
        return
    out.print(f"{names}: {found.parted} of {counted(found.instances, 'instance')} in both parted", markup=False)
    for number, parting in enumerate(found.partings):
        out.print(render_parting(parting, "first: " if number == 0 else "       "))
    if found.parted > len(found.partings):
        out.print(f"       and {found.parted - len(found.partings)} more", markup=False)
    for name, addresses, count in (
        (found.left, found.only_left, found.lonely_left),
        (found.right, found.only_right, found.lonely_right),
    ):
        if count:
            listed = ", ".join(printable(address) for address in addresses[:5])
            out.print(
                f"only in {printable(name)}: {counted(count, 'instance')}: {listed}{', …' if count > 5 else ''}",
                markup=False,
            )


def render_parting(parting: Any, head: str) -> Text:
    """Lay one parting out: what both sides have, and in what they differ."""
    text = Text(f"{head}{printable(parting.address)}, version {parting.version}: ", style="bold")
    text.append(", ".join(parting.differs), style="yellow not bold")
    for name, side in (("A", parting.left), ("B", parting.right)):
        text.append(f"\n         {name}  ", style="not bold")
        text.append("its history is over" if side is None else _side(side, parting.differs), style="not bold")
    return text


def _side(side: Any, differs: tuple[str, ...]) -> str:
    if side.error:
        return f"#{side.seq} {side.event}: {printable(side.error)}"
    moved = (
        f"{side.source} → {side.target}" if side.outcome is None else f"{side.source} [{printable(side.outcome, 80)}]"
    )
    wanted = {name.partition(".")[2] for name in differs}
    fields = {name: value for name, value in side.fields.items() if name in wanted} if any(wanted) else side.fields
    return f"#{side.seq} {side.event}  {moved}{show_fields(fields)}" + (f" ?{side.guards}" if side.guards else "")

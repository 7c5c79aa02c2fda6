"""`statecore why`: what led to a row."""

from itertools import islice
from typing import Any, Final

import click
from rich.text import Text

from statecore.cli.common import AS_JSON, JOURNAL, Whole, clock, console, plain, print_json, printable
from statecore.cli.fields import show_fields
from statecore.cli.machines import OWN
from statecore.cli.read import render_row
from statecore.loading import load_machines
from statecore.units import show_duration

FORWARD_MAX: Final = 100
"""Rows of what was set off that are shown; `log --cause` shows them all."""


@click.command(
    epilog="""\b
Examples:
  statecore why gateway.db 4711
  statecore why gateway.db 4711 --forward                and what it set off
  statecore why gateway.db 4711 --whole                  back to the start of the process, through every poll
  statecore why gateway.db 4711 --json | jq '.steps[0].row.event'

The chain begins with the event from outside: one that no row caused, or one that brought something in, such as a poll
with messages. Each step says how long after the one before it came.
"""
)
@JOURNAL
@click.argument("seq", type=Whole(), metavar="SEQ")
@click.option("--forward", is_flag=True, help="Show what the row set off, too.")
@click.option("--whole", is_flag=True, help="Do not stop at what brought something in.")
@OWN
@AS_JSON
def why(journal: str, seq: int, *, forward: bool, whole: bool, specs: tuple[str, ...], as_json: bool) -> None:
    """Walk the causes of row SEQ of JOURNAL back to the event from outside that began it, across machines."""
    from statecore_journal import open_reader
    from statecore_journal import why as walked

    machines = load_machines(specs)
    with open_reader(journal) as reader:
        chain = walked(reader, seq, machines=machines, whole=whole)
        ahead = list(islice(reader.log(cause=seq), FORWARD_MAX + 1)) if forward else []
    if as_json:
        more = {"forward": [_row(row) for row in ahead[:FORWARD_MAX]]} if forward else {}
        steps = [{"row": _row(step.row), "after": step.after, "says": step.says} for step in chain.steps]
        print_json({"steps": steps, "left_out": chain.left_out, "pruned": chain.pruned, **more})
        return
    _show(chain, seq, ahead, forward=forward)


def _row(row: Any) -> dict[str, Any]:
    return {**plain(row), "data": row.fields}


def _show(chain: Any, seq: int, ahead: list[Any], *, forward: bool) -> None:
    out = console()
    if chain.pruned is not None:
        out.print(Text(f"what began it is pruned (row {chain.pruned})", style="dim"))
    gap = len(chain.steps) - len(chain.steps) // 2
    for number, step in enumerate(chain.steps):
        if chain.left_out and number == gap:
            out.print(Text(f"    … {chain.left_out} steps …", style="dim"))
        out.print(render_step(step, last=step.row.seq == seq))
    if not forward:
        return
    if not ahead:
        out.print(Text("it set nothing off", style="dim"))
        return
    out.print(Text("it set off:", style="bold"))
    for row in ahead[:FORWARD_MAX]:
        line = Text("  ")
        line.append_text(render_row(row))
        out.print(line)
    if len(ahead) > FORWARD_MAX:
        out.print(Text(f"  … more: statecore log JOURNAL --cause {seq}", style="dim"))


def render_step(step: Any, *, last: bool) -> Text:
    """Lay one step out: when, where, what, and in a sentence what that is."""
    row = step.row
    when = clock(row.wall) if step.after is None else f"+{show_duration(step.after)}"
    line = Text(f"{when:>18}  ", style="dim")
    line.append(f"#{row.seq} {printable(row.machine)}", style="bold not dim")
    moved = f"{row.source} → {row.target}" if row.outcome is None or row.source != row.target else row.source
    line.append(f"  {moved}  {row.event}", style="yellow not dim" if last else "not dim")
    line.append(f"\n{'':>20}{printable(step.says)}", style="italic not bold")
    fields = {} if row.event.startswith("Elapsed") else row.fields
    line.append(show_fields(fields), style="dim not bold not italic")
    return line

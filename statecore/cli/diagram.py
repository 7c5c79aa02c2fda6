"""`statecore diagram`, `statecore coverage` and `statecore timeline`: machines and journals as pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import click
from rich.text import Text

from statecore.cli.common import AS_JSON, JOURNAL, TEXT, check_account, console, fail, print_json, printable
from statecore.cli.machines import OWN, one, only
from statecore.cli.moments import MOMENTS, since, span, until
from statecore.loading import load_machines
from statecore.machine import Machine
from statecore.machines import MACHINES

FORMAT = click.option(
    "--format",
    "wanted",
    type=click.Choice(["mermaid", "svg"]),
    help="By default what the ending of -o says, else Mermaid.",
)
OUTPUT = click.option("-o", "--output", type=click.Path(), help="Write to this file instead of printing.")
THEME = click.option(
    "--theme",
    type=click.Choice(["both", "light", "dark"]),
    default="both",
    help="Colours of an SVG: light, dark, or what the reader's system prefers (the default).",
)
JOURNALS = click.argument("journals", type=click.Path(dir_okay=False), nargs=-1, required=True)

_ENDINGS = {".svg": "svg", ".mmd": "mermaid", ".mermaid": "mermaid"}


@click.command(
    epilog="""\b
Examples:
  statecore diagram --list
  statecore diagram connection
  statecore diagram delivery -o delivery.svg
  statecore diagram connection --coverage gateway.db -o taken.svg
  statecore diagram door --machines mypackage.machines:MACHINES -o door.svg
  statecore diagram --all -o diagrams/

An SVG of a machine of your own needs the layout library: pip install 'statecore[diagrams]'. Nothing else does.
"""
)
@click.argument("machine", required=False)
@click.option("--list", "listed", is_flag=True, help="List the machines.")
@click.option(
    "--all", "every", is_flag=True, help="Draw every machine, as Mermaid and SVG, into the folder given by -o."
)
@click.option(
    "--coverage",
    "journals",
    multiple=True,
    type=click.Path(dir_okay=False),
    help="Draw which transitions this journal took, and how often; may be given several times.",
)
@FORMAT
@OUTPUT
@THEME
@OWN
@AS_JSON
def diagram(
    machine: str | None, *, listed: bool, every: bool, journals: tuple[str, ...],
    wanted: Literal["mermaid", "svg"] | None, output: str | None, theme: Any, specs: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Draw MACHINE from its definition: connection, session, delivery, window, circuit, inbound, or your own."""
    machines = only(specs)
    if sum((machine is not None, listed, every)) != 1:
        raise click.UsageError("give a MACHINE, --list or --all")
    if as_json and not listed:
        raise click.UsageError("--json goes with --list; pictures are text already")
    if listed:
        _list(machines, as_json)
    elif every:
        if journals or wanted is not None:
            raise click.UsageError("--all draws every machine in both formats, without --coverage")
        _write_all(machines, output)
    else:
        assert machine is not None
        found = one(machines, machine)
        _write(_drawn(found, wanted or _format_of(output), theme, journals), output)


def _drawn(machine: Machine, wanted: str, theme: Any, journals: Sequence[str]) -> str:
    from statecore_diagrams import mermaid, svg

    taken = _counted(journals, {machine.name: machine}).of(machine.name).counts if journals else None
    return (
        mermaid.render(machine, taken=taken) if wanted == "mermaid" else svg.render(machine, theme=theme, taken=taken)
    )


def _list(machines: Mapping[str, Machine], as_json: bool) -> None:
    from statecore_diagrams.model import read

    models = [read(machine) for machine in machines.values()]
    if as_json:
        print_json(
            [
                {"machine": model.name, "definition": model.version, "transitions": len(model.drawn),
                 "states": [state.name for state in model.states]}
                for model in models
            ]
        )  # fmt: skip
        return
    for model in models:
        count = f"{len(model.states)} states, {len(model.drawn)} transitions, definition {model.version}"
        click.echo(f"{model.name:<12} {count}")


def _write_all(machines: Mapping[str, Machine], output: str | None) -> None:
    from statecore_diagrams import shipped

    if output is None:
        raise click.UsageError("--all needs a folder: -o diagrams/")
    if machines is MACHINES:
        shipped.remember()
    for file in shipped.write(Path(output), machines.values()):
        click.echo(str(file))


def _format_of(output: str | None) -> str:
    if output is None:
        return "mermaid"
    ending = Path(output).suffix.lower()
    if ending not in _ENDINGS:
        raise click.UsageError(f"{output} ends in none of {', '.join(_ENDINGS)}; say --format")
    return _ENDINGS[ending]


def _write(drawn: str, output: str | None) -> None:
    if output is None:
        click.echo(drawn, nl=False)
        return
    try:
        Path(output).write_text(drawn, "utf-8")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror}")


# ---- coverage --------------------------------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Examples:
  statecore coverage gateway.db
  statecore coverage *.db --machine connection --fail-under 80
  statecore coverage gateway.db --json

A transition is what one event does in one state under one guard; ignored events are counted apart. Saved coverage of test
runs (statecore_diagrams.coverage.Coverage.save) can be named like a journal, if its name ends in .json.
"""
)
@JOURNALS
@click.option("--machine", help="Only this machine.")
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with status 1 if a smaller part of the transitions shown was taken.",
)
@OWN
@AS_JSON
def coverage(
    journals: tuple[str, ...], *, machine: str | None, fail_under: float | None, specs: tuple[str, ...], as_json: bool
) -> None:
    """Show which transitions of each machine's table JOURNALS took, and which never."""
    machines: Mapping[str, Machine] = load_machines(specs)
    if machine is not None:
        machines = {machine: one(machines, machine)}
    counted = _counted(journals, machines)
    shown = [counted.of(name) for name in ([machine] if machine is not None else counted.seen)]
    if not shown:
        fail(f"{', '.join(journals)} took no transition of {', '.join(machines)}")
    taken, total = sum(len(found.taken) for found in shown), sum(found.total for found in shown)
    percent = 100 * taken / total if total else 100.0
    if as_json:
        from statecore_diagrams.coverage import plain

        print_json({"taken": taken, "total": total, "percent": round(percent, 2), "pruned": counted.pruned,
                    "strangers": dict(counted.strangers) if machine is None else {},
                    "machines": [plain(found) for found in shown]})  # fmt: skip
    else:
        _show(shown, [name for name in machines if name not in counted.seen])
        _show_rest(counted, whole=machine is None)
    if fail_under is not None and percent < fail_under:
        fail(f"{taken} of {total} transitions were taken, {percent:.1f}%; --fail-under wants {fail_under:g}%")


def _counted(journals: Sequence[str], machines: Mapping[str, Machine]) -> Any:
    from statecore_diagrams.coverage import Coverage

    found = Coverage(machines)
    for journal in journals:
        if journal.endswith(".json"):
            found.load(journal)
        else:
            found.journal(journal)
    return found


def _show(shown: Sequence[Any], unseen: Sequence[str]) -> None:
    from statecore_diagrams.coverage import rows

    out = console()
    for found in shown:
        head = Text(f"{found.model.name}: ", style="bold")
        percent = 100 * len(found.taken) / found.total
        head.append(f"{len(found.taken)} of {found.total} transitions taken, {percent:.0f}%")
        out.print(head)
        for where, labels in rows(found.model, found.never):
            out.print(Text(f"  never  {where}: {', '.join(labels)}", style="dim"))
        for what, count in found.foreign.items():
            version = f"definition {found.model.version} of this code has no such transition"
            out.print(Text(f"  {count} rows of {printable(what)}: {version}", style="yellow"))
    if unseen:
        out.print(Text(f"nothing was recorded of {', '.join(unseen)}", style="dim"))


def _show_rest(counted: Any, *, whole: bool) -> None:
    """Say what was not counted."""
    out = console()
    for name, count in counted.strangers.items() if whole else ():
        out.print(
            Text(
                f"{count} rows are of {printable(name)}, which is no shipped machine; name yours with --machines",
                "yellow",
            )
        )
    if counted.pruned:
        out.print(Text("older rows were pruned from a journal, and what they took is not counted", style="dim"))


# ---- timeline --------------------------------------------------------------------------------------------------------


@click.command(
    epilog="""\b
Examples:
  statecore timeline gateway.db --account wx -o incident.svg
  statecore timeline gateway.db --since 10m --machine circuit -o circuit.svg
  statecore timeline gateway.db --since "2026-11-21 13:30" --until "2026-11-21 13:45" -o incident.svg
  statecore timeline gateway.db --since 120 --until 180

"""
    + MOMENTS
)
@JOURNAL
@click.option("--account", help="Only this account.")
@click.option("--machine", type=TEXT, help="Only instances whose address begins with this: delivery, connection/wx.")
@click.option("--chat", type=TEXT, help="Only this chat.")
@since()
@until()
@click.option("--lanes", type=click.IntRange(1, 400), help="Draw at most so many instances.  [default: 40]")
@click.option("--bars", type=click.IntRange(1, 100_000), help="Draw at most so many bars.  [default: 2000]")
@FORMAT
@OUTPUT
@THEME
@OWN
@AS_JSON
def timeline(
    journal: str, *, account: str | None, machine: str | None, chat: str | None, since: Any, until: Any,
    lanes: int | None, bars: int | None, wanted: Literal["mermaid", "svg"] | None,
    output: str | None, theme: Any, specs: tuple[str, ...], as_json: bool,
) -> None:  # fmt: skip
    """Draw what happened in JOURNAL over time: a lane an instance, its states as bars, causes as arrows."""
    from statecore_diagrams import lanes as drawing
    from statecore_diagrams.timeline import BARS_MAX, LANES_MAX, read
    from statecore_journal import open_reader

    wanted = "mermaid" if as_json else wanted or _format_of(output)  # type: ignore[assignment]
    with open_reader(journal) as reader:
        check_account(reader, account)
        first, last = span(reader, since, until)
        found = read(
            reader,
            account=account,
            machine=machine,
            chat=chat,
            after=(first or 1) - 1,
            until=last,
            lanes_max=lanes or LANES_MAX,
            bars_max=bars or BARS_MAX,
            machines=load_machines(specs),
        )
    if as_json:
        print_json(found)
        return
    title = " ".join(part for part in (Path(journal).name, account, machine, chat) if part)
    svg = wanted == "svg"
    _write(
        drawing.render(found, title=title, theme=theme) if svg else drawing.render_mermaid(found, title=title), output
    )
    if omitted := drawing.omission(found):
        click.echo(f"{omitted}; narrow it with --since, --until, --machine or --chat", err=True)

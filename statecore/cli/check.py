"""`statecore check`: explore machines exhaustively, the shipped ones or one's own."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import click
import trio
from rich.text import Text

from statecore.cli.common import AS_JSON, Whole, console, counted, fail, print_json, printable
from statecore.errors import StatecoreError
from statecore.loading import machines_at
from statecore.units import SECONDS
from statecore.world import wall_now

STATUS: Final = {"proved": 0, "refuted": 1, "inconclusive": 3}
COLOURS: Final = {"proved": "green", "refuted": "red", "inconclusive": "yellow"}
STEPS_SHOWN: Final = 60


class _Losses(click.ParamType[int]):
    """How many messages get lost: a number, or any."""

    name = "n|any"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from statecore.exploration.scene import UNBOUNDED

        return UNBOUNDED if value == "any" else Whole(0, 9).convert(value, param, ctx)


@click.command(
    epilog="""\b
Examples:
  statecore check                                    the shipped machines, one by one and composed
  statecore check --chats 2 --deliveries 3 --crashes 1 --loss any
  statecore check --only refused -o counterexample.db
  statecore check mypackage.machines:order --cover 100
  statecore check --json

Each property is proved (within the bounds that are shown), refuted (with a shortest counterexample) or inconclusive, with the
reason. Exit status: 0 all proved, 1 one refuted, or too little covered, 3 inconclusive. With -o the counterexample of a
scene is written as a journal, which `statecore log`, `why`, `report` and `inspect` open.
"""
)
@click.argument("machine", required=False, metavar="[MODULE:MACHINE]")
@click.option("--chats", type=Whole(1, 4), help="Compose this many chats. [2]")
@click.option("--deliveries", type=Whole(0, 8), help="With this many messages in all. [3]")
@click.option("--crashes", type=Whole(0, 9), help="The process ends this often, between any two steps. [1]")
@click.option("--loss", type=_Losses(), help="So many requests and answers get lost, or any number. [any]")
@click.option(
    "--states-max", type=Whole(1, 10**9), default="5000000", help="Explore at most this many states. [5000000]"
)
@click.option("--seconds-max", type=Whole(1, 10**6), help="Stop after this many seconds; what is left is inconclusive.")
@click.option("--only", metavar="NAME", help="Only this shipped machine or scene.")
@click.option(
    "--cover", type=click.FloatRange(0, 100), metavar="PERCENT", help="Fail if a machine by itself is covered less."
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False), help="Write the first counterexample of a scene as a journal."
)
@AS_JSON
def check(
    machine: str | None, *, chats: int | None, deliveries: int | None, crashes: int | None, loss: int | None,
    states_max: int, seconds_max: int | None, only: str | None, cover: float | None, output: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Explore machines exhaustively: the shipped ones, or those at MODULE:MACHINE."""
    composed = {"chats": chats, "deliveries": deliveries, "crashes": crashes, "losses": loss}
    given = {name: value for name, value in composed.items() if value is not None}
    if machine is not None and (given or only is not None or output is not None):
        raise click.UsageError("a machine of your own is explored by itself, without scenes")
    if given and only is not None:
        raise click.UsageError("give either --only or how much is composed")
    if output is not None and Path(output).exists():
        fail(f"{output} exists already; give -o a file that does not")
    tasks = _own(machine, states_max) if machine is not None else _shipped(given, only, states_max)
    ends = None if seconds_max is None else wall_now() + seconds_max * SECONDS
    found = []
    for name, task in tasks:
        watch = _watching(name, ends)
        found.append(task(watch))
        if not as_json:
            _show(found[-1])
    missing = _missing(found, everything=machine is None and not given and only is None)
    short = [one for one in found if cover is not None and one.coverage is not None and one.coverage.percent < cover]
    written = None if output is None else _write(found, Path(output))
    if as_json:
        print_json([_plain(one) for one in found])
    else:
        _conclude(missing, written, output)
    if short:
        percents = ", ".join(f"{one.name} {one.coverage.percent:.1f}%" for one in short)
        fail(f"--cover wants {cover:g}%; covered are {percents}")
    sys.exit(_status(found, missing))


Task = Callable[[Callable[[int], bool]], Any]


def _own(named: str, states_max: int) -> Iterable[tuple[str, Task]]:
    from statecore.exploration.checking import check_machine

    for machine in machines_at(named, option="MODULE:MACHINE"):
        yield machine.name, lambda watch, machine=machine: check_machine(machine, states_max=states_max, watch=watch)  # type: ignore[misc]


def _shipped(given: dict[str, int], only: str | None, states_max: int) -> Iterable[tuple[str, Task]]:
    from statecore.exploration.checking import check_scene, check_shipped
    from statecore.exploration.scenes import SCENES, lossy
    from statecore.machines import MACHINES

    if given:
        if given.get("chats", 2) > given.get("deliveries", 3) > 0:
            fail("--deliveries are fewer than --chats; a chat without a message adds nothing")
        scene = lossy(**given)
        return [("lossy", lambda watch: check_scene("lossy", scene, states_max=states_max, watch=watch))]
    if only is not None and only not in {*MACHINES, *SCENES}:
        fail(f"there is no {only!r}; there are the machines {', '.join(MACHINES)} and the scenes {', '.join(SCENES)}")
    tasks: list[tuple[str, Task]] = [
        (name, lambda watch, machine=machine: check_shipped(machine, states_max=states_max, watch=watch))  # type: ignore[misc]
        for name, machine in MACHINES.items()
    ]
    tasks += [
        (name, lambda watch, name=name, scene=scene: check_scene(name, scene, states_max=states_max, watch=watch))  # type: ignore[misc]
        for name, scene in SCENES.items()
    ]
    return [(name, task) for name, task in tasks if only in (None, name)]


def _watching(name: str, ends: int | None) -> Callable[[int], bool]:
    out = console(stderr=True)

    def watch(states: int) -> bool:
        if out.is_terminal:
            out.print(f"\r{name}: {states:,} states", end="", style="dim")
        return ends is None or wall_now() < ends

    return watch


# ---- showing ---------------------------------------------------------------------------------------------------------


def _show(found: Any) -> None:
    out = console()
    if console(stderr=True).is_terminal:
        console(stderr=True).print("\r\x1b[K", end="")
    head = Text(f"{found.name}: ", style="bold")
    head.append(found.answer, style=COLOURS[found.answer])
    head.append(f"  {found.states:,} states, {found.transitions:,} transitions; within {found.within}", style="dim")
    out.print(head)
    for verdict in found.verdicts:
        if verdict.answer == "refuted":
            out.print(Text(f"  refuted: {printable(verdict.name)}: {printable(verdict.reason)}", "red"))
    open_ = [verdict for verdict in found.verdicts if verdict.answer == "inconclusive"]
    for reason in dict.fromkeys(verdict.reason for verdict in open_):
        out.print(Text(f"  inconclusive: {printable(reason)}. That leaves open:", "yellow"))
        for verdict in open_:
            if verdict.reason == reason:
                out.print(Text(f"    {printable(verdict.name)}", "yellow"))
    example = found.counterexample
    if example is not None:
        out.print("  a shortest counterexample:")
        for number, step in enumerate(example.path[1 : STEPS_SHOWN + 1], start=1):
            again = (
                "  (from here on again and again)" if example.loop is not None and number == example.loop + 1 else ""
            )
            out.print(Text(f"  {number:>4}  {printable(str(step.action))}{again}"))
        if len(example.path) - 1 > STEPS_SHOWN:
            out.print(f"        and {counted(len(example.path) - 1 - STEPS_SHOWN, 'step')} more")
        if example.path and not isinstance(example.path[-1].state, int):
            state, data = example.path[-1].state
            out.print(Text(f"        which ends in {printable(state)}: {printable(str(data), 300)}", style="dim"))
    if found.coverage is not None:
        _show_coverage(found.coverage)


def _show_coverage(coverage: Any) -> None:
    out = console()
    missing = [f"{one.event} in {one.state}" for one in coverage.rows_missing]
    missing += [
        f"{one.guard} {str(one.answer).lower()} for {one.event} in {one.state}" for one in coverage.guards_missing
    ]
    out.print(Text(f"  {coverage.percent:.1f}% of rows, answers of guards and timers gone through", style="dim"))
    for one in missing[:12]:
        out.print(Text(f"    never  {printable(one)}", style="dim"))
    if len(missing) > 12:
        out.print(Text(f"    and {len(missing) - 12} more", style="dim"))


def _missing(found: Iterable[Any], *, everything: bool) -> dict[str, tuple[str, ...]]:
    from statecore.exploration.checking import unreached

    return unreached([one for one in found if one.scene is not None]) if everything else {}


def _conclude(missing: dict[str, tuple[str, ...]], written: str | None, output: str | None) -> None:
    out = console()
    for machine, states in missing.items():
        out.print(Text(f"no scene reaches {machine} in {', '.join(states)}", style="yellow"))
    if written is not None:
        out.print(f"{written} is written to {output}; look at it with: statecore log {output}")
    elif output is not None:
        out.print("no scene has a counterexample, so nothing was written")


def _status(found: Iterable[Any], missing: dict[str, tuple[str, ...]]) -> int:
    from statecore.exploration.checking import together

    return STATUS[together([*(one.answer for one in found), *(["inconclusive"] if missing else [])])]


def _plain(found: Any) -> dict[str, Any]:
    coverage = found.coverage
    return {
        "name": found.name,
        "answer": found.answer,
        "within": found.within,
        "states": found.states,
        "transitions": found.transitions,
        "verdicts": [
            {
                "property": verdict.name,
                "answer": verdict.answer,
                "reason": verdict.reason,
                "path": [str(step.action) for step in verdict.path[1:]] if verdict.answer == "refuted" else [],
                "loop": verdict.loop,
            }
            for verdict in found.verdicts
        ],
        "coverage": None
        if coverage is None
        else {
            "percent": round(coverage.percent, 2),
            "rows_missing": [one._asdict() for one in coverage.rows_missing],
            "guards_missing": [one._asdict() for one in coverage.guards_missing],
            "timers_missing": coverage.timers_missing,
        },
        "reached": {machine: sorted(states) for machine, states in found.reached.items()},
    }


# ---- a counterexample as a journal -----------------------------------------------------------------------------------


def _write(found: Iterable[Any], path: Path) -> str | None:
    """Write the first counterexample of a scene; return what it shows."""
    for one in found:
        if one.scene is not None and (verdict := one.counterexample) is not None:
            acts = [*one.prelude, *(step.action for step in verdict.path[1:])]
            told = write_counterexample(one.scene, acts, path)
            return f"the counterexample to {verdict.name!r}, {told},"
    return None


def write_counterexample(scene: Any, acts: Iterable[Any], path: Path) -> str:
    """Let the acts of a path happen to a real account, and write what it commits as a journal.

    Returns:
        How many rows, in words, and where it had to end early.
    """
    from statecore.exploration.live import Live
    from statecore_journal.memory import MemoryStore

    live = Live(scene, MemoryStore())
    short = ""
    for act in acts:
        try:
            live.do(act)
        except (AssertionError, StatecoreError) as error:  # times are real here: a step may be too late for the next
            short = f" up to where {act}, which did not go on: {error}"
            break
    rows = trio.run(_append, live.units, path)
    return f"{counted(rows, 'row')}{short}"


async def _append(units: list[Any], path: Path) -> int:
    from statecore.exploration.live import BEGINS
    from statecore.exploration.scene import NAME
    from statecore_journal import open_journal

    moment = [BEGINS]
    async with open_journal(path, wall=lambda: moment[0]) as journal:
        await journal.take(NAME, "b", 1, "h")
        for unit in units:
            moment[0] = unit.now
            await journal.append([unit])
    return sum(len(unit.entries) for unit in units)

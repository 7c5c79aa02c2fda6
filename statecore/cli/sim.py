"""`statecore sim`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from statecore.cli.common import AS_JSON, counted, fail, print_json
from statecore.units import SECONDS, show_duration
from statecore.world import wall_now

if TYPE_CHECKING:
    from statecore.simulation.batch import Reached, Summary
    from statecore.simulation.plan import Plan

SHOWN_MAX: Final = 3
"""Violations of a run that are shown; one cause often breaks several guarantees."""

SEEDS_MAX: Final = 10_000_000


class _Seeds(click.ParamType[range]):
    """FIRST-LAST."""

    name = "seeds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> range:
        found = re.fullmatch(r"(\d{1,15})-(\d{1,15})", str(value).strip(), re.ASCII)
        if isinstance(value, range):
            return value
        if found is None or not 0 <= int(found[2]) - int(found[1]) < SEEDS_MAX:
            self.fail(f"{value!r} is no range of seeds, such as 1-1000", param, ctx)
        return range(int(found[1]), int(found[2]) + 1)


@click.command(
    epilog="""\b
Examples:
  statecore sim --seed 7 --hours 1
  statecore sim --seeds 1-1000 --jobs 2 --coverage
  statecore sim --seed 7 --twice
  statecore sim --plan sim-7.json -o failing.db     # then: statecore report failing.db

A run that fails is shrunk to a small plan, which is written to sim-SEED.json and can be run by itself.
"""
)
@click.option("--seed", type=click.IntRange(0), help="Run this seed.")
@click.option(
    "--seeds", type=_Seeds(), metavar="FIRST-LAST", help="Run these seeds, and say what they reached together."
)
@click.option("--hours", type=float, default=1.0, show_default=True, help="How long each run is, in virtual time.")
@click.option(
    "--plan", "plan_file", type=click.Path(dir_okay=False), help="Run this plan, in place of one from a seed."
)
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes to share seeds among."
)
@click.option("--speed", type=click.Choice(["fast", "faithful"]), default="fast", show_default=True,
              help="fast: discrete events. faithful: the real gateway and adapters, on virtual time.")  # fmt: skip
@click.option("--twice", is_flag=True, help="Run everything twice, and see whether the rows are the same.")
@click.option("--coverage", is_flag=True, help="Show which transitions were never taken.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Write the journal of the run to this new file.")
@click.option("--shrink/--no-shrink", default=True, show_default=True, help="Make the plan of a failing run smaller.")
@AS_JSON
def sim(
    *, seed: int | None, seeds: range | None, hours: float, plan_file: str | None, jobs: int, speed: str, twice: bool,
    coverage: bool, output: str | None, shrink: bool, as_json: bool,
) -> None:  # fmt: skip
    """Simulate whole gateways: both platforms, several processes, a network, disks and clocks that fail.

    One seed decides everything that happens, so a seed that fails fails again. After each run the journal is held against what
    the simulated platforms really saw: the guarantees G1 to G10, safety at every moment, and liveness because the faults end
    ten minutes before the run does. Nothing is sent anywhere, and no file is read.
    """
    from statecore.simulation.batch import Reached, batch, summarise

    if sum(one is not None for one in (seed, seeds, plan_file)) > 1:
        raise click.UsageError("give one of --seed, --seeds and --plan")
    if output is not None and (seeds is not None or speed != "fast"):
        raise click.UsageError("-o writes the journal of one run at --speed fast; give --seed or --plan")
    began = wall_now()
    reached = Reached()
    failed: list[Summary] = []
    total: list[Summary] = []
    if seeds is None:
        plan = _plan(seed, hours, plan_file)
        summaries: Any = [_to_file(plan, output) if output else summarise(plan, twice=twice, speed=speed)]
    else:
        _check(hours)
        summaries = batch(seeds, hours, jobs=jobs, twice=twice, speed=speed)
    for summary in summaries:
        reached.add(summary)
        total.append(_light(summary))
        if summary.violations or summary.differs:
            failed.append(summary)
        if not as_json:
            _show(summary, quiet=seeds is not None and not (summary.violations or summary.differs) and len(seeds) > 20)
    if as_json:
        print_json(_as_json(total, failed, reached, coverage=coverage))
    else:
        _sum_up(total, failed, reached, (wall_now() - began) / SECONDS, coverage=coverage)
    if failed:
        first = failed[0]
        how = f"--plan {plan_file}" if plan_file else f"--seed {first.seed} --hours {hours:g}"
        how += "" if speed == "fast" else f" --speed {speed}"
        small = (
            _shrunk(first, _plan(None if plan_file else first.seed, hours, plan_file))
            if shrink and speed == "fast"
            else None
        )
        if not as_json and small is not None:
            _show_small(small)
        said = f"{counted(len(failed), 'run')} of {len(total)} failed; to see the first again: statecore sim {how}"
        fail(said)


def _plan(seed: int | None, hours: float, plan_file: str | None) -> "Plan":
    from statecore.simulation.drawing import draw
    from statecore.simulation.plan import Plan

    return Plan.load(plan_file) if plan_file is not None else draw(1 if seed is None else seed, hours)


def _check(hours: float) -> None:
    from statecore.simulation.drawing import draw

    draw(0, hours)


def _to_file(plan: "Plan", output: str) -> "Summary":
    from statecore.simulation.batch import Summary, transitions
    from statecore.simulation.file import run_to_file

    outcome = run_to_file(plan, output)
    return Summary(
        plan.seed, plan.hours, len(outcome.rows), outcome.steps, 0.0, tuple(outcome.violations), None, outcome.met,
        transitions(outcome), outcome.digest(),
    )  # fmt: skip


def _light(summary: "Summary") -> "Summary":
    """Return a summary without what is added up already."""
    import attrs

    return attrs.evolve(summary, met={}, taken={})


def _shrunk(summary: "Summary", plan: "Plan") -> Any:
    from statecore.simulation.shrinking import shrink

    if not summary.violations:
        return None
    return shrink(plan, summary.violations[0])


# ---- showing ---------------------------------------------------------------------------------------------------------


def _show(summary: "Summary", *, quiet: bool) -> None:
    if quiet:
        return
    verdict = "FAILED" if summary.violations else "DIFFERS" if summary.differs else "ok"
    speed = f"  {summary.steps / summary.seconds:>7,.0f} steps/s" if summary.seconds else ""
    same = "  twice the same" if summary.differs is False else ""
    click.echo(
        f"seed {summary.seed:<8} {verdict:<7} {summary.rows:>7,} rows  {summary.steps:>8,} steps"
        f"  {len(summary.met):>2} kinds of faults  {summary.seconds:6.2f} s{speed}{same}"
    )
    for violation in summary.violations[:SHOWN_MAX]:
        at = f" at {show_duration(violation.at)}" if violation.at else ""
        click.echo(f"  {violation}{at}")
    if len(summary.violations) > SHOWN_MAX:
        click.echo(f"  and {len(summary.violations) - SHOWN_MAX} more")


def _sum_up(
    total: Sequence["Summary"], failed: Sequence["Summary"], reached: "Reached", took: float, *, coverage: bool
) -> None:
    rows, steps = sum(one.rows for one in total), sum(one.steps for one in total)
    seconds, hours = sum(one.seconds for one in total), sum(one.hours for one in total)
    if len(total) > 1:
        per_second = [f"{count / max(seconds, 1e-9):,.0f}" for count in (steps, rows)]
        click.echo(
            f"{len(total) - len(failed):,} of {len(total):,} runs ok: {hours:,.0f} virtual hours in {took:.1f} s"
        )
        click.echo(f"{rows:,} rows, {steps:,} steps: {per_second[0]} steps and {per_second[1]} rows a second of CPU")
        never = reached.faults_never_met()
        click.echo(f"faults never met: {', '.join(never) or 'none'}")
        states = reached.states_never_entered()
        click.echo(f"states never entered: {', '.join(states) or 'none'}")
    if coverage:
        _show_coverage(reached)


def _show_coverage(reached: "Reached") -> None:
    from statecore.machines import MACHINES
    from statecore.simulation.unreachable import UNREACHABLE, describe
    from statecore_diagrams.coverage import Coverage, rows

    found = reached.fill(Coverage())
    for name in MACHINES:
        taken = found.of(name)
        excused = [one for one in taken.never if describe(one) in UNREACHABLE.get(name, {})]
        missing = [one for one in taken.never if one not in excused]
        cannot = f", {len(excused)} cannot happen" if excused else ""
        click.echo(f"{name}: {len(taken.taken)} of {taken.total} transitions taken{cannot}")
        for where, labels in rows(taken.model, missing):
            click.echo(f"  never: {where}  {', '.join(labels)}")
        for one in excused:
            click.echo(f"  cannot happen: {describe(one)}: {UNREACHABLE[name][describe(one)]}")


def _show_small(small: Any) -> None:
    file = Path(f"sim-{small.plan.seed}.json")
    file.write_bytes(small.plan.to_json())
    kept = small.plan.occurrences
    click.echo(f"shrunk to {counted(len(kept), 'occurrence')} within {show_duration(max(SECONDS, small.plan.length))}:")
    for one in kept[:12]:
        click.echo(f"  {str(one)[:140]}")
    if len(kept) > 12:
        click.echo(f"  and {len(kept) - 12} more")
    click.echo(f"  {small.violation}")
    click.echo(f"to run it: statecore sim --plan {file}   (with -o failing.db for its journal)")


def _as_json(
    total: Sequence["Summary"], failed: Sequence["Summary"], reached: "Reached", *, coverage: bool
) -> dict[str, Any]:
    from statecore.machines import MACHINES

    found: dict[str, Any] = {
        "runs": [
            {
                "seed": one.seed, "hours": one.hours, "rows": one.rows, "steps": one.steps, "seconds": one.seconds,
                "same_twice": None if one.differs is None else not one.differs,
                "violations": [
                    {"guarantee": each.guarantee, "said": each.said, "seq": each.seq, "at": each.at} for each in one.violations
                ],
            }
            for one in total
        ],
        "failed": [one.seed for one in failed],
        "faults": dict(reached.met),
        "faults_never_met": reached.faults_never_met(),
        "states_never_entered": reached.states_never_entered(),
    }  # fmt: skip
    if coverage:
        from statecore_diagrams.coverage import Coverage, plain

        cover = reached.fill(Coverage())
        found["coverage"] = [plain(cover.of(name)) for name in MACHINES]
    return found

"""Small plans, one a bug: with the bug its guarantee does not hold in it, and without the bug everything does.

    python -m tests.bugs.plans              makes those that are missing, or do not show their bug any more
    python -m tests.bugs.plans NAME ...     makes these anew

A plan is drawn from a seed, from the first up, and shrunk. So a change of how plans are drawn changes none of them. One of how
they are carried out may, since what a plan leaves open follows from its seed: then they are made anew.
"""

import sys
from pathlib import Path
from typing import Final

import attrs

from statecore.simulation.discrete import run
from statecore.simulation.drawing import draw
from statecore.simulation.guarantees import Violation
from statecore.simulation.plan import Plan
from statecore.simulation.shrinking import shrink
from tests.bugs.bug import Bug
from tests.bugs.finding import HOURS, SEEDS_MAX
from tests.bugs.table import BUGS, BY_NAME

FOLDER: Final = Path(__file__).parent / "plans"
RUNS_MAX: Final = 600


def path_of(bug: Bug) -> Path:
    """Return where the plan of a bug is."""
    return FOLDER / f"{bug.name.replace(' ', '-')}.json"


def plan_of(bug: Bug) -> Plan:
    """Read the plan of a bug."""
    return Plan.load(path_of(bug))


def shows(bug: Bug, plan: Plan) -> Violation | None:
    """Return how the bug shows in a plan in which nothing is wrong without it; None if it does not."""
    with bug.put_in():
        violations = run(plan).violations
    found = next((one for one in violations if one.guarantee == bug.guarantee), None)
    return found if found is not None and not run(plan).violations else None


def made(bug: Bug) -> Plan:
    """Make a small plan that shows a bug.

    Raises:
        LookupError: no seed within the budget shows it.
    """
    for seed in range(1, SEEDS_MAX + 1):
        plan = draw(seed, HOURS)
        violation = shows(bug, plan)
        if violation is not None:
            small = shrink(plan, violation, fails=lambda smaller: shows(bug, smaller), runs_max=RUNS_MAX)
            return small.plan
    raise LookupError(f"no seed up to {SEEDS_MAX} shows {bug.name}")


def main(names: list[str]) -> None:
    """Make plans."""
    FOLDER.mkdir(exist_ok=True)
    for bug in [BY_NAME[name] for name in names] or [bug for bug in BUGS if bug.simulated]:
        if not names and path_of(bug).exists() and shows(bug, plan_of(bug)) is not None:
            continue
        plan = made(bug)
        path_of(bug).write_bytes(plan.to_json())
        said = shows(bug, plan)
        assert said is not None, "a plan that was shrunk shows what it showed"
        print(f"{bug.name}: {len(plan.occurrences)} occurrences: {attrs.evolve(said, seq=None)}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

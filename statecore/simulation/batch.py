"""Many runs, over all cores, and what they reached together.

A run that finds nothing says something only if it got anywhere. So each says which faults it met, which states and which rows of
the tables it took, and a batch says what none of its runs reached.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs

from statecore.collection import no_collection
from statecore.events import name_of
from statecore.machines import MACHINES
from statecore.simulation.discrete import Outcome, run
from statecore.simulation.drawing import draw
from statecore.simulation.guarantees import Violation
from statecore.simulation.plan import AMBUSHES, FAULTS, Plan, PlanError
from statecore.world import cpu_seconds

PROCESS_FAULTS: Final = (
    "process-starts", "process-crashes", "process-stops", "process-freezes", "power-fails", "host-suspends", "wall-steps",
)  # fmt: skip
ALL_FAULTS: Final = (
    *PROCESS_FAULTS,
    *(f"{kind} {fault}" for kind, faults in FAULTS.items() for fault in faults),
    *(f"ambush {does}" for does in AMBUSHES),
)
"""Every kind of fault there is."""

Key = tuple[str, str, str, str, str | None, str]
"""A transition: machine, event, source, target, outcome (None for moved), guards with their answers."""


@attrs.frozen
class Summary:
    """What came of one run, small enough to be sent between processes.

    Args:
        seed: of its plan.
        hours: it lasted.
        rows: of its journal.
        steps: see `Outcome`.
        seconds: of CPU that it took, checks and all.
        violations: what did not hold.
        differs: whether a second run of the plan made other rows; None if there was none.
        met: how often each fault was met.
        taken: how often each transition was taken.
        digest: of its journal; empty if that was not asked for.
    """

    seed: int
    hours: float
    rows: int
    steps: int
    seconds: float
    violations: tuple[Violation, ...]
    differs: bool | None
    met: Mapping[str, int]
    taken: Mapping[Key, int]
    digest: str = ""


def run_at(speed: str, plan: Plan) -> tuple[Outcome, str]:
    """Run a plan at a speed, "fast" or "faithful"; return what came of it, and the hash of its journal.

    Raises:
        PlanError: see `statecore.simulation.discrete.run`.
    """
    if speed == "fast":
        outcome = run(plan)
        return outcome, outcome.digest()
    try:
        run_faithful = import_module("statecore.simulation.faithful.run").run_faithful
    except ModuleNotFoundError as error:
        raise PlanError(f"this installation has no faithful speed: {error}; use --speed fast") from error
    with TemporaryDirectory(prefix="statecore-sim-") as folder:
        outcome = run_faithful(plan, Path(folder))
        return outcome, outcome.digest()


def summarise(plan: Plan, *, twice: bool = False, speed: str = "fast") -> Summary:
    """Run a plan, once or twice."""
    with no_collection() if speed == "fast" else nullcontext():  # until nothing but the summary is left to look through
        return _summarise(plan, twice=twice, speed=speed)


def _summarise(plan: Plan, *, twice: bool, speed: str) -> Summary:
    began = cpu_seconds()
    if twice or speed != "fast":
        outcome, digest = run_at(speed, plan)
    else:
        outcome, digest = run(plan), ""
    seconds = cpu_seconds() - began
    differs = run_at(speed, plan)[1] != digest if twice else None
    return Summary(
        plan.seed, plan.hours, len(outcome.rows), outcome.steps, seconds, tuple(outcome.violations), differs,
        outcome.met, transitions(outcome), digest,
    )  # fmt: skip


def transitions(outcome: Outcome) -> Mapping[Key, int]:
    """Count which transitions a run took."""
    raw: Counter[tuple[Any, ...]] = Counter(
        (
            row.address.partition("/")[0],
            row.event.__class__,
            getattr(row.event, "timer", ""),
            row.source,
            row.target,
            verdict,
        )
        for row, verdict in zip(outcome.rows, outcome.verdicts, strict=True)
    )
    found: Counter[Key] = Counter()
    for (machine, kind, timer, source, target, (what, reason, guards)), count in raw.items():
        named = None if what == "moved" else what if what == "stayed" else f"{what}: {reason}"
        asked = ",".join(f"{name}={int(held)}" for name, held in guards)
        event = f"{name_of(kind)}({timer})" if timer else name_of(kind)
        found[machine, event, source, target, named, asked] += count
    return found


def _of_seed(hours: float, twice: bool, speed: str, seed: int) -> Summary:
    return summarise(draw(seed, hours), twice=twice, speed=speed)


def batch(
    seeds: Sequence[int], hours: float, *, jobs: int = 1, twice: bool = False, speed: str = "fast"
) -> Iterator[Summary]:
    """Run the plans of many seeds; yields in the order of the seeds.

    Args:
        seeds: which.
        hours: how long each run is.
        jobs: processes to share them among.
        twice: whether each is run twice and compared.
        speed: "fast" or "faithful".
    """
    one = partial(_of_seed, hours, twice, speed)
    if jobs <= 1 or len(seeds) == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(one, seeds, chunksize=max(1, min(16, len(seeds) // (4 * jobs))))


# ---- what was reached ------------------------------------------------------------------------------------------------


@attrs.define
class Reached:
    """What a batch reached.

    Args:
        met: how often each fault was met.
        taken: how often each transition was taken.
    """

    met: Counter[str] = attrs.field(factory=Counter)
    taken: Counter[Key] = attrs.field(factory=Counter)

    def add(self, summary: Summary) -> None:
        """Add what a run reached."""
        self.met.update(summary.met)
        self.taken.update(summary.taken)

    def faults_never_met(self) -> list[str]:
        """Return the kinds of faults that no run met."""
        return [fault for fault in ALL_FAULTS if not self.met.get(fault)]

    def states_never_entered(self) -> list[str]:
        """Return the states that no instance was ever in, as "machine: state"."""
        entered = {(machine, state) for machine, _, source, target, _, _ in self.taken for state in (source, target)}
        return [
            f"{name}: {state}"
            for name, machine in MACHINES.items()
            for state in machine.states
            if (name, state) not in entered
        ]

    def fill(self, coverage: Any) -> Any:
        """Count the transitions in a `statecore_diagrams.coverage.Coverage`, and return it."""
        for (machine, event, source, target, outcome, guards), count in self.taken.items():
            coverage.row(machine, event, source, target, outcome, guards, count)
        return coverage


def reached(summaries: Iterable[Summary]) -> Reached:
    """Put together what runs reached."""
    found = Reached()
    for summary in summaries:
        found.add(summary)
    return found

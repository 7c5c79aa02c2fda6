"""Figures of the proof: the simulation's speed, its seeds within CI's share, and which transitions it takes."""

import os
from timeit import default_timer
from typing import Final

from statecore.machines import MACHINES
from statecore.simulation.batch import Reached, batch
from statecore.simulation.unreachable import UNREACHABLE, describe
from statecore_diagrams.coverage import Coverage
from tests.figures.registry import Figure, Measured

STEPS_PER_SECOND: Final = 200_000
SEEDS: Final = 1000
WITHIN_S: Final = 180.0
JOBS: Final = 2
SAMPLE: Final = 60


def speed() -> Measured:
    """Simulate some hours with all invariants on, and count what was taken off the agenda, and the rows."""
    began = default_timer()
    found = list(batch(range(SAMPLE), 1.0, jobs=JOBS))
    took = default_timer() - began
    steps, rows = sum(one.steps for one in found), sum(one.rows for one in found)
    seconds = sum(one.seconds for one in found)
    failed = [one.seed for one in found if one.violations]
    return Measured(
        f"{steps / took:,.0f} steps a second on {JOBS} cores, {steps / seconds:,.0f} on one; {rows / seconds:,.0f} rows on one",
        holds=steps / took >= STEPS_PER_SECOND and not failed,
        notes=(
            "a step is what is taken off the agenda (a packet, a timer, a commit, an attempt) or a transition",
            "every step is of whole accounts: production decisions, processes, disk, network, platforms, and all checks",
            f"load of the machine {os.getloadavg()[0]:.1f}; seeds that failed: {failed or 'none'}",
        ),
    )


def thousand_seeds() -> Measured:
    """Run a thousand seeds of one virtual hour."""
    began = default_timer()
    found = list(batch(range(SEEDS), 1.0, jobs=JOBS))
    took = default_timer() - began
    failed = [(one.seed, str(one.violations[0])) for one in found if one.violations]
    cpu = sum(one.seconds for one in found)
    return Measured(
        f"{len(found)} seeds of one hour in {took:.0f} s on {JOBS} cores ({cpu:.0f} s of CPU); {len(failed)} failed",
        holds=took < WITHIN_S and not failed,
        notes=(f"load of the machine {os.getloadavg()[0]:.1f}", *(f"seed {seed}: {said}" for seed, said in failed[:5])),
    )


def coverage() -> Measured:
    """Show which transitions of the shipped machines a thousand seeds take."""
    reached = Reached()
    for one in batch(range(SEEDS), 1.0, jobs=JOBS):
        reached.add(one)
    found = reached.fill(Coverage())
    parts, notes, missing = [], [], 0
    for name in MACHINES:
        taken = found.of(name)
        cannot = UNREACHABLE.get(name, {})
        never = [describe(one) for one in taken.never]
        left = [one for one in never if one not in cannot]
        missing += len(left)
        parts.append(f"{name} {len(taken.taken)} of {taken.total}")
        notes += [f"{name}: never: {one}" for one in left]
        notes += [f"{name}: cannot happen: {one}: {cannot[one]}" for one in never if one in cannot]
    notes += [f"never met: {one}" for one in reached.faults_never_met()]
    notes += [f"never entered: {one}" for one in reached.states_never_entered()]
    return Measured(f"transitions taken: {', '.join(parts)}", holds=not missing, notes=tuple(notes))


FIGURES: Final = (
    Figure(
        issue="proof",
        number=4,
        title="transitions of the shipped machines that the simulation takes",
        bar="every one that can happen, within a thousand seeds",
        measure=coverage,
        within=1800,
        alone=True,
    ),
    Figure(
        issue="proof",
        number=1,
        part="b",
        title="simulated steps a second, invariants on",
        bar="at least 200,000",
        measure=speed,
        within=900,
        alone=True,
    ),
    Figure(
        issue="proof",
        number=1,
        part="c",
        title="a thousand seeds of one virtual hour",
        bar="within 180 s on two cores, and none fails",
        measure=thousand_seeds,
        within=1800,
        alone=True,
    ),
)

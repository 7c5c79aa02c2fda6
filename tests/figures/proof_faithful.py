"""Figure 5 of the proof: the real gateway in virtual time, how fast and how repeatable."""

from pathlib import Path
from time import process_time
from typing import Final

from statecore.simulation.drawing import draw
from statecore.simulation.faithful import run_faithful
from statecore.units import SECONDS
from tests.figures.registry import Figure, Measured, scratch

SEEDS: Final = range(1, 13)
HOURS: Final = 1 / 6
TIMES_REAL: Final = 60
"""Virtual seconds a second of CPU, for two accounts."""


def faithful() -> Measured:
    """Run seeds, the first of them twice."""
    passed_s = took_s = 0.0
    rows, broken = 0, []
    with scratch() as folder:
        for seed in SEEDS:
            plan = draw(seed, HOURS)
            began = process_time()
            outcome = run_faithful(plan, folder / str(seed))
            took_s += process_time() - began
            passed_s += plan.length / SECONDS
            rows += len(outcome.rows)
            broken += [f"seed {seed}: {one}" for one in outcome.violations]
        same = _again(folder)
    speed = passed_s / took_s
    text = (
        f"{len(SEEDS)} seeds of {HOURS * 60:.0f} virtual minutes ran {speed:.0f} times as fast as real time ({rows} rows); "
        f"{len(broken)} violations; the same seed made {'the same' if same else 'another'} journal"
    )
    return Measured(text, holds=speed >= TIMES_REAL and same and not broken, notes=tuple(broken))


def _again(folder: Path) -> bool:
    plan = draw(SEEDS[0], HOURS)
    digests = {run_faithful(plan, folder / f"again-{number}").digest() for number in range(2)}
    return len(digests) == 1


FIGURES: Final = (
    Figure(
        issue="proof",
        number=5,
        title="the real gateway in virtual time",
        bar=f"{TIMES_REAL} times real time with two accounts, the same journal twice, no violation",
        measure=faithful,
        alone=True,
    ),
)

"""Figure 3 of the proof: bugs that gateways had, put into this one, are found."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from tests.bugs.bug import Bug
from tests.bugs.finding import SECONDS_MAX, SEEDS_MAX, Found, find
from tests.bugs.table import BUGS, BY_NAME
from tests.figures.registry import Figure, Measured

BARE_MIN: Final = 15
"""The five incidents, and ten more."""


def _found(name: str) -> list[Found]:
    return list(find(BY_NAME[name]))


def bugs() -> Measured:
    """Look for every bug from the first seed up, and in its scenes."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = dict(zip(BY_NAME, pool.map(_found, BY_NAME), strict=True))
    caught = [name for name, by in found.items() if by]
    seeds = [bug.name for bug in BUGS if bug.incident.startswith("seed") and found[bug.name]]
    refused = [bug.name for bug in BUGS if bug.refusal]
    seconds = sum(one.seconds for by in found.values() for one in by)
    text = (
        f"{len(caught)} of {len(BUGS)} bugs were found, {len(seeds)} of the 5 incidents among them, in {seconds:.0f} s of CPU;"
        f" {len(refused)} are refused when they are defined, and were put in past the proof"
    )
    enough = len(BUGS) >= BARE_MIN and len(seeds) == 5
    return Measured(
        text, holds=len(caught) == len(BUGS) and enough, notes=tuple(_note(bug, found[bug.name]) for bug in BUGS)
    )


def _note(bug: Bug, found: list[Found]) -> str:
    by = "; ".join(f"{one.engine}, {one.after}, {one.seconds:.1f} s: {one.said}" for one in found)
    proof = " Refused when it is defined." if bug.refusal else ""
    return (
        f"{bug.name} ({bug.incident}): {bug.says}.{proof} {bug.guarantee} by {by}" if by else f"{bug.name}: NOT FOUND"
    )


FIGURES: Final = (
    Figure(
        issue="proof",
        number=3,
        title="seeded bugs",
        bar=f"the five incidents and ten more, each found within {SEEDS_MAX} seeds or {SECONDS_MAX:.0f} s, its guarantee named",
        measure=bugs,
        within=600,
        alone=True,
    ),
)

"""Looking for a bug that is put in: by simulation at both speeds, and by exploration."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Final

import attrs

from statecore.exploration import explore
from statecore.exploration.chats import ChatsModel
from statecore.exploration.promises import liveness, safety
from statecore.exploration.scenes import SCENES
from statecore.simulation.discrete import run
from statecore.simulation.drawing import draw
from statecore.simulation.faithful import run_faithful
from statecore.simulation.plan import Plan
from tests.bugs.bug import Bug

HOURS: Final = 1.0
"""How long each simulated run is."""

SEEDS_MAX: Final = 200
STATES_MAX: Final = 200_000
SECONDS_MAX: Final = 20.0
"""What continuous integration can spend on one bug: seeds, states, and CPU time of either engine."""


@attrs.frozen
class Found:
    """A bug was found.

    Args:
        engine: "simulation", "the real gateway in virtual time" or "exploration".
        after: what it took: "3 seeds", "120 states of lossy".
        seconds: of CPU.
        guarantees: those that the engine named at once.
        said: what it said of the guarantee that is broken.
    """

    engine: str
    after: str
    seconds: float
    guarantees: tuple[str, ...]
    said: str


def simulate(bug: Bug, plans: Iterable[Plan], *, seconds_max: float = SECONDS_MAX) -> Found | None:
    """Run plans with the bug until its guarantee is named; None if that takes longer than it may."""
    began = process_time()
    for tried, plan in enumerate(plans, 1):
        with bug.put_in():
            violations = run(plan).violations
        named = [one for one in violations if one.guarantee == bug.guarantee]
        took = process_time() - began
        if named:
            guarantees = tuple(dict.fromkeys(one.guarantee for one in violations))
            return Found("simulation", f"{tried} seed{'s' * (tried > 1)}", took, guarantees, str(named[0]))
        if took > seconds_max:
            break
    return None


def rehearse(bug: Bug) -> Found | None:
    """Run the bug's story with the bug in the real gateway, on a virtual clock; None if its guarantee is not named."""
    if bug.story is None:
        return None
    began = process_time()
    with bug.put_in(), TemporaryDirectory() as folder:
        violations = run_faithful(bug.story.plan, Path(folder) / "run").violations
    named = [one for one in violations if one.guarantee == bug.story.guarantee]
    if not named:
        return None
    guarantees = tuple(dict.fromkeys(one.guarantee for one in violations))
    return Found("the real gateway in virtual time", "1 story", process_time() - began, guarantees, str(named[0]))


def examine(bug: Bug, *, states_max: int = STATES_MAX, seconds_max: float = SECONDS_MAX) -> Found | None:
    """Explore the bug's scenes with the bug until its guarantee is named; None if that takes longer than it may."""
    began = process_time()
    explored = 0
    for name in bug.scenes:
        with bug.put_in():
            model = ChatsModel(SCENES[name])
            asked = liveness(model) if bug.eventually else safety(model)
            found = explore(
                model,
                properties=asked,
                states_max=states_max,
                stop_at_refuted=True,
                watch=lambda _: process_time() - began < seconds_max,
            )
        explored += found.states
        refuted = [verdict for verdict in found.verdicts if verdict.answer == "refuted"]
        if any(bug.guarantee in guarantees_of(verdict.name) for verdict in refuted):
            steps = len(refuted[0].path) - 1
            guarantees = tuple(dict.fromkeys(one for verdict in refuted for one in guarantees_of(verdict.name)))
            said = f"{refuted[0].name} is refuted in {steps} steps"
            return Found("exploration", f"{explored:,} states of {name}", process_time() - began, guarantees, said)
    return None


def guarantees_of(name: str) -> list[str]:
    """Return the guarantees that the name of a property speaks of."""
    return re.findall(r"\bG\d+\b", name)


def find(bug: Bug, *, seeds_max: int = SEEDS_MAX) -> Iterator[Found]:
    """Look for a bug with every engine that should find it; yield those that do."""
    if bug.simulated:
        found = simulate(bug, (draw(seed, HOURS) for seed in range(1, seeds_max + 1)))
        if found is not None:
            yield found
    for found in (rehearse(bug), examine(bug)):
        if found is not None:
            yield found

"""Looking for a bug that is put in: by simulation, from the first seed up, and by exploration, scene after scene."""

import re
from collections.abc import Iterable, Iterator
from time import process_time
from typing import Final

import attrs

from statecore.exploration import explore
from statecore.exploration.chats import ChatsModel
from statecore.exploration.promises import liveness, safety
from statecore.exploration.scenes import SCENES
from statecore.simulation.discrete import run
from statecore.simulation.drawing import draw
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
        engine: "simulation" or "exploration".
        after: what it took: "3 seeds", "120 states of lossy".
        seconds: of CPU.
        guarantees: those that the engine named at once.
        said: what it said of the guarantee that is broken.
        again: the command that shows a run again, without the bug.
    """

    engine: str
    after: str
    seconds: float
    guarantees: tuple[str, ...]
    said: str
    again: str = ""


def simulate(bug: Bug, seeds: Iterable[int], *, hours: float = HOURS, seconds_max: float = SECONDS_MAX) -> Found | None:
    """Run seeds with the bug until its guarantee is named; None if that takes longer than it may."""
    began = process_time()
    for tried, seed in enumerate(seeds, 1):
        with bug.put_in():
            violations = run(draw(seed, hours)).violations
        named = [one for one in violations if one.guarantee == bug.guarantee]
        took = process_time() - began
        if named:
            guarantees = tuple(dict.fromkeys(one.guarantee for one in violations))
            count = f"{tried} seed{'s' * (tried > 1)}"
            again = f"statecore sim --seed {seed} --hours {hours:g}"
            return Found("simulation", count, took, guarantees, str(named[0]), again)
        if took > seconds_max:
            break
    return None


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
        found = simulate(bug, range(1, seeds_max + 1))
        if found is not None:
            yield found
    found = examine(bug)
    if found is not None:
        yield found

"""What `statecore check` finds: machines one by one, and scenes of all of them together. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from statecore.exploration.chats import ChatsModel
from statecore.exploration.engine import Exploration, Verdict, explore
from statecore.exploration.machine import Coverage, MachineModel, machine_model, machine_properties
from statecore.exploration.promises import liveness, safety
from statecore.exploration.properties import INCONCLUSIVE, PROVED, REFUTED, Answer
from statecore.exploration.relevance import unread
from statecore.exploration.scene import Act, Scene
from statecore.exploration.scenes import LIVENESS_MAX
from statecore.exploration.shipped import shipped_model
from statecore.machine import Machine
from statecore.machines import MACHINES

Watch = Callable[[int], bool]


@attrs.frozen
class Checked:
    """What was found of one machine or one scene.

    Args:
        name: of the machine or scene.
        within: the bounds that what is proved is proved within.
        verdicts: of each property.
        states: how many were explored.
        transitions: how many steps lead from one to another.
        coverage: what was gone through, of a machine by itself.
        reached: the states of each machine that were reached, in a scene.
        scene: what was composed.
        prelude: what had happened before the beginning of every path.
    """

    name: str
    within: str
    verdicts: tuple[Verdict[Any, Any], ...]
    states: int
    transitions: int
    coverage: Coverage | None = None
    reached: Mapping[str, frozenset[str]] = attrs.field(factory=dict)
    scene: Scene | None = None
    prelude: tuple[Act, ...] = ()

    @property
    def answer(self) -> Answer:
        """Refuted if any property is, else inconclusive if any is, else proved."""
        return together(verdict.answer for verdict in self.verdicts)

    @property
    def counterexample(self) -> Verdict[Any, Any] | None:
        """The first property that is refuted by a path."""
        return next((verdict for verdict in self.verdicts if verdict.answer == REFUTED and verdict.path), None)


def together(answers: Any) -> Answer:
    """Return what several answers come to."""
    found = set(answers)
    return REFUTED if REFUTED in found else INCONCLUSIVE if INCONCLUSIVE in found or not found else PROVED


def check_shipped(machine: Machine, *, states_max: int, watch: Watch | None = None) -> Checked:
    """Explore a shipped machine by itself."""
    return _checked(machine, shipped_model(machine), states_max, watch)


def check_machine(
    machine: Machine,
    *,
    states_max: int,
    watch: Watch | None = None,
    samples: Mapping[type[Any], Sequence[Any]] | None = None,
) -> Checked:
    """Explore any machine by itself; what it remembers and never looks at is left out.

    Raises:
        ExplorationError: no sample can be made of one of its events.
    """
    forget = unread(machine, machine_model(machine, samples=samples))
    return _checked(machine, machine_model(machine, samples=samples, forget=forget), states_max, watch)


def _checked(machine: Machine, model: MachineModel, states_max: int, watch: Watch | None) -> Checked:
    found = explore(model, properties=machine_properties(machine), states_max=states_max, watch=watch)
    within = "sample events, time left out"
    return Checked(
        machine.name, within, found.verdicts, found.states, found.transitions, coverage=model.coverage()
    )  # fmt: skip


def check_scene(name: str, scene: Scene, *, states_max: int, watch: Watch | None = None) -> Checked:
    """Explore a scene: what holds always, and if that is not too much, what happens eventually."""
    model = ChatsModel(scene)
    found: Exploration[int, Act] = explore(model, properties=safety(model), states_max=states_max, watch=watch)
    verdicts = found.verdicts
    if found.complete and found.states <= LIVENESS_MAX and scene.budgets.writes <= 9:
        verdicts += explore(model, properties=liveness(model), states_max=states_max, watch=watch).verdicts
    reached = {machine: frozenset(states) for machine, states in model.reached().items()}
    return Checked(
        name, scene.bounds, verdicts, found.states, found.transitions,
        reached=reached, scene=scene, prelude=model.prelude,
    )  # fmt: skip


def unreached(scenes: Sequence[Checked]) -> dict[str, tuple[str, ...]]:
    """Return the states that no scene reached, of each machine that is in one."""
    found: dict[str, set[str]] = {}
    for checked in scenes:
        for machine, states in checked.reached.items():
            found.setdefault(machine, set()).update(states)
    missing = {name: tuple(one for one in MACHINES[name].states if one not in states) for name, states in found.items()}
    return {name: states for name, states in missing.items() if states}

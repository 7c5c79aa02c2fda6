"""Exhaustive exploration of one machine as a test."""

from collections.abc import Collection, Mapping, Sequence

import attrs

from statecore.events import Event
from statecore.exploration import Coverage, Exploration, explore, machine_model
from statecore.exploration.machine import machine_properties
from statecore.exploration.properties import Always, Property
from statecore.machine import Machine

STATES_MAX = 100_000
"""States explored at most. The shipped machines have some thousands each."""


@attrs.frozen
class Explored:
    """What an exploration found.

    Args:
        exploration: the verdicts, and the size of what was explored.
        coverage: what of the table was gone through.
    """

    exploration: "Exploration[object, object]"
    coverage: Coverage

    def __str__(self) -> str:
        seen = self.coverage
        size = f"{self.exploration.states} states, {self.exploration.transitions} steps"
        lines = [f"{self.exploration.answer}: {size}; {seen.percent:.4g} % of rows, answers of guards and timers"]
        lines += [
            f"  {one.name}: {one.answer}: {one.reason}" for one in self.exploration.verdicts if one.answer != "proved"
        ]
        lines += [f"  never taken     {one.state}  {one.event} (row {one.row + 1})" for one in seen.rows_missing]
        for one in seen.guards_missing:
            lines.append(f"  never answered  {one.state}  {one.event}: {one.guard} {'yes' if one.answer else 'no'}")
        lines += [f"  never fired     {state}  timer {timer}" for state, timer in seen.timers_missing]
        return "\n".join(lines)


def assert_explored(
    machine: Machine,
    *,
    cover: float = 100,
    properties: Sequence[Property] = (),
    samples: Mapping[type[Event], Sequence[Event]] | None = None,
    forget: Collection[str] = (),
    states_max: int = STATES_MAX,
    bounded: bool = False,
) -> Explored:
    """Explore every state of a machine under every sample event, and fail where something does not hold or is not reached.

    What holds of every machine is asked always: no handler raises, what is remembered survives the journal, every state is
    reached.

    Args:
        machine: the definition.
        cover: how much of rows, answers of guards and timers must be gone through, in percent.
        properties: what is asked besides; made by `always`, `sometimes` and the others of `statecore.exploration`, of places
            with `state` and `data`.
        samples: events to try, where those made from the types of the fields do not do.
        forget: fields of what is remembered on which no guard and no property depends.
        states_max: how many states at most.
        bounded: accept what holds of all that was explored, where there is more, because something remembered may count for
            ever. It is still said to be inconclusive.

    Raises:
        AssertionError: a property is refuted or inconclusive, or less is covered.
    """
    model = machine_model(machine, samples=samples, forget=forget)
    asked = (*machine_properties(machine), *properties)
    found = explore(model, properties=asked, states_max=states_max)
    explored = Explored(found, model.coverage())  # type: ignore[arg-type]
    for one, verdict in zip(asked, found.verdicts, strict=True):
        if verdict.answer == "refuted" or (verdict.answer != "proved" and not (bounded and isinstance(one, Always))):
            way = "".join(f"\n    {step.action or 'begins'} -> {step.state}" for step in verdict.path)
            raise AssertionError(
                f"{machine.name}: {verdict.name!r} is {verdict.answer}: {verdict.reason}{way}\n{explored}"
            )
    if explored.coverage.percent < cover:
        raise AssertionError(f"{machine.name}: less than {cover:g} % was gone through\n{explored}")
    return explored

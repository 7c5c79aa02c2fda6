"""How much of a table a test run went through: transitions, answers of guards, timers.

    with covering(order) as coverage:
        ...                                   # whatever steps the machine
    print(coverage.of("order"))
    assert_explored(order, cover=100)         # every state, every sample event: how far does the table go?

The pytest plugin does the first for a whole session: `--statecore-cover shop.machines:order`.

What can be taken is read off the definition (`statecore_diagrams.model`), the same as is drawn and as is counted of a journal.
What is never taken is a row nobody has tested, or one that cannot happen. Either is worth knowing.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from statecore.errors import ConfigError
from statecore.events import Elapsed, Event, name_of
from statecore.machine import Decision, Machine, Snapshot
from statecore_diagrams.coverage import Coverage as Counted
from statecore_diagrams.model import Model, read

SHOWN_MAX: Final = 12
"""Lines of what is missing, per machine; a table that nobody tests yet would fill the screen."""


@attrs.frozen
class Part:
    """One kind of what can be gone through.

    Args:
        taken: how many were.
        missing: those that were not, for people.
    """

    taken: int
    missing: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many there are."""
        return self.taken + len(self.missing)

    def __str__(self) -> str:
        return f"{self.taken} of {self.total}"


@attrs.frozen
class Covered:
    """How much of a machine was gone through.

    Args:
        machine: its name.
        transitions: rows, as they apply to each of their states and events; ignored ones are not counted.
        guards: each answer that a guard can give to an event in a state.
        timers: each timer in each state in which it can fire.
    """

    machine: str
    transitions: Part
    guards: Part
    timers: Part

    @property
    def percent(self) -> float:
        """How much of all of it, from 0 to 100."""
        parts = (self.transitions, self.guards, self.timers)
        total = sum(part.total for part in parts)
        return 100.0 * sum(part.taken for part in parts) / total if total else 100.0

    @property
    def missing(self) -> tuple[str, ...]:
        """What was not gone through, a line each."""
        return (*self.transitions.missing, *self.guards.missing, *self.timers.missing)

    def __str__(self) -> str:
        head = (
            f"{self.machine}: {self.percent:.4g} %, {self.transitions} transitions, {self.guards} answers of guards, "
            f"{self.timers} timers"
        )
        shown = [f"  never  {line}" for line in self.missing[:SHOWN_MAX]]
        more = len(self.missing) - SHOWN_MAX
        return "\n".join([head, *shown, *([f"  and {more} more"] if more > 0 else [])])


class Coverage:
    """Counts what the machines it is about do.

    Args:
        machines: whose steps are counted.
    """

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = {machine.name: machine for machine in machines}
        self._models = {name: read(machine) for name, machine in self.machines.items()}
        self._ours = dict.fromkeys(machines, True)
        self._counted = Counted(self.machines)

    def step(self, machine: Machine, before: Snapshot, event: Event, decision: Decision) -> None:
        """Count a step, if it is of one of these machines. One that was defined twice alike is the same."""
        ours = self._ours.get(machine)
        if ours is None:
            ours = self._ours[machine] = machine.name in self._models and read(machine) == self._models[machine.name]
        if ours:
            self._counted.step(machine, before, event, decision)

    def of(self, machine: str) -> Covered:
        """Return what was gone through of a machine.

        Raises:
            KeyError: it is not one of these.
        """
        model, counts = self._models[machine], self._counted.of(machine).counts
        transitions = {str(one): one in counts for one in model.drawn}
        guards = _answers(model, {(one.source, one.event, one.asked) for one in counts})
        timers = {
            f"{state}  timer {timer.field} fired": any(
                (one.source, one.event) == (state, name_of(Elapsed(timer.field))) for one in counts
            )
            for state in self.machines[machine].states
            for timer in self.machines[machine].timers(state)
        }
        return Covered(machine, *(_part(found) for found in (transitions, guards, timers)))

    def report(self) -> list[Covered]:
        """Return what was gone through of each machine."""
        return [self.of(name) for name in self.machines]

    def plain(self) -> dict[str, Any]:
        """Return what json can write, for another process to `add`."""
        return self._counted.plain()

    def add(self, counted: Mapping[str, Any]) -> None:
        """Add what another process has counted."""
        self._counted.add(counted)


def _part(found: Mapping[str, bool]) -> Part:
    return Part(sum(found.values()), tuple(line for line, taken in found.items() if not taken))


def _answers(model: Model, taken: set[tuple[str, str, str]]) -> dict[str, bool]:
    """Return each answer that a guard can give, and whether it gave it."""
    given = {(source, event, answer) for source, event, asked in taken for answer in asked.split(",") if answer}
    found: dict[str, bool] = {}
    for (source, event), transitions in model.by_pair.items():
        guards = [one.asked.rpartition(",")[2].rpartition("=")[0] for one in transitions if one.guard]
        for guard in guards:
            for answer, said in (("1", "yes"), ("0", "no")):
                found[f"{source}  {event}: {guard} said {said}"] = (source, event, f"{guard}={answer}") in given
    return found


# ---- counting --------------------------------------------------------------------------------------------------------

_open: Final[list[Coverage]] = []


@contextmanager
def covering(*machines: Machine) -> Iterator[Coverage]:
    """Count every step of machines for as long as the context lasts, whoever makes it."""
    coverage = Coverage(machines)
    begin(coverage)
    try:
        yield coverage
    finally:
        end(coverage)


def begin(coverage: Coverage) -> None:
    """Count from now on."""
    if not _open:
        _install()
    _open.append(coverage)


def end(coverage: Coverage) -> None:
    """Count no longer."""
    _open.remove(coverage)
    if not _open:
        setattr(Machine, "step", _step)  # noqa: B010 - a method is not assigned to, as types have it


_step: Final[Callable[[Machine, Snapshot, Event, int], Decision]] = Machine.step


def _install() -> None:
    """Put counting around the step of the class: nobody pays for it who does not count."""

    def step(self: Machine, snapshot: Snapshot, event: Event, now: int) -> Decision:
        decision = _step(self, snapshot, event, now)
        for coverage in _open:
            coverage.step(self, snapshot, event, decision)
        return decision

    setattr(Machine, "step", step)  # noqa: B010


# ---- for the plugin --------------------------------------------------------------------------------------------------


def found(specs: Sequence[str]) -> list[Machine]:
    """Return the machines that are named as "package.module:ATTRIBUTE": a machine, or several.

    Raises:
        ConfigError: there is no such thing.
    """
    from statecore.loading import machines_at

    machines = {machine.name: machine for spec in specs for machine in machines_at(spec, option="--statecore-cover")}
    return list(machines.values())


def threshold(text: str | float | None) -> float | None:
    """Read a threshold in percent.

    Raises:
        ConfigError: it is none.
    """
    if text is None or text == "":
        return None
    try:
        percent = float(text)
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise ConfigError("--statecore-cover-fail-under", f"it is a number from 0 to 100, not {text!r}")
    return percent

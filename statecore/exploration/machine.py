"""The model of one machine definition: every state, every event, every timer. Pure.

Time is abstracted: every step is taken at one moment, a timer that runs lies an hour ahead of it, and may elapse. Each event
class is tried with samples (`statecore.exploration.samples`, or given by hand): what comes from outside in every state, what
comes of an attempt where one is under way. A process may end anywhere: what it attempted is found interrupted.

What is remembered may count for ever. So of the values remembered in one state with the same timers running and the same
answers of all guards, only so many are explored (`variants_max`). Where that cuts anything off, the exploration is bounded
and says so, and what is proved is proved for what was explored.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from statecore import codec
from statecore.errors import CodecError, ExplorationError, StepError
from statecore.events import Broken, Elapsed, Event, Offline, Outcome, name_of
from statecore.evolve import evolve
from statecore.exploration.moments import AHEAD, NOW
from statecore.exploration.properties import Property, always, sometimes
from statecore.exploration.samples import constants, made
from statecore.machine import Machine, Row, Snapshot
from statecore.units import HOURS

VARIANTS_MAX: Final = 64
"""Values of what is remembered that are explored for each kind of place."""

RAISED: Final = "(raised)"
"""The state of an instance whose handler raised; no machine has such a name."""


class Place(NamedTuple):
    """Where an instance is, for exploration: its state, and what it remembers with every time taken out."""

    state: str
    data: Any


class Act(NamedTuple):
    """One event that happens to an instance."""

    event: Event

    def __str__(self) -> str:
        fields = attrs.fields(type(self.event))
        shown = ", ".join(
            f"{field.name}={getattr(self.event, field.name)!r}"
            for field in fields
            if getattr(self.event, field.name) != field.default
        )
        return f"{type(self.event).__name__}({shown})"


class Passage(NamedTuple):
    """One row as it applies to one pair: the state, the event's name, the place of the row in the table."""

    state: str
    event: str
    row: int


class Answered(NamedTuple):
    """One answer of a guard that was asked in a state about an event."""

    state: str
    event: str
    guard: str
    answer: bool


@attrs.frozen
class Coverage:
    """What an exploration of one machine went through, and what not. Rows that ignore are not counted.

    Args:
        rows: passages that were taken.
        rows_missing: those that were not.
        guards: answers that guards gave.
        guards_missing: those that they did not give.
        timers: (state, timer) that elapsed.
        timers_missing: those that did not.
    """

    rows: Sequence[Passage]
    rows_missing: Sequence[Passage]
    guards: Sequence[Answered]
    guards_missing: Sequence[Answered]
    timers: Sequence[tuple[str, str]]
    timers_missing: Sequence[tuple[str, str]]

    @property
    def percent(self) -> float:
        """How much of rows, answers and timers was gone through, from 0 to 100."""
        seen = len(self.rows) + len(self.guards) + len(self.timers)
        missing = len(self.rows_missing) + len(self.guards_missing) + len(self.timers_missing)
        return 100.0 * seen / (seen + missing) if seen + missing else 100.0


class _Pair(NamedTuple):
    """The rows of one (state, event) pair, as (place in the table, row)."""

    event: str
    rows: tuple[tuple[int, Row], ...]


class MachineModel:
    """One machine as a `Model`: states are `Place`, actions are `Act`. Made by `machine_model`.

    Attributes:
        machine: the definition.
    """

    def __init__(
        self,
        machine: Machine,
        samples: Mapping[type[Event], Sequence[Event]],
        forget: Collection[str],
        abstract: Callable[[str, Any], Any] | None,
        variants_max: int,
    ) -> None:
        self.machine = machine
        self._variants_max = variants_max
        self._abstract = abstract
        self._timer_fields = _timer_fields(machine)
        self._forgotten = _forgotten(machine, forget)
        self._pairs = _pairs(machine)
        self._tried = {state: tuple(_tried(machine, state, samples)) for state in machine.states}
        self._guarded = {
            state: tuple(
                (row.when, event)
                for event in events
                for _, row in self._pair(state, event).rows
                if row.when is not None
            )
            for state, events in self._tried.items()
        }
        self._variants: dict[Any, set[Place]] = {}
        self._known: dict[Place, str] = {}
        self._rows: dict[Passage, None] = {}
        self._answers: dict[Answered, None] = {}
        self._elapsed: dict[tuple[str, str], None] = {}

    # ---- the model ---------------------------------------------------------------------------------------------------

    def initial(self) -> Iterable[Place]:
        """Return an instance to which nothing has happened yet."""
        start = self.machine.start()
        return [self._place(start.state, start.data)]

    def actions(self, state: Place) -> list[tuple[Act, Place]]:
        """Return every sample event, every timer that may elapse, and the end of the process."""
        return [self._step(state, event) for event in self.tried(state)]

    def tried(self, state: Place) -> list[Event]:
        """Return what is tried at a place."""
        if not self.is_place(state):
            return []
        found = list(self._tried[state.state])
        found += [
            Elapsed(timer.field)
            for timer in self.machine.timers(state.state)
            if getattr(state.data, timer.field) is not None
        ]
        if self.machine.keeps_rest(state.state):
            found.append(Offline(length=1 * HOURS))
        return found

    @staticmethod
    def is_place(state: Place) -> bool:
        """Tell whether an instance can be there, and not whether a handler has raised."""
        return state.state != RAISED

    def cut(self, state: Place) -> str:
        """Say why nothing is explored beyond a place, if that is so."""
        known = self._known.get(state)
        if known is None:
            variants = self._variants.setdefault(self._signature(state), set())
            known = ""
            if len(variants) < self._variants_max:
                variants.add(state)
            else:
                known = (
                    f"what is remembered in {state.state!r} has more than {self._variants_max} variants; "
                    "forget fields that no guard depends on"
                )
            self._known[state] = known
        return known

    def _step(self, state: Place, event: Event) -> tuple[Act, Place]:
        act = Act(event)
        data = state.data
        if isinstance(event, Elapsed):
            self._elapsed[state.state, event.timer] = None
            data = evolve(data, **{event.timer: NOW})
        try:
            decision = self.machine.step(Snapshot(state.state, data, 1, 1), event, NOW)
        except StepError as error:
            return act, Place(RAISED, str(error))
        pair = self._pair(state.state, event)
        guards = decision.outcome.guards
        if pair.rows:
            place, row = pair.rows[sum(not answer for _, answer in guards)]
            if not row.ignores:
                self._rows[Passage(state.state, pair.event, place)] = None
        for guard, answer in guards:
            self._answers[Answered(state.state, pair.event, guard, answer)] = None
        after = decision.snapshot
        return act, self._place(after.state, after.data)

    def _pair(self, state: str, event: Event) -> _Pair:
        name = name_of(event)
        return self._pairs.get((state, name), _Pair(name, ()))

    def _place(self, state: str, data: Any) -> Place:
        changes: dict[str, Any] = dict(self._forgotten)
        for field in self._timer_fields:
            changes[field] = None if getattr(data, field) is None else AHEAD
        kept = evolve(data, **changes) if changes else data
        return Place(state, kept if self._abstract is None else self._abstract(state, kept))

    def _signature(self, place: Place) -> Any:
        """Return what tells one kind of place from another: the timers that run, and what all guards answer."""
        if place.state == RAISED:
            return place
        armed = tuple(getattr(place.data, field) is not None for field in self._timer_fields)
        return place.state, armed, tuple(when(place.data, event) for when, event in self._guarded[place.state])

    # ---- what was gone through ---------------------------------------------------------------------------------------

    def coverage(self) -> Coverage:
        """Return what was gone through so far."""
        machine = self.machine
        rows: dict[Passage, None] = {}
        answers: dict[Answered, None] = {}
        for (state, event), pair in self._pairs.items():
            for place, row in pair.rows:
                if not row.ignores:
                    rows[Passage(state, event, place)] = None
                if row.when is not None:
                    answers[Answered(state, event, row.when.__name__, True)] = None
                    answers[Answered(state, event, row.when.__name__, False)] = None
        timers = {(state, timer.field): None for state in machine.states for timer in machine.timers(state)}
        return Coverage(
            *_parted(rows, self._rows), *_parted(answers, self._answers), *_parted(timers, self._elapsed)
        )  # fmt: skip


def machine_model(
    machine: Machine,
    *,
    samples: Mapping[type[Event], Sequence[Event]] | None = None,
    forget: Collection[str] = (),
    abstract: Callable[[str, Any], Any] | None = None,
    variants_max: int = VARIANTS_MAX,
) -> MachineModel:
    """Make the model of a machine.

    Args:
        machine: any definition.
        samples: events to try instead of those that are made from the types of a class's fields; `made` gives these.
        forget: fields of what is remembered that no guard and no property depends on: reasons, counters for people.
            They keep their first value.
        abstract: (state, data) -> data without what does not matter, where forgetting whole fields is not enough.
        variants_max: of what is remembered in one state with the same timers and the same answers of all guards, so many
            values are explored.

    Raises:
        ExplorationError: a field is forgotten that there is not, or no sample can be made of an event.
    """
    return MachineModel(machine, samples or {}, forget, abstract, variants_max)


def machine_properties(machine: Machine) -> tuple[Property, ...]:
    """Return what should hold of any machine: no handler raises, what is remembered survives the journal, and every state
    is reached."""
    return (
        always("no handler raises", lambda place: place.state != RAISED),
        always("what is remembered survives the journal", lambda place: place.state == RAISED or _survives(place.data)),
        *(
            sometimes(f"an instance is {state}", lambda place, state=state: place.state == state)  # type: ignore[misc]
            for state in machine.states
        ),
    )


def _survives(data: Any) -> bool:
    try:
        return bool(codec.loads(codec.dumps(data), type(data)) == data)
    except CodecError:
        return False


def _timer_fields(machine: Machine) -> tuple[str, ...]:
    fields = {timer.field: None for state in machine.states for timer in machine.timers(state)}
    return tuple(fields)


def _forgotten(machine: Machine, forget: Collection[str]) -> dict[str, Any]:
    first = machine.start().data
    known = {field.name for field in attrs.fields(machine.remembers)}
    if unknown := [name for name in forget if name not in known]:
        raise ExplorationError(
            f"{machine.name} remembers no {unknown[0]!r} that could be forgotten; it has {', '.join(sorted(known))}"
        )
    return {name: getattr(first, name) for name in forget}


def _pairs(machine: Machine) -> dict[tuple[str, str], _Pair]:
    found: dict[tuple[str, str], list[tuple[int, Row]]] = {}
    for place, row in enumerate(machine.table):
        for source in row.sources:
            for event in machine.expand(row, source):
                found.setdefault((source, name_of(event)), []).append((place, row))
    return {key: _Pair(key[1], tuple(rows)) for key, rows in found.items()}


def _tried(machine: Machine, state: str, samples: Mapping[type[Event], Sequence[Event]]) -> Iterable[Event]:
    """Return the events that are tried in a state."""
    known = constants(machine)
    effect = machine.effect(state)
    outcomes = () if effect is None else (*effect.gives, Broken)
    for kind in machine.events:
        if isinstance(kind, Elapsed) or kind is Elapsed:
            continue
        if issubclass(kind, Outcome) and kind not in outcomes:
            continue
        yield from samples.get(kind) or made(kind, known)


def _parted(every: Mapping[Any, None], seen: Mapping[Any, None]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return tuple(one for one in every if one in seen), tuple(one for one in every if one not in seen)

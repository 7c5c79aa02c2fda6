"""What can happen to an instance of a machine next, and lives made of that. Pure, and without Hypothesis.

A life is possible if an event in it could have come to the instance at that moment:

- a signal comes when it likes;
- an outcome comes only of the attempt that is awaited, and `Broken(how="overdue")` not before its time is up;
- a timer fires when it is armed and due, the earliest first, as the driver does it;
- time goes forward; a process may end between any two events. What was under way is then interrupted, and timers that keep
  what was left to wait are moved by as long as nobody was there.

Strategies, stateful tests and pinned histories all go by this one account of it.
"""

import enum
import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import attrs

from statecore.errors import StepError
from statecore.events import Broken, Elapsed, Event, External, Offline
from statecore.machine import Decision, Machine, Snapshot
from statecore.units import DAYS, HOURS, MICROSECONDS, MILLISECONDS, MINUTES, SECONDS

BEGAN: Final = 1_790_000_000 * SECONDS
"""When lives begin, in ns: large enough for an int that passed through a float to show."""


PINNED: Final = "This history, to be pinned with examples=[...] (event, ns since the beginning):"


class Moment(NamedTuple):
    """One event of a life.

    Args:
        before: where the instance was.
        event: what happened.
        now: when, in ns.
        decision: what it led to.
    """

    before: Snapshot
    event: Event
    now: int
    decision: Decision

    @property
    def after(self) -> Snapshot:
        """Where the instance is then."""
        return self.decision.snapshot


class History(tuple[Moment, ...]):
    """A life, from its beginning. Its `repr` is code: (event, ns since the beginning) of each moment, to be pinned."""

    __slots__ = ()

    def __repr__(self) -> str:
        return code_of([(moment.event, moment.now - BEGAN) for moment in self])


class Life:
    """Takes one instance through what happens to it.

    Args:
        machine: its definition.
        now: when it begins, in ns.
        snapshot: where it begins; at its very beginning, if that is left out.
        entered_at: when it entered that state, in ns; now, if that is left out.
    """

    def __init__(
        self, machine: Machine, now: int = BEGAN, snapshot: Snapshot | None = None, entered_at: int | None = None
    ) -> None:
        self.machine = machine
        self.snapshot = machine.start() if snapshot is None else snapshot
        self.now = now
        self.moments: list[Moment] = []
        self._entered_at = now if entered_at is None else entered_at

    @property
    def over(self) -> bool:
        """Whether it has come to a final state."""
        return self.snapshot.state in self.machine.final

    def happen(self, event: Event, *, after: int = 0) -> Moment:
        """Let an event happen, *after* so many ns; later if it cannot come that early."""
        self.now = max(self.now + after, earliest(self.machine, self.snapshot, event, self._entered_at))
        try:
            decision = self.machine.step(self.snapshot, event, self.now)
        except StepError as error:
            shown = [(one.event, one.now - BEGAN) for one in self.moments]
            error.add_note(f"{PINNED}\n{code_of([*shown, (event, self.now - BEGAN)])}")
            raise
        moment = Moment(self.snapshot, event, self.now, decision)
        self.moments.append(moment)
        self.snapshot = moment.after
        if moment.decision.outcome.kind == "moved":
            self._entered_at = self.now
        return moment

    def crash(self, offline: int, broken: Broken) -> None:
        """End the process, and start it again *offline* ns later; an attempt under way comes to *broken*."""
        self.now += offline
        for event in after_crash(self.machine, self.snapshot, offline, broken):
            self.happen(event)

    @property
    def history(self) -> History:
        """What has happened so far."""
        return History(self.moments)


# ---- what can happen -------------------------------------------------------------------------------------------------


def earliest(machine: Machine, snapshot: Snapshot, event: Event, entered_at: int) -> int:
    """Return when an event can come at the earliest, in ns.

    Args:
        machine: the definition.
        snapshot: the instance.
        event: what is to happen.
        entered_at: when it entered its state, in ns.
    """
    if isinstance(event, Elapsed):
        return {timer: at for at, timer in machine.deadlines(snapshot)}.get(event.timer, 0)
    effect = machine.effect(snapshot.state)
    if effect is not None and isinstance(event, Broken) and event.how == "overdue":
        return entered_at + effect.within
    return 0


def next_timer(machine: Machine, snapshot: Snapshot) -> Elapsed | None:
    """Return the timer that fires next, if any is armed."""
    due = sorted(machine.deadlines(snapshot))
    return Elapsed(due[0][1]) if due else None


def after_crash(machine: Machine, snapshot: Snapshot, offline: int, broken: Broken) -> list[Event]:
    """Return what an instance is told when a process finds it after another one has ended; see the driver and `System.arm`."""
    told: list[Event] = []
    if offline and machine.keeps_rest(snapshot.state):
        told.append(Offline(length=offline))
    if machine.effect(snapshot.state) is not None:
        told.append(attrs.evolve(broken, how="interrupted", error="the process ended"))
    return told


@functools.cache
def can_come(machine: Machine, state: str) -> frozenset[type[Event]]:
    """Return the events, timers apart, that can come to an instance in a state."""
    effect = machine.effect(state)
    outcomes = () if effect is None else (*effect.gives, Broken)
    kinds = [event for event in machine.events if isinstance(event, type)]
    if state in machine.final:
        return frozenset(kind for kind in kinds if issubclass(kind, External))
    return frozenset(kind for kind in kinds if issubclass(kind, External) or kind in outcomes)


@functools.cache
def does(machine: Machine, state: str) -> Mapping[type[Event] | Elapsed, bool]:
    """Return the events that a state has a row for that does something, and whether all such rows end the life."""
    found: dict[type[Event] | Elapsed, bool] = {}
    for row in machine.table:
        if state in row.sources and not row.ignores:
            for event in machine.expand(row, state):
                found[event] = found.get(event, True) and row.target in machine.final
    return found


@functools.cache
def ways(machine: Machine, goal: str) -> Mapping[str, frozenset[type[Event] | Elapsed]]:
    """Return, for each state, the events that may bring it a step nearer to another one; guards have their say later."""
    steps = [
        (source, event, source if row.target is None else row.target)
        for row in machine.table
        if not row.ignores
        for source in row.sources
        for event in machine.expand(row, source)
    ]
    far = {goal: 0}
    while nearer := {source for source, _, target in steps if target in far and source not in far}:
        far |= dict.fromkeys(nearer, max(far.values()) + 1)
    found: dict[str, set[type[Event] | Elapsed]] = {state: set() for state in machine.states}
    for source, event, target in steps:
        if far.get(target, len(far)) < far.get(source, 0):
            found[source].add(event)
    return {state: frozenset(events) for state, events in found.items()}


# ---- as code ---------------------------------------------------------------------------------------------------------

_UNITS: Final = (
    ("DAYS", DAYS),
    ("HOURS", HOURS),
    ("MINUTES", MINUTES),
    ("SECONDS", SECONDS),
    ("MILLISECONDS", MILLISECONDS),
    ("MICROSECONDS", MICROSECONDS),
)


def duration(ns: int) -> str:
    """Write a duration as code, such as `90 * SECONDS`.

    >>> duration(90_000_000_000), duration(7)
    ('90 * SECONDS', '7')
    """
    return next((f"{ns // unit} * {name}" for name, unit in _UNITS if ns and ns % unit == 0), str(ns))


def code_of(history: Iterable[tuple[Any, ...]]) -> str:
    """Write (event, ns) or (address, event, ns) of a history as a list that Python reads."""
    lines = [f"    ({', '.join([*map(value_code, happened[:-1]), duration(happened[-1])])}),\n" for happened in history]
    return f"[\n{''.join(lines)}]" if lines else "[]"


def value_code(value: Any) -> str:
    """Write a value as the code that makes it; fields at their default are left out.

    >>> value_code(Elapsed("retry_at"))
    "Elapsed('retry_at')"
    """
    kind = type(value)
    if isinstance(value, enum.Enum):
        return f"{kind.__name__}.{value.name}"
    if kind is tuple:
        return f"({', '.join(map(value_code, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{value_code(key)}: {value_code(held)}' for key, held in value.items())}}}"
    if not attrs.has(kind):
        return repr(value)
    shown = [field for field in attrs.fields(kind) if field.init and not _is_default(field, getattr(value, field.name))]
    first = attrs.fields(kind)[0].name if attrs.fields(kind) else ""
    bare = len(shown) == 1 and shown[0].name == first and not shown[0].kw_only
    fields = [("" if bare else f"{field.alias}=") + value_code(getattr(value, field.name)) for field in shown]
    return f"{kind.__name__}({', '.join(fields)})"


def _is_default(field: "attrs.Attribute[Any]", held: Any) -> bool:
    default = field.default
    if default is not None and isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return not default.takes_self and bool(default.factory() == held)
    return default is not attrs.NOTHING and type(default) is type(held) and bool(default == held)

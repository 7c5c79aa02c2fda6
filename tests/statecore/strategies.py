"""Random values, events and histories of machines, drawn by Hypothesis.

A history is run while it is drawn, because what can happen next depends on what has happened: timers come due only
when they are armed, and an event that the state ignores teaches little. Most events drawn are therefore ones that the
state has a row for; the others, late and misplaced ones, are in between. And most lives are on their way to some state,
because states lie many steps deep that chance alone would hardly ever come to.
"""

import enum
import functools
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Union

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from statecore.events import Elapsed, Event, Outcome
from statecore.machine import Decision, Machine, Snapshot
from statecore.machines import circuit, connection, delivery, session
from statecore.reading import Evidence
from statecore.units import DAYS, MILLISECONDS, SECONDS

BEGAN = 1_790_000_000 * SECONDS
"""When histories begin, in ns: large enough for an int that passed through a float to show."""

often = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
seldom = settings(often, max_examples=50)
"""How often a property is tried. Nothing here is timed: a busy machine is no bug."""


# ---- values ----------------------------------------------------------------------------------------------------------

AWKWARD: Mapping[type, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, 2**53 + 1, -(2**63), 2**64 - 1]),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(codec="utf-8")),
}
"""Whatever a field of that type may hold."""

PLAUSIBLE: Mapping[type, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.sampled_from([0, 1, 2, 3, 40 * MILLISECONDS, 1 * SECONDS, 90 * SECONDS, 1 * DAYS, 40 * DAYS]),
    float: st.sampled_from([1.0, 2.0, 8.0]),
    str: st.sampled_from(["", "a", "b"]),
}
"""What a field holds in a life that resembles ours: counts and waits repeat, and some waits are absurd."""

PARTICULAR: Mapping[tuple[type, str], st.SearchStrategy[Any]] = {
    (delivery.Accepted, "parts"): st.integers(1, 4).map(lambda count: tuple("abcd"[:count])),
    (delivery.Accepted, "expires_at"): st.sampled_from([None, None, None, BEGAN, BEGAN + 3 * DAYS]),
    (delivery.Held, "by"): st.sampled_from(["window", "circuit"]),
    (delivery.PartRefused, "evidence"): st.just(Evidence()),  # no machine looks at it
    (circuit.Reset, "by"): st.sampled_from(["inbound", "account", "operator"]),
    (connection.Lost, "forget"): st.sampled_from([(), (), ("session",), ("token",), ("session", "token")]),
    (session.Found, "wait"): st.sampled_from([0, 0, 0, 90 * SECONDS]),
    (session.Greeted, "wait"): st.sampled_from([0, 0, 0, 90 * SECONDS]),
}
"""Fields whose type says less than their documentation."""


def values(hint: Any, leaves: Mapping[type, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Draw values of a type that the journal's codec carries."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in leaves:
        return leaves[hint]
    if hint is type(None):
        return st.none()
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of([values(part, leaves) for part in arguments])
    if origin is tuple and arguments[-1] is ...:
        return st.lists(values(arguments[0], leaves), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(values(part, leaves) for part in arguments))
    if origin is not None and issubclass(origin, Mapping):
        return st.dictionaries(leaves[str], values(arguments[1], leaves), max_size=3)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    return instances(hint, leaves)


def instances(kind: type, leaves: Mapping[type, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Draw instances of an attrs class."""
    hints = typing.get_type_hints(kind)
    fields = {}
    for field in attrs.fields(kind):
        drawn = values(hints[field.name], leaves)
        if leaves is PLAUSIBLE:
            drawn = PARTICULAR.get((kind, field.name), drawn)
        fields[field.name] = drawn
    return st.builds(kind, **fields)


@functools.cache
def happenings(machine: Machine) -> dict[type[Event] | Elapsed, st.SearchStrategy[Event]]:
    """Return, for each event that a machine knows, how to draw one."""
    return {
        event: st.just(event) if isinstance(event, Elapsed) else instances(event, PLAUSIBLE) for event in machine.events
    }


# ---- histories -------------------------------------------------------------------------------------------------------


class Moment(NamedTuple):
    """One step of a history."""

    before: Snapshot
    event: Event
    now: int
    decision: Decision

    @property
    def after(self) -> Snapshot:
        return self.decision.snapshot


@functools.cache
def likely(machine: Machine, state: str) -> list[type[Event]]:
    """Return the events, timers apart, that a state has a row for; outcomes of its attempt and what lives on prevail."""
    found: list[type[Event]] = []
    effect = machine.effect(state)
    for event in machine.events:
        rows = [row for row in machine.table if state in row.sources and event in row.events and not row.ignores]
        if isinstance(event, type) and rows:
            ends = any(row.target in machine.final for row in rows)
            found += [event] * (9 if effect and issubclass(event, Outcome) else 1 if ends else 9)
    return found


@functools.cache
def ways(machine: Machine, goal: str) -> Mapping[str, list[type[Event] | Elapsed]]:
    """Return, for each state, the events that may bring it a step nearer to another one; guards have their say later."""
    steps = [
        (source, event, source if row.target is None else row.target)
        for row in machine.table
        for source in row.sources
        for event in machine.expand(row, source)
        if not row.ignores
    ]
    far = {goal: 0}
    while nearer := {source for source, _, target in steps if target in far and source not in far}:
        far |= dict.fromkeys(nearer, max(far.values()) + 1)
    found: dict[str, list[type[Event] | Elapsed]] = {state: [] for state in machine.states}
    for source, event, target in steps:
        if far.get(target, len(far)) < far.get(source, 0) and event not in found[source]:
            found[source].append(event)
    return found


@st.composite
def histories(draw: st.DrawFn, machine: Machine, *, most: int = 30) -> Sequence[Moment]:
    """Draw a life of a machine, from its beginning; nothing fires that is not armed."""
    drawn = happenings(machine)
    every = [event for event in machine.events if isinstance(event, type)]
    snapshot, now, goal = machine.start(), BEGAN, machine.initial
    moments = []
    for _ in range(draw(st.integers(most // 3, most))):
        if snapshot.state == goal:
            goal = draw(st.sampled_from(machine.states))
        due = sorted(machine.deadlines(snapshot))
        ahead = [None if isinstance(event, Elapsed) else event for event in ways(machine, goal)[snapshot.state]]
        lively = likely(machine, snapshot.state)
        kinds: list[type[Event] | None] = [*lively, *([None] * (len(lively) + 6) if due else [])]
        mood = draw(st.integers(0, 15))
        if mood < 10 and ahead and (due or None not in ahead):
            kinds = ahead
        kind = draw(st.sampled_from(every if not kinds or mood > 13 else kinds))
        event: Event
        if kind is None:
            at, timer = due[0]
            now, event = max(now, at), Elapsed(timer)
        else:
            now += draw(st.sampled_from([0, 1, 30 * MILLISECONDS, 2 * SECONDS]))
            event = draw(drawn[kind])
        decision = machine.step(snapshot, event, now)
        moments.append(Moment(snapshot, event, now, decision))
        if snapshot.state in machine.final:
            break
        snapshot = decision.snapshot
    return moments

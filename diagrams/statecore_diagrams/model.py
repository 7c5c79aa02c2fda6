"""A machine's definition, read for drawing. Pure.

Everything that is drawn or counted comes from here, and here everything comes from the one definition: no state, event
or limit is written down a second time.

A *transition* is one pair of the table: what one event does in one state, where one guard holds. A row of the table that
names three states and two events is six of them. They are what coverage counts.

Everything is in the order of the definition, so that a changed row changes a few lines of a picture, not all of it.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Final, Literal

import attrs

from statecore.events import name_of
from statecore.machine import Effect, Machine, Signal, Timer, Wait
from statecore.proof import Pays, pays
from statecore.units import show_duration

_NAMELESS: Final = "<lambda>"


@attrs.frozen
class Transition:
    """One event in one state, under one guard.

    Args:
        source: the state it happens in.
        event: its name, as logs have it.
        guard: the condition under which the row applies; empty for none.
        asked: the guards asked until the row applied, with their answers, as the journal writes them.
        target: the state afterwards.
        kind: whether the state is entered, stays, or the event is ignored.
        pays: what it costs; see `Pays`.
        because: why it is ignored.
    """

    source: str
    event: str
    guard: str
    asked: str
    target: str
    kind: Literal["moved", "stayed", "ignored"]
    pays: Pays
    because: str = ""

    @property
    def label(self) -> str:
        """Return event and guard as they stand in a picture."""
        return f"{self.event} [{self.guard}]" if self.guard else self.event

    def __str__(self) -> str:
        if self.kind == "moved":
            return f"{self.source} → {self.target}  {self.label}"
        return f"{self.source}  {self.label} ({self.kind})"


@attrs.frozen
class Awaited:
    """One thing a state awaits.

    Args:
        kind: a timer, an attempt at I/O, or something from outside.
        short: what fits into a picture.
        full: with everything that is known of it, such as each signal.
    """

    kind: Literal["timer", "attempt", "signal"]
    short: str
    full: str


@attrs.frozen
class State:
    """A state and what it awaits."""

    name: str
    initial: bool
    final: bool
    awaits: tuple[Awaited, ...]


@attrs.frozen
class Model:
    """A machine as it is drawn and counted.

    Args:
        name: of the machine.
        version: of its definition.
        states: in the order of the definition.
        transitions: every decided pair, in the order of the table; those of one state and event in the order in which
            they are tried.
        running: the timers that outlive states.
    """

    name: str
    version: int
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    running: tuple[Awaited, ...]

    @cached_property
    def drawn(self) -> tuple[Transition, ...]:
        """The transitions that do something: those that enter a state, or change what is remembered."""
        return tuple(transition for transition in self.transitions if transition.kind != "ignored")

    @cached_property
    def by_pair(self) -> Mapping[tuple[str, str], tuple[Transition, ...]]:
        """The transitions of each (state, event), in the order in which they are tried."""
        found: dict[tuple[str, str], tuple[Transition, ...]] = {}
        for transition in self.transitions:
            pair = (transition.source, transition.event)
            found[pair] = (*found.get(pair, ()), transition)
        return found

    @cached_property
    def on_cycle(self) -> frozenset[tuple[str, str]]:
        """The (source, target) of every transition that lies on a cycle."""
        after: dict[str, set[str]] = {state.name: set() for state in self.states}
        for transition in self.drawn:
            if transition.kind == "moved":
                after[transition.source].add(transition.target)
        reach = {state: _reach(state, after) for state in after}
        return frozenset((source, target) for source in after for target in after[source] if source in reach[target])

    @cached_property
    def initial(self) -> str:
        """The state an instance begins in."""
        return next(state.name for state in self.states if state.initial)


def _reach(start: str, after: Mapping[str, set[str]]) -> set[str]:
    reached, frontier = {start}, [start]
    while frontier:
        found = after[frontier.pop()] - reached
        reached |= found
        frontier += found
    return reached


def read(machine: Machine) -> Model:
    """Read a definition for drawing."""
    states = tuple(
        State(
            name=state,
            initial=state == machine.initial,
            final=state in machine.final,
            awaits=tuple(_awaited(wait) for wait in machine.awaits.get(state, ())),
        )
        for state in machine.states
    )
    running = tuple(_awaited(timer) for timer in machine.named)
    return Model(machine.name, machine.version, states, tuple(_transitions(machine)), running)


def _awaited(wait: Wait) -> Awaited:
    if isinstance(wait, Timer):
        bounds = f"{wait.field} {show_duration(wait.floor)} to {show_duration(wait.cap)}"
        resume = "keeps what was left over a restart" if wait.resume == "remaining" else "keeps its deadline"
        return Awaited("timer", bounds, f"timer {bounds}, {resume}")
    if isinstance(wait, Effect):
        within = show_duration(wait.within)
        gives = ", ".join(name_of(kind) for kind in wait.gives)
        return Awaited(
            "attempt", f"{wait.name} within {within}", f"attempt {wait.name} within {within}: {gives}, Broken"
        )
    return _signal(wait)


def _signal(wait: Signal) -> Awaited:
    names = [name_of(kind) for kind in wait.kinds]
    short = " or ".join(names) if 0 < len(names) <= 2 else f"{len(names)} signals" if names else "any signal"
    return Awaited("signal", short, f"signal {', '.join(names)}" if names else "any signal the table has for it")


def _transitions(machine: Machine) -> Iterator[Transition]:
    asked: dict[tuple[str, str], list[str]] = {}
    for row in machine.table:
        for source in row.sources:
            for event in machine.expand(row, source):
                before = asked.setdefault((source, name_of(event)), [])
                answers = [f"{name}=0" for name in before]
                guard = "" if row.when is None else row.when.__name__
                if guard:
                    answers.append(f"{guard}=1")
                    before.append(guard)
                yield Transition(
                    source=source,
                    event=name_of(event),
                    guard="when" if guard == _NAMELESS else guard,
                    asked=",".join(answers),
                    target=source if row.target is None else row.target,
                    kind="ignored" if row.ignores else "stayed" if row.target is None else "moved",
                    pays=pays(event),
                    because=row.because or "",
                )

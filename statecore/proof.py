"""What is checked before a machine may exist.

The checks, in the order in which they are reported:

1. the table speaks of states and fields that exist;
2. every state can be reached, and every state awaits something that can move it or is final; the first one awaits a
   signal, because before anything has happened no timer is armed and no attempt asked for;
3. every (state, event) pair is decided: a row, or `ignore` with its reason; and where rows have guards, the last one
   has none;
4. nothing comes from nowhere: an outcome needs an attempt in that state, a timer needs a `Timer`, a signal a `Signal`;
   and nothing awaited is ignored;
5. every timer has a floor above zero and a finite cap;
6. every cycle is paid for by a timer's floor, a signal, an arrival, or an outcome that takes its time. What is left is a
   cycle of bare outcomes, which a peer that answers at once turns into a loop that burns a core. Two-state and longer
   cycles count like self-loops;
7. events and what is remembered survive the journal's codec.

Prior art cuts such cycles at run time, if at all; a table is data, so here they are found before the first event.
"""

import math
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs

from statecore import codec
from statecore.errors import DefinitionError
from statecore.events import BUILT_IN, Arrival, Broken, Elapsed, Event, External, Outcome, Timed, name_of
from statecore.units import LONGEST_NS

if TYPE_CHECKING:
    from statecore.machine import Machine, Row


def prove(machine: "Machine") -> None:
    """Check a definition.

    Raises:
        DefinitionError: with every problem found, not only the first.
    """
    problems = _shape(machine)
    if not problems:  # the later checks assume that the names mean something
        problems += _reachable(machine)
        problems += _decided(machine)
        problems += _timers(machine)
        problems += _cycles(machine)
        problems += _codec(machine)
    if problems:
        raise DefinitionError(machine.name, tuple(problems))


# ---- 1, 2: names, reachability ---------------------------------------------------------------------------------------


def _shape(machine: "Machine") -> list[str]:
    from statecore.machine import Signal

    known = set(machine.states)
    problems = []
    if machine.initial not in known:
        problems.append(f"the initial state {machine.initial!r} awaits nothing and is not final")
    elif not any(isinstance(wait, Signal) for wait in machine.awaits.get(machine.initial, ())):
        problems.append(
            f"the initial state {machine.initial!r} awaits no Signal(): before anything has happened, no timer is armed "
            "and no attempt is asked for"
        )
    for row in machine.table:
        for state in (*row.sources, *([] if row.target is None else [row.target])):
            if state not in known:
                known.add(state)  # named once is enough
                problems.append(f"state {state!r} awaits nothing and is not final: give it an entry in awaits")
        problems += [
            f"{name_of(event)} means the same in every machine, so no row may speak of it"
            for event in row.events
            if event in BUILT_IN
        ]
    if not attrs.has(machine.remembers):
        return [*problems, f"what it remembers, {machine.remembers!r}, is no attrs class"]
    if missing := [field.name for field in attrs.fields(machine.remembers) if field.default is attrs.NOTHING]:
        problems.append(
            f"{machine.remembers.__name__}: {', '.join(missing)} has no default, so an instance cannot begin"
        )
    for state in machine.states:
        problems += _waits(machine, state)
    return problems


def _waits(machine: "Machine", state: str) -> list[str]:
    from statecore.machine import Effect

    problems = []
    waits = machine.awaits.get(state, ())
    if state in machine.final and waits:
        problems.append(f"state {state!r} is final and yet awaits something")
    if state not in machine.final and not waits:
        problems.append(f"state {state!r} awaits nothing and is not final")
    effects = [wait for wait in waits if isinstance(wait, Effect)]
    if len(effects) > 1:
        problems.append(f"state {state!r} asks for two attempts at once; make them two states or two machines")
    problems += [
        f"the attempt {effect.name} of state {state!r} gives {name_of(kind)}, which is no Outcome"
        for effect in effects
        for kind in effect.gives
        if not issubclass(kind, Outcome)
    ]
    fields = {field.name for field in attrs.fields(machine.remembers)}
    named = [timer.field for timer in machine._timers_of(state)]  # noqa: SLF001 - the proof is the definition's other half
    problems += [
        f"timer {field!r} of state {state!r} is no field of {machine.remembers.__name__}"
        for field in named
        if field not in fields
    ]
    problems += [
        f"state {state!r} has two timers {field!r}, and one deadline for both"
        for field in dict.fromkeys(named)
        if named.count(field) > 1
    ]
    return problems


def _edges(machine: "Machine") -> list[tuple[str, Event | type[Event], str, "Row"]]:
    return [
        (source, event, row.target, row)
        for row in machine.table
        if row.target is not None
        for source in row.sources
        for event in machine.expand(row, source)
    ]


def _reachable(machine: "Machine") -> list[str]:
    edges = _edges(machine)
    reached, frontier = {machine.initial}, [machine.initial]
    while frontier:
        here = frontier.pop()
        for source, _, target, _ in edges:
            if source == here and target not in reached:
                reached.add(target)
                frontier.append(target)
    return [
        f"state {state!r} cannot be reached from {machine.initial!r}"
        for state in machine.states
        if state not in reached
    ]


# ---- 3, 4: every pair decided, nothing from nowhere ------------------------------------------------------------------


def _decided(machine: "Machine") -> list[str]:
    rows: dict[tuple[str, str], list[Row]] = {}
    problems = []
    for row in machine.table:
        for source in row.sources:
            events = machine.expand(row, source)
            if Elapsed in row.events and not any(isinstance(event, Elapsed) for event in events):
                problems.append(f"there is a row for Elapsed in {source!r}, where no timer runs")
            for event in events:
                rows.setdefault((source, name_of(event)), []).append(row)
    for state in machine.states:
        if state in machine.final:
            problems += _after_the_end(machine, state, rows)
            continue
        for event in machine.events:
            held = rows.get((state, name_of(event)), [])
            if held or _can_happen(machine, state, event):
                problems += _pair(machine, state, event, held)
        held = [row for (source, _), found in rows.items() if source == state for row in found]
        if held and all(row.ignores for row in held):
            problems.append(f"everything is ignored in {state!r}, so nothing it awaits can move it")
    return problems


def _pair(machine: "Machine", state: str, event: type[Event] | Elapsed, held: list["Row"]) -> list[str]:
    pair = f"{name_of(event)} in {state!r}"
    if not held:
        return [f"nobody decided on {pair}: write a row, or ignore it with a reason"]
    if not _can_happen(machine, state, event):
        missing = "no such timer runs there" if isinstance(event, Elapsed) else "no attempt is made there"
        return [f"there is a row for {pair}, and {missing}"]
    problems = []
    if all(row.when is not None for row in held):
        problems.append(f"{pair} has only guarded rows; when none holds, nobody decided")
    if any(row.when is None for row in held[:-1]):
        problems.append(f"{pair}: a row after an unguarded one can never apply")
    if any(row.ignores for row in held):
        if isinstance(event, Elapsed):
            problems.append(
                f"{name_of(event)} is awaited in {state!r}, so ignoring it would await nothing, or for ever"
            )
        elif (effect := machine.effect(state)) is not None and event in (*effect.gives, Broken):
            problems.append(
                f"{name_of(event)} ends the attempt of {state!r}, so ignoring it there would await nothing: enter a state"
            )
    if any(not row.ignores for row in held) and (why := _from_nowhere(machine, state, event, held)):
        problems.append(why)
    return problems


def _after_the_end(machine: "Machine", state: str, rows: dict[tuple[str, str], list["Row"]]) -> list[str]:
    problems = []
    for event in machine.events:
        held = rows.get((state, name_of(event)), [])
        if any(not row.ignores for row in held):
            problems.append(f"state {state!r} is final and yet {name_of(event)} leads out of it")
        if not held and not isinstance(event, Elapsed) and event is not Broken:
            problems.append(f"nobody decided on {name_of(event)} in {state!r}: ignore it with a reason")
    return problems


def _can_happen(machine: "Machine", state: str, event: type[Event] | Elapsed) -> bool:
    """Tell whether the pair needs a decision. A timer fires only where it runs; everything else may come late."""
    if isinstance(event, Elapsed):
        return any(timer.field == event.timer for timer in machine._timers_of(state))  # noqa: SLF001
    if event is Broken:
        return machine.effect(state) is not None
    return True


def _from_nowhere(machine: "Machine", state: str, event: type[Event] | Elapsed, held: list["Row"]) -> str | None:
    if isinstance(event, Elapsed):
        if any(row.target is None and row.do is None for row in held):
            return f"{name_of(event)} stays in {state!r} and sets no new deadline, so it would fire for ever"
        return None
    effect = machine.effect(state)
    if issubclass(event, Outcome):
        if effect is None:
            return f"{name_of(event)} is an outcome, and {state!r} makes no attempt"
        if event not in (*effect.gives, Broken):
            return f"{name_of(event)} is none of the outcomes of {effect.name}, which {state!r} awaits"
        if any(row.target is None and not row.ignores for row in held):
            return (
                f"{name_of(event)} ends the attempt of {state!r}, so staying there would await nothing: enter a state"
            )
        return None
    if issubclass(event, External):
        signals = [wait for wait in machine.awaits[state] if hasattr(wait, "kinds")]
        if not signals:
            return f"{state!r} has a row for the signal {name_of(event)} and awaits no Signal()"
        listed = {kind for wait in signals for kind in wait.kinds}
        if listed and event not in listed:
            return f"{state!r} has a row for {name_of(event)}, which its Signal(...) does not name"
        return None
    return f"{name_of(event)} is neither External, Outcome nor Elapsed, so nobody knows where it comes from"


# ---- 5: timers -------------------------------------------------------------------------------------------------------


def _timers(machine: "Machine") -> list[str]:
    from statecore.machine import Effect, Timer

    problems = []
    for state, waits in machine.awaits.items():
        for wait in (*waits, *machine.named):
            where = f"state {state!r}"
            if isinstance(wait, Timer):
                problems += _bounds(f"{where}: timer {wait.field!r}", "floor", wait.floor)
                problems += _bounds(f"{where}: timer {wait.field!r}", "cap", wait.cap)
                if _number(wait.floor) and _number(wait.cap) and wait.cap < wait.floor:
                    problems.append(f"{where}: timer {wait.field!r} has its cap below its floor")
            elif isinstance(wait, Effect):
                problems += _bounds(f"{where}: attempt {wait.name}", "within", wait.within)
    return list(dict.fromkeys(problems))


def _number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bounds(what: str, name: str, value: object) -> list[str]:
    if not isinstance(value, int) or isinstance(value, bool):
        shown = "is not finite" if isinstance(value, float) and not math.isfinite(value) else "is no whole number of ns"
        return [f"{what}: {name} {value!r} {shown}"]
    if value <= 0:
        return [f"{what}: {name} {value} is not above zero, so it would wait for nothing"]
    if value > LONGEST_NS:
        return [f"{what}: {name} {value} is longer than ten years, so it is no bound"]
    return []


# ---- 6: cycles -------------------------------------------------------------------------------------------------------


Pays: TypeAlias = Literal["timer", "outside", ""]
"""What a transition costs whoever would drive a cycle through it: time (a timer's floor, or that of a `Timed`
outcome), something from outside, or nothing."""


def pays(event: type[Event] | Elapsed) -> Pays:
    """Tell what an event costs whoever would drive a cycle through it."""
    if isinstance(event, Elapsed) or (issubclass(event, Timed) and event.floor > 0):
        return "timer"  # every timer has a floor: check 5
    return "outside" if issubclass(event, External | Arrival) else ""


def _cycles(machine: "Machine") -> list[str]:
    """Find a shortest unpaid cycle through each state that lies on one, each cycle reported once."""
    unpaid: dict[str, list[tuple[str, str]]] = {}
    for source, event, target, _ in _edges(machine):
        if not pays(event):  # type: ignore[arg-type]
            unpaid.setdefault(source, []).append((name_of(event), target))
    problems, seen = [], set()
    for start in machine.states:
        path = _way_back(start, unpaid)
        if path is None:
            continue
        members = frozenset(state for state, _ in path)
        if members in seen:
            continue
        seen.add(members)
        shown = " ".join(f"{state} --{event}-->" for state, event in path)
        problems.append(
            f"nothing pays for the cycle {shown} {start}: no timer with a floor, no signal and no arrival lies on it, "
            "so a peer that answers at once would make it spin; lead it through a state that waits"
        )
    return problems


def _way_back(start: str, edges: dict[str, list[tuple[str, str]]]) -> list[tuple[str, str]] | None:
    """Return the shortest way from *start* to itself as [(state, event) ...], breadth first."""
    came: dict[str, tuple[str, str]] = {}
    frontier = [start]
    while frontier:
        following = []
        for here in frontier:
            for event, target in edges.get(here, ()):
                if target == start:
                    path = [(here, event)]
                    while here != start:
                        here, event = came[here]  # noqa: PLW2901 - walking back along the way we came
                        path.append((here, event))
                    return path[::-1]
                if target not in came:
                    came[target] = (here, event)
                    following.append(target)
        frontier = following
    return None


# ---- 7: codec --------------------------------------------------------------------------------------------------------


def _codec(machine: "Machine") -> list[str]:
    kinds = [event for event in machine.events if isinstance(event, type)]
    return [why for kind in (machine.remembers, *kinds) if (why := codec.objection(kind))]

"""Hypothesis strategies for events, histories and snapshots, read off a machine's definition.

    @given(histories(order))
    def test_nothing_is_posted_twice(history):
        assert sum(isinstance(moment.event, Posted) for moment in history) <= 1

Values come from the types of the fields, within what their attrs validators allow: small numbers, waits of every length,
texts that repeat (so that two events can mean the same thing), and the edges of what a journal holds. Where a type says less
than its documentation, say more: `register` for all tests, `given=` for one.

How it shrinks. An event is always chosen out of the machine's whole alphabet, of which a filter leaves what can come now; so
what is left of a history after events were taken out of it still says the same. Most lives are on their way to some state,
because some states lie many steps deep that chance alone would hardly ever come to. But that only narrows the filter, so a
history that failed shrinks without regard to where it was going.
"""

import enum
import math
import operator
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias, Union

import attrs
from attr import validators
from hypothesis import strategies as st

from statecore.errors import ConfigError
from statecore.events import Broken, Elapsed, Event, Late, Timed
from statecore.exploration.samples import constants
from statecore.machine import Machine, Snapshot
from statecore.testing import lives
from statecore.testing.lives import History, Life
from statecore.units import DAYS, HOURS, MILLISECONDS, SECONDS

Strategy: TypeAlias = st.SearchStrategy[Any]
Given: TypeAlias = Mapping[type | tuple[type, str], Strategy]
"""How values are drawn: by class, by (class, "field"), or by plain type."""

MOST: Final = 30
"""Events of a history, at most, unless asked otherwise: the deepest state of the shipped machines is nine away from the first."""

EXACT: Final = 2**53 + 1
"""The first whole number that a float cannot hold. Greater ones are left out: the journal holds 64 bits, and a sum of a few of
these still fits."""

_SMALL: Final = (0, 1, 2, 3)
_TABLES: Final[Mapping[type, tuple[Any, ...]]] = {
    bool: (False, True),
    int: (
        *_SMALL, *range(4, 21), 50, 99, 100, 101, 255, 1000, 1001, *_SMALL * 6,
        1 * MILLISECONDS, 40 * MILLISECONDS, 1 * SECONDS, 2 * SECONDS, 90 * SECONDS, 1 * HOURS, 1 * DAYS, 40 * DAYS,
        -1, -2, 2**31, EXACT, -EXACT,
    ),
    float: (0.0, 0.5, 1.0, 2.0, 8.0, 1000.0, 1e-9, -0.5, -1e9, math.pi),
    str: ("", "a", "b", "c", "a", "b", "", "0", " ", "a/b", "A", "é", "\u2028", '"', "\x00", "😀", "a" * 100),
}  # fmt: skip
"""What a field holds in a life: counts, waits and names repeat, and some are absurd. They are tables because one choice is made
out of each; a strategy with branches for the same would cost three, and most of the time of a history goes into choices."""

AWKWARD: Final[Given] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**64 - 1) | st.sampled_from([0, EXACT, -(2**63), 2**64 - 1]),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(codec="utf-8")),
}
"""Whatever the journal can hold in a field of that type; as `given=`, for tests of codecs."""

_registered: Final[dict[type | tuple[type, str], Strategy]] = {}


def register(kind: type, strategy: Strategy | None = None, /, **fields: Strategy) -> None:
    """Say how a class, or fields of it, are drawn from now on, in every strategy of this module.

    Args:
        kind: an event, something an event holds, or a plain type such as `int`.
        strategy: for the class as a whole.
        fields: for fields by their names; the others go by their types.

    Raises:
        ConfigError: the class has no such field.
    """
    known = {field.name for field in attrs.fields(kind)} if attrs.has(kind) else set()
    if missing := sorted(set(fields) - known):
        raise ConfigError(
            f"register({kind.__name__}, {missing[0]}=...)", f"its fields are {', '.join(sorted(known)) or 'none'}"
        )
    if strategy is not None:
        _registered[kind] = strategy
    _registered.update({(kind, name): drawn for name, drawn in fields.items()})


# ---- values ----------------------------------------------------------------------------------------------------------


def values(hint: Any, given: Given | None = None) -> Strategy:
    """Draw values of a type that the journal carries.

    Args:
        hint: the type, as an annotation has it.
        given: how some are drawn; before what is registered, which is before what the types say.
    """
    return _values(hint, {**_registered, **(given or {})})


def _values(hint: Any, given: Given) -> Strategy:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in given:
        return given[hint]
    table = _table(hint, given)
    if table:
        return st.sampled_from(table)
    if origin in (Union, types.UnionType):
        return st.one_of([_values(part, given) for part in sorted(arguments, key=lambda part: part is not type(None))])
    if origin is tuple and arguments[-1] is ...:
        return st.lists(_values(arguments[0], given), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(_values(part, given) for part in arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return st.dictionaries(_values(str, given), _values(arguments[1], given), max_size=3)
    if isinstance(hint, type) and attrs.has(hint):
        return _instances(hint, given)
    drawn: Strategy = st.from_type(hint)  # with what is registered there
    return drawn


def _table(hint: Any, given: Given) -> tuple[Any, ...]:
    """Return what to choose from where a type has few values, or few that matter; empty where it has not."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in given:
        return ()
    if hint is type(None):
        return (None,)
    if origin is Literal:
        return arguments
    if origin in (Union, types.UnionType):
        parts = [_table(part, given) for part in arguments if part is not type(None)]
        several = [value for part in parts for value in part]
        return (
            (None, *several, None) if all(parts) and type(None) in arguments else tuple(several) if all(parts) else ()
        )
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return tuple(hint)
    return _TABLES.get(hint, ()) if isinstance(hint, type) else ()


def _instances(kind: type, given: Given) -> Strategy:
    if kind in given:
        return given[kind]
    hints = typing.get_type_hints(kind)
    fields = {}
    validated = False
    for field in attrs.fields(kind):
        if not field.init:
            continue
        drawn = given.get((kind, field.name))
        if drawn is None:
            drawn = _field(field, hints.get(field.name, Any), given)
        validated = validated or field.validator is not None
        fields[field.alias] = drawn
    if not validated and not hasattr(kind, "__attrs_post_init__"):
        return st.builds(kind, **fields)
    made = st.fixed_dictionaries(fields).map(lambda found: _made(kind, found))
    return made.filter(lambda value: value is not None)


def _made(kind: type, fields: Mapping[str, Any]) -> Any:
    """Make an instance; None where the class refuses those values together."""
    try:
        return kind(**fields)
    except (ValueError, TypeError):
        return None


# ---- validators ------------------------------------------------------------------------------------------------------
# Hypothesis reads `in_` and `instance_of` off attrs classes by itself, and only those. The classes of the validators are
# private to attrs; Hypothesis imports them too, and a validator that is not known here filters.

_BOUNDS: Final[Mapping[Any, Callable[[Any, Any], bool]]] = {
    operator.ge: operator.ge, operator.gt: operator.gt, operator.le: operator.le, operator.lt: operator.lt,
}  # fmt: skip


def _field(field: "attrs.Attribute[Any]", hint: Any, given: Given) -> Strategy:
    drawn = _values(hint, given)
    if field.validator is None:
        return drawn
    known = _flat(field.validator)
    if any(isinstance(one, validators._OptionalValidator) for one in known):  # type: ignore[attr-defined]  # noqa: SLF001
        return st.none() | drawn.filter(lambda value: _valid(field, value))
    options = [one.options for one in known if isinstance(one, validators._InValidator)]  # type: ignore[attr-defined]  # noqa: SLF001
    patterns = [one.pattern for one in known if isinstance(one, validators._MatchesReValidator)]  # type: ignore[attr-defined]  # noqa: SLF001
    numbers = [one for one in known if isinstance(one, validators._NumberValidator)]  # type: ignore[attr-defined]  # noqa: SLF001
    if options:
        drawn = st.sampled_from(list(options[0]))
    elif patterns:
        drawn = st.from_regex(patterns[0], fullmatch=True)
    elif numbers and hint is int:
        drawn = _between(numbers)
    return drawn.filter(lambda value: _valid(field, value))


def _flat(validator: Any) -> list[Any]:
    if isinstance(validator, validators._AndValidator):  # type: ignore[attr-defined]  # noqa: SLF001
        return [one for part in validator._validators for one in _flat(part)]  # noqa: SLF001
    return [validator]


def _between(numbers: list[Any]) -> Strategy:
    """Draw whole numbers within bounds, the bounds themselves often."""
    lows = [
        one.bound + (one.compare_func is operator.gt)
        for one in numbers
        if one.compare_func in (operator.ge, operator.gt)
    ]
    highs = [
        one.bound - (one.compare_func is operator.lt)
        for one in numbers
        if one.compare_func in (operator.le, operator.lt)
    ]
    low, high = max(lows, default=-EXACT), min(highs, default=EXACT)
    near = sorted(
        {low, high} | {value for value in (0, 1, 2, 3, 10, SECONDS, HOURS, DAYS) if low <= value <= high}, key=abs
    )
    return st.sampled_from(near) | st.integers(low, high)


def _valid(field: "attrs.Attribute[Any]", value: Any) -> bool:
    try:
        field.validator(None, field, value)  # type: ignore[misc]
    except (ValueError, TypeError):
        return False
    except AttributeError:  # it looks at the instance, which is made later
        return True
    return True


# ---- events ----------------------------------------------------------------------------------------------------------

Kind: TypeAlias = type[Event] | Elapsed


def happenings(machine: Machine, given: Given | None = None) -> dict[Kind, st.SearchStrategy[Event]]:
    """Return, for each event of a machine's alphabet, how to draw one.

    Args:
        machine: the definition.
        given: how some values are drawn; see `values`.
    """
    known = {**_compared(machine), **(given or {})}
    return {kind: st.just(kind) if isinstance(kind, Elapsed) else values(kind, known) for kind in machine.events}


def _compared(machine: Machine) -> Given:
    """Draw also what the machine's guards compare with, and what lies beside it: chance alone would seldom meet a 404."""
    found = constants(machine)
    also: dict[type | tuple[type, str], Strategy] = {}
    if found.numbers and int not in _registered:
        also[int] = st.sampled_from((*_TABLES[int], *found.numbers))
    if found.texts and str not in _registered:
        also[str] = st.sampled_from((*_TABLES[str], *found.texts))
    return also


def events(machine: Machine, *only: Kind, given: Given | None = None) -> st.SearchStrategy[Event]:
    """Draw an event out of a machine's alphabet, whether it can come anywhere or not.

    Args:
        machine: the definition.
        only: these events; all, if none is named.
        given: how some values are drawn; see `values`.

    Raises:
        ConfigError: one of them is no event of the machine.
    """
    drawn = happenings(machine, given)
    for kind in only:
        if kind not in drawn:
            raise ConfigError(f"events({machine.name}, ...)", f"{kind} is no event of {machine.name}")
    return st.one_of([drawn[kind] for kind in only or drawn])


# ---- histories -------------------------------------------------------------------------------------------------------

DELAYS: Final = (0, 1, 30 * MILLISECONDS, 2 * SECONDS, 90 * SECONDS)
"""Waits before an event that is not a timer, in ns: at once, a round trip, somebody thinking."""

AWAY: Final = (0, 2 * SECONDS, 5 * HOURS, 3 * DAYS)
"""For how long nobody is there after a crash, in ns."""

_DELAYS, _AWAY = st.sampled_from(DELAYS), st.sampled_from(AWAY)

_MOODS: Final = st.integers(0, 16)
UNDER_WAY: Final = 7
"""Of the moods, those from here on lead to some state. Most must: at the third of random events that a queue of nine states
leaves over, one life in 20,000 would come to its end."""

_CRASH: Final = "crash"


class _Drawing:
    """How to draw what happens next to an instance."""

    def __init__(self, machine: Machine, given: Given | None, *, stray: bool, crashes: bool) -> None:
        self._machine = machine
        self._stray = stray
        self._crashes = crashes
        self._events = happenings(machine, given)
        self._broken = values(Broken, given)
        self.choices = st.sampled_from([*self._events, *([_CRASH] if crashes else [])])
        self.states = st.sampled_from(machine.states)
        self.goal = ""
        self._late = st.builds(
            Late,
            event=st.sampled_from([kind.__name__ for kind in self._events if isinstance(kind, type)]),
            of=st.just(1),
        )

    def allowed(self, life: Life, mood: int) -> frozenset[Any]:
        """Return what may be chosen now. The greater the mood, the fewer; never something that mood 1 does not allow."""
        machine, state = self._machine, life.snapshot.state
        timer = lives.next_timer(machine, life.snapshot)
        timers = frozenset() if timer is None else frozenset([timer])
        crash = frozenset([_CRASH]) if self._crashes else frozenset()
        if mood == 1 and self._stray:
            return frozenset(kind for kind in self._events if isinstance(kind, type)) | timers | crash
        possible = lives.can_come(machine, state) | timers
        if mood == 1:
            return possible | crash
        if mood < UNDER_WAY:
            rows = lives.does(machine, state)
            found = frozenset(kind for kind in possible if not rows.get(kind, True))
            return (found or frozenset(kind for kind in possible if kind in rows) or possible) | crash
        return (lives.ways(machine, self.goal)[state] & possible) or self.allowed(life, 2)

    def happen(self, draw: st.DrawFn, life: Life, choice: Any) -> None:
        if choice == _CRASH:
            under_way = self._machine.effect(life.snapshot.state) is not None
            life.crash(draw(_AWAY), draw(self._broken) if under_way else Broken(how="interrupted"))
        elif isinstance(choice, Elapsed):
            life.happen(choice)
        else:
            event = draw(self._events[choice])
            if isinstance(event, Broken) and event.how == "interrupted" and not self._stray:
                event = attrs.evolve(event, how="died")  # the other is what a crash comes to
            after = draw(_DELAYS)
            life.happen(event, after=max(after, event.floor) if isinstance(event, Timed) else after)
        if self._stray and draw(st.integers(0, 15)) == 15:
            life.happen(draw(self._late))


@st.composite
def _step(draw: st.DrawFn, drawing: _Drawing, life: Life) -> None:
    """Let one thing happen, or nothing: the simplest step is none, so that any can be taken out by itself."""
    mood = draw(_MOODS)
    if mood == 0 or life.over:
        return
    if mood >= UNDER_WAY and drawing.goal in ("", life.snapshot.state):
        drawing.goal = draw(drawing.states)
    allowed = drawing.allowed(life, mood)
    drawing.happen(draw, life, draw(drawing.choices.filter(allowed.__contains__)))


@st.composite
def _histories(draw: st.DrawFn, drawing: _Drawing, machine: Machine, most: int) -> History:
    life = Life(machine)
    drawing.goal = ""
    step = _step(drawing, life)
    for _ in range(draw(st.integers(0, most))):
        draw(step)
    return life.history


def histories(
    machine: Machine, *, most: int = MOST, given: Given | None = None, stray: bool = False, crashes: bool = True
) -> st.SearchStrategy[History]:
    """Draw a life that is possible, from its beginning; see `statecore.testing.lives` for what is.

    Args:
        machine: the definition.
        most: events in it at most, about.
        given: how some values are drawn; see `values`.
        stray: also outcomes of attempts that nobody awaits, and the runtime's notes of late ones.
        crashes: also processes that end and begin again.
    """
    return _histories(_Drawing(machine, given, stray=stray, crashes=crashes), machine, most)


def snapshots(machine: Machine, *, most: int = MOST, given: Given | None = None) -> st.SearchStrategy[Snapshot]:
    """Draw an instance as it can be: where some possible life has led it.

    Args:
        machine: the definition.
        most: events of that life at most, about.
        given: how some values are drawn; see `values`.
    """
    return histories(machine, most=most, given=given).map(lambda life: life[-1].after if life else machine.start())

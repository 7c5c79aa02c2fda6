"""Sample values of events, made from the types of their fields. Pure, and the same every time.

For each type a few values at its boundaries. Numbers and texts that a machine's guards compare with are found in their
code, and tried with what lies just beside them, so that both answers of a guard are met.
"""

import enum
import itertools
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import attrs

from statecore.errors import ExplorationError
from statecore.events import Event
from statecore.machine import Machine

E = TypeVar("E", bound=Event)

EVERY_MAX: Final = 64
"""Where a class has no more combinations than this, all are tried; else each field is varied for itself."""

DEEP_MAX: Final = 4
"""How deep functions that a guard calls are looked into, and values are nested."""


class Constants(typing.NamedTuple):
    """What guards compare with."""

    numbers: tuple[int, ...] = ()
    texts: tuple[str, ...] = ()


def constants(machine: Machine) -> Constants:
    """Find the numbers and texts in the code of a machine's guards."""
    found: dict[Any, None] = {}
    for row in machine.table:
        if row.when is not None:
            _collect(row.when, found, DEEP_MAX)
    numbers = {value for value in found if isinstance(value, int) and not isinstance(value, bool)}
    beside = sorted({value + by for value in numbers for by in (-1, 0, 1)})
    return Constants(tuple(beside), tuple(value for value in found if isinstance(value, str)))


def names_in(function: Any) -> set[str]:
    """Return the names of attributes and functions in the code of a function, and of the functions that it calls."""
    found: set[str] = set()
    for code, _ in _code_of(function, DEEP_MAX):
        found.update(code.co_names)
    return found


def _collect(function: Any, found: dict[Any, None], deep: int) -> None:
    for code, known in _code_of(function, deep):
        for value in code.co_consts:
            if not isinstance(value, types.CodeType) and value != known.get("__doc__", ""):
                _keep(value, found)
        for name in code.co_names:
            if not callable(known.get(name)):
                _keep(known.get(name), found)
    for cell in getattr(function, "__closure__", None) or ():
        _keep(cell.cell_contents, found)


def _code_of(function: Any, deep: int) -> Iterator[tuple[types.CodeType, Mapping[str, Any]]]:
    """Return the code of a function and of what it calls, each with the names that its module knows."""
    code = getattr(function, "__code__", None)
    if code is None or deep == 0:
        return
    known = {**function.__globals__, "__doc__": function.__doc__}
    waiting = [code]
    while waiting:
        one = waiting.pop()
        yield one, known
        waiting += [value for value in one.co_consts if isinstance(value, types.CodeType)]
        for name in one.co_names:
            yield from _code_of(known.get(name), deep - 1)


def _keep(value: Any, found: dict[Any, None]) -> None:
    if isinstance(value, tuple | list | set | frozenset):
        for item in sorted(value, key=repr):
            _keep(item, found)
    elif isinstance(value, int | str):
        found[value] = None


def made(kind: type[E], known: Constants | None = None) -> tuple[E, ...]:
    """Make samples of an event class.

    Args:
        kind: a frozen attrs class.
        known: what guards compare with; see `constants`.

    Raises:
        ExplorationError: a field has a type of which no value can be made; give samples by hand.
    """
    return tuple(_instances(kind, known or Constants(), DEEP_MAX, kind.__name__))


def _instances(kind: type[Any], known: Constants, deep: int, where: str) -> list[Any]:
    fields = [field for field in attrs.fields(kind) if field.init]
    hints = typing.get_type_hints(kind)
    choices: list[list[Any]] = []
    for field in fields:
        default = _default(field)
        values = [] if default is attrs.NOTHING else [default]
        try:
            values += _values(hints[field.name], known, deep - 1, f"{where}.{field.name}")
        except ExplorationError:
            if default is attrs.NOTHING:
                raise
        choices.append(_distinct(values))
    names = [field.alias for field in fields]
    found: list[Any] = []
    for combined in _combined(choices):
        try:
            found.append(kind(**dict(zip(names, combined, strict=True))))
        except (ValueError, TypeError):
            continue  # a validator of the class does not want it
    return found


def _default(field: "attrs.Attribute[Any]") -> Any:
    default: Any = field.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        return attrs.NOTHING if default.takes_self else default.factory()
    return default


def _combined(choices: Sequence[Sequence[Any]]) -> Iterable[Sequence[Any]]:
    count = 1
    for values in choices:
        count *= len(values)
    if count <= EVERY_MAX:
        yield from itertools.product(*choices)
        return
    base = [values[0] for values in choices]
    yield base
    for index, values in enumerate(choices):
        for value in values[1:]:
            yield [*base[:index], value, *base[index + 1 :]]
    yield [values[-1] for values in choices]


def _values(hint: Any, known: Constants, deep: int, where: str) -> list[Any]:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _distinct(value for one in arguments for value in _values(one, known, deep, where))
    if origin is typing.Literal:
        return list(arguments)
    if origin in (typing.ClassVar, typing.Final, typing.Annotated):
        return _values(arguments[0], known, deep, where)
    simple: dict[Any, Callable[[], list[Any]]] = {
        type(None): lambda: [None],
        bool: lambda: [False, True],
        int: lambda: [0, 1, *known.numbers],
        float: lambda: [0.0, 1.0, *map(float, known.numbers)],
        str: lambda: ["", "a", *known.texts],
        bytes: lambda: [b"", b"a"],
        Any: lambda: [None],
        object: lambda: [None],
    }
    if hint in simple:
        return simple[hint]()
    if origin in (tuple, frozenset) or hint in (tuple, frozenset):
        return _collections(origin or hint, arguments, known, deep, where)
    if origin is not None and issubclass(origin, Mapping):
        return [origin() if origin is dict else {}]
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)
    if isinstance(hint, type) and attrs.has(hint) and deep > 0:
        return _instances(hint, known, deep, where)[:2]
    raise ExplorationError(f"{where}: no sample can be made of {hint!r}; give samples of the event by hand")


def _collections(kind: Any, arguments: Sequence[Any], known: Constants, deep: int, where: str) -> list[Any]:
    if not arguments:
        return [kind()]
    if kind is tuple and not (len(arguments) == 2 and arguments[1] is ...):
        return [tuple(_values(one, known, deep, where)[0] for one in arguments)]
    items = _values(arguments[0], known, deep, where)
    return _distinct([kind(), kind((items[-1],)), kind(items[-2:])])


def _distinct(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(type(value) is type(one) and value == one for one in found):
            found.append(value)
    return found

"""Values to journal text and back, by cattrs.

An event or what a machine remembers is a frozen attrs value. Its fields may be: bool, int (up to 64 bits), float
(finite), str, bytes-free enums and literals, None, tuples of these, mappings from str, and frozen attrs values again.
Whether a type survives the round trip is decided when a machine is defined, not when its first row is lost.

Each type has a version (`schema`). A row of an older version is lifted by upcasters, one step at a time, on the plain
dict, before it is structured; so history is never rewritten.
"""

import enum
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeVar, Union

import attrs
import orjson
from cattrs.preconf.orjson import make_converter

from statecore.errors import CodecError
from statecore.structuring import structure_of

T = TypeVar("T")
Upcast = Callable[[dict[str, Any]], dict[str, Any]]

_converter: Final = make_converter(forbid_extra_keys=True, omit_if_default=True)


@_converter.register_unstructure_hook
def _finite(value: float) -> float:
    if not math.isfinite(value):  # JSON has no such number, and would say null
        raise ValueError(f"{value!r} is not finite")
    return value


PLAIN: Final[dict[type, Callable[[Any], Any]]] = {}
"""What takes a value of a class apart, of each class that `dumps` has written: the converter would look it up each time.
Where that is done for every row it is asked first."""
_upcasters: Final[dict[tuple[str, int], Upcast]] = {}


def dumps(value: Any) -> str:
    """Write a frozen attrs value as JSON text; fields at their default are left out.

    Raises:
        CodecError: a field holds something the codec cannot carry.
    """
    kind = type(value)
    try:
        plain = PLAIN.get(kind)
        if plain is None:
            plain = PLAIN[kind] = _converter.get_unstructure_hook(kind)
        return orjson.dumps(plain(value)).decode()
    except Exception as error:
        raise CodecError(f"{type(value).__name__} cannot be written to the journal: {error}") from error


def loads(text: str | bytes, kind: type[T], *, schema: int | None = None) -> T:
    """Read a value back.

    Args:
        text: what `dumps` wrote.
        kind: the attrs class.
        schema: the version the row was written at; lifted to the class's own by the registered upcasters.

    Raises:
        CodecError: the text does not fit the class, or no upcaster leads from its version to the class's.
    """
    try:
        current: int = getattr(kind, "schema", 1)
        if schema is None or schema == current:
            fields = orjson.loads(text)
            value = structure_of(kind)(fields)
            return _converter.structure(fields, kind) if value is None else value
        return _converter.structure(upcast(kind.__name__, _converter.loads(text, dict), schema, current), kind)
    except CodecError:
        raise
    except Exception as error:
        raise CodecError(f"this is no {kind.__name__}: {_why(error)}; the text was {_short(text)}") from error


def reader(kind: type[T], schema: int) -> Callable[[str], T]:
    """Return a function that reads many values of a class back, as `loads` does, with what does not change looked up once.

    Args:
        kind: the attrs class.
        schema: the version the rows were written at.
    """
    if schema != getattr(kind, "schema", 1):
        return lambda text: loads(text, kind, schema=schema)
    structure, parse = structure_of(kind), orjson.loads

    def read(text: str) -> T:
        try:
            value: T | None = structure(parse(text))
        except orjson.JSONDecodeError:
            value = None
        return loads(text, kind) if value is None else value  # which says what is wrong, if anything is

    return read


def upcaster(name: str, *, since: int) -> Callable[[Upcast], Upcast]:
    """Register a function that lifts the fields of event or data type *name* from version *since* to the next.

    Args:
        name: the class's name.
        since: the version it reads; it returns the fields of version ``since + 1``.
    """

    def register(lift: Upcast) -> Upcast:
        if (name, since) in _upcasters:
            raise CodecError(f"there are two upcasters for {name} from version {since}")
        _upcasters[name, since] = lift
        return lift

    return register


def has_upcaster(name: str, since: int) -> bool:
    """Tell whether there is an upcaster for a type from a version."""
    return (name, since) in _upcasters


def upcast(name: str, fields: dict[str, Any], schema: int, current: int) -> dict[str, Any]:
    """Lift *fields* from version *schema* to *current*, a step at a time.

    Raises:
        CodecError: a step is missing, or the row is newer than the code.
    """
    if schema > current:
        raise CodecError(f"{name} was written at version {schema} and this code knows {current}; run a newer statecore")
    for step in range(schema, current):
        if (name, step) not in _upcasters:
            raise CodecError(f"{name} has a row of version {step} and no upcaster from it (register one for {step})")
        fields = _upcasters[name, step](fields)
    return fields


ERROR_CHARACTERS_MAX: Final = 1000
"""How much of a text about a failure is recorded. Real ones are a line; some libraries put a whole body into theirs."""


def mend(value: T, longest: int | None = None) -> T:
    """Return *value* with every text in it made writable, and cut to *longest* characters if that is given.

    Half a character (a lone surrogate, as JSON from outside can hold) cannot be written as UTF-8. What comes from outside
    is mended at the door, or one such text would stop the machine that it is about, again at every start.
    """
    if isinstance(value, str):
        text = value if longest is None or len(value) <= longest else f"{value[:longest]} ..."
        return text if text.isascii() else _mended(text)  # type: ignore[return-value]
    if isinstance(value, tuple):
        return tuple(mend(item, longest) for item in value)  # type: ignore[return-value]
    if isinstance(value, Mapping):
        return {mend(key): mend(item, longest) for key, item in value.items()}  # type: ignore[return-value]
    if attrs.has(type(value)):
        changed = {
            field.alias: new
            for field in attrs.fields(type(value))  # type: ignore[arg-type]
            if field.init and (new := mend(old := getattr(value, field.name), longest)) != old
        }
        return attrs.evolve(value, **changed) if changed else value  # type: ignore[misc]
    return value


def _mended(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _why(error: Exception) -> str:
    found = list(getattr(error, "exceptions", ())) or [error]
    while getattr(found[0], "exceptions", ()):
        found = list(found[0].exceptions)
    return f"{type(found[0]).__name__}: {found[0]}"


def _short(text: str | bytes) -> str:
    shown = text if isinstance(text, str) else text.decode(errors="replace")
    return shown if len(shown) <= 120 else f"{shown[:117]}..."


# ---- does a type survive? --------------------------------------------------------------------------------------------


def objection(kind: type, within: tuple[type, ...] = ()) -> str | None:
    """Return why values of *kind* would not survive the journal, or None.

    The types of the fields are checked first. Where more than the types decides, a sample with awkward values makes the round
    trip; for every class it would be a sixth of what a command takes to start.

    Args:
        kind: the class.
        within: the classes of whose fields it is the type.
    """
    if not attrs.has(kind):
        return f"{kind.__name__} is no attrs class"
    if kind in within:
        return f"{kind.__name__} holds itself, so there is no bound on what is recorded"
    try:
        hints = typing.get_type_hints(kind)
        for field in attrs.fields(kind):
            if why := _type_objection(hints[field.name], (*within, kind)):
                return f"{kind.__name__}.{field.name}: {why}"
        with (
            attrs.validators.disabled()
        ):  # a class says itself what a field may hold; this is about whether it survives
            sample = _sample(kind)
            before = repr(sample)
            back = sample if _is_plain(kind, hints) else loads(dumps(sample), kind)
    except (CodecError, TypeError, NameError, ValueError) as error:
        return f"{kind.__name__}: {error}"
    if back != sample or repr(back) != before:
        return f"{kind.__name__}: {sample!r} came back as {back!r}"
    return None if _frozen(sample) else f"{kind.__name__} is not frozen, so what is recorded could change afterwards"


def _is_plain(kind: type, hints: Mapping[str, Any]) -> bool:
    """Tell whether nothing but its plain fields decides what is written of a class and what is made of that."""
    if hasattr(kind, "__attrs_post_init__") or not any("__eq__" in vars(base) for base in kind.__mro__[:-1]):
        return False
    return all(
        field.init and field.converter is None and field.alias == field.name and _is_plain_type(hints[field.name])
        for field in attrs.fields(kind)
    )


def _is_plain_type(hint: Any) -> bool:
    """Tell whether JSON has what a type holds; of a type without objection, whose classes were asked themselves."""
    if typing.get_origin(hint) is Literal:
        return all(type(value) in (str, int, bool) for value in typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return all(type(member.value) in (str, int) for member in hint)
    return all(_is_plain_type(part) for part in typing.get_args(hint) if part is not ...)


def _frozen(value: Any) -> bool:
    """Try it: a class that is not frozen may have a `__setattr__` all the same, for its validators."""
    names = [field.name for field in attrs.fields(type(value))] or ["schema"]
    try:
        setattr(value, names[0], getattr(value, names[0], None))
    except attrs.exceptions.FrozenInstanceError:
        return True
    except AttributeError:
        return False
    return False


def _type_objection(hint: Any, within: tuple[type, ...]) -> str | None:
    origin = typing.get_origin(hint)
    if hint in (bool, int, float, str, type(None)) or origin is Literal:
        return None
    if origin in (Union, types.UnionType):
        several = [part for part in typing.get_args(hint) if part is not type(None)]
        if len(several) > 1:
            return f"{hint} is ambiguous in JSON; one type, or one type and None"
        return _type_objection(several[0], within)
    if origin is tuple:
        parts = (part for part in typing.get_args(hint) if part is not ...)
        return next((why for part in parts if (why := _type_objection(part, within))), None)
    if origin in (Mapping, typing.Mapping) or hint is Mapping:
        arguments = typing.get_args(hint)
        if not arguments or arguments[0] is not str:
            return "a mapping must have str keys"
        return _type_objection(arguments[1], within)
    if isinstance(hint, type):
        if issubclass(hint, enum.Enum):
            return None
        if attrs.has(hint):
            return objection(hint, within)
    return f"{hint} does not survive JSON; use bool, int, float, str, tuples, str-keyed Mappings, enums or frozen attrs"


def _sample(hint: Any) -> Any:
    """Return a value of the type that a careless codec would spoil."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return typing.get_args(hint)[-1]
    if origin in (Union, types.UnionType):
        return _sample(next(part for part in typing.get_args(hint) if part is not type(None)))
    if origin is tuple:
        arguments = typing.get_args(hint)
        return tuple(_sample(part) for part in arguments if part is not ...)
    if origin in (Mapping, typing.Mapping):
        return {"k": _sample(typing.get_args(hint)[1])}
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[-1]
    if isinstance(hint, type) and attrs.has(hint):
        hints = typing.get_type_hints(hint)
        return hint(**{field.alias: _sample(hints[field.name]) for field in attrs.fields(hint) if field.init})
    return {type(None): None, bool: True, int: 2**53 + 1, float: math.pi, str: '\u2028é\x00😀"'}[hint]

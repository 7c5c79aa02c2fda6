"""Settings that are checked where they are written, with the key that holds them.

A settings class is a frozen attrs class whose fields are made by `duration`, `count`, `number`, `choice`, `location`,
`table` and, for what is nobody else's, `checked`. Built from Python it raises on the field's name; built from a
configuration file by `build` it raises on the dotted key the user wrote. Nothing absurd gets as far as a machine: not zero,
not negative, not NaN, not ten thousand years.
"""

import functools
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from statecore.errors import ConfigError
from statecore.units import MILLISECONDS, SECONDS, parse_duration, show_duration

T = TypeVar("T")

_SETTING: Final = "statecore.setting"
"""Marks, in the metadata of a field, that it is a setting."""

_DURATION: Final = "statecore.duration"
"""Marks that it holds a duration."""


def checked(convert: Callable[[Any, Any], Any], **arguments: Any) -> Any:
    """Make a field whose value goes through *convert*, which is given what was written and the field.

    Args:
        convert: returns what the field holds, or raises `ConfigError` on the field's name.
        arguments: as for `attrs.field`.
    """
    metadata = {_SETTING: True, **arguments.pop("metadata", {})}
    return attrs.field(converter=attrs.Converter(convert, takes_field=True), metadata=metadata, **arguments)


def duration(default: str, *, low: str = "1ms", high: str = "3650d") -> Any:
    """Make a field that holds nanoseconds and is written as "10s", "250ms", "24h", or a number of seconds."""
    lowest, highest = parse_duration(low), parse_duration(high)

    def convert(value: object, field: "attrs.Attribute[Any]") -> int:
        try:
            ns = parse_duration(value)
        except ValueError as error:
            raise ConfigError(field.name, str(error)) from None
        if not lowest <= ns <= highest:
            raise ConfigError(
                field.name,
                f"{show_duration(ns)} is out of range: from {show_duration(lowest)} to {show_duration(highest)}",
            )
        return ns

    return checked(convert, default=default, metadata={_DURATION: True})


def number(default: float, *, low: float, high: float) -> Any:
    """Make a field that holds a finite number between *low* and *high*, both included."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(field.name, f"must be a finite number, got {value!r}")
        if isinstance(value, float) and not math.isfinite(value):  # of a long int, isfinite knows nothing
            raise ConfigError(field.name, f"must be a finite number, got {value!r}")
        if not low <= value <= high:
            raise ConfigError(field.name, f"{value!r} is out of range: from {low:g} to {high:g}")
        return float(value)

    return checked(convert, default=default)


def count(default: int, *, low: int, high: int) -> Any:
    """Make a field that holds a whole number between *low* and *high*, both included."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(field.name, f"must be a whole number, got {value!r}")
        if not low <= value <= high:
            raise ConfigError(field.name, f"{value!r} is out of range: from {low} to {high}")
        return value

    return checked(convert, default=default)


def choice(default: str, *options: str) -> Any:
    """Make a field that holds one of *options*."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> str:
        if not isinstance(value, str) or value not in options:
            raise ConfigError(field.name, f"must be one of {', '.join(options)}; got {value!r}")
        return value

    return checked(convert, default=default)


def location(factory: Callable[[], Path] | None = None) -> Any:
    """Make a field that holds a place in the file system."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> Path:
        if not isinstance(value, str | os.PathLike) or not os.fspath(value) or "\0" in os.fsdecode(value):
            raise ConfigError(field.name, f"must be the name of a file or folder, got {value!r}")
        return Path(os.fsdecode(value))

    default: Any = attrs.NOTHING if factory is None else attrs.Factory(factory)
    return checked(convert, default=default)


def table(kind: type[Any]) -> Any:
    """Make a field that holds settings of a class of their own; without any, their defaults."""

    def convert(value: object, field: "attrs.Attribute[Any]") -> Any:
        if not isinstance(value, kind):
            raise ConfigError(field.name, f"must be a {kind.__name__}, got {value!r}")
        return value

    return checked(convert, factory=shared(kind))


def shared(kind: type[T]) -> Callable[[], T]:
    """Return a factory of a settings class's defaults for fields that hold them. They never change, so all that have them
    hold the same ones: a thousand accounts would else hold 2 MB of them."""
    return functools.cache(kind)


def build(kind: type[T], values: object, key: str) -> T:
    """Build a settings class from a table of a configuration file.

    Args:
        kind: a frozen attrs class; fields that are settings classes themselves are built from sub-tables.
        values: what the file holds there.
        key: the dotted key of the table, for errors.

    Raises:
        ConfigError: a key is unknown, missing or holds something absurd.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(key, f"must be a table, got {values!r}")
    fields = {field.alias: field for field in attrs.fields(kind) if field.init}  # type: ignore[arg-type]
    if unknown := sorted(set(values) - set(fields)):
        raise ConfigError(f"{key}.{unknown[0]}", f"no such setting; there are {', '.join(sorted(fields))}")
    given = {}
    for name, value in values.items():
        inner = fields[name].type
        nested = isinstance(inner, type) and attrs.has(inner) and not isinstance(value, inner)
        given[name] = build(inner, value, f"{key}.{name}") if nested else value
    if missing := [name for name, field in fields.items() if field.default is attrs.NOTHING and name not in given]:
        raise ConfigError(f"{key}.{missing[0]}", "is missing")
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"{key}.{error.key}", error.why) from None


def written(value: Any) -> Any:
    """Write settings the way `build` reads them: with all defaults, and without what could not stand in a file.

    Left out is what is secret, which is what its class does not show (``repr=False``).
    """
    if isinstance(value, Mapping):
        return {str(key): written(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [written(item) for item in value]
    if not attrs.has(type(value)):
        return str(value) if isinstance(value, Path) else value
    return {
        field.alias: _duration_text(held) if field.metadata.get(_DURATION) else written(held)
        for field in attrs.fields(type(value))
        if field.init and field.repr is not False and _is_setting(held := getattr(value, field.name))
    }


def _is_setting(value: Any) -> bool:
    """Tell whether a value can stand in a configuration file."""
    if isinstance(value, Mapping):
        return all(map(_is_setting, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_is_setting, value))
    if attrs.has(type(value)):
        return any(_SETTING in field.metadata for field in attrs.fields(type(value)))
    return isinstance(value, bool | int | float | str | Path)


def _duration_text(ns: int) -> str:
    """Write a duration so that reading it gives the same number of ns."""
    if ns % SECONDS == 0:
        return f"{ns // SECONDS}s"
    return f"{ns / MILLISECONDS:.6f}".rstrip("0").rstrip(".") + "ms"

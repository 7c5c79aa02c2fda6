"""Reading what JSON holds into frozen attrs values: a function for each class, written when its first row is read.

Such a function looks at each field once, takes what is of exactly the declared type, and declines everything else by
returning None: a text where a number should be, a field that is missing or not known, a type with more to it. What is
declined goes the general way, through cattrs, which converts it or says what is wrong. So nothing is decided twice.
"""

import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, Union

import attrs

from statecore.drafts import draft_of

Structure = Callable[[Any], Any]
"""(what JSON held) -> the value, or None for "the general way"."""

PLAIN: Final = (str, int, bool, float)


class _NotPlainError(Exception):
    """A type that only the general way can read."""


_KNOWN: Final[dict[type, Structure]] = {}


def structure_of(cls: type) -> Structure:
    """Return the function that reads a value of a class."""
    found = _KNOWN.get(cls)
    if found is None:
        try:
            found = _write(cls)
        except (_NotPlainError, NameError, TypeError, RecursionError):
            found = _decline
        _KNOWN[cls] = found
    return found


def _decline(_fields: Any) -> None:
    return None


def _write(cls: type) -> Structure:
    draft = draft_of(cls) if attrs.has(cls) else None
    fields = attrs.fields(cls) if draft is not None else ()
    if draft is None or any(field.alias != field.name for field in fields):
        raise _NotPlainError
    hints = typing.get_type_hints(cls)
    scope: dict[str, Any] = {"cls": cls, "draft": draft, "new": object.__new__}
    body = ["if type(fields) is not dict: return None", "copy = new(draft)", "known = 0"]
    for field in fields:
        body.append(f"if {field.name!r} in fields:")
        body.append(f"    value = fields[{field.name!r}]")
        body += [f"    {line}" for line in _check(hints[field.name], f"{field.name}_", scope)]
        body += [f"    copy.{field.name} = value", "    known += 1", "else:"]
        body.append(f"    {_absent(field, scope)}")
    body += ["if known != len(fields): return None", "copy.__class__ = cls", "return copy"]
    exec("\n    ".join(["def structure(fields):", *body]), scope)  # noqa: S102 - as attrs itself does
    structure: Structure = scope["structure"]
    return structure


def _absent(field: "attrs.Attribute[Any]", scope: dict[str, Any]) -> str:
    """Write what is done where a field is left out."""
    if field.default is attrs.NOTHING:
        return "return None"
    name = f"{field.name}_default"
    if field.default is not None and isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
        if field.default.takes_self:
            raise _NotPlainError
        scope[name] = field.default.factory
        return f"copy.{field.name} = {name}()"
    scope[name] = field.default
    return f"copy.{field.name} = {name}"


def _check(hint: Any, name: str, scope: dict[str, Any]) -> Iterator[str]:
    """Write what turns `value` into one of a type, or declines it.

    Args:
        hint: the type.
        name: what the names that are needed begin with.
        scope: where what they stand for is put.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in PLAIN:
        yield f"if type(value) is not {hint.__name__}: return None"
    elif origin is Literal and all(type(word) is str for word in arguments):
        scope[f"{name}words"] = frozenset(arguments)
        yield f"if type(value) is not str or value not in {name}words: return None"
    elif origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        yield "if value is not None:"
        (one,) = (part for part in arguments if part is not type(None))
        for line in _check(one, name, scope):
            yield f"    {line}"
    elif origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        yield "if type(value) is not list: return None"
        yield "items = value"
        yield "value = []"
        yield "for item in items:"
        yield from (f"    {line}" for line in _check_item(arguments[0], name, scope))
        yield "value = tuple(value)"
    elif isinstance(hint, type) and attrs.has(hint):
        scope[f"{name}read"] = structure_of(hint)
        yield f"value = {name}read(value)"
        yield "if value is None: return None"
    else:
        raise _NotPlainError


def _check_item(hint: Any, name: str, scope: dict[str, Any]) -> Iterator[str]:
    """Write what takes one item of a list."""
    if hint in PLAIN:
        yield f"if type(item) is not {hint.__name__}: return None"
    elif isinstance(hint, type) and attrs.has(hint):
        scope[f"{name}read"] = structure_of(hint)
        yield f"item = {name}read(item)"
        yield "if item is None: return None"
    else:
        raise _NotPlainError
    yield "value.append(item)"

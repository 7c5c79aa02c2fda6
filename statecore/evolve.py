"""Copy a frozen value with some fields changed, in an eighth of the time of the general way."""

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

import attrs

from statecore.drafts import draft_of

T = TypeVar("T")
Copier = Callable[[Any, dict[str, Any]], Any]

_COPIERS: dict[type, dict[tuple[str, ...], Copier]] = {}
_TAKEN: Final = frozenset({"was", "copy", "cls", "draft", "new", "general", "both", "_name", "_change"})
"""Names that `evolver` needs for itself."""


def _copier(cls: type, changed: tuple[str, ...]) -> Copier:
    """Build the function that copies a *cls* with these fields changed: each slot is set once, and nothing else done."""
    fields = attrs.fields(cls)
    if unknown := [name for name in changed if name not in {field.name for field in fields}]:
        raise TypeError(f"{cls.__name__} has no field {unknown[0]!r}")
    draft = draft_of(cls)
    if draft is None:
        return lambda value, changes: attrs.evolve(value, **changes)
    lines = [
        f"copy.{field.name} = {f'changes[{field.name!r}]' if field.name in changed else f'value.{field.name}'}"
        for field in fields
    ]
    source = "\n    ".join(
        ["def copier(value, changes):", "copy = new(draft)", *lines, "copy.__class__ = cls", "return copy"]
    )
    scope: dict[str, Any] = {"cls": cls, "draft": draft, "new": object.__new__}
    exec(source, scope)  # noqa: S102 - as attrs itself does; nothing in it comes from outside
    copier: Copier = scope["copier"]
    return copier


def evolve(value: T, /, **changes: Any) -> T:
    """Return a copy of *value* with the given fields replaced.

    It is `attrs.evolve` without its generality. The step of every machine copies what it remembers, so this is the
    hottest line of the core.

    Raises:
        TypeError: *value* has no such field.
    """
    try:
        copier = _COPIERS[value.__class__][tuple(changes)]
    except KeyError:
        copier = _copier(type(value), tuple(changes))
        _COPIERS.setdefault(type(value), {})[tuple(changes)] = copier
    copied: T = copier(value, changes)
    return copied


class Evolve(Protocol):
    """What `evolve` is."""

    def __call__(self, value: T, /, **changes: Any) -> T:
        """Return a copy of *value* with the given fields replaced."""


def evolver(cls: type) -> Evolve:
    """Return an `evolve` that takes half the time, for the values of one class.

    A module whose handlers copy what a machine remembers has one for that class. The fields are its arguments, so it takes
    the changes as they are given, where the general one has to gather them and look up what to do about just those.

    Args:
        cls: the class. Values of classes derived from it are copied the general way.
    """
    draft, names = draft_of(cls), [field.name for field in attrs.fields(cls)]
    if draft is None or _TAKEN.intersection(names):
        return evolve
    lines = [
        f"def evolve(was, /, {', '.join(f'{name}=...' for name in names)}):",
        "if was.__class__ is not cls:",
        f"    both = zip({names!r}, ({''.join(f'{name}, ' for name in names)}))",
        "    return general(was, **{_name: _change for _name, _change in both if _change is not ...})",
        "copy = new(draft)",
        *(f"copy.{name} = was.{name} if {name} is ... else {name}" for name in names),
        "copy.__class__ = cls",
        "return copy",
    ]
    scope: dict[str, Any] = {"cls": cls, "draft": draft, "new": object.__new__, "general": evolve}
    exec("\n    ".join(lines), scope)  # noqa: S102 - as attrs itself does; nothing in it comes from outside
    found: Evolve = scope["evolve"]
    return found

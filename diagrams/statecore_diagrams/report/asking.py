"""What may be asked of the inspector, and of what kind and size each thing is that is said with a question."""

from collections.abc import Callable, Mapping
from typing import Any, Final

MOST: Final = 2_000
"""Rows, points or places in one answer."""

SEQ_MAX: Final = 2**63 - 1

TIME_MAX: Final = 1e16
"""Three hundred years, in microseconds."""


class BadQuestionError(Exception):
    """A question that the page would not ask."""


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST


def _position(value: Any) -> bool:
    return type(value) is int and 0 <= value <= SEQ_MAX


def _time(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < TIME_MAX


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _addresses(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST and all(map(_text, value))


def _groups(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST and all(map(_group, value))


def _group(value: Any) -> bool:
    return isinstance(value, dict) and _text(value.get("account")) and _text(value.get("chat", ""))


Shape = Mapping[str, Callable[[Any], bool]]

_PART: Final[Shape] = {"t0": _time, "t1": _time, "n": _count}
_ASKS: Final[Mapping[str, Shape]] = {
    "overview": {"n": _count},
    "tree": {},
    "members": {"account": _text, "chat": _text},
    "bins": {"groups": _groups, **_PART},
    "lanes": {"addresses": _addresses, **_PART},
    "near": {"t": _time},
    "rows": {"seq": _position, "before": _count, "after": _count, "filter": _text},
    "why": {"seq": _position, "most": _count},
    "find": {"text": _text, "after": _position, "most": _count},
    "states": {"seq": _position, "addresses": _addresses},
    "edges": {"machine": _text},
    "news": {},
}
_DEFAULTS: Final = {"filter": ""}


def checked(name: str, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is said with a question, if it is what the page would say.

    Raises:
        BadQuestionError: it is not.
    """
    shape = _ASKS.get(name)
    if shape is None:
        raise BadQuestionError(f"there is no question {name!r}")
    given = {key: about.get(key, _DEFAULTS.get(key)) for key in shape}
    for key, fits in shape.items():
        if not fits(given[key]):
            raise BadQuestionError(f"{name} takes no such {key}")
    if "n" in given:
        given["n"] = max(1, given["n"])
    return given

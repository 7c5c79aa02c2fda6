"""How the fields of events, and of what is remembered, look on a line."""

import json
from collections.abc import Mapping
from typing import Any, Final

from statecore.cli.common import printable
from statecore.units import show_duration

_DURATIONS: Final = frozenset(
    {"wait", "held", "within", "lasts", "slept", "heard_ago", "by", "down", "down_total", "length", "beat_every"}
)
_LISTED: Final = 3


class Moment(str):
    """A moment in words, to be shown without quotes."""

    __slots__ = ()


def show_fields(fields: Mapping[str, Any]) -> str:
    """Write fields, each as " name=value"."""
    return "".join(f" {name}={show_value(name, value)}" for name, value in fields.items())


def show_value(name: str, value: Any) -> str:
    """Write one value, short and safe for a terminal; durations for people."""
    if isinstance(value, Moment):
        return value
    if name in _DURATIONS and isinstance(value, int) and value >= 1000:
        return show_duration(value)
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, dict):
        return "{" + " ".join(f"{key}={show_value(key, item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return (
            "["
            + ", ".join(show_value("", item) for item in value[:_LISTED])
            + (", …]" if len(value) > _LISTED else "]")
        )
    return printable(json.dumps(value, ensure_ascii=False), 80)

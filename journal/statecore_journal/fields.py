"""The fields of events, as far as they can be read: what stands in a journal may be damaged, or of other code."""

import json
from typing import Any, Final

DEPTH_MAX: Final = 32
"""What is nested deeper than this was not written by statecore."""


def read_fields(text: str) -> dict[str, Any] | None:
    """Return the fields that a JSON text holds; None if it holds none.

    >>> read_fields('{"chat":"ann"}')
    {'chat': 'ann'}
    >>> read_fields('{"chat":') is read_fields("[1]") is None
    True
    """
    try:
        found = json.loads(text) if _depth(text) <= DEPTH_MAX else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _depth(text: str) -> int:
    """Return how deep the values of a JSON text lie within each other, at most."""
    if text.count("[") + text.count("{") <= DEPTH_MAX:
        return 0
    deepest = depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest

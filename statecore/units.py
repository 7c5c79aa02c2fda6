"""Time in integer nanoseconds, and how people write it."""

import math
import re
from typing import Final

NANOSECONDS: Final = 1
MICROSECONDS: Final = 1_000
MILLISECONDS: Final = 1_000_000
SECONDS: Final = 1_000_000_000
MINUTES: Final = 60 * SECONDS
HOURS: Final = 60 * MINUTES
DAYS: Final = 24 * HOURS

LONGEST_NS: Final = 3_660 * DAYS
"""Ten years. A longer wait in a setting is a slip of the keyboard, and sums of such waits must fit in 63 bits."""

_UNITS: Final = {"ms": MILLISECONDS, "s": SECONDS, "m": MINUTES, "h": HOURS, "d": DAYS}
_PATTERN: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*")


def parse_duration(value: object) -> int:
    """Read a duration the way people write it.

    Args:
        value: a number of seconds (int or float), or text such as "250ms", "10s", "1.5m", "24h", "7d".

    Returns:
        Nanoseconds, above zero.

    Raises:
        ValueError: it is no duration, not above zero, not finite, or longer than ten years.

    >>> parse_duration("1.5m") == 90 * SECONDS
    True
    """
    if isinstance(value, bool):
        raise ValueError("a duration is a number of seconds or text like '10s', not true or false")  # noqa: TRY004
    if isinstance(value, int | float):
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"a duration must be finite, got {value!r}")
        ns = value * SECONDS
    elif isinstance(value, str) and (match := _PATTERN.fullmatch(value)):
        if match[2] is None:  # on a command line every number is a text
            raise ValueError(
                f"{value!r} is no duration without its unit; write '{value.strip()}s' if seconds are meant"
            )
        ns = float(match[1]) * _UNITS[match[2]]
    else:
        raise ValueError(f"{value!r} is no duration; write seconds as a number, or '250ms', '10s', '5m', '24h', '7d'")
    if ns > LONGEST_NS:  # before it is rounded: a float may have become infinite, either way
        raise ValueError(f"{value!r} is longer than ten years, which cannot be meant")
    result = round(max(0, ns))
    if result == 0:
        raise ValueError(f"a duration must be above zero, got {value!r}")
    return result


def show_duration(ns: int) -> str:
    """Write a duration for people, to about three digits.

    >>> show_duration(90 * SECONDS), show_duration(250 * MILLISECONDS), show_duration(26 * HOURS)
    ('1m30s', '250ms', '1d2h')
    """
    if ns < 0:
        return f"-{show_duration(-ns)}"
    if 0 < ns < MICROSECONDS:
        return f"{ns}ns"
    if ns < 999_500_000:  # what would round up to 1000 ms is a second
        return f"{ns / MILLISECONDS:.3g}ms"
    if ns < MINUTES:
        return f"{ns / SECONDS:.3g}s"
    for big, small, big_name, small_name in (
        (DAYS, HOURS, "d", "h"),
        (HOURS, MINUTES, "h", "m"),
        (MINUTES, SECONDS, "m", "s"),
    ):
        if ns >= big:
            rest = ns % big // small
            return f"{ns // big}{big_name}{rest}{small_name}" if rest else f"{ns // big}{big_name}"
    raise AssertionError("unreachable")

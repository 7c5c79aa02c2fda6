"""Durations as people write them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.units import (
    DAYS,
    HOURS,
    LONGEST_NS,
    MICROSECONDS,
    MILLISECONDS,
    MINUTES,
    SECONDS,
    parse_duration,
    show_duration,
)
from tests.statecore.strategies import often

NAMES = {"ns": 1, "ms": MILLISECONDS, "s": SECONDS, "m": MINUTES, "h": HOURS, "d": DAYS}


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        ("250ms", 250 * MILLISECONDS),
        ("10s", 10 * SECONDS),
        ("1.5m", 90 * SECONDS),
        ("24h", 1 * DAYS),
        ("7d", 7 * DAYS),
        (" 2 h ", 2 * HOURS),
        (3, 3 * SECONDS),
        (0.25, 250 * MILLISECONDS),
        (1e-9, 1),
        ("3660d", LONGEST_NS),
    ],
)
def test_a_duration_is_read_the_way_people_write_it(written: Any, ns: int) -> None:
    """
    A bare number means seconds, as everywhere else in Python.
    """
    assert parse_duration(written) == ns


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (True, "not true or false"),
        (False, "not true or false"),
        (None, "None is no duration"),
        ([], r"\[\] is no duration"),
        ("", "'' is no duration"),
        ("10", "'10' is no duration without its unit; write '10s' if seconds are meant"),
        ("-10s", "'-10s' is no duration"),
        ("10 parsecs", "'10 parsecs' is no duration"),
        ("1h30m", "'1h30m' is no duration"),
        ("inf", "'inf' is no duration"),
        (math.nan, "must be finite, got nan"),
        (math.inf, "must be finite, got inf"),
        (-math.inf, "must be finite, got -inf"),
        (0, "must be above zero, got 0"),
        ("0s", "must be above zero, got '0s'"),
        (1e-12, "must be above zero, got 1e-12"),
        (-5, "must be above zero, got -5"),
        ("3661d", "'3661d' is longer than ten years"),
        (-1e300, "must be above zero"),
        (1e300, "is longer than ten years"),
        (10**400, "is longer than ten years"),
        ("9" * 400 + "d", "is longer than ten years"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_nonsense_is_refused_in_words(written: Any, why: str) -> None:
    """
    The text ends up on the screen of whoever made the slip.
    """
    with pytest.raises(ValueError, match=why):
        parse_duration(written)


@often
@given(
    st.one_of(st.floats(), st.integers(), st.text(), st.from_regex(r"\d{1,400}(\.\d+)?(ms|s|m|h|d)", fullmatch=True))
)
def test_whatever_is_written_it_is_a_sensible_wait_or_a_value_error(written: Any) -> None:
    """
    Any other error would show a user our traceback for their slip.
    """
    try:
        ns = parse_duration(written)
    except ValueError:
        return

    assert isinstance(ns, int)
    assert 0 < ns <= LONGEST_NS


@pytest.mark.parametrize(
    ("ns", "shown"),
    [
        (0, "0ms"),
        (1, "1ns"),
        (999, "999ns"),
        (MICROSECONDS, "0.001ms"),
        (250 * MILLISECONDS, "250ms"),
        (999_499_999, "999ms"),
        (999_999_999, "1s"),
        (1 * SECONDS, "1s"),
        (1_530 * MILLISECONDS, "1.53s"),
        (59_900 * MILLISECONDS, "59.9s"),
        (90 * SECONDS, "1m30s"),
        (5 * MINUTES, "5m"),
        (26 * HOURS, "1d2h"),
        (7 * DAYS + 59 * MINUTES, "7d"),
        (-90 * SECONDS, "-1m30s"),
    ],
)
def test_a_duration_is_shown_in_about_three_digits(ns: int, shown: str) -> None:
    """
    Nobody reads 93784.000000001 seconds.
    """
    assert show_duration(ns) == shown


def read(shown: str) -> float:
    """Read what `show_duration` writes, in ns."""
    number, total = "", 0.0
    for name in shown.replace("ms", "M").replace("ns", "N"):
        if name.isalpha():
            total += float(number) * NAMES[{"M": "ms", "N": "ns"}.get(name, name)]
            number = ""
        else:
            number += name
    assert number == ""
    return total


@often
@given(
    st.integers(1, 10**5).flatmap(lambda few: st.sampled_from(list(NAMES.values())).map(lambda unit: few * unit // 7))
)
def test_what_is_shown_is_near_what_is_meant(ns: int) -> None:
    """
    A display that loses more than the smaller of its two units misleads whoever waits for it.
    """
    shown = read(show_duration(ns))
    coarse = next((small for big, small in ((DAYS, HOURS), (HOURS, MINUTES), (MINUTES, SECONDS)) if ns >= big), 0)

    assert abs(shown - ns) <= max(coarse, 0.006 * ns)
    assert "e" not in show_duration(ns)


@pytest.mark.parametrize("shown", ["250ms", "1.53s", "5m", "7d", "24h"])
def test_what_is_shown_of_a_plain_duration_can_be_written_in_a_configuration(shown: str) -> None:
    """
    Errors quote bounds in this form, and people copy them.
    """
    ns = parse_duration(shown)

    assert parse_duration(show_duration(ns)) == ns

"""Settings that are checked where they are written, and errors that name the key."""

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.errors import ConfigError
from statecore.governor import Governor
from statecore.policies import Backoff, Circuit, Handling, Pacing, Retry, Window
from statecore.settings import build, choice, count, duration, number
from statecore.units import LONGEST_NS, MINUTES, SECONDS
from tests.statecore.strategies import often

POLICIES = [Backoff, Circuit, Handling, Pacing, Retry, Window, Governor]


@attrs.frozen
class Inner:
    wait: int = duration("10s", low="1s", high="1h")


@attrs.frozen
class Settings:
    """One of each."""

    wait: int = duration("10s", low="1s", high="1h")
    rate: float = number(1.0, low=0.5, high=8)
    most: int = count(3, low=1, high=10)
    mode: str = choice("slow", "slow", "fast")
    inner: Inner = attrs.field(factory=Inner)


@attrs.frozen
class Needy:
    name: str
    inner: Inner = attrs.field(factory=Inner)


def refusal(**given: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        Settings(**given)
    return caught.value.key, caught.value.why


# ---- fields ----------------------------------------------------------------------------------------------------------


def test_defaults_are_read_like_anything_else() -> None:
    """
    They are written the way people write them, so the code is its own documentation.
    """
    assert Settings() == Settings(wait=10, rate=1, most=3, mode="slow")
    assert Settings().wait == 10 * SECONDS


@pytest.mark.parametrize(
    ("wait", "ns"), [("1s", 1 * SECONDS), (1, 1 * SECONDS), ("1h", 3600 * SECONDS), ("1.5m", 90 * SECONDS)]
)
def test_a_duration_is_kept_in_nanoseconds(wait: Any, ns: int) -> None:
    """
    Both bounds are allowed.
    """
    assert Settings(wait=wait).wait == ns


@pytest.mark.parametrize(
    ("wait", "why"),
    [
        (0, "a duration must be above zero, got 0"),
        (-1, "a duration must be above zero, got -1"),
        (math.nan, "a duration must be finite, got nan"),
        (math.inf, "a duration must be finite, got inf"),
        (True, "a duration is a number of seconds or text like '10s', not true or false"),
        (10**400, None),
        ("999ms", "999ms is out of range: from 1s to 1h"),
        ("61m", "1h1m is out of range: from 1s to 1h"),
        ("40000d", "'40000d' is longer than ten years, which cannot be meant"),
        ("soon", "'soon' is no duration; write seconds as a number, or '250ms', '10s', '5m', '24h', '7d'"),
        (None, "None is no duration; write seconds as a number, or '250ms', '10s', '5m', '24h', '7d'"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_absurd_duration_is_refused_under_its_name(wait: Any, why: str | None) -> None:
    """
    A wait of nothing spins, and one of ten thousand years is a slip of the keyboard.
    """
    key, said = refusal(wait=wait)

    assert key == "wait"
    assert said == why or (why is None and said.endswith("is longer than ten years, which cannot be meant"))


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (0, "0 is out of range: from 0.5 to 8"),
        (-1.5, "-1.5 is out of range: from 0.5 to 8"),
        (8.0001, "8.0001 is out of range: from 0.5 to 8"),
        (math.nan, "must be a finite number, got nan"),
        (math.inf, "must be a finite number, got inf"),
        (True, "must be a finite number, got True"),
        ("1", "must be a finite number, got '1'"),
        (None, "must be a finite number, got None"),
        (10**400, f"{10**400} is out of range: from 0.5 to 8"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_an_absurd_number_is_refused_under_its_name(rate: Any, why: str) -> None:
    """
    NaN compares false with everything, so it slips through every check but this one.
    """
    assert refusal(rate=rate) == ("rate", why)


@pytest.mark.parametrize("rate", [0.5, 8, 1])
def test_a_number_is_kept_as_a_float(rate: Any) -> None:
    """
    Both bounds are allowed, and TOML writes 8 where it means 8.0.
    """
    assert type(Settings(rate=rate).rate) is float
    assert Settings(rate=rate).rate == rate


@pytest.mark.parametrize(
    ("most", "why"),
    [
        (0, "0 is out of range: from 1 to 10"),
        (11, "11 is out of range: from 1 to 10"),
        (-3, "-3 is out of range: from 1 to 10"),
        (2.0, "must be a whole number, got 2.0"),
        (math.nan, "must be a whole number, got nan"),
        (True, "must be a whole number, got True"),
        ("3", "must be a whole number, got '3'"),
    ],
    ids=str,
)
def test_an_absurd_count_is_refused_under_its_name(most: Any, why: str) -> None:
    """
    True is 1 in Python and a mistake in a configuration.
    """
    assert refusal(most=most) == ("most", why)


@pytest.mark.parametrize("most", [1, 10])
def test_both_bounds_of_a_count_are_allowed(most: int) -> None:
    """
    The error says "from 1 to 10".
    """
    assert Settings(most=most).most == most


@pytest.mark.parametrize("mode", ["Slow", "", 3, None, True])
def test_a_choice_that_is_none_is_refused_with_the_choices(mode: Any) -> None:
    """
    Whoever misspells one sees the list.
    """
    assert refusal(mode=mode) == ("mode", f"must be one of slow, fast; got {mode!r}")


@pytest.mark.parametrize("kind", POLICIES, ids=lambda kind: kind.__name__)
@often
@given(data=st.data())
def test_no_setting_of_any_policy_takes_anything_absurd(kind: type, data: st.DataObject) -> None:
    """
    Whatever is written in whichever setting: it is refused under its name, or it is a bound that holds.
    """
    field = data.draw(st.sampled_from(attrs.fields(kind)))
    value = data.draw(
        st.one_of(st.floats(), st.integers(), st.booleans(), st.none(), st.text(max_size=3), st.just(10**400))
    )
    try:
        taken = getattr(build(kind, {field.name: value}, "key"), field.name)
    except ConfigError as error:
        assert error.key in (f"key.{field.name}", "key.cap")  # noqa: PT017 - either it is taken or refused under its name
        return

    assert not isinstance(value, bool | None)
    assert isinstance(taken, int | float)
    assert math.isfinite(taken)
    assert 0 <= taken <= LONGEST_NS


# ---- tables ----------------------------------------------------------------------------------------------------------


def test_a_table_is_built_with_the_tables_in_it() -> None:
    """
    Only what is written differs from the defaults.
    """
    built = build(Settings, {"wait": "5m", "inner": {"wait": "2s"}}, "accounts.wx")

    assert built == Settings(wait="5m", inner=Inner(wait="2s"))  # type: ignore[arg-type]
    assert (built.wait, built.inner.wait) == (5 * MINUTES, 2 * SECONDS)


def test_settings_that_were_built_before_are_taken_as_they_are() -> None:
    """
    From Python, a table may hold them already.
    """
    inner = Inner(wait="3s")  # type: ignore[arg-type]

    assert build(Settings, {"inner": inner}, "accounts.wx").inner is inner


@pytest.mark.parametrize(
    ("values", "key", "why"),
    [
        ({"wait": 0}, "accounts.wx.wait", "a duration must be above zero, got 0"),
        ({"inner": {"wait": "9h"}}, "accounts.wx.inner.wait", "9h is out of range: from 1s to 1h"),
        ({"waits": 3}, "accounts.wx.waits", "no such setting; there are inner, mode, most, rate, wait"),
        ({"inner": {"z": 1, "a": 1}}, "accounts.wx.inner.a", "no such setting; there are wait"),
        ({"inner": 5}, "accounts.wx.inner", "must be a table, got 5"),
        ({"inner": None}, "accounts.wx.inner", "must be a table, got None"),
        ({"inner": "2s"}, "accounts.wx.inner", "must be a table, got '2s'"),
        ([], "accounts.wx", "must be a table, got []"),
        ("wait", "accounts.wx", "must be a table, got 'wait'"),
    ],
    ids=str,
)
def test_an_error_names_the_dotted_key_as_it_stands_in_the_file(values: Any, key: str, why: str) -> None:
    """
    People search the file for it.
    """
    with pytest.raises(ConfigError) as caught:
        build(Settings, values, "accounts.wx")

    assert (caught.value.key, caught.value.why) == (key, why)
    assert str(caught.value) == f"{key}: {why}"


def test_a_setting_without_a_default_must_be_there() -> None:
    """
    Python would say that an argument of a function is missing.
    """
    with pytest.raises(ConfigError) as caught:
        build(Needy, {"inner": {}}, "accounts.wx")

    assert str(caught.value) == "accounts.wx.name: is missing"
    assert build(Needy, {"name": "x"}, "accounts.wx") == Needy("x")

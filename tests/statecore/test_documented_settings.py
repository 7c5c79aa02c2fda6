"""Every number of a configuration file is what SETTINGS.md says, is bounded as it says, and is kept as it is written."""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

import statecore
from statecore.config import load
from statecore.errors import ConfigError
from statecore.gateway import Options
from statecore.machine import Timer
from statecore.machines import MACHINES
from statecore.settings import build
from statecore.units import MILLISECONDS, parse_duration
from statecore_adapters.qqbot import QQBot
from statecore_adapters.weixin import Weixin

PAGE: Final = Path(statecore.__file__).parent / "SETTINGS.md"

KINDS: Final[Mapping[str, tuple[type, dict[str, str]]]] = {
    "accounts.wx": (Weixin, {"account_id": "a@im.bot", "token": "token"}),
    "accounts.qq": (QQBot, {"app_id": "102000001", "client_secret": "secret"}),
    "gateway": (Options, {}),
}
"""What each table of a file holds, and what it cannot do without."""

BESIDE: Final = {
    "accounts.wx.backoff.floor": {"backoff": {"cap": "24h"}},
    "accounts.wx.backoff.cap": {"backoff": {"floor": "50ms"}},
    "accounts.wx.polling.period": {"polling": {"period_max": "1m"}},
    "accounts.wx.polling.period_max": {"polling": {"period": "100ms"}},
}
"""What a setting at its bound needs beside it."""

TIMERS: Final = {
    "accounts.wx.backoff.floor": ("connection.retry_at", "delivery.retry_at", "inbound.retry_at"),
    "accounts.wx.backoff.cap": ("connection.retry_at", "delivery.retry_at", "inbound.retry_at"),
    "accounts.wx.circuit.chat_cooldown": ("circuit.probe_at", "delivery.until"),
    "accounts.wx.circuit.cooldown": ("circuit.probe_at", "delivery.until"),
    "accounts.wx.circuit.cap": ("circuit.probe_at", "delivery.until"),
    "accounts.wx.polling.period": ("connection.rest_until",),
    "accounts.wx.polling.period_max": ("connection.rest_until",),
    "accounts.wx.retry.resend_after": ("delivery.resend_at",),
    "accounts.wx.window.lasts": ("window.closes_at",),
    "accounts.qq.sessions.address_lasts": ("session.url_until",),
    "gateway.drain": ("connection.drain_until", "session.drain_until"),
}
"""The waits that a setting decides: machine, and timer."""


@attrs.frozen
class Row:
    """One line of the page, as it is written there."""

    key: str
    default: str
    low: str
    high: str


def _rows() -> Iterator[Row]:
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if match := re.fullmatch(r"\| `([\w.]+)` \| (\S+) \| (\S+) \| (\S+) \| .*\|", line):
            yield Row(*match.groups())


ROWS: Final = {row.key: row for row in _rows()}
SETTINGS: Final = [key for key in ROWS if key != "handlers"]


def place(key: str) -> tuple[str, list[str]]:
    """Return the table that a key is in, and the names on the way from it."""
    table = next(name for name in KINDS if key.startswith(f"{name}."))
    return table, key.removeprefix(f"{table}.").split(".")


def settled(key: str, value: object, beside: Mapping[str, Any] | None = None) -> Any:
    """Return what a setting is after it was written; None to leave it out."""
    table, names = place(key)
    kind, needed = KINDS[table]
    values: dict[str, Any] = dict(needed)
    if value is not None:
        values |= BESIDE.get(key, {}) if beside is None else beside
        inner = values
        for name in names[:-1]:
            inner[name] = inner = dict(inner.get(name, {}))
        inner[names[-1]] = value
    held: Any = build(kind, values, table)
    for name in names:
        held = getattr(held, name)
    return held


def meant(written: str) -> Any:
    """Return the number that is written on the page."""
    return parse_duration(written) if written[-1].isalpha() else float(written)


def spelled(written: str) -> Any:
    """Return it as it stands in a file."""
    return written if written[-1].isalpha() else int(written) if written.isdecimal() else float(written)


def beyond(key: str, written: str, direction: int) -> Any:
    """Return the next value below or above a bound that can be written."""
    if written[-1].isalpha():
        return f"{meant(written) // MILLISECONDS + direction}ms"
    if isinstance(settled(key, None), int):
        return int(written) + direction
    return math.nextafter(float(written), direction * math.inf)


# ---- the page --------------------------------------------------------------------------------------------------------


def _numbers(kind: type, key: str, held: Any) -> Iterator[str]:
    for field in attrs.fields(kind):
        value = getattr(held, field.name)
        if attrs.has(type(value)):
            yield from _numbers(type(value), f"{key}.{field.name}", value)
        elif isinstance(value, int | float) and not isinstance(value, bool) and field.converter is not None:
            yield f"{key}.{field.name}"


def test_every_number_that_can_be_written_is_on_the_page() -> None:
    """
    What is not there, nobody finds. QQ's tables are those of WeChat but for what the page names.
    """
    there = {key for table, (kind, needed) in KINDS.items() for key in _numbers(kind, table, kind(**needed))}
    told = {key.replace(".retry.backoff.", ".backoff.").replace(".handling.backoff.", ".backoff.") for key in there}
    other = {key for key in told if key.startswith("accounts.qq.") and key not in ROWS}

    assert told - other - {"accounts.qq.intents"} == set(SETTINGS)
    assert {key.replace("accounts.qq.", "accounts.wx.") for key in other - {"accounts.qq.intents"}} <= set(ROWS)


# ---- defaults and bounds ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_that_is_not_written_is_what_the_page_says(key: str) -> None:
    """
    Most of them keep within what a platform allows, and nobody looks at them again.
    """
    assert settled(key, None) == meant(ROWS[key].default)


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_may_be_anything_from_its_first_bound_to_its_last(key: str) -> None:
    """
    Whoever writes what the page allows is not sent away, and gets what was written.
    """
    for written in (ROWS[key].low, ROWS[key].high):
        assert settled(key, spelled(written)) == meant(written)


@pytest.mark.parametrize("key", SETTINGS)
def test_a_setting_next_to_its_bounds_is_refused_under_its_key(key: str) -> None:
    """
    Just outside is where a bound that is off by one is seen.
    """
    for written, direction in ((ROWS[key].low, -1), (ROWS[key].high, 1)):
        with pytest.raises(ConfigError, match=r"is out of range: from|must be above zero") as caught:
            settled(key, beyond(key, written, direction))

        assert caught.value.key == key


@pytest.mark.parametrize("key", [key for key in SETTINGS if key.startswith("accounts.wx.backoff.")])
@pytest.mark.parametrize("table", ["retry.backoff", "handling.backoff"])
def test_the_waits_between_attempts_are_those_between_dials(table: str, key: str) -> None:
    """
    The page says it of their tables.
    """
    assert settled(key.replace(".backoff.", f".{table}."), None) == settled(key, None)


@pytest.mark.parametrize("key", TIMERS)
def test_no_wait_that_can_be_written_is_cut_short_or_drawn_out(key: str) -> None:
    """
    A timer holds what it is given between its own bounds and says nothing, so what lies outside them must be refused.
    """
    low, high = meant(ROWS[key].low), meant(ROWS[key].high)
    for name in TIMERS[key]:
        machine, _, field = name.partition(".")
        waits = [*MACHINES[machine].named, *(wait for waits in MACHINES[machine].awaits.values() for wait in waits)]
        timers = [wait for wait in waits if isinstance(wait, Timer) and wait.field == field]
        assert any(timer.floor <= low and high <= timer.cap for timer in timers), name


def test_a_period_that_grows_to_less_than_it_is_is_refused() -> None:
    """
    Which of the two is meant cannot be known, and one of them would be passed over in silence.
    """
    with pytest.raises(ConfigError) as caught:
        settled("accounts.wx.polling.period", "10s", beside={})

    assert str(caught.value) == "accounts.wx.polling.period_max: 5s is below the period, 10s"


@pytest.mark.parametrize(("written", "taken"), [(None, 16), (1, 1), (10_000, 10_000), (0, None), (10_001, None)])
def test_how_many_messages_are_handled_at_once_is_bounded(
    written: int | None, taken: int | None, tmp_path: Path
) -> None:
    """
    None at all would handle nothing, and say nothing.
    """
    row = ROWS["handlers"]
    assert (row.default, row.low, row.high) == ("16", "1", "10000")
    file = tmp_path / "gateway.toml"
    top = "" if written is None else f"handlers = {written}\n"
    file.write_text(
        f'{top}journal = "a.db"\n[accounts.wx]\nplatform = "weixin"\naccount_id = "a@im.bot"\ntoken = "x"\n'
    )

    if taken is None:
        with pytest.raises(ConfigError, match=r"handlers: .* is out of range: from 1 to 10000"):
            load(file)
    else:
        assert load(file).handlers == taken

"""Moments of a journal, as people write them."""

import datetime as dt
import re
from typing import Any, Final, Literal

import attrs
import click

from statecore.units import SECONDS, parse_duration


@attrs.frozen
class Moment:
    """A moment.

    Args:
        kind: a position in the journal, a wall clock time in ns since 1970, or ns before the last row.
        value: of it.
    """

    kind: Literal["seq", "wall", "before"]
    value: int


class _Moments(click.ParamType[Moment]):
    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Moment:
        if isinstance(value, Moment):
            return value
        if re.fullmatch(r"#?\d{1,18}", value, re.ASCII):
            return Moment("seq", int(value.removeprefix("#")))
        try:
            return Moment("before", parse_duration(value))
        except ValueError:
            pass
        try:
            return Moment("wall", _time(value))
        except ValueError:
            self.fail(f"{value!r} is no moment: write 120 (a row), 13:30, '2026-11-21 13:30:05', or 10m", param, ctx)


MOMENT: Final = _Moments()


def _time(value: str) -> int:
    """Read a time, local unless it says otherwise; of a time of day, today's."""
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?", value, re.ASCII):
        time = dt.time.fromisoformat(value.zfill(5))
        moment = dt.datetime.combine(dt.date.today(), time)  # noqa: DTZ011 - what people mean by 13:30
    else:
        moment = dt.datetime.fromisoformat(value)
    return round(moment.astimezone().timestamp() * SECONDS)


def position(reader: Any, moment: Moment, *, end: bool = False) -> int:
    """Return the position in a journal of the first row from a moment on, or of the last one up to it.

    Args:
        reader: of the journal.
        moment: which.
        end: whether the last one up to it is meant.
    """
    if moment.kind == "seq":
        return moment.value
    with reader.reading() as opened:
        ((last, wall),) = opened.execute("select coalesce(max(seq), 0), coalesce(max(wall), 0) from"
                                         " (select seq, wall from events order by seq desc limit 1)").fetchall()  # fmt: skip
        when = wall - moment.value if moment.kind == "before" else moment.value
        found = opened.execute("select seq from events where wall > ? order by seq limit 1" if end else
                               "select seq from events where wall >= ? order by seq limit 1", (when,)).fetchone()  # fmt: skip
    first: int = last + 1 if found is None else found[0]
    return first - 1 if end else first

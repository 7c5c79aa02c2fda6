"""Moments the way people write them, and the place in a journal they mean."""

import datetime as dt
import re
import sqlite3
from typing import Final

from statecore.errors import StatecoreError
from statecore.units import SECONDS, parse_duration

_DIGITS: Final = re.compile(r"#?(\d{1,18})", re.ASCII)
_TIME: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?", re.ASCII)


class NoMomentError(StatecoreError):
    """What was written is no moment."""


def parse(text: str, *, now: int, last: int) -> int:
    """Read a moment as ns since 1970.

    Args:
        text: local time "2026-11-21 18:04:05", ISO with a zone "2026-11-21T17:04:05Z", a day, "18:04:05" of the journal's
            last day, or how long ago, "10m".
        now: the wall clock, in ns since 1970.
        last: when the journal's last row was written, likewise.

    Raises:
        NoMomentError: it is none of these.
    """
    text = text.strip()
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        if found := _TIME.fullmatch(text):
            hour, minute, second, fraction = found.groups()
            day = dt.datetime.fromtimestamp(last / SECONDS).astimezone()
            moment = day.replace(
                hour=int(hour), minute=int(minute), second=int(second or 0), microsecond=0, tzinfo=None
            )
            return _ns(moment) + int((fraction or "0").ljust(9, "0"))
        return _ns(dt.datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise NoMomentError(
            f"{text!r} is no moment; write a time like 18:04:05, '2026-11-21 18:04:05' or 2026-11-21T17:04:05Z,"
            " or how long ago, like 10m"
        ) from error


def _ns(moment: dt.datetime) -> int:
    whole = moment.replace(microsecond=0).astimezone() if moment.tzinfo is None else moment.replace(microsecond=0)
    return round(whole.timestamp()) * SECONDS + moment.microsecond * 1000


def position(connection: sqlite3.Connection, text: str, *, now: int) -> int:
    """Return the position of the last row that was written by a moment, or the position that is given itself.

    Rows are written in the order of their positions, so a moment is found among them by halving. Where the wall clock was
    set back in between, it is the place from which on all rows are later, or one such place.

    Args:
        connection: the journal.
        text: a position, as 4711 or #4711, or a moment; see `parse`.
        now: the wall clock, in ns since 1970.

    Raises:
        NoMomentError: it is neither.
    """
    if found := _DIGITS.fullmatch(text.strip()):
        return int(found[1])
    newest = connection.execute("select seq, wall from events order by seq desc limit 1").fetchone()
    if newest is None:
        return 0
    moment = parse(text, now=now, last=newest[1])
    ((oldest,),) = connection.execute("select min(seq) from events").fetchall()
    low, high = int(oldest) - 1, int(newest[0])  # the row sought is behind `low`, or is it; none behind `high` is
    while low < high:
        middle = (low + high + 1) // 2
        seq, wall = connection.execute(
            "select seq, wall from events where seq <= ? order by seq desc limit 1", (middle,)
        ).fetchone()
        if wall <= moment:
            low = middle
        else:
            high = seq - 1
    ((found,),) = connection.execute("select coalesce(max(seq), ?) from events where seq <= ?", (low, low)).fetchall()
    return int(found)

"""Moments the way people write them, and the place in a journal they mean."""

import datetime as dt
import re
import sqlite3
from contextlib import suppress
from typing import Final, Literal

import attrs

from statecore.errors import StatecoreError
from statecore.units import SECONDS, parse_duration

_ROW: Final = re.compile(r"#?(\d{1,18})", re.ASCII)
_CLOCK: Final = re.compile(r"(?:(\d{2})-(\d{2})[ T])?(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?", re.ASCII)


class NoMomentError(StatecoreError):
    """What was written is no moment."""


@attrs.frozen
class Moment:
    """A moment of a journal.

    Args:
        kind: what it is counted by: the position of a row, ns since 1970, ns since midnight of the local day of the
            journal's last row, or ns before that row. A journal may be old, or have its times moved, so nothing is
            counted from now.
        value: the number.
        text: as it was written.
        date: the month and the day of month, where a time of day says them; they are the last such before the journal's end.
    """

    kind: Literal["row", "wall", "clock", "before"]
    value: int
    text: str = attrs.field(default="", eq=False)
    date: tuple[int, int] | None = None

    def wall(self, last: int) -> int:
        """Return the wall clock time it means, in ns since 1970; not for a row.

        Args:
            last: when the journal's last row was written, likewise.
        """
        if self.kind == "before":
            return last - self.value
        if self.kind == "clock":
            day = dt.datetime.fromtimestamp(last // SECONDS).astimezone()
            second, fraction = divmod(self.value, SECONDS)
            time = dt.time(second // 3600, second // 60 % 60, second % 60)
            return _ns(dt.datetime.combine(self._day(day.date()), time)) + fraction
        return self.value

    def _day(self, last: dt.date) -> dt.date:
        if self.date is None:
            return last
        month, day = self.date
        for year in range(last.year, last.year - 8, -1):  # the 29th of February is not in every year
            with suppress(ValueError):
                if (found := dt.date(year, month, day)) <= last:
                    return found
        return last


def read(text: str) -> Moment:
    """Read a moment.

    Args:
        text: a row "4711" or "#4711"; local time "2026-11-21 18:04:05"; ISO with a zone "2026-11-21T17:04:05Z"; a day; a time
            "18:04:05" of the journal's last day; "11-21 18:04:05.123" as the log writes it; or how long
            before its last row, "10m".

    Raises:
        NoMomentError: it is none of these.
    """
    text = text.strip()
    if found := _ROW.fullmatch(text):
        return Moment("row", int(found[1]), text)
    try:
        return Moment("before", parse_duration(text), text)
    except ValueError:
        pass
    try:
        if found := _CLOCK.fullmatch(text):
            month, day, hour, minute, second, fraction = found.groups()
            date = (int(month), int(day)) if month else None
            if date is not None:
                dt.date(2024, *date)  # or it is no day
            time = dt.time(int(hour), int(minute), int(second or 0))
            whole = (time.hour * 60 + time.minute) * 60 + time.second
            return Moment("clock", whole * SECONDS + int((fraction or "0").ljust(9, "0")), text, date)
        return Moment("wall", _ns(dt.datetime.fromisoformat(text)), text)
    except (ValueError, OverflowError, OSError) as error:
        raise NoMomentError(
            f"{text!r} is no moment; write a row like 4711, a time like 18:04:05, '2026-11-21 18:04:05' or"
            " 2026-11-21T17:04:05Z, or how long before the last row, like 10m"
        ) from error


def _ns(moment: dt.datetime) -> int:
    whole = moment.replace(microsecond=0).astimezone() if moment.tzinfo is None else moment.replace(microsecond=0)
    return round(whole.timestamp()) * SECONDS + moment.microsecond * 1000


def since(connection: sqlite3.Connection, moment: Moment) -> int:
    """Return the position of the first row from a moment on; of the row that comes next, if there is none yet."""
    if moment.kind == "row":
        return moment.value
    before, last = _find(connection, moment, inclusive=False)
    ((found,),) = connection.execute("select coalesce(min(seq), ?) from events where seq > ?", (last + 1, before))
    return int(found)


def until(connection: sqlite3.Connection, moment: Moment) -> int:
    """Return the position of the last row up to a moment; one before the first row, if there is none."""
    return moment.value if moment.kind == "row" else _find(connection, moment, inclusive=True)[0]


def _find(connection: sqlite3.Connection, moment: Moment, *, inclusive: bool) -> tuple[int, int]:
    """Return the positions of the last row that was written before a moment, and of the last row.

    Rows are written in the order of their positions, so a moment is found among them by halving. Where the wall clock was
    set back in between, it is the place from which on all rows are later, or one such place.

    Args:
        connection: the journal.
        moment: which.
        inclusive: whether a row that was written at the very moment counts as before it.
    """
    newest = connection.execute("select seq, wall from events order by seq desc limit 1").fetchone()
    if newest is None:
        return 0, 0
    wall = moment.wall(newest[1]) + (1 if inclusive else 0)
    ((oldest,),) = connection.execute("select min(seq) from events").fetchall()
    low, high = int(oldest) - 1, int(newest[0])  # the row sought is behind `low`, or is it; none behind `high` is
    while low < high:
        middle = (low + high + 1) // 2
        seq, written = connection.execute(
            "select seq, wall from events where seq <= ? order by seq desc limit 1", (middle,)
        ).fetchone()
        if written < wall:
            low = middle
        else:
            high = seq - 1
    ((found,),) = connection.execute("select coalesce(max(seq), ?) from events where seq <= ?", (low, low)).fetchall()
    return int(found), int(newest[0])

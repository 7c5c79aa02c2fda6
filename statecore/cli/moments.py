"""Moments of a journal on a command line: one way of writing them for every command."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from statecore.cli.common import fail

F = TypeVar("F", bound=Callable[..., Any])

MOMENTS: Final = """\
A SEQ|TIME is a row (4711), a local time ("2026-11-21 18:04:05"), an ISO time with a zone, a time of the journal's last
day (18:04:05), or how long before its last row (10m).
"""
"""What commands that take moments say of them below their examples."""


class _Moments(click.ParamType[Any]):
    name = "seq|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from statecore_journal.moments import Moment, NoMomentError, read

        if isinstance(value, Moment):
            return value
        try:
            return read(str(value))
        except NoMomentError as error:
            self.fail(str(error), param, ctx)


_MOMENT: Final = _Moments()


def since(what: str = "Only rows from here on.") -> Callable[[F], F]:
    """Give a command --since, a moment or None."""
    return click.option("--since", type=_MOMENT, metavar="SEQ|TIME", help=what)


def until(what: str = "Only rows up to here.") -> Callable[[F], F]:
    """Give a command --until, a moment or None."""
    return click.option("--until", type=_MOMENT, metavar="SEQ|TIME", help=what)


def span(reader: Any, begin: Any, end: Any) -> tuple[int | None, int | None]:
    """Return the positions of the first and of the last row that are asked for, None for what is not said.

    Args:
        reader: of the journal.
        begin: --since.
        end: --until.
    """
    first = None if begin is None else reader.since(begin)
    last = None if end is None else reader.until(end)
    if first is not None and last is not None and first > last:
        fail(f"nothing is between --since {begin.text} (row {first}) and --until {end.text} (row {last})")
    return first, last

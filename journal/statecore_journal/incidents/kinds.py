"""The monitors there are: those that ship, and those that others installed."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Final

from statecore_journal.incidents.finding import Make

GROUP: Final = "statecore.monitors"
"""Entry points under which others install monitors: name -> callable that makes one."""

SHIPPED: Final[tuple[type, ...]] = ()

KINDS: Final[Mapping[str, type]] = {}
"""What makes the monitor of each kind that ships."""


def installed(report: Callable[[str], None]) -> list[Make]:
    """Return what makes every monitor; one of others that cannot be imported is reported and left out."""
    found: list[Make] = list(SHIPPED)
    for point in entry_points(group=GROUP):
        try:
            found.append(point.load())
        except Exception as error:  # noqa: BLE001 - whoever installed it
            report(f"the monitor {point.name!r} ({point.value}) cannot be imported: {type(error).__name__}: {error}")
    return found

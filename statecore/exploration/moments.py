"""The moments that an exploration knows: now, ahead, and long ago. Pure."""

from typing import Final

from statecore.units import DAYS, HOURS

NOW: Final = 100_000 * HOURS
"""The moment at which every step is taken, in ns."""

AHEAD: Final = NOW + 1 * HOURS
"""Where every timer that runs stands."""

LONG_AGO: Final = NOW - 1000 * DAYS
"""When whatever failed began to fail: age counts as used up, so that attempts alone decide."""

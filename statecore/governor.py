"""The last line against spinning: a bound on transitions per instance, whatever an adapter returns.

The proof of a table excludes loops that wait for nothing. It cannot exclude a peer that floods, because an arrival pays
for the next attempt. So each instance has a budget of rows, and an attempt does not begin while its instance is over it.
"""

from typing import Final

import attrs

from statecore.settings import number
from statecore.units import SECONDS

KEPT: Final = 1024
"""Budgets kept before those that are full again are forgotten: most instances move a few times and never again."""


@attrs.frozen
class Governor:
    """How fast one instance may move in the long run.

    A message that comes in and is handled makes about four rows, so the default lets an account take in a burst of 250
    and then about twelve a second. Measured, that holds a flood of messages at about 1 % of a core.

    Args:
        rows_per_second: in the long run.
        burst: rows that may be made at once.
    """

    rows_per_second: float = number(50, low=1, high=1_000_000)
    burst: float = number(1000, low=1, high=10_000_000)


@attrs.define
class Budgets:
    """What each instance has left."""

    policy: Governor
    _left: dict[str, tuple[float, int]] = attrs.field(factory=dict)
    _sweep_at: int = KEPT

    def _now_left(self, address: str, now: int) -> float:
        held = self._left.get(address)
        if held is None:
            return self.policy.burst
        left, at = held
        if now > at:
            left += (now - at) / SECONDS * self.policy.rows_per_second
        return min(self.policy.burst, left)

    def charge(self, address: str, rows: int, now: int) -> None:
        """Take *rows* from an instance's budget; it may go below zero."""
        self._left[address] = (self._now_left(address, now) - rows, now)
        if len(self._left) > self._sweep_at:
            self._left = {
                name: held for name, held in self._left.items() if self._now_left(name, now) < self.policy.burst
            }
            self._sweep_at = max(KEPT, 2 * len(self._left))

    def hold(self, address: str, now: int) -> int:
        """Return for how many ns the instance must be held back."""
        left = self._now_left(address, now)
        if left >= self.policy.burst:
            self._left.pop(address, None)
        return 0 if left >= 0 else round(-left / self.policy.rows_per_second * SECONDS)

"""The server's idea of the time: trio's clock, plus what a test has added to it."""

# Two kinds of time. What the server remembers (windows, lifetimes, daily budgets) is judged on this clock, so a test
# can let an hour pass between two requests. What the server waits for (a heartbeat, the pause before a close frame)
# is trio's alone: nobody's heart stops because a window was moved.

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import attrs
import trio

__all__ = ["EPOCH_MS", "Clock"]

EPOCH_MS: Final = 1_790_000_000_000  # 2026-09-21, when most of what is known about the server was observed
BEIJING: Final = timezone(timedelta(hours=8))


@attrs.define(eq=False)
class Clock:
    """Seconds since the server was opened, and the date."""

    started_at: float = attrs.field(factory=trio.current_time)
    epoch_ms: int = EPOCH_MS
    added_s: float = 0.0

    def now(self) -> float:
        """Return the server's time, in seconds since it was opened."""
        return trio.current_time() - self.started_at + self.added_s

    def advance(self, seconds: float) -> None:
        """Let time pass for the server. It does not go back."""
        if seconds < 0:
            raise ValueError(f"time does not go back, not even by {-seconds} s")
        self.added_s += seconds

    def wall_ms(self) -> int:
        """Return the server's date, in ms since 1970."""
        return self.epoch_ms + int(self.now() * 1000)

    def rfc3339(self) -> str:
        """Return the server's date as the platform writes it: with the offset of Beijing."""
        return datetime.fromtimestamp(self.wall_ms() // 1000, UTC).astimezone(BEIJING).isoformat()

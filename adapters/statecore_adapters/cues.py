"""How often a fault of a simulator strikes. For every simulator."""

import attrs


@attrs.define(kw_only=True, eq=False)
class Cue:
    """A fault that waits for its time.

    Args:
        skip: let this many happenings pass first.
        times: strike this often, then never again. None: no limit.
        until: strike only before this time of the simulator, in seconds.
        hits: how often it has struck.
        cancelled: whether it was called off.
    """

    skip: int = 0
    times: int | None = None
    until: float | None = None
    hits: int = 0
    cancelled: bool = False

    def cancel(self) -> None:
        """Never strike again."""
        self.cancelled = True

    def is_spent(self, now: float) -> bool:
        """Tell whether it can never strike again."""
        used_up = self.times is not None and self.hits >= self.times
        return self.cancelled or used_up or (self.until is not None and now >= self.until)

    def strike(self) -> bool:
        """Tell whether a happening it is meant for is hit, and count it."""
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        return True

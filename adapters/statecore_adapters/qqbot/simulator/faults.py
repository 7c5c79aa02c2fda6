"""Faults of the gateway: what one connection does instead of, or besides, the usual."""

# One small language for all of them: a list of steps. Played where a cue says ("at identify, op 9, wait 50 ms, close
# with 4914") or at once on every live connection ("op 7, wait 2 s, close with 4009"). Frames the server had to say
# anyway and the steps go through one queue, so what was said before a fault is on the wire before it.

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import attrs

from statecore_adapters import cues

from .records import Dial

__all__ = [
    "Abort",
    "Close",
    "Cue",
    "Eof",
    "Freeze",
    "Invalid",
    "Point",
    "Proceed",
    "Raw",
    "Reconnect",
    "Reject",
    "Send",
    "Step",
    "Wait",
    "check_steps",
]

Point = Literal["connect", "hello", "identify", "resume", "ready", "resumed", "up", "heartbeat"]


@attrs.frozen
class Proceed:
    """Do what the server would have done here."""


@attrs.frozen
class Wait:
    """Let time pass on trio's clock. The connection goes on being served meanwhile."""

    ms: float


@attrs.frozen
class Send:
    """Send a frame as it is: whatever op, with or without s."""

    frame: Mapping[str, Any]


@attrs.frozen
class Raw:
    """Send a text frame (str) or a binary one (bytes)."""

    data: str | bytes


@attrs.frozen
class Invalid:
    """Op 9. None leaves `d` out."""

    resumable: bool | None = False


@attrs.frozen
class Reconnect:
    """Op 7."""


@attrs.frozen
class Close:
    """Close with this code; None sends a close frame without one."""

    code: int | None = attrs.field(default=1000)
    reason: str = ""

    @code.validator
    def _can_be_sent(self, _attribute: object, code: int | None) -> None:
        if code is not None and not (1000 <= code < 5000 and code not in {1004, 1005, 1006, 1015}):
            raise ValueError(f"no close frame can carry {code}; a connection that ends without one is Eof or Abort")


@attrs.frozen
class Eof:
    """End the TCP connection in good order, without a close frame."""


@attrs.frozen
class Abort:
    """Tear the TCP connection down with a reset."""


@attrs.frozen
class Freeze:
    """Keep the socket open, read nothing more, and send nothing more: half open."""


@attrs.frozen
class Reject:
    """Answer the opening handshake with this HTTP status. At the point "connect" only."""

    status: int = 503
    body: str = ""


Step = Proceed | Wait | Send | Raw | Invalid | Reconnect | Close | Eof | Abort | Freeze | Reject


def check_steps(steps: Iterable[Step], *, opening: bool) -> None:
    """Raise ValueError for a step that cannot be done before, or after, the opening handshake."""
    for step in steps:
        if isinstance(step, Reject) and not opening:
            raise ValueError("the opening handshake is over, so there is nothing to reject")
        if opening and not isinstance(step, Proceed | Wait | Eof | Abort | Reject):
            raise ValueError(f"nothing has been opened yet, so there is no {step}")


@attrs.define(kw_only=True, eq=False)
class Cue(cues.Cue):
    """Where steps replace the usual course; how often is said as for any cue.

    Attributes:
        point: connect (the opening handshake), hello, identify, resume, heartbeat: the steps replace what would
            have been done; `Proceed` does it after all. ready, resumed, up (either): the steps come after it.
        when: only on connections for which this is true.
    """

    point: Point
    steps: tuple[Step, ...] = attrs.field()
    when: Callable[[Dial], bool] | None = None

    @steps.validator
    def _possible(self, _attribute: object, steps: tuple[Step, ...]) -> None:
        check_steps(steps, opening=self.point == "connect")

    def strikes(self, point: Point, dial: Dial, now: float) -> bool:
        """Tell whether this happening is hit, and count it."""
        if self.is_spent(now) or not (self.point == point or (self.point == "up" and point in {"ready", "resumed"})):
            return False
        if self.when is not None and not self.when(dial):
            return False
        return self.strike()

"""Plans written by hand, for the real gateway: bugs in what the plain simulation only models, its driver and its processes."""

from typing import Any, Final

from statecore.simulation.plan import Occurrence, Plan, PlannedAccount
from statecore.units import SECONDS

CHAT: Final = "ann@im.wechat"
WX: Final = PlannedAccount("wx", "weixin", (CHAT,))


def _at(second: int, kind: str, target: str, **fields: Any) -> Occurrence:
    return Occurrence(second * SECONDS, kind, target, fields)


def _plan(*occurrences: Occurrence) -> Plan:
    return Plan(1, 300 * SECONDS, 60 * SECONDS, (WX,), occurrences)


FIRST: Final = _at(0, "process-starts", "p1", replaces=False, apart=False)
ASKS: Final = _at(10, "user-writes", "wx", chat=CHAT, text="hello")
SENDS: Final = _at(15, "program-sends", "wx", chat=CHAT, text="one", key="", lasts=0)
SECOND: Final = _at(25, "process-starts", "p2", replaces=False, apart=False)

RESTART: Final = _plan(
    FIRST,
    ASKS,
    SENDS,
    _at(20, "process-freezes", "p1", length=20 * SECONDS),  # it is slow to go
    SECOND,
    _at(45, "process-stops", "p1", back_after=0),
    _at(80, "user-writes", "wx", chat=CHAT, text="is anybody there?"),
)
"""A process is started while the one before it is still about to go."""

TWO: Final = _plan(FIRST, ASKS, SENDS, SECOND, _at(50, "user-writes", "wx", chat=CHAT, text="who are you?"))
"""A second process is started beside the first."""

ONE: Final = _plan(FIRST, ASKS, SENDS)
"""One process, one message in, one out."""

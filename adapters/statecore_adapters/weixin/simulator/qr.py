"""The login by QR code, from the server's side: a list of statuses, handed out one poll at a time."""

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import attrs
import trio

__all__ = ["QrSession", "QrStatus", "check_steps"]

QrStatus = Literal[
    "wait",
    "scaned",
    "need_verifycode",
    "verify_code_blocked",
    "expired",
    "scaned_but_redirect",
    "binded_redirect",
    "confirmed",
]
STATUSES: Final[frozenset[str]] = frozenset(get_args(QrStatus))
FINAL: Final = frozenset({"verify_code_blocked", "expired", "binded_redirect", "confirmed"})
WRONG_CODES_MAX: Final = 3  # then the code is blocked


def check_steps(steps: Sequence[str]) -> None:
    """Raise ValueError for a status that does not exist, and for no status at all."""
    if unknown := set(steps) - STATUSES:
        raise ValueError(f"no such status: {', '.join(sorted(unknown))}; there are {', '.join(sorted(STATUSES))}")
    if not steps:
        raise ValueError("a login needs at least one status")


@attrs.define(eq=False, kw_only=True)
class QrSession:
    """One QR code.

    Attributes:
        steps: what the polls are told, in order; the last one repeats.
        verify_code: the digits the phone shows, asked for by the step need_verifycode.
        user: who scans it.
        expires_at: trio time after which it can only be expired.
        scanned: whether the status "wait" is over.
        changed: set, and replaced, when a held poll should look again.
    """

    qrcode: str
    user: str
    expires_at: float
    steps: Sequence[QrStatus]
    verify_code: str = "1234"
    index: int = 0
    wrong_codes: int = 0
    redirected: bool = False
    scanned: bool = False
    changed: trio.Event = attrs.field(factory=trio.Event)
    credentials: dict[str, Any] | None = None  # made once, when confirmed

    @property
    def now_at(self) -> QrStatus:
        return self.steps[min(self.index, len(self.steps) - 1)]

    def scan(self) -> None:
        """Let the user scan: the status "wait" is over, and a poll held for it ends."""
        self.scanned = True
        self.changed.set()
        self.changed = trio.Event()

    def is_over(self, now: float) -> bool:
        """Tell whether nothing can come of it any more but what it came to."""
        return now >= self.expires_at or self.now_at in FINAL

    def then(self, status: QrStatus) -> None:
        """Let *status* follow those that were planned."""
        self.steps = [*self.steps, status]
        self.scan()

    def holds(self, now: float, *, on_redirect_host: bool) -> bool:
        """Tell whether a poll has to wait: nothing scanned yet, the list used up, or the poll is at the old host."""
        if now >= self.expires_at:
            return False
        if self.redirected and not on_redirect_host:
            return True
        if self.now_at in FINAL:
            return False
        return self.index >= len(self.steps) or (self.now_at == "wait" and not self.scanned)

    def status(self, verify_code: str, now: float, *, on_redirect_host: bool) -> str:
        """Return what one poll is told, and move on."""
        if self.redirected and not on_redirect_host:
            return "wait"  # the session lives on the other host now
        if now >= self.expires_at and self.now_at not in FINAL:
            self.steps, self.index = ["expired"], 0
        while self.now_at == "wait" and self.scanned and self.index < len(self.steps) - 1:
            self.index += 1
        if self.now_at == "need_verifycode" and self.index < len(self.steps):
            if verify_code != self.verify_code:
                return self._wrong_code(verify_code)
            self.index += 1
            if self.index == len(self.steps):
                return "scaned"
        told = self.now_at
        if told not in FINAL:
            self.index += 1
        self.redirected = self.redirected or told == "scaned_but_redirect"
        return told

    def _wrong_code(self, verify_code: str) -> str:
        self.wrong_codes += verify_code != ""
        if self.wrong_codes < WRONG_CODES_MAX:
            return "need_verifycode"
        self.steps, self.index = ["verify_code_blocked"], 0
        return "verify_code_blocked"

"""What the server remembers: bots, their users, their inboxes. No clock, no socket: the time is an argument."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from .knobs import Burst

__all__ = ["Bot", "Delivered", "Inbox", "Lease", "Peer", "Poll", "Throttle"]

ITEM_TEXT: Final = 1
ITEM_IMAGE: Final = 2
ITEM_VOICE: Final = 3
ITEM_FILE: Final = 4
ITEM_VIDEO: Final = 5
ITEM_TOOL_START: Final = 11
ITEM_TOOL_RESULT: Final = 12
NEVER_SHOWN: Final = frozenset({ITEM_VOICE, ITEM_TOOL_START, ITEM_TOOL_RESULT})
# Accepted, counted against the quota, and not shown on the phone: voice (openclaw-weixin #215, #282) and tool
# progress.
TOKENS_KEPT_MAX: Final = 256
# Context tokens remembered for each user. Older ones count as never issued, which no policy tells from too old.


@attrs.frozen(kw_only=True)
class Delivered:
    """A send that was accepted.

    Attributes:
        at: trio time when it reached (or will reach) the phone.
        duplicate_of: message id of the first accepted send with the same client_id, if there was one.
    """

    at: float
    to: str
    text: str
    client_id: str
    message_id: int
    context_token: str | None
    duplicate_of: int | None
    item: Mapping[str, Any]


@attrs.define(eq=False)
class Throttle:
    """Counts sends for a `Burst`."""

    recent: deque[float] = attrs.field(factory=deque)
    refused_until: float = float("-inf")

    def admits(self, now: float, burst: Burst) -> bool:
        """Count one attempt at *now*, and tell whether it passes."""
        if now < self.refused_until:
            if burst.extend_on_attempt:
                self.refused_until = now + burst.penalty_s
            return False
        while self.recent and self.recent[0] <= now - burst.span_s:
            self.recent.popleft()
        if len(self.recent) >= burst.sends:
            self.refused_until = now + burst.penalty_s
            self.recent.clear()
            return False
        self.recent.append(now)
        return True


@attrs.define(eq=False)
class Peer:
    """One user, as one bot sees them."""

    user: str
    open_at: float | None = None  # when the user last spoke; None: never since the bot was bound
    sent: int = 0  # accepted sends since then
    tokens: dict[str, float] = attrs.field(factory=dict)  # context token -> when it was issued; the newest is last
    throttle: Throttle = attrs.field(factory=Throttle)

    def spoke(self, token: str, now: float) -> None:
        """Reopen the window: the count starts anew."""
        self.open_at = now
        self.sent = 0
        self.tokens[token] = now
        while len(self.tokens) > TOKENS_KEPT_MAX:
            del self.tokens[next(iter(self.tokens))]

    def is_open(self, now: float, window_s: float) -> bool:
        """Tell whether the bot may write to this user, the quota aside."""
        return self.open_at is not None and now - self.open_at <= window_s

    @property
    def latest_token(self) -> str | None:
        return next(reversed(self.tokens), None)


@attrs.define(eq=False)
class Inbox:
    """Messages for one bot, numbered from 1, the oldest forgotten first."""

    messages: deque[tuple[int, dict[str, Any]]] = attrs.field(factory=deque)
    last_seq: int = 0

    def append(self, message: Mapping[str, Any], retained_max: int) -> None:
        """Give *message* the next number and keep it."""
        self.last_seq += 1
        self.messages.append((self.last_seq, {"seq": self.last_seq, **message}))
        while len(self.messages) > retained_max:
            self.messages.popleft()

    def after(self, seq: int, batch_max: int) -> list[tuple[int, dict[str, Any]]]:
        """Return the first *batch_max* messages with a higher number than *seq*."""
        if seq >= self.last_seq:
            return []
        return [entry for entry in self.messages if entry[0] > seq][:batch_max]


@attrs.define(eq=False)
class Poll:
    """One getupdates that the server holds."""

    token: str
    seen: int  # number of the last message that is not for this poll
    expired: bool = False
    woken: trio.Event = attrs.field(factory=trio.Event)

    def wake(self) -> None:
        """Make the poll look again."""
        self.woken.set()
        self.woken = trio.Event()


@attrs.frozen
class Lease:
    """How long one bot token is good for, in trio time, and which binding of the account it stands for."""

    issued_at: float
    generation: int = 1  # a cursor of another binding is foreign
    ends_at: float = float("inf")


@attrs.define(eq=False)
class Bot:
    """One bot account. `token` is always the newest one; older ones may still work, see `leases`."""

    account_id: str
    token: str
    user: str  # who scanned the QR code
    leases: dict[str, Lease] = attrs.field(factory=dict)
    peers: dict[str, Peer] = attrs.field(factory=dict)
    inbox: Inbox = attrs.field(factory=Inbox)
    polls: list[Poll] = attrs.field(factory=list)  # the newest is last
    throttle: Throttle = attrs.field(factory=Throttle)
    delivered: list[Delivered] = attrs.field(factory=list)
    swallowed: list[Delivered] = attrs.field(factory=list)
    accepted: dict[str, int] = attrs.field(factory=dict)  # client_id -> message id of the first accepted send
    tickets: dict[str, str] = attrs.field(factory=dict)  # typing ticket -> user
    last_uin: str = ""

    def peer(self, user: str) -> Peer:
        """Return what is known about *user*, remembering them if they are new."""
        return self.peers.setdefault(user, Peer(user))

    def honours(self, token: str, now: float, lifetime_s: float | None) -> bool:
        """Tell whether *token* still opens this account."""
        lease = self.leases.get(token)
        return lease is not None and now < lease.ends_at and (lifetime_s is None or now < lease.issued_at + lifetime_s)

    def wake(self) -> None:
        """Make every held poll look again."""
        for poll in self.polls:
            poll.wake()

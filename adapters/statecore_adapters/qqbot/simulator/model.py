"""What the platform remembers: bots, tokens, sessions, chats. No clock, no socket: the time is an argument."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs

from .records import Scene

__all__ = ["Bot", "Budget", "Chat", "File", "Link", "Lookups", "Occasion", "Rate", "Session", "Stream", "Token"]

DAY_S: Final = 86_400.0
MINUTE_S: Final = 60.0
SESSION_EVENTS_MAX: Final = 10_000
# Kept for a Resume. The platform's number is not known; a client that is behind by more has to Identify anyway.
SESSIONS_MAX: Final = 256  # of one bot, dead ones included; a flapping client makes one with each Identify
OCCASIONS_MAX: Final = 50_000
# Messages and events that may be replied to. The oldest are forgotten first, and are then "invalid", not "expired".
CHATS_MAX: Final = 50_000
TOKENS_MAX: Final = 64  # of one bot
FILES_MAX: Final = 10_000


@attrs.define(eq=False)
class Token:
    """One access token. `ends_at` moves to the present when it is voided."""

    value: str
    issued_at: float
    ends_at: float


@attrs.define(eq=False)
class Rate:
    """Counts what happened in the last while."""

    recent: deque[float] = attrs.field(factory=deque)

    def admits(self, now: float, most: int | None, span_s: float) -> bool:
        """Tell whether one more in *span_s* is allowed, and count it if so."""
        if most is None:
            return True
        while self.recent and self.recent[0] <= now - span_s:
            self.recent.popleft()
        if len(self.recent) >= most:
            return False
        self.recent.append(now)
        return True


@attrs.define(eq=False)
class Budget:
    """A count that starts anew a day after its first use, as session_start_limit does."""

    used: int = 0
    since: float = float("-inf")

    def left(self, now: float, total: int) -> int:
        """Return how many are left."""
        return total if now >= self.since + DAY_S else max(0, total - self.used)

    def reset_after_ms(self, now: float) -> int:
        """Return the time until the count starts anew; a whole day when it has not begun."""
        passed_s = now - self.since
        return int(1000 * (DAY_S if passed_s >= DAY_S else DAY_S - passed_s))

    def spend(self, now: float) -> None:
        """Count one."""
        if now >= self.since + DAY_S:
            self.used, self.since = 0, now
        self.used += 1


@attrs.define(eq=False)
class Lookups:
    """The bucket of /gateway: a burst, refilled slowly."""

    spent: float = 0.0
    at: float = 0.0

    def admits(self, now: float, burst: int, per_minute: float) -> bool:
        """Count one lookup, if there is one left."""
        self.spent = max(0.0, self.spent - (now - self.at) * per_minute / MINUTE_S)
        self.at = now
        if self.spent + 1 > burst:
            return False
        self.spent += 1
        return True


class Link(Protocol):
    """A connection as its session sees it."""

    def push(self, frame: Mapping[str, Any]) -> None:
        """Send a dispatch, after everything sent before."""

    def displace(self) -> None:
        """End it: the session, or the shard, is served elsewhere now."""


@attrs.define(eq=False)
class Session:
    """What outlives a connection.

    Attributes:
        events: the dispatches a Resume can replay, the oldest forgotten first.
        acked: the highest s a heartbeat carried.
        link: the connection it is on, or None.
        up: READY or RESUMED was said on that connection, and it was not ended since.
        left_at: when it lost its connection.
        ended: another Identify took its shard, or it was closed for good; it cannot be resumed.
    """

    id: str
    shard: tuple[int, int]
    intents: int
    events: deque[Mapping[str, Any]] = attrs.field(factory=lambda: deque(maxlen=SESSION_EVENTS_MAX))
    last_s: int = 0
    acked: int = 0
    link: Link | None = None
    up: bool = False
    left_at: float | None = None
    ended: bool = False

    def next_s(self) -> int:
        """Return the next number."""
        self.last_s += 1
        return self.last_s

    def missed(self, seq: int) -> list[Mapping[str, Any]]:
        """Return what came after *seq*, as far as it is kept."""
        return [event for event in self.events if event["s"] > seq]

    def takes(self, guild_id: str | None) -> bool:
        """Tell whether this shard serves the guild; persons and groups are on the first."""
        index, count = self.shard
        guild = int(guild_id) if guild_id is not None and guild_id.isdecimal() else 0
        return index == (guild >> 22) % max(1, count)

    def resumable(self, now: float, window_s: float) -> bool:
        """Tell whether a Resume still finds it."""
        return not self.ended and (self.left_at is None or now - self.left_at <= window_s)

    def detach(self, link: Link, now: float) -> None:
        """Forget the connection, if it is still this one."""
        if self.link is link:
            self.link, self.up, self.left_at = None, False, now


@attrs.define(eq=False)
class Occasion:
    """A message or an event that may be replied to.

    Attributes:
        kind: the name of the event.
        chat: scene and target of a reply to it; None when nothing may reply.
        replies: id of the reply accepted for each msg_seq. In a guild, where there is none, numbers from -1 down.
    """

    id: str
    kind: str
    chat: tuple[Scene, str] | None
    at: float
    replies: dict[int, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Chat:
    """One person, group, channel or private chat, as one bot sees it.

    Attributes:
        proactive: whether the bot may speak first; None leaves it to the knob.
        refusal: every send is refused with this number: not a friend, muted, not in the group.
        met: people wrote to the bot there; until then its openid is just some text.
        woken: a wakeup message was sent since the person last spoke.
    """

    scene: Scene
    target: str
    proactive: bool | None = None
    refusal: int | None = None
    met: bool = False
    woken: bool = False
    rate: Rate = attrs.field(factory=Rate)


@attrs.frozen
class File:
    """An uploaded file: what file_info stands for."""

    scope: Scene
    file_type: int
    size: int
    ends_at: float


@attrs.define(eq=False)
class Stream:
    """A message that is being written."""

    id: str
    text: str = ""
    index: int = -1
    done: bool = False


@attrs.define(eq=False)
class Bot:
    """One bot account.

    Attributes:
        intents: the bits it may identify with.
        barred: every Identify ends with this close code: 4914 taken offline, 4915 banned.
        sessions: by id, the oldest forgotten first.
        current: the session of each shard, live or resumable.
    """

    app_id: str
    secret: str
    intents: int
    id: str
    username: str
    barred: int | None = None
    tokens: list[Token] = attrs.field(factory=list)
    fetches: Rate = attrs.field(factory=Rate)
    lookups: Lookups = attrs.field(factory=Lookups)
    starts: Budget = attrs.field(factory=Budget)
    sends: Rate = attrs.field(factory=Rate)
    sessions: dict[str, Session] = attrs.field(factory=dict)
    current: dict[tuple[int, int], Session] = attrs.field(factory=dict)
    occasions: dict[str, Occasion] = attrs.field(factory=dict)
    chats: dict[tuple[Scene, str], Chat] = attrs.field(factory=dict)
    files: dict[str, File] = attrs.field(factory=dict)
    streams: dict[str, Stream] = attrs.field(factory=dict)
    sent: dict[str, float] = attrs.field(factory=dict)  # id of each accepted message -> when

    @property
    def is_up(self) -> bool:
        """Whether any session is up."""
        return any(session.up for session in self.current.values())

    def chat(self, scene: Scene, target: str) -> Chat:
        """Return what is known about a chat, remembering it if it is new."""
        chat = self.chats.setdefault((scene, target), Chat(scene, target))
        _trim(self.chats, CHATS_MAX)
        return chat

    def remember(self, occasion: Occasion) -> None:
        """Keep something that may be replied to."""
        self.occasions[occasion.id] = occasion
        _trim(self.occasions, OCCASIONS_MAX)

    def keep_sent(self, message_id: str, now: float) -> None:
        """Keep the id of a message, for as long as it might be recalled."""
        self.sent[message_id] = now
        _trim(self.sent, OCCASIONS_MAX)

    def keep_file(self, file_info: str, file: File) -> None:
        """Keep an uploaded file."""
        self.files[file_info] = file
        _trim(self.files, FILES_MAX)

    # ---- tokens ----

    def token(self, value: str, now: float) -> Token | None:
        """Find a token that is good."""
        return next((token for token in self.tokens if token.value == value and now < token.ends_at), None)

    def add_token(self, token: Token) -> None:
        """Make this the newest token."""
        self.tokens.append(token)
        del self.tokens[:-TOKENS_MAX]

    # ---- sessions ----

    def start(self, session: Session) -> Session | None:
        """Give the shard to a new session; return the one that had it."""
        older = self.current.get(session.shard)
        if older is not None:
            older.ended = True
        self.current[session.shard] = session
        self.sessions[session.id] = session
        _trim(self.sessions, SESSIONS_MAX)
        return older


def _trim(table: dict[Any, Any], most: int) -> None:
    while len(table) > most:
        del table[next(iter(table))]

"""All the platform knows, and what can happen to it apart from requests and frames."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import trio

from . import events
from .clock import Clock
from .faults import Cue, Point, Step
from .ids import Ids
from .intents import wanted
from .knobs import Knobs
from .model import Bot, Occasion, Token
from .problems import Problem
from .records import Audit, Delivered, Dial, Entry, Heartbeat, Identify, Record, Resume, keep
from .scripts import Call, Script
from .wire import Wire

__all__ = ["Live", "Outage", "State", "dispatch"]

FROZEN_MAX: Final = 256  # half-open sockets kept until the end; their clients left long ago
TOKEN_PREFIX: Final = "QQBot "  # noqa: S105 - it is what precedes one


@attrs.frozen
class Outage:
    """Everything is refused until this trio time. With a problem by the platform, without one by its front end."""

    until: float
    status: int
    problem: Problem | None


@attrs.frozen
class Live:
    """One open connection: its record, and how to play steps on it."""

    dial: Dial
    play: Callable[[tuple[Step, ...]], None]


def dispatch(s: int, event: str, d: Any, event_id: str) -> dict[str, Any]:
    """Build op 0."""
    return {"op": 0, "s": s, "t": event, "d": d, "id": event_id}


@attrs.define(eq=False)
class State:
    """The platform's memory. Methods take the time from the clock, and never wait."""

    knobs: Knobs
    ids: Ids
    clock: Clock
    later: Callable[[float, Callable[[], None]], None]  # run this after so many seconds of trio's clock
    api_base: str = ""
    ws_url: str = ""
    bots: dict[str, Bot] = attrs.field(factory=dict)
    scripts: list[Script] = attrs.field(factory=list)
    cues: list[Cue] = attrs.field(factory=list)
    live: list[Live] = attrs.field(factory=list)
    outage: Outage | None = None
    records: list[Record] = attrs.field(factory=list)
    delivered: list[Delivered] = attrs.field(factory=list)
    typing: list[Delivered] = attrs.field(factory=list)
    recalled: list[str] = attrs.field(factory=list)
    dials: list[Dial] = attrs.field(factory=list)
    identifies: list[Identify] = attrs.field(factory=list)
    resumes: list[Resume] = attrs.field(factory=list)
    heartbeats: list[Heartbeat] = attrs.field(factory=list)
    lost: list[Mapping[str, Any]] = attrs.field(factory=list)
    audits: dict[str, Audit] = attrs.field(factory=dict)
    interactions: dict[str, int | None] = attrs.field(factory=dict)
    inbound: dict[str, list[tuple[str, Any, str | None]]] = attrs.field(factory=dict)
    dm_guilds: dict[tuple[str, str], str] = attrs.field(factory=dict)
    log: list[Entry] = attrs.field(factory=list)
    dialled: int = 0
    accepted: int = 0
    frozen: list[Wire] = attrs.field(factory=list)
    changed: trio.Event = attrs.field(factory=trio.Event)
    watchers: list[Callable[[Record | Heartbeat | Resume], None]] = attrs.field(factory=list)

    # ---- the log ----

    def now(self) -> float:
        """Return the server's time."""
        return self.clock.now()

    def touch(self) -> None:
        """Tell everyone who waits for a change to look again."""
        self.changed.set()
        self.changed = trio.Event()

    def tell(self, fact: Record | Heartbeat | Resume) -> None:
        """Tell watchers of something that a client did."""
        for watcher in self.watchers:
            watcher(fact)

    def note(self, what: str) -> None:
        """Write a line for people."""
        keep(self.log, Entry(self.now(), what))
        self.touch()

    def new_dial(self, path: str) -> Dial:
        """Record one attempt to connect."""
        self.dialled += 1
        dial = Dial(number=self.dialled, at=self.now(), path=path)
        keep(self.dials, dial)
        self.note(f"dial {dial.number} {path}")
        return dial

    def bury_later(self, wire: Wire) -> None:
        """Keep the socket of a frozen connection open, but not too many of them."""
        self.frozen.append(wire)
        while len(self.frozen) > FROZEN_MAX:
            self.frozen.pop(0).bury()

    def bury_frozen(self) -> None:
        """Close what is left of frozen connections."""
        while self.frozen:
            self.frozen.pop().bury()

    def outage_now(self) -> Outage | None:
        """Return the outage, while it lasts."""
        if self.outage is not None and trio.current_time() >= self.outage.until:
            self.outage = None
        return self.outage

    # ---- bots and tokens ----

    def the_bot(self, bot: Bot | None) -> Bot:
        """Return *bot*, or the first one there is."""
        if bot is not None:
            return bot
        if not self.bots:
            raise LookupError("there is no bot yet; add_bot() makes one")
        return next(iter(self.bots.values()))

    def bot_of(self, token: str) -> Bot | None:
        """Find the bot a good token belongs to."""
        now = self.now()
        return next((bot for bot in self.bots.values() if bot.token(token, now) is not None), None)

    def bot_of_frame(self, token: Any, *, bare: bool) -> Bot | None:
        """Find the bot by the token of a frame: with the prefix, or also without."""
        if not isinstance(token, str) or not (bare or token.startswith(TOKEN_PREFIX)):
            return None
        return self.bot_of(token.removeprefix(TOKEN_PREFIX))

    def fetch_token(self, bot: Bot) -> Token:
        """Hand out the bot's token; a new one when the last is about to end, or was voided."""
        now, knobs = self.now(), self.knobs
        last = bot.tokens[-1] if bot.tokens else None
        if last is not None:
            ends_at = last.issued_at + knobs.token_lifetime_s if knobs.token_unchanged else last.ends_at
            if ends_at - now > (0 if knobs.token_unchanged else knobs.token_overlap_s):
                return last
        token = Token(self.ids.opaque("token", 96), now, now + knobs.token_lifetime_s)
        bot.add_token(token)
        return token

    def void_token(self, bot: Bot) -> None:
        """End every token of the bot now, as the platform at times does without a word."""
        now = self.now()
        for token in bot.tokens:
            token.ends_at = min(token.ends_at, now)
        self.note(f"tokens of {bot.app_id} voided")

    def dm_guild(self, bot: Bot, user: str) -> str:
        """Return the guild that stands for the private chat with a member of some guild."""
        key = (bot.app_id, user)
        if key not in self.dm_guilds:
            self.dm_guilds[key] = self.ids.snowflake("dm guild")
        return self.dm_guilds[key]

    # ---- what the platform pushes ----

    def push(self, bot: Bot, event: str, d: Any, *, guild_id: str | None = None, event_id: str | None = None) -> str:
        """Send an event to every session that takes it, or keep it for those that may resume.

        Returns:
            The event id.
        """
        event_id = event_id or f"{event}:{self.ids.uuid('event')}"
        now, taken = self.now(), False
        for session in bot.current.values():
            if not (session.takes(guild_id) and wanted(event, session.intents)):
                continue
            if not (session.up or session.resumable(now, self.knobs.resume_window_s)):
                continue
            frame = dispatch(session.next_s(), event, d, event_id)
            session.events.append(frame)
            taken = True
            if session.link is not None and session.up:
                session.link.push(frame)
        if not taken:
            keep(self.lost, {"t": event, "d": d, "id": event_id})
        bot.remember(Occasion(event_id, event, events.scene_of(event, d), now))
        self.note(f"event {event} {event_id}" + ("" if taken else ": no session takes it"))
        return event_id

    # ---- faults ----

    def strike(self, call: Call) -> Script | None:
        """Find the script that decides this call, if one does, and count it."""
        now = self.now()
        hit = next((script for script in self.scripts if script.strikes(call, now)), None)
        self.scripts = [script for script in self.scripts if not script.is_spent(now)]
        return hit

    def cue(self, point: Point, dial: Dial) -> Cue | None:
        """Find the cue for this moment of a connection, if there is one, and count it."""
        now = self.now()
        hit = next((cue for cue in self.cues if cue.strikes(point, dial, now)), None)
        self.cues = [cue for cue in self.cues if not cue.is_spent(now)]
        return hit

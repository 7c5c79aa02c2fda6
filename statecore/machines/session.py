"""One account's tie to a platform that is spoken with over a socket: its session.

`connected` means that the platform said READY or RESUMED, not that a socket is open. Every step on the way there is a
state with a deadline of its own, so the last row names the step that hung:

    authorising -> looking-up -> dialling -> greeting -> identifying or resuming -> proving -> connected

A session outlives its sockets. What the platform sent while there was none is sent again when it is resumed, so resuming
comes first, and what makes it hopeless is remembered: two attempts without a good end, or the platform's word. To identify
anew costs one of a few starts a day, which are counted here and outlive the process.

The states that are ways down are those of `connection`, with the same meanings. Beyond them:

- `beating` sends a heartbeat and reads on. If the one before was not acknowledged by the time the next is due, nobody is
  there: a write to a dead socket succeeds, so only what is received is proof of life;
- `lingering` reads on for a moment after the platform has called the session invalid, because the close code that follows
  tells why;
- `renewing` fetches a token before the old one ends, `reauthorising` because it was refused; the socket stays.

Frames are numbered by how many outcomes were taken in (`taken`). An attempt to receive that ends when the machine has just
left the state is late, and what it brought is given again to the next one.
"""

import attrs

from statecore.events import Arrival, Broken, Elapsed, External, Outcome
from statecore.evolve import evolver
from statecore.machine import STAY, Effect, Machine, Signal, Timer, ignore, on
from statecore.machines.connection import (
    Arrived,
    ClockStepped,
    Connection,
    CredentialsChanged,
    Doubted,
    Drained,
    HangUp,
    HungUp,
    Lost,
    Rejected,
    Resumed,
    Started,
    StopRequested,
    TokenRefused,
    Woke,
    back_off,
    begin,
    broken,
    closed,
    doubt,
    drain,
    stale,
    trip,
    up,
    wake,
)
from statecore.units import DAYS, HOURS, MILLISECONDS, MINUTES, SECONDS

RESUMES_MAX = 2
"""Attempts to resume a session that may come to nothing, before it is given up and another is begun."""

RESUME_HOLDS = 3 * SECONDS
"""A session that stood for so long was resumed, or begun, to some purpose. One that ends sooner may end because of what it was
asked. To give up one that holds would lose what was said while there was no socket."""

MISSES_MAX = 2
"""Sockets in a row that could not be opened before the address is asked for again."""

BEAT_SHARE = 0.9
"""Of the interval the platform asked for, after which the next heartbeat is sent. Two of them, a heartbeat and the one at
which its acknowledgement is missed, are then still within two intervals."""

GIVEN_AND_REFUSED = "look at the bot's console: the platform refuses what its token endpoint gives"
"""What to do where fetching another token does not help."""

ZOMBIE_WAIT = 1 * SECONDS
"""Until the next dial after nobody acknowledged. It took an interval to notice, so this needs not grow."""


@attrs.frozen
class Session(Connection):
    """What an instance remembers, beyond what a `Connection` does.

    Args:
        credential: number of the access token in use, counted up with each other one.
        doubted: number of the token that was last refused.
        token_at: when the next token is fetched, in ns; None if there is no good one.
        url: where the gateway is.
        url_until: until when that may be believed, in ns.
        misses: sockets in a row that could not be opened there.
        resumable: whether there is a session to resume.
        resumes: attempts to resume it that came to nothing.
        starts: sessions that may still be begun, as of *starts_at*; None if none was ever begun.
        starts_at: when the last was begun, in ns.
        beat_every: ns between heartbeats, as the platform asked.
        beat_at: when the next is due, in ns.
        unacknowledged: whether the last one was not acknowledged yet.
        taken: outcomes of this socket that were taken in.
        awaited_since: since when the platform has owed a sign that the account stands, or the end of the socket, in ns.
    """

    credential: int = 0
    doubted: int = 0
    token_at: int | None = None
    url: str = ""
    url_until: int | None = None
    misses: int = 0
    resumable: bool = False
    resumes: int = 0
    starts: float | None = None
    starts_at: int = 0
    beat_every: int = 41 * SECONDS
    beat_at: int | None = None
    unacknowledged: bool = False
    taken: int = 0
    awaited_since: int = 0

    @property
    def unnoticed(self) -> int:
        """See `Connection`: a socket that nobody answers is given up after two intervals."""
        return 2 * self.beat_every


# ---- attempts --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Authorise:
    """See that there is a good access token.

    Args:
        number: what a token is called that is another than the one in use.
        refused: whether the one in use was refused, so that it must not be used again.
    """

    number: int
    refused: bool


@attrs.frozen
class LookUp:
    """Ask where the gateway is.

    Args:
        failures: how many attempts in a row have failed, for platforms that can be asked in several ways.
    """

    failures: int


@attrs.frozen
class OpenSocket:
    """Open a socket to the gateway; an older one is dropped first.

    Args:
        url: where.
    """

    url: str


@attrs.frozen
class ReadFrame:
    """Take the next frame.

    Args:
        taken: how many were taken in; what was given and not taken in is given again.
        beat: whether to send a heartbeat first.
    """

    taken: int
    beat: bool = False


@attrs.frozen
class Identify:
    """Ask for a new session."""


@attrs.frozen
class Resume:
    """Ask to go on with the session there was."""


def authorise(data: Session) -> Authorise:
    return Authorise(data.credential + 1, data.credential == data.doubted)


def look_up(data: Session) -> LookUp:
    return LookUp(data.failures)


def open_socket(data: Session) -> OpenSocket:
    return OpenSocket(data.url)


def read_frame(data: Session) -> ReadFrame:
    return ReadFrame(data.taken)


def beat(data: Session) -> ReadFrame:
    return ReadFrame(data.taken, beat=True)


# ---- events ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Authorised(Outcome):
    """There is an access token.

    Args:
        changed: whether it is another than the one before.
        renew: ns until the next one is fetched.
    """

    changed: bool
    renew: int


@attrs.frozen(kw_only=True)
class Found(Outcome):
    """The platform said where its gateway is.

    Args:
        url: where.
        lasts: for how long that is believed, in ns.
        wait: ns until it allows another session to be begun; 0 if it does now.
    """

    url: str
    lasts: int
    wait: int = 0


@attrs.frozen(kw_only=True)
class SocketOpened(Outcome):
    """There is a socket. That the platform will have anything to do with us is not said yet."""


@attrs.frozen(kw_only=True)
class Greeted(Outcome):
    """The gateway said hello.

    Args:
        beat_every: ns between heartbeats.
        wait: ns until a session may be begun; 0 for now.
        starts: how many may be begun after this one.
    """

    beat_every: int
    wait: int
    starts: float


@attrs.frozen(kw_only=True)
class Asked(Outcome):
    """The request for a session has left."""


@attrs.frozen(kw_only=True)
class Welcomed(Arrival):
    """The platform said that the session stands.

    Args:
        resumed: whether it is the one there was.
        beat: ns until the first heartbeat.
    """

    resumed: bool
    beat: int


@attrs.frozen(kw_only=True)
class Noted(Arrival):
    """Something came that is no message; where the session stands moved with it.

    Args:
        what: its name, or what was wrong with it.
    """

    what: str


@attrs.frozen(kw_only=True)
class Acknowledged(Arrival):
    """The platform acknowledged a heartbeat."""


@attrs.frozen(kw_only=True)
class BeatAsked(Arrival):
    """The platform wants a heartbeat now."""


@attrs.frozen(kw_only=True)
class Invalidated(Arrival):
    """The platform called the session, or the request for one, invalid. A close code may follow.

    Args:
        resumable: whether it said that the session may be resumed all the same.
    """

    resumable: bool


# ---- what is remembered ----------------------------------------------------------------------------------------------

evolve = evolver(Session)


def start(was: Session, event: Started, now: int) -> Session:
    new = begin(was, event, now)
    return evolve(
        was,
        generation=new.generation,
        down_since=new.down_since,
        boot=new.boot,
        reason="",
        action="",
        failures=0,
        ready_since=None,
        stale_probes=0,
        misses=0,
        resumable=was.resumable and event.offline <= event.resumable,
        resumes=0,
        token_at=None,  # asking costs little, and a token voided meanwhile would cost a refused session
        taken=0,
    )


def go(was: Session, _event: External | Elapsed, _now: int) -> Session:
    return evolve(was, generation=was.generation + 1)


def authorised(was: Session, event: Authorised, now: int) -> Session:
    return evolve(was, credential=was.credential + event.changed, token_at=now + event.renew)


def renewed(was: Session, event: Authorised, now: int) -> Session:
    return evolve(authorised(was, event, now), beat_at=now + was.beat_every // 2)


def not_renewed(was: Session, event: Lost | Broken, now: int) -> Session:
    return evolve(was, token_at=now + max(event.wait, 5 * SECONDS), beat_at=now + was.beat_every // 2)


def found(was: Session, event: Found, now: int) -> Session:
    return evolve(was, url=event.url, url_until=now + event.lasts, misses=0)


def must_wait(was: Session, event: Found | Greeted, now: int) -> Session:
    was = found(was, event, now) if isinstance(event, Found) else was
    reason = "the sessions that may be begun are used up; the next is due later"
    return evolve(was, retry_at=now + event.wait, reason=reason, action="")


def opened(was: Session, _event: SocketOpened, now: int) -> Session:
    return evolve(was, misses=0, taken=0, reachable=True, awaited_since=now)


def missed(was: Session, event: Lost | Broken, now: int) -> Session:
    down = back_off(was, event, now) if isinstance(event, Lost) else broken(was, event, now)
    misses = was.misses + 1
    return evolve(down, misses=misses, url_until=None if misses >= MISSES_MAX else was.url_until)


def greeted(was: Session, event: Greeted, _now: int) -> Session:
    return evolve(was, beat_every=event.beat_every, taken=was.taken + 1, unacknowledged=False)


def resuming(was: Session, event: Greeted, now: int) -> Session:
    return evolve(greeted(was, event, now), resumes=was.resumes + 1)


def identifying(was: Session, event: Greeted, now: int) -> Session:
    return evolve(greeted(was, event, now), resumable=False, starts=event.starts, starts_at=now)


def took(was: Session, _event: Outcome, _now: int) -> Session:
    return evolve(was, taken=was.taken + 1)


def welcomed(was: Session, event: Welcomed, now: int) -> Session:
    return evolve(
        up(was, event, now),
        taken=was.taken + 1,
        resumable=True,
        resumes=was.resumes if event.resumed else 0,
        stale_probes=0,
        doubted=0,
        beat_at=now + event.beat,
        unacknowledged=False,
    )


def beats(was: Session, event: Elapsed | BeatAsked, now: int) -> Session:
    return evolve(
        was,
        taken=was.taken + isinstance(event, BeatAsked),
        unacknowledged=True,
        beat_at=now + round(was.beat_every * BEAT_SHARE),  # when the next is due, and this must have been acknowledged
    )


def acknowledged(was: Session, _event: Acknowledged, _now: int) -> Session:
    return evolve(was, taken=was.taken + 1, unacknowledged=False, resumes=0)  # what was resumed holds


def dead(was: Session, _event: Elapsed, now: int) -> Session:
    return evolve(
        was,
        ready_since=None,
        down_since=now,
        retry_at=now + ZOMBIE_WAIT,
        failures=1,
        reachable=False,
        reason="nobody acknowledges the heartbeats, so nobody is there",
    )


def lost(was: Session, event: Lost, now: int) -> Session:
    after = back_off(was, event, now)
    held = was.ready_since is not None and (event.failures == 1 or now - was.ready_since >= RESUME_HOLDS)
    return evolve(
        after,
        resumable=was.resumable and "session" not in event.forget,
        resumes=0 if held else was.resumes,
        doubted=was.credential if "token" in event.forget else was.doubted,
        token_at=None if "token" in event.forget else was.token_at,
    )


def invalid(was: Session, event: Invalidated, now: int) -> Session:
    return evolve(
        was,
        taken=was.taken + 1,
        awaited_since=now,
        resumable=was.resumable and event.resumable,
        doubted=was.credential,
        token_at=None,
        reason="the platform calls the session invalid",
    )


def refused(was: Session, event: TokenRefused, now: int) -> Session:
    return evolve(stale(was, event, now), doubted=was.credential, token_at=None)


def halted(was: Session, event: Rejected, now: int) -> Session:
    return evolve(trip(was, event, now), resumable=False, url_until=None)


def in_doubt(was: Session, event: Doubted, _now: int) -> Session:
    return evolve(was, doubted=was.credential, reason=event.reason)


def doubted_again(was: Session, event: Doubted, now: int) -> Session:
    after = doubt(was, event, now)
    return evolve(after, retry_at=None, probe_at=now + event.wait, token_at=None, action=GIVEN_AND_REFUSED)


def let_go(was: Session, event: Outcome, now: int) -> Session:
    return evolve(closed(was, event, now), token_at=None)  # a start asks for one anyway


def token_aged(was: Session, _event: Elapsed, _now: int) -> Session:
    return evolve(was, token_at=None)


def address_aged(was: Session, _event: Elapsed, _now: int) -> Session:
    return evolve(was, url_until=None)


def later(was: Session, _event: Elapsed, now: int) -> Session:
    return evolve(was, token_at=now + 5 * SECONDS)


# ---- guards ----------------------------------------------------------------------------------------------------------


def has_address(was: Session, _event: Authorised) -> bool:
    return was.url_until is not None


def has_token_and_address(was: Session, _event: External | Elapsed) -> bool:
    return was.token_at is not None and was.url_until is not None


def has_token(was: Session, _event: External | Elapsed) -> bool:
    return was.token_at is not None


def can_resume(was: Session, _event: Greeted) -> bool:
    return was.resumable and was.resumes < RESUMES_MAX


def may_begin(_was: Session, event: Greeted) -> bool:
    return event.wait == 0


def cannot_begin(was: Session, event: Found) -> bool:
    return event.wait > 0 and not (was.resumable and was.resumes < RESUMES_MAX)


def unacknowledged(was: Session, _event: Elapsed) -> bool:
    return was.unacknowledged


def outdated(was: Session, event: Doubted) -> bool:
    return event.credential is not None and event.credential != was.credential


def refused_before(was: Session, _event: Doubted) -> bool:
    return was.doubted == was.credential


# ---- the table -------------------------------------------------------------------------------------------------------

RETRYING = ("reconnecting", "suspect")
REFUSED = ("token-stale", "tripped")
WAITING = (*RETRYING, *REFUSED)
CONNECTING = ("authorising", "looking-up", "dialling", "greeting", "identifying", "resuming", "proving", "lingering")
RENEWING = ("renewing", "reauthorising")
READING = ("connected", "beating")
UP = (*READING, *RENEWING)
SENDABLE = ("connected", "beating", "renewing")
LIVE = (*CONNECTING, *UP, *WAITING)
EVERY = ("closed", *LIVE, "draining", "hanging-up")
FRAMED = ("greeting", "proving", *READING, "lingering")
FAILING = (
    "authorising",
    "looking-up",
    "greeting",
    "identifying",
    "resuming",
    "proving",
    *READING,
    "reauthorising",
    "lingering",
)
FRAMES = (Arrived, Noted)
READ = (*FRAMES, Welcomed, Acknowledged, BeatAsked, Invalidated)
FAILED = (Lost, TokenRefused, Rejected)


def _but(*states: str) -> tuple[str, ...]:
    return tuple(state for state in EVERY if state not in states)


# fmt: off
session = Machine(
    "session",
    remembers=Session,
    initial="closed",
    table=[
        #  when in              and this happens      go to            remembering     only when
        on(EVERY,               Started,              "authorising",   start),

        on("authorising",       Authorised,           "dialling",      authorised,     when=has_address),
        on("authorising",       Authorised,           "looking-up",    authorised),
        on("looking-up",        Found,                "reconnecting",  must_wait,      when=cannot_begin),
        on("looking-up",        Found,                "dialling",      found),
        on("dialling",          SocketOpened,         "greeting",      opened),
        on("dialling",          (Lost, Broken),       "reconnecting",  missed),
        on("greeting",          Greeted,              "resuming",      resuming,       when=can_resume),
        on("greeting",          Greeted,              "identifying",   identifying,    when=may_begin),
        on("greeting",          Greeted,              "reconnecting",  must_wait),
        on("greeting",          (*FRAMES, Welcomed, Acknowledged, BeatAsked), "greeting", took),
        on(("identifying", "resuming"), Asked,        "proving"),
        on("proving",           Welcomed,             "connected",     welcomed),
        on("proving",           (*FRAMES, Acknowledged, BeatAsked), "proving", took),

        on("connected",         (*FRAMES, Welcomed),  "connected",     took),
        on("connected",         Acknowledged,         "connected",     acknowledged),
        on("connected",         Elapsed("beat_at"),   "reconnecting",  dead,           when=unacknowledged),
        on("connected",         Elapsed("beat_at"),   "beating",       beats),
        on("connected",         BeatAsked,            "beating",       beats),
        on("beating",           (*FRAMES, Welcomed),  "connected",     took),
        on("beating",           Acknowledged,         "connected",     acknowledged),
        on("beating",           BeatAsked,            "beating",       beats),
        on("beating",           Elapsed("beat_at"),   "reconnecting",  dead),

        on("connected",         Elapsed("token_at"),  "renewing"),
        on(SENDABLE,            Doubted,              STAY,            when=outdated),
        on(SENDABLE,            Doubted,              "token-stale",   doubted_again,  when=refused_before),
        on(SENDABLE,            Doubted,              "reauthorising", in_doubt),
        on(RENEWING,            Authorised,           "connected",     renewed),
        on("renewing",          (Lost, Broken),       "connected",     not_renewed),

        on(("greeting", "proving", *READING), Invalidated, "lingering", invalid),
        on("lingering",         READ,                 "lingering",     took),

        on(FAILING,             Lost,                 "reconnecting",  lost),
        on(FAILING,             Broken,               "reconnecting",  broken),
        on((*CONNECTING, *UP),  TokenRefused,         "token-stale",   refused),
        on((*CONNECTING, *UP),  Rejected,             "tripped",       halted),

        on(RETRYING,            (Elapsed("retry_at"), Resumed), "dialling", go,        when=has_token_and_address),
        on(RETRYING,            (Elapsed("retry_at"), Resumed), "looking-up", go,      when=has_token),
        on(RETRYING,            (Elapsed("retry_at"), Resumed), "authorising", go),
        on(REFUSED,             (Elapsed("probe_at"), CredentialsChanged, Resumed), "authorising", go),
        on((*UP, *RETRYING),    Woke,                 "suspect",       wake),

        on(LIVE,                StopRequested,        "draining",      drain),
        on("draining",          (Drained, Elapsed("drain_until")), "hanging-up"),
        on("hanging-up",        (HungUp, Broken),     "closed",        let_go),

        on(EVERY,               ClockStepped,         STAY),
        on(EVERY,               Elapsed("url_until"), STAY,            address_aged),
        on(("closed", *WAITING, "draining", "hanging-up"), Elapsed("token_at"), STAY, token_aged),
        on((*CONNECTING, "beating", *RENEWING), Elapsed("token_at"), STAY, later),
        ignore(("closed", "draining", "hanging-up"), StopRequested, because="it is stopping already"),
        ignore(_but("draining"), Drained,             because="it is not draining"),
        ignore(_but(*REFUSED), CredentialsChanged, because="the next attempt reads them anyway"),
        ignore(_but(*WAITING),   Resumed,             because="it is not waiting for a person"),
        ignore(_but(*SENDABLE),  Doubted,             because="it is not taken for connected"),
        ignore(_but(*UP, *RETRYING), Woke, because="nothing there was trusted"),
        ignore(_but("authorising", *RENEWING), Authorised, because="no token is being fetched"),
        ignore(_but("looking-up"), Found,             because="nothing is being looked up"),
        ignore(_but("dialling"), SocketOpened,        because="no socket is being opened"),
        ignore(_but("greeting"), Greeted,             because="no greeting is expected"),
        ignore(_but("identifying", "resuming"), Asked, because="no session is being asked for"),
        ignore(_but(*FRAMED),    READ, because="no frame is being read"),
        ignore(("closed", *WAITING, "draining", "hanging-up"), FAILED, because="no attempt is under way"),
        ignore(_but("hanging-up"), HungUp,            because="it is not hanging up"),
    ],
    awaits={
        "closed":        Signal(Started, ClockStepped),
        "authorising":   (Effect(authorise, (Authorised, *FAILED), within=40 * SECONDS), Signal()),
        "looking-up":    (Effect(look_up, (Found, *FAILED), within=40 * SECONDS), Signal()),
        "dialling":      (Effect(open_socket, (SocketOpened, *FAILED), within=30 * SECONDS), Signal()),
        "greeting":      (Effect(read_frame, (Greeted, *READ, *FAILED), within=15 * SECONDS), Signal()),
        "identifying":   (Effect(Identify, (Asked, *FAILED), within=15 * SECONDS), Signal()),
        "resuming":      (Effect(Resume, (Asked, *FAILED), within=15 * SECONDS), Signal()),
        "proving":       (Effect(read_frame, (*READ, *FAILED), within=15 * SECONDS), Signal()),
        "connected":     (Effect(read_frame, (*READ, *FAILED), within=15 * MINUTES), Signal(),
                          Timer("beat_at", floor=1 * MILLISECONDS, cap=10 * MINUTES)),
        "beating":       (Effect(beat, (*READ, *FAILED), within=15 * MINUTES), Signal(),
                          Timer("beat_at", floor=1 * MILLISECONDS, cap=10 * MINUTES)),
        "renewing":      (Effect(authorise, (Authorised, *FAILED), within=30 * SECONDS), Signal()),
        "reauthorising": (Effect(authorise, (Authorised, *FAILED), within=30 * SECONDS), Signal()),
        "lingering":     (Effect(read_frame, (*READ, *FAILED), within=5 * SECONDS), Signal()),
        "reconnecting":  (Timer("retry_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal()),
        "token-stale":   (Timer("probe_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal()),
        "tripped":       (Timer("probe_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal()),
        "suspect":       (Timer("retry_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal()),
        "draining":      (Timer("drain_until", floor=50 * MILLISECONDS, cap=1 * HOURS), Signal()),
        "hanging-up":    (Effect(HangUp, (HungUp,), within=5 * SECONDS), Signal()),
    },
    named=(Timer("token_at", floor=1 * SECONDS, cap=30 * DAYS), Timer("url_until", floor=1 * SECONDS, cap=7 * DAYS)),
)
# fmt: on

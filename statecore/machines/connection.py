"""One account's tie to its platform.

`connected` means that the platform said so, not that a socket is open: a platform that is not known to accept the
account is `proving`. Every way down is a state of its own, because each waits for something else:

- `reconnecting` waits out a backoff that grows until the connection has held for a while;
- `token-stale` waits for new credentials, and probes slowly, reading them afresh each time;
- `tripped` waits for a person, because the platform (or what pretends to be it) cannot be spoken with at all;
- `suspect` was connected before the machine slept, and trusts nothing until the platform has answered again.

An empty poll goes through `resting`, so a peer that answers at once is asked once a second and not as fast as it can
answer. A poll with messages is an arrival, and the next poll may follow at once; what a flooding peer can drive that
way is the governor's to bound.

One instance outlives many physical connections. Each `Dial` begins a generation, and an outcome of an earlier entry is
recorded as late and changes nothing.
"""

from typing import ClassVar, TypeVar

import attrs

from statecore.events import Arrival, Broken, Elapsed, External, Outcome, Timed
from statecore.evolve import evolver
from statecore.machine import STAY, Effect, Machine, Signal, Timer, ignore, on
from statecore.units import DAYS, HOURS, MILLISECONDS, MINUTES, SECONDS


@attrs.frozen
class Connection:
    """What an instance remembers.

    Args:
        generation: how many times it has dialled.
        failures: attempts in a row that failed; starts again only after the connection has held for a while.
        ready_since: since when the platform has accepted it, in ns.
        down_since: since when it has not, in ns.
        down_total: how long it was down in all before that, in ns.
        retry_at: when it dials again, in ns.
        rest_until: when it polls again, in ns.
        probe_at: when it tries again although a person is needed, in ns.
        drain_until: when a stop goes on without what is still under way, in ns.
        empties: polls in a row that came back empty at once.
        silences: polls in a row that were never answered.
        stale_probes: probes in a row that found the credentials refused.
        reachable: whether the platform answered at all when it was last lost.
        boot: the process that drives it.
        reason: why it is where it is.
        action: what a person must do, if anything.
    """

    generation: int = 0
    failures: int = 0
    ready_since: int | None = None
    down_since: int | None = None
    down_total: int = 0
    retry_at: int | None = None
    rest_until: int | None = None
    probe_at: int | None = None
    drain_until: int | None = None
    empties: int = 0
    silences: int = 0
    stale_probes: int = 0
    reachable: bool = False
    boot: str = ""
    reason: str = ""
    action: str = ""

    @property
    def unnoticed(self) -> int:
        """For how long it may have been down before anybody noticed, in ns."""
        return 0


@attrs.frozen
class Dial:
    """Establish that the platform accepts this account. Credentials are read afresh."""


@attrs.frozen
class Receive:
    """Take what the platform has: one long poll, or one frame."""


@attrs.frozen
class HangUp:
    """Tell the platform that nobody listens any more, as far as it can be told."""


# ---- events ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Started(External):
    """A process took the account, and drives it from here.

    Args:
        boot: the process's own id.
        pid: its number on its host.
        host: its host.
        epoch: the lease's epoch, newer than every one before.
        offline: for how long nobody drove it before that, in ns.
        resumable: how long a session outlives its process, in ns.
        settings: what it was configured with, without secrets; see `statecore.recorded`.
        chance: what it draws its waits from; see `statecore.chance`.
    """

    boot: str
    pid: int
    host: str
    epoch: int
    offline: int = 0
    resumable: int = 0
    settings: str = ""
    chance: int = 0


@attrs.frozen(kw_only=True)
class StopRequested(External):
    """The process is asked to let go.

    Args:
        by: "signal", "command", ...
        wait: ns to wait for what is under way.
    """

    by: str
    wait: int


@attrs.frozen(kw_only=True)
class Drained(External):
    """Nothing is under way any more."""


@attrs.frozen(kw_only=True)
class CredentialsChanged(External):
    """There are other credentials than those that were refused."""


@attrs.frozen(kw_only=True)
class Resumed(External):
    """A person asked to try again now."""


@attrs.frozen(kw_only=True)
class Doubted(External):
    """Something else than the poll found the account refused; ask the platform again.

    Args:
        reason: what was seen.
        wait: ns until it is asked.
        credential: number of the token that was refused, where tokens have numbers.
    """

    reason: str
    wait: int
    credential: int | None = None


@attrs.frozen(kw_only=True)
class Woke(External):
    """The machine was suspended.

    Args:
        slept: for how long, in ns.
        wait: ns until the next attempt; staggered, so that accounts do not all dial at once.
    """

    slept: int
    wait: int


@attrs.frozen(kw_only=True)
class ClockStepped(External):
    """The wall clock was set. Decisions are taken on another clock, so this is only noted.

    Args:
        by: ns.
    """

    by: int


@attrs.frozen(kw_only=True)
class Ready(Outcome):
    """The platform accepts the account."""


@attrs.frozen(kw_only=True)
class Opened(Outcome):
    """The platform answered, and has not yet said whether it accepts the account."""


@attrs.frozen(kw_only=True)
class Lost(Outcome):
    """The attempt failed in a way that time can cure.

    Args:
        stage: how far it got: "resolve", "connect", "tls", "send", "receive", "answer", "silence".
        error: what was seen, for people.
        wait: ns until the next dial, chosen by the backoff.
        failures: which failure in a row this is.
        reachable: whether the platform answered at all.
        forget: what is not to be used again: "session", "token".
        hint: how long the platform asked to be left alone, in ns, if it did.
    """

    stage: str
    error: str
    wait: int
    failures: int
    reachable: bool = False
    forget: tuple[str, ...] = ()
    hint: int | None = None


@attrs.frozen(kw_only=True)
class TokenRefused(Outcome):
    """The platform refused the credentials.

    Args:
        code: what it said.
        message: what it said for people.
        wait: ns until the next slow probe.
        action: what a person must do.
    """

    code: str
    message: str
    wait: int
    action: str


@attrs.frozen(kw_only=True)
class Rejected(Outcome):
    """What answers is not the platform, or refuses in a way that time will not cure.

    Args:
        error: what was seen.
        wait: ns until the next slow probe.
        action: what a person must do.
    """

    error: str
    wait: int
    action: str


@attrs.frozen(kw_only=True)
class Arrived(Arrival):
    """Messages came. They, and the cursor that covers them, are in the same transaction as this row.

    Args:
        messages: how many.
        copies: how many of them were here already.
        held: ns the poll took.
    """

    messages: int
    copies: int = 0
    held: int = 0


@attrs.frozen(kw_only=True)
class Waited(Timed):
    """Nothing came, and the platform held the poll until it was sure, so the next one may follow at once.

    Args:
        held: ns the poll took, at least `floor`.
    """

    floor: ClassVar[int] = 1 * SECONDS

    held: int


@attrs.frozen(kw_only=True)
class Idle(Outcome):
    """Nothing came, and the next poll has to wait.

    Args:
        held: ns the poll took.
        wait: ns until the next.
        silent: whether the platform did not answer at all.
    """

    held: int
    wait: int
    silent: bool = False


@attrs.frozen(kw_only=True)
class HungUp(Outcome):
    """The platform was told, or could not be.

    Args:
        error: what was seen, if anything.
    """

    error: str = ""


C = TypeVar("C", bound=Connection)

# ---- what is remembered ----------------------------------------------------------------------------------------------

evolve = evolver(Connection)


def begin(was: Connection, event: Started, now: int) -> Connection:
    down_since = now - event.offline if was.down_since is None else was.down_since
    return Connection(
        generation=was.generation + 1,
        down_since=down_since,
        down_total=was.down_total,
        boot=event.boot,
    )


def dial(was: Connection, _event: External | Elapsed, _now: int) -> Connection:
    return evolve(was, generation=was.generation + 1, empties=0, silences=0)


def up(was: C, _event: Outcome, now: int) -> C:
    down = 0 if was.down_since is None else now - was.down_since
    return evolve(
        was,
        ready_since=now if was.ready_since is None else was.ready_since,
        down_since=None,
        down_total=was.down_total + down,
        empties=0,
        silences=0,
        reachable=True,
        reason="",
        action="",
    )


def served(was: Connection, event: Outcome, now: int) -> Connection:
    """Note that a poll was answered: only that proves that the credentials are good for what they are needed for."""
    return evolve(up(was, event, now), stale_probes=0)


def answered(was: Connection, event: Waited | Idle, now: int) -> Connection:
    return served(was, event, now) if was.down_since is not None or was.stale_probes else was


def quiet(was: Connection, event: Waited, now: int) -> Connection:
    after = answered(was, event, now)
    return evolve(after, empties=0, silences=0) if after.empties or after.silences else after


def rest(was: Connection, event: Idle, now: int) -> Connection:
    was = answered(was, event, now)
    quick = event.held < 1 * SECONDS
    return evolve(
        was,
        rest_until=now + event.wait,
        empties=was.empties + 1 if quick else 0,
        silences=was.silences + 1 if event.silent else 0,
    )


def down(was: C, now: int) -> C:
    return evolve(was, ready_since=None, down_since=now if was.down_since is None else was.down_since)


def back_off(was: C, event: Lost, now: int) -> C:
    return evolve(
        down(was, now),
        retry_at=now + event.wait,
        failures=event.failures,
        reachable=event.reachable,
        reason=f"{event.stage}: {event.error}",
        action="",
    )


def broken(was: C, event: Broken, now: int) -> C:
    return evolve(
        down(was, now),
        retry_at=now + event.wait,
        failures=event.failures or was.failures + 1,
        reachable=False,
        reason=f"{HOW[event.how]}: {event.error}",
        action="",
    )


def stale(was: C, event: TokenRefused, now: int) -> C:
    return evolve(
        down(was, now),
        probe_at=now + event.wait,
        stale_probes=was.stale_probes + 1,
        reachable=True,
        reason=f"{event.code}: {event.message}".removesuffix(": "),
        action=event.action,
    )


def trip(was: C, event: Rejected, now: int) -> C:
    return evolve(
        down(was, now),
        probe_at=now + event.wait,
        failures=was.failures + 1 if was.ready_since is None else 1,
        reachable=False,
        reason=event.error,
        action=event.action,
    )


def doubt(was: C, event: Doubted, now: int) -> C:
    return evolve(down(was, now), retry_at=now + event.wait, reachable=True, reason=event.reason)


def wake(was: C, event: Woke, now: int) -> C:
    return evolve(
        down(was, now - event.slept),
        retry_at=now + event.wait,
        failures=0,
        reachable=False,
        reason="the machine was suspended",
    )


def drain(was: C, event: StopRequested, now: int) -> C:
    return evolve(
        was, drain_until=now + event.wait, reason=was.reason if was.action else f"stopping, asked by {event.by}"
    )


def closed(was: C, _event: Outcome, now: int) -> C:
    return evolve(down(was, now), reason=was.reason if was.action else "stopped", boot="")


HOW = {
    "overdue": "the attempt took too long",
    "died": "the attempt raised an error of its own",
    "interrupted": "the process ended during the attempt",
    "drained": "the stop would not wait for the attempt",
}
POLLING = ("proving", "connected")
WAITING = ("reconnecting", "token-stale", "tripped", "suspect")
LIVE = ("dialling", *POLLING, "resting", *WAITING)
EVERY = ("closed", *LIVE, "draining", "hanging-up")
QUIET = ("closed", "resting", *WAITING, "draining")  # they make no attempt
DIALLED = (Ready, Opened)
POLLED = (Arrived, Waited, Idle)
FAILED = (Lost, TokenRefused, Rejected)

POLL = Effect(Receive, (*POLLED, *FAILED), within=3 * MINUTES)

# fmt: off
connection = Machine(
    "connection",
    remembers=Connection,
    initial="closed",
    table=[
        #  when in              and this happens     go to           remembering
        on(EVERY,               Started,             "dialling",     begin),

        on("dialling",          Ready,               "connected",    up),
        on("dialling",          Opened,              "proving"),
        on(("dialling", *POLLING), Lost,             "reconnecting", back_off),
        on(("dialling", *POLLING), Broken,           "reconnecting", broken),
        on(("dialling", *POLLING), TokenRefused,     "token-stale",  stale),
        on(("dialling", *POLLING), Rejected,         "tripped",      trip),

        on(POLLING,             Arrived,             "connected",    served),
        on(POLLING,             Waited,              "connected",    quiet),
        on(POLLING,             Idle,                "resting",      rest),
        on("resting",           Elapsed,             "connected"),

        on("reconnecting",      Elapsed,             "dialling",     dial),
        on("suspect",           Elapsed,             "dialling",     dial),
        on("token-stale",       Elapsed,             "dialling",     dial),
        on("tripped",           Elapsed,             "dialling",     dial),
        on(("token-stale", "tripped"), CredentialsChanged, "dialling", dial),
        on(WAITING,             Resumed,             "dialling",     dial),

        on((*POLLING, "resting"), (Doubted,),        "suspect",      doubt),
        on((*POLLING, "resting"), Woke,              "suspect",      wake),
        on(("reconnecting", "suspect"), Woke,        "suspect",      wake),

        on(LIVE,                StopRequested,       "draining",     drain),
        on("draining",          (Drained, Elapsed),  "hanging-up"),
        on("hanging-up",        (HungUp, Broken),    "closed",       closed),

        on(EVERY,               ClockStepped,        STAY),
        ignore(("closed", "draining", "hanging-up"), StopRequested, because="it is stopping already"),
        ignore(("closed", *LIVE, "hanging-up"), Drained, because="it is not draining"),
        ignore(("closed", "dialling", *POLLING, "resting", "reconnecting", "suspect", "draining", "hanging-up"),
               CredentialsChanged,                   because="the next dial reads them anyway"),
        ignore(("closed", "dialling", *POLLING, "resting", "draining", "hanging-up"), Resumed,
               because="it is not waiting for a person"),
        ignore(("closed", "dialling", *WAITING, "draining", "hanging-up"), Doubted,
               because="it is not taken for connected"),
        ignore(("closed", "dialling", "token-stale", "tripped", "draining", "hanging-up"), Woke,
               because="nothing there was trusted"),
        ignore((*QUIET, *POLLING, "hanging-up"), DIALLED, because="no dial is under way"),
        ignore((*QUIET, "dialling", "hanging-up"), POLLED, because="no poll is under way"),
        ignore((*QUIET, "hanging-up"), FAILED,       because="no attempt is under way"),
        ignore((*QUIET, *POLLING, "dialling"), HungUp, because="it is not hanging up"),
    ],
    awaits={
        "closed":       Signal(Started, ClockStepped),
        "dialling":     (Effect(Dial, (*DIALLED, *FAILED), within=30 * SECONDS), Signal()),
        "proving":      (POLL, Signal()),
        "connected":    (POLL, Signal()),
        "resting":      (Timer("rest_until", floor=50 * MILLISECONDS, cap=1 * MINUTES), Signal()),
        "reconnecting": (Timer("retry_at", floor=50 * MILLISECONDS, cap=1 * DAYS), Signal()),
        "suspect":      (Timer("retry_at", floor=50 * MILLISECONDS, cap=5 * MINUTES), Signal()),
        "token-stale":  (Timer("probe_at", floor=1 * SECONDS, cap=6 * HOURS), Signal()),
        "tripped":      (Timer("probe_at", floor=5 * SECONDS, cap=6 * HOURS), Signal()),
        "draining":     (Timer("drain_until", floor=50 * MILLISECONDS, cap=1 * HOURS), Signal()),
        "hanging-up":   (Effect(HangUp, (HungUp,), within=5 * SECONDS), Signal()),
    },
)
# fmt: on

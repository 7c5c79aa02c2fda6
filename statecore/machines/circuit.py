"""One chat, or one account, that refuses.

`closed` lets requests through, `open` lets none, and `half-open` lets one: the probe holds a ticket, and only the
outcome of that ticket moves the circuit. So a late answer to a request from before the trip neither closes the circuit
nor lengthens its wait, and nothing the circuit holds back itself can count against it. Each failed probe lengthens the
next wait; a message from the chat's user closes the chat's circuit at once.
"""

import attrs

from statecore.events import Elapsed, External
from statecore.evolve import evolver
from statecore.machine import STAY, Machine, Signal, Timer, ignore, on
from statecore.units import DAYS, MILLISECONDS, MINUTES, SECONDS


@attrs.frozen
class Circuit:
    """What an instance remembers.

    Args:
        failures: trips and failed probes in a row.
        probe_at: when the next probe may leave, in ns.
        probe: address of the delivery that holds the ticket.
        probe_until: when a ticket that nobody used is taken back, in ns.
        closed_at: when it last closed, in ns.
        opened_at: when it last tripped, in ns.
        level: how far pacing was stretched at the last sign of throttling, 1 for not at all.
        throttled_at: when that was, in ns.
        suspects: the chats whose refusals tripped it.
        reason: what was refused, and how that was read.
    """

    failures: int = 0
    probe_at: int | None = None
    probe: str = ""
    probe_until: int | None = None
    closed_at: int | None = None
    opened_at: int | None = None
    level: float = 1.0
    throttled_at: int | None = None
    suspects: tuple[str, ...] = ()
    reason: str = ""


@attrs.frozen(kw_only=True)
class Tripped(External):
    """The evidence says that asking again now is pointless.

    Args:
        reason: what was refused, and how that was read.
        wait: ns until the first probe.
        failures: which trip in a row this is.
        level: how far pacing is stretched from now on; 1 if nothing says that it was too fast.
        suspects: the chats whose refusals are the evidence.
    """

    reason: str
    wait: int
    failures: int
    level: float = 1.0
    suspects: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ProbeSent(External):
    """A delivery took the ticket.

    Args:
        delivery: its address.
        within: ns after which the ticket is taken back.
    """

    delivery: str
    within: int


@attrs.frozen(kw_only=True)
class ProbePassed(External):
    """The platform took the probe."""


@attrs.frozen(kw_only=True)
class ProbeFailed(External):
    """The platform refused the probe.

    Args:
        reason: what it said.
        wait: ns until the next one.
        throttled: whether that is a sign of throttling.
    """

    reason: str
    wait: int
    throttled: bool = False


@attrs.frozen(kw_only=True)
class ProbeVoid(External):
    """The probe came to nothing, so it says nothing: it never left, or its answer was lost.

    Args:
        wait: ns until the next one.
    """

    wait: int


@attrs.frozen(kw_only=True)
class Reset(External):
    """Close the circuit.

    Args:
        by: "inbound": the chat's user wrote; "operator": a person says that it is cured; either begins with the first wait
            again. "account": the refusals are now put down to the account, which cures nothing.
    """

    by: str


evolve = evolver(Circuit)


def tripped(was: Circuit, event: Tripped, now: int) -> Circuit:
    slowed = event.level > 1
    return evolve(
        was,
        failures=event.failures,
        probe_at=now + event.wait,
        opened_at=now,
        level=event.level if slowed else was.level,
        throttled_at=now if slowed else was.throttled_at,
        suspects=event.suspects,
        reason=event.reason,
    )


def probing(was: Circuit, event: ProbeSent, now: int) -> Circuit:
    return evolve(was, probe=event.delivery, probe_until=now + event.within)


def failed(was: Circuit, event: ProbeFailed, now: int) -> Circuit:
    return evolve(
        was,
        failures=was.failures + 1,
        probe_at=now + event.wait,
        probe="",
        throttled_at=now if event.throttled else was.throttled_at,
        reason=event.reason,
    )


def void(was: Circuit, event: ProbeVoid, now: int) -> Circuit:
    return evolve(was, probe_at=now + event.wait, probe="")


def unused(was: Circuit, _event: Elapsed, _now: int) -> Circuit:
    return evolve(was, probe="")


def passed(was: Circuit, _event: External, now: int) -> Circuit:
    return evolve(was, probe="", closed_at=now, suspects=(), reason="")


def reset(was: Circuit, event: Reset, now: int) -> Circuit:
    failures = was.failures if event.by == "account" else 0
    return evolve(was, failures=failures, probe="", closed_at=now, suspects=(), reason="")


PROBES = (ProbeSent, ProbePassed, ProbeFailed, ProbeVoid)

# fmt: off
circuit = Machine(
    "circuit",
    remembers=Circuit,
    initial="closed",
    table=[
        #  when in      and this happens         go to        remembering
        on("closed",    Tripped,                 "open",      tripped),
        on("open",      Elapsed("probe_at"),     "half-open"),
        on("open",      Reset,                   "closed",    reset),
        on("half-open", ProbeSent,               "probing",   probing),
        on("half-open", Reset,                   "closed",    reset),
        on("probing",   ProbePassed,             "closed",    passed),
        on("probing",   ProbeFailed,             "open",      failed),
        on("probing",   ProbeVoid,               "open",      void),
        on("probing",   Elapsed("probe_until"),  "half-open", unused),
        on("probing",   Reset,                   "closed",    reset),
        on("closed",    Reset,                   STAY,        reset),
        ignore(("open", "half-open", "probing"), Tripped, because="an answer to a request from before the trip"),
        ignore("closed",    PROBES,              because="no probe is out; it was reset meanwhile"),
        ignore("open",      PROBES,              because="no probe is out; its ticket was taken back"),
        ignore("half-open", (ProbePassed, ProbeFailed, ProbeVoid), because="its ticket was taken back"),
        ignore("probing",   ProbeSent,           because="one probe is out already"),
    ],
    awaits={
        "closed":    Signal(Tripped, Reset),
        "open":      (Signal(Reset), Timer("probe_at", floor=50 * MILLISECONDS, cap=8 * DAYS)),
        "half-open": Signal(ProbeSent, Reset),
        "probing":   (Signal(ProbePassed, ProbeFailed, ProbeVoid, Reset),
                      Timer("probe_until", floor=1 * SECONDS, cap=10 * MINUTES)),
    },
)
# fmt: on

"""How each shipped machine is explored by itself: what is tried, and what of its memory does not matter. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from statecore.events import Broken, Event
from statecore.evolve import evolve
from statecore.exploration.abstraction import ABSTRACT
from statecore.exploration.machine import MachineModel, machine_model
from statecore.exploration.scene import POLICIES
from statecore.exploration.scenes import READINGS
from statecore.machine import Machine
from statecore.machines import connection, delivery, inbound, session, window
from statecore.reading import Evidence
from statecore.units import SECONDS

SAMPLES: Final[Mapping[type[Event], Sequence[Event]]] = {
    delivery.Accepted: (
        delivery.Accepted(chat="c", parts=("one",)),
        delivery.Accepted(chat="c", parts=("one", "two"), expires_at=10**18),
    ),
    delivery.Turn: tuple(
        delivery.Turn(token=1, left=1, bare=bare, doubles=doubles)
        for bare in (False, True)
        for doubles in (False, True)
    ),
    delivery.PartAccepted: (delivery.PartAccepted(message="m"), delivery.PartAccepted(confirmed=False)),
    delivery.PartPending: (delivery.PartPending(audit="a"), delivery.PartPending(audit="b")),
    delivery.Reviewed: tuple(
        delivery.Reviewed(audit=audit, passed=passed) for audit in ("a", "b") for passed in (False, True)
    ),
    delivery.PartRefused: tuple(
        delivery.PartRefused(code="x", message="", reading="", then=then, evidence=Evidence(), wait=SECONDS)  # type: ignore[arg-type]
        for then in READINGS
    ),
    delivery.NotSent: tuple(
        delivery.NotSent(stage="connect", error="e", wait=SECONDS, final=final) for final in (False, True)
    ),
    delivery.PartUnknown: tuple(delivery.PartUnknown(error="e", wait=SECONDS, final=final) for final in (False, True)),
    delivery.Held: (
        delivery.Held(by="window", reason="r"),
        delivery.Held(by="circuit", reason="r"),
        delivery.Held(by="circuit", reason="r", wait=SECONDS),
    ),
    delivery.Released: (delivery.Released(by="inbound"),),
    connection.Started: tuple(
        connection.Started(boot="b", pid=1, host="h", epoch=1, offline=offline, resumable=1) for offline in (0, 2)
    ),
    connection.StopRequested: (connection.StopRequested(by="signal", wait=SECONDS),),
    connection.Doubted: tuple(connection.Doubted(reason="r", wait=SECONDS, credential=one) for one in (None, 0, 1, 2)),
    connection.Woke: (connection.Woke(slept=SECONDS, wait=SECONDS),),
    connection.ClockStepped: (connection.ClockStepped(by=SECONDS),),
    connection.Lost: tuple(
        connection.Lost(stage="connect", error="e", wait=SECONDS, failures=failures, reachable=reachable, forget=forget)
        for failures in (1, 2)
        for reachable in (False, True)
        for forget in ((), ("session",), ("token",))
    ),
    connection.TokenRefused: (connection.TokenRefused(code="x", message="m", wait=SECONDS, action="a"),),
    connection.Rejected: (connection.Rejected(error="e", wait=SECONDS, action="a"),),
    connection.Arrived: (connection.Arrived(messages=1),),
    connection.Waited: (connection.Waited(held=2 * SECONDS),),
    connection.Idle: tuple(connection.Idle(held=held, wait=SECONDS) for held in (0, 2 * SECONDS)),
    connection.HungUp: (connection.HungUp(),),
    session.Noted: (session.Noted(what="w"),),
    session.Welcomed: tuple(session.Welcomed(resumed=resumed, beat=SECONDS) for resumed in (False, True)),
    session.Authorised: tuple(session.Authorised(changed=changed, renew=SECONDS) for changed in (False, True)),
    session.Found: tuple(session.Found(url="u", lasts=SECONDS, wait=wait) for wait in (0, SECONDS)),
    session.Greeted: tuple(
        session.Greeted(beat_every=SECONDS, wait=wait, starts=starts) for wait in (0, SECONDS) for starts in (0.0, 2.0)
    ),
    Broken: tuple(
        Broken(how=how, wait=SECONDS, final=final)
        for how in ("overdue", "died", "interrupted", "drained")
        for final in (False, True)
    ),
    window.Heard: (window.Heard(lasts=SECONDS), window.Heard(lasts=SECONDS, token=True, message="a")),
}
"""Where samples made from types would be many that do the same."""


_DROPPED: Final = {"unclear": False, "unknowns": 0, "interruptions": 0, "token": 0}


def _delivery(state: str, data: delivery.Delivery) -> delivery.Delivery:
    kept: delivery.Delivery = ABSTRACT["delivery"](state, data, POLICIES)
    audits = tuple(sorted(set(kept.audits)))
    return evolve(kept, doubled=(), audits=audits, attempts=0, failing_since=None, **_DROPPED)


def _window(_state: str, data: window.Window) -> window.Window:
    openings = tuple(evolve(one, spent=min(one.spent, 1), numbered=min(one.numbered, 1)) for one in data.openings[-2:])
    return evolve(data, openings=openings, token=min(data.token, 1), tokens=0, unheard=min(data.unheard, 1), reason="")


def _inbound(_state: str, data: inbound.Inbound) -> inbound.Inbound:
    return evolve(data, attempts=0, copies=0, reason="", action="")


def _as_composed(name: str) -> Any:
    return lambda state, data: ABSTRACT[name](state, data, POLICIES)


_KEEPS: Final[Mapping[str, Any]] = {
    "delivery": _delivery,
    "window": _window,
    "inbound": _inbound,
    "connection": _as_composed("connection"),
    "session": _as_composed("session"),
    "circuit": _as_composed("circuit"),
}


def shipped_model(machine: Machine) -> MachineModel:
    """Make the model of a shipped machine, or of one that is put in its place."""
    return machine_model(machine, samples=SAMPLES, abstract=_KEEPS[machine.name], variants_max=2000)

"""Instances with their times and numbers taken out, so that there are finitely many. Pure.

Every timer that runs stands at one place ahead, and every moment of the past at one behind. Counters that only lengthen a
wait are dropped, because waits are: a timer that runs may elapse. What is said to people is dropped; that it is said is
checked when a step is taken. Tokens and credentials are told apart only as the current one and another.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from statecore.evolve import evolve
from statecore.exploration.moments import AHEAD, LONG_AGO, NOW
from statecore.machine import Machine, Snapshot
from statecore.machines.delivery import ENDED, SENDING, Delivery
from statecore.machines.window import Window
from statecore.platform import Policies

CURRENT: Final = 2
OTHER: Final = 1
"""Tokens and credentials: the one in use, and any other."""

SAID: Final = "said"
"""A reason, where there is one."""


@attrs.frozen(cache_hash=True)
class Place:
    """Where an instance is, with its times and numbers taken out. It knows its hash: places are looked up all the time."""

    state: str
    data: Any

    def snapshot(self) -> Snapshot:
        """Return an instance that is there."""
        return Snapshot(self.state, self.data, 2, 1)


def abstract(machine: Machine, snapshot: Snapshot, policies: Policies) -> Place:
    """Take the times and numbers out of an instance.

    Args:
        machine: its definition.
        snapshot: where it is.
        policies: how far counters matter.
    """
    state, data, _, _ = snapshot
    timers = {timer.field: getattr(data, timer.field) for timer in machine.timers(state)}
    changes: dict[str, Any] = dict.fromkeys(_timer_fields(machine))
    changes |= {field: None if deadline is None else AHEAD for field, deadline in timers.items()}
    return Place(state, ABSTRACT[machine.name](state, evolve(data, **changes), policies))


_FIELDS: dict[int, tuple[str, ...]] = {}


def _timer_fields(machine: Machine) -> tuple[str, ...]:
    known = _FIELDS.get(id(machine))
    if known is None:
        fields = {timer.field: None for state in machine.states for timer in machine.timers(state)}
        known = _FIELDS[id(machine)] = tuple(fields)
    return known


def _moment(at: int | None) -> int | None:
    return None if at is None else NOW


def _connection(_state: str, data: Any, _policies: Policies) -> Any:
    return evolve(
        data,
        generation=1,
        failures=0,
        ready_since=_moment(data.ready_since),
        down_since=_moment(data.down_since),
        down_total=0,
        empties=0,
        silences=0,
        stale_probes=0,
        boot="",
        reason="",
        action="",
    )


def _session(state: str, data: Any, policies: Policies) -> Any:
    return evolve(
        _connection(state, data, policies),
        credential=CURRENT if data.credential else 0,
        doubted=CURRENT if data.doubted and data.doubted == data.credential else 0,
        url="",
        misses=min(data.misses, 1),
        starts=None,
        starts_at=0,
        beat_every=NOW // 1000,
        taken=0,
    )


def _circuit(state: str, data: Any, _policies: Policies) -> Any:
    return evolve(
        data,
        failures=0,
        closed_at=None,
        opened_at=None,
        level=1.0,
        throttled_at=None,
        suspects=tuple(sorted(data.suspects)) if state != "closed" else (),
        reason=SAID if data.reason else "",
    )


def _window(state: str, data: Window, policies: Policies) -> Window:
    most = policies.window.messages
    openings = tuple(
        evolve(
            opening,
            heard_at=NOW,
            closes_at=AHEAD if opening.closes_at > NOW else NOW,
            spent=min(opening.spent, most),
        )
        for opening in data.openings
        if opening.message or state not in ("lapsed", "refused", "unseen")
    )
    return evolve(
        data,
        openings=() if state == "lapsed" else openings,
        token=CURRENT if data.token else 0,
        tokens=CURRENT,
        unheard=min(data.unheard, most) if state == "unseen" else 0,
        reason=SAID if data.reason and state not in ("open", "unseen") else "",
    )


def _delivery(state: str, data: Delivery, policies: Policies) -> Delivery:
    if state in ENDED:
        return Delivery(parts=data.parts, part=data.part, doubled=data.doubled)
    return evolve(
        data,
        token=data.token if state in SENDING else 0,
        attempts=min(data.attempts, policies.retry.attempts),
        failing_since=None if data.failing_since is None else LONG_AGO,
        down_before=0,
        unknowns=min(data.unknowns, policies.retry.attempts),
        interruptions=min(data.interruptions, policies.retry.interruptions),
        unconfirmed=0,
        rejected="rejected" if data.rejected else "",
        message="",
        reason="",
        action="",
    )


ABSTRACT: Final[Mapping[str, Callable[[str, Any, Policies], Any]]] = {
    "connection": _connection,
    "session": _session,
    "circuit": _circuit,
    "window": _window,
    "delivery": _delivery,
}
"""What is kept of what each machine remembers: (state, data, policies) -> data."""


def told_apart(window: Place, delivery: Place, token: int) -> Place:
    """Say of a delivery whether its token is the chat's newest one.

    Args:
        window: of its chat, as abstracted.
        delivery: as abstracted, but for its token.
        token: number of the newest one, before it was abstracted; 0 if there is none.
    """
    if not delivery.data.token or window.state is None:
        return delivery
    kept = CURRENT if delivery.data.token == token else OTHER
    return Place(delivery.state, evolve(delivery.data, token=kept))

"""How often properties of the shipped machines are tried, and what their fields hold; the strategies are the testing kit's."""

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from statecore.machine import Machine, Snapshot
from statecore.machines import circuit, connection, delivery, session
from statecore.reading import Evidence
from statecore.testing import strategies as kit
from statecore.testing.lives import BEGAN, History, Moment
from statecore.testing.strategies import AWKWARD, values
from statecore.units import DAYS, MILLISECONDS, SECONDS

__all__ = ["AWKWARD", "BEGAN", "Moment", "happenings", "histories", "often", "seldom", "snapshots", "values"]

often = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
seldom = settings(often, max_examples=16)
"""How often a property is tried. Nothing here is timed: a busy machine is no bug."""

PARTICULAR: Final[Mapping[type | tuple[type, str], st.SearchStrategy[Any]]] = {
    int: st.sampled_from(
        [0, 1, 2, 3, 10, 100, 40 * MILLISECONDS, 1 * SECONDS, 90 * SECONDS, 1 * DAYS, 40 * DAYS, kit.EXACT]
    ),
    (delivery.Accepted, "parts"): st.integers(1, 4).map(lambda count: tuple("abcd"[:count])),
    (delivery.Accepted, "expires_at"): st.sampled_from([None, None, None, BEGAN, BEGAN + 3 * DAYS]),
    (delivery.Held, "by"): st.sampled_from(["window", "circuit"]),
    (delivery.PartRefused, "evidence"): st.just(Evidence()),  # no machine looks at it
    (circuit.Reset, "by"): st.sampled_from(["inbound", "account", "operator"]),
    (connection.Lost, "forget"): st.sampled_from([(), (), ("session",), ("token",), ("session", "token")]),
    (session.Found, "wait"): st.sampled_from([0, 0, 0, 90 * SECONDS]),
    (session.Greeted, "wait"): st.sampled_from([0, 0, 0, 90 * SECONDS]),
}
"""Fields whose type says less than their documentation. Every whole number in an event of ours is a count or a length."""


def happenings(machine: Machine) -> Mapping[Any, st.SearchStrategy[Any]]:
    """Return, for each event that a machine knows, how to draw one."""
    return kit.happenings(machine, PARTICULAR)


def histories(machine: Machine, *, most: int = kit.MOST) -> st.SearchStrategy[History]:
    """Draw a life in which something happens; late and misplaced events come too, and no table may trip over them."""
    return kit.histories(machine, most=most, given=PARTICULAR, stray=True).filter(bool)


def snapshots(machine: Machine) -> st.SearchStrategy[Snapshot]:
    """Draw an instance as it can be."""
    return kit.snapshots(machine, given=PARTICULAR)

"""Timers of many instances: none is met twice, none is lost."""

from statecore.machines import MACHINES, circuit
from statecore.machines.circuit import Tripped
from statecore.system import Stored, System
from statecore.units import SECONDS

ADDRESS = "circuit/wx/ann"


class Store:
    """A journal in which one circuit is open until its third second."""

    def load(self, address: str) -> Stored:
        """Return it."""
        return Stored(address, "open", '{"probe_at":3000000000,"failures":1}', 1, 1, 1, "ann", 0, 1)

    def due(self, account: str, after: int, most: int | None) -> tuple[list[tuple[int, str]], int | None]:  # noqa: ARG002
        """Return its deadline."""
        return [(3 * SECONDS, ADDRESS)] if after < 3 * SECONDS else [], None


def test_a_timer_set_after_two_that_were_met_at_once_is_met_too() -> None:
    """
    After a restart the deadlines of the journal are armed. One of them was moved, and a process that was held up for a
    while then found the old and the new one due in the same moment: from then on that instance's timers were lost.
    """
    system = System("wx", MACHINES, Store())
    system.arm(system.begin(0), 0)
    unit = system.begin(1 * SECONDS)
    system.feed(unit, ADDRESS, circuit.Reset(by="inbound"))
    system.feed(unit, ADDRESS, Tripped(reason="", wait=4 * SECONDS, failures=1))
    assert len(system.elapsed(60 * SECONDS, 10)) == 1
    unit = system.begin(60 * SECONDS)
    system.feed(unit, ADDRESS, circuit.Reset(by="inbound"))
    system.feed(unit, ADDRESS, Tripped(reason="", wait=4 * SECONDS, failures=1))

    met = system.elapsed(64 * SECONDS, 10)

    assert [address for address, _, _ in met] == [ADDRESS]

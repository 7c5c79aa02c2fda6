"""The machines of a chat account, one file each: what can happen to it is the table in that file, and nowhere else.

connection   one account's tie to a platform that is polled
session      one account's tie to a platform that is spoken with over a socket
delivery     one message on its way out
window       what a platform still allows in one chat
circuit      one chat, or one account, that refuses
inbound      one message that came in
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from statecore.machine import Machine
from statecore.machines import circuit, connection, delivery, inbound, session, window

MACHINES: Final[Mapping[str, Machine]] = MappingProxyType(
    {
        machine.name: machine
        for machine in (
            connection.connection,
            session.session,
            delivery.delivery,
            window.window,
            circuit.circuit,
            inbound.inbound,
        )
    }
)
"""Every shipped machine by name; the first part of an instance's address is such a name."""

__all__ = ["MACHINES", "circuit", "connection", "delivery", "inbound", "session", "window"]

"""The machines of a chat account, one file each: what can happen to it is the table in that file, and nowhere else.

connection   one account's tie to its platform
delivery     one message on its way out
window       what a platform still allows in one chat
circuit      one chat, or one account, that refuses
inbound      one message that came in
"""

from statecore.machine import Machine
from statecore.machines.circuit import circuit
from statecore.machines.connection import connection
from statecore.machines.delivery import delivery
from statecore.machines.inbound import inbound
from statecore.machines.window import window

MACHINES: dict[str, Machine] = {
    machine.name: machine for machine in (connection, delivery, window, circuit, inbound)
}
"""Every shipped machine by name; the first part of an instance's address is such a name."""

__all__ = ["MACHINES", "circuit", "connection", "delivery", "inbound", "window"]

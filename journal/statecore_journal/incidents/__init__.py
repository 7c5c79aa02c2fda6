"""Incidents: what went wrong in a journal, where it started, what it cost, and what to change.

    from statecore_journal.incidents import find

    for incident in find("gateway.db"):
        print(incident.kind, incident.first, incident.summary, incident.advice)

Each kind is a small monitor over the rows in their order (`Monitor`). The same monitors run over a journal (`find`) and in
a gateway (`LiveMonitors`).
"""

from statecore_journal.incidents.cases import Waiting
from statecore_journal.incidents.finding import Make, Watch, find
from statecore_journal.incidents.kinds import GROUP, KINDS, explained, installed
from statecore_journal.incidents.live import LiveMonitors
from statecore_journal.incidents.model import ROWS_MAX, Cost, Incident, Monitor, Row

__all__ = [
    "GROUP",
    "KINDS",
    "ROWS_MAX",
    "Cost",
    "Incident",
    "LiveMonitors",
    "Make",
    "Monitor",
    "Row",
    "Waiting",
    "Watch",
    "explained",
    "find",
    "installed",
]

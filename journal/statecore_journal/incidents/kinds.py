"""The monitors there are: those that ship, and those that others installed."""

from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, Final

from statecore_journal.incidents import deliveries, handling, links, losses, machinery, processes, refusals, sessions
from statecore_journal.incidents.finding import Make

GROUP: Final = "statecore.monitors"
"""Entry points under which others install monitors: name -> callable that makes one."""

KINDS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        monitor.kind: monitor
        for monitor in (
            refusals.RetryStorm,
            refusals.ChatRefused,
            refusals.Throttled,
            refusals.StaleToken,
            deliveries.WindowExhausted,
            deliveries.HeadOfLineWait,
            deliveries.SendFailures,
            deliveries.UnknownOutcomes,
            losses.DeadLetters,
            losses.ExpiredMessages,
            links.Outage,
            links.DnsFailure,
            links.Flapping,
            links.Zombie,
            sessions.CredentialsRefused,
            sessions.CompetingConsumer,
            sessions.Rejected,
            sessions.ResumeLoop,
            sessions.SessionBudget,
            links.InstantEmpty,
            processes.RestartRace,
            processes.DrainCutOff,
            processes.RestartLoop,
            processes.LeaseConflict,
            handling.PoisonMessage,
            handling.HandlerFailures,
            handling.StuckState,
            handling.DuplicatesIn,
            machinery.ClockJump,
            machinery.Suspended,
            machinery.SpinHeld,
            machinery.JournalStall,
            machinery.AdapterFault,
        )
    }
)
"""What makes the monitor of each kind that ships."""


def installed(report: Callable[[str], None]) -> dict[str, Make]:
    """Return what makes every monitor, by its name; one of others that cannot be imported is reported and left out."""
    found: dict[str, Make] = dict(KINDS)
    for point in entry_points(group=GROUP):
        try:
            found[point.name] = point.load()
        except Exception as error:  # noqa: BLE001 - whoever installed it
            report(f"the monitor {point.name!r} ({point.value}) cannot be imported: {type(error).__name__}: {error}")
    return found


def explained(name: str, make: Any) -> str:
    """Return what a monitor looks for and where it comes from: what its docstring says."""
    lines = [
        line.strip() for line in (getattr(make, "__doc__", None) or f"{name} says nothing of itself.").splitlines()
    ]
    return "\n".join(lines).strip()

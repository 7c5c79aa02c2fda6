"""One transition of a run, whether it is on record or was made anew."""

from typing import Any, Final, NamedTuple

from statecore import codec
from statecore_journal.whatif.recording import Row

_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""


class Happened(NamedTuple):
    """One transition of a run.

    Args:
        at: when, in ns.
        address: of the instance.
        version: how many events it had taken, with this one.
        name: of the event.
        event: what happened.
        source: the state before.
        target: the state after.
        outcome: "moved", "stayed", "ignored" or "refused".
        modelled: whether it rests on an answer that was never recorded.
        seq: its place in the run, or in the journal.
        cause: place of what caused it; None if that is outside.
    """

    at: int
    address: str
    version: int
    name: str
    event: Any
    source: str
    target: str
    outcome: str
    modelled: bool
    seq: int
    cause: int | None

    def is_like(self, other: "Happened") -> bool:
        """Tell whether the same happened at the same moment, whatever its place."""
        return self[:8] == other[:8]


def written(happened: Happened) -> str:
    """Write an event as the journal does."""
    return codec.dumps(happened.event)


def as_happened(row: Row) -> Happened:
    """Return a recorded row as a transition of a run."""
    seq, at, address, event, name, before, after, said, _, cause = row
    outcome = said.partition(":")[0] if said else "moved"
    return _new(Happened, (
        at, address, after.version, name, event, before.state, after.state, outcome, False, seq, cause,
    ))  # fmt: skip

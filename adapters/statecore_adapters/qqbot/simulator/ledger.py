"""What happened, to be read by a test or a person."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from .records import Audit, Delivered, Dial, Entry, Heartbeat, Identify, Record, Resume
from .state import State

__all__ = ["Ledger"]

SENDS: Final = frozenset({"messages", "stream_messages"})
PENDING: Final = frozenset({304023, 304024})


@attrs.define(eq=False, slots=False)  # a base among others
class Ledger:
    """The part of the `Simulator` that keeps the truth."""

    _state: State

    @property
    def delivered(self) -> list[Delivered]:
        """Every message answered with success, in the order of arrival; those nobody will see are marked."""
        return self._state.delivered

    @property
    def seen(self) -> list[Delivered]:
        """What people see: delivered and not swallowed."""
        return [message for message in self._state.delivered if not message.swallowed]

    @property
    def typing(self) -> list[Delivered]:
        """Every "is typing" that was accepted; each used up a reply."""
        return self._state.typing

    @property
    def refused(self) -> list[Record]:
        """The sends that were refused, by a rule or a script."""
        return [
            record
            for record in self._state.records
            if record.endpoint in SENDS and record.err_code and record.err_code not in PENDING
        ]

    @property
    def recalled(self) -> list[str]:
        """Ids of the messages the bot took back."""
        return self._state.recalled

    @property
    def requests(self) -> list[Record]:
        """Every request in order of arrival."""
        return self._state.records

    def requests_to(self, endpoint: str) -> list[Record]:
        """Return the requests to one endpoint."""
        return [record for record in self._state.records if record.endpoint == endpoint]

    @property
    def dials(self) -> list[Dial]:
        """Every attempt to open a WebSocket."""
        return self._state.dials

    @property
    def identifies(self) -> list[Identify]:
        """Every op 2."""
        return self._state.identifies

    @property
    def resumes(self) -> list[Resume]:
        """Every op 6."""
        return self._state.resumes

    @property
    def heartbeats(self) -> list[Heartbeat]:
        """Every op 1 of a client."""
        return self._state.heartbeats

    @property
    def lost(self) -> list[Mapping[str, Any]]:
        """Events that no session took: they are gone."""
        return self._state.lost

    @property
    def audits(self) -> dict[str, Audit]:
        """Messages that wait, or waited, for an auditor."""
        return self._state.audits

    @property
    def interactions(self) -> dict[str, int | None]:
        """The bot's answer to each press of a button; None while there is none."""
        return self._state.interactions

    @property
    def log(self) -> list[Entry]:
        """Everything that happened, a line each: print it."""
        return self._state.log

"""What an incident is, what watches for one, and what a row is to whoever watches."""

from collections.abc import Iterable
from typing import Any, Final, Protocol

import attrs

from statecore import codec
from statecore.events import Event
from statecore_journal.fields import read_fields

ROWS_MAX: Final = 32
"""Rows that an incident names. More would be read by nobody; the first and the newest are kept."""


@attrs.frozen(kw_only=True)
class Cost:
    """What an incident cost; zero where that does not apply.

    Args:
        delayed: messages that left later than they would have.
        delay_max: the longest of these delays, in ns.
        refused: requests that were refused.
        dead: messages that died.
        doubled: messages that may have arrived twice.
        down: ns without a connection.
    """

    delayed: int = 0
    delay_max: int = 0
    refused: int = 0
    dead: int = 0
    doubled: int = 0
    down: int = 0


@attrs.frozen(kw_only=True)
class Incident:
    """Something that went wrong, told to a person who was not there.

    Args:
        kind: what it is: "retry-storm", "flapping", ...; see `KINDS`.
        account: whose.
        address: the instance it is about.
        first: seq of the row it started at.
        last: seq of the row that ended it; None while it goes on.
        began: `events.at` of *first*, ns of the gateway's clock.
        ended: the same of *last*.
        wall: `events.wall` of *first*, ns since 1970.
        rows: the rows that show it, at most `ROWS_MAX`.
        summary: one sentence with numbers: what happened.
        cause: one sentence: what it comes from.
        advice: one sentence: what to change; it names the settings' key where there is one.
        cost: what it cost.
    """

    kind: str
    account: str
    address: str
    first: int
    last: int | None
    began: int
    ended: int | None
    wall: int
    rows: tuple[int, ...]
    summary: str
    cause: str
    advice: str
    cost: Cost = Cost()

    @property
    def identity(self) -> tuple[str, str, int]:
        """What stays the same from the moment it becomes certain until it is over."""
        return self.kind, self.address, self.first


class Row:
    """One row of the table `events`, from a journal or from a gateway that has just committed it.

    Attributes:
        seq, at, wall, version, event, source, target, outcome, cause, epoch: its columns.
        address: the column `machine`: "delivery/wx/1a2b"; machine, account, key: its parts. The key is a delivery's id, or a
            chat; empty for an account's own instance.
        chat: the chat it belongs to; empty where that is not known.
        lag_before: by how much the wall clock was ahead of `at` in the row of the account before this one, in ns, where
            that has changed by a second or more; else None.
    """

    __slots__ = (
        "_data", "_fields", "account", "address", "at", "cause", "chat", "epoch", "event", "key", "lag_before", "machine",
        "outcome", "seq", "source", "target", "version", "wall",
    )  # fmt: skip

    def __init__(
        self, seq: int, at: int, wall: int, address: str, version: int, event: str, source: str, target: str,
        outcome: str | None, data: str | Event, cause: int | None, epoch: int, chat: str = "",
    ) -> None:  # fmt: skip
        self.seq = seq
        self.at = at
        self.wall = wall
        self.address = address
        self.version = version
        self.event = event
        self.source = source
        self.target = target
        self.outcome = outcome
        self.cause = cause
        self.epoch = epoch
        self.chat = chat
        self.lag_before: int | None = None
        self._data = data
        self._fields: dict[str, Any] | None = None
        self.machine, _, rest = address.partition("/")
        self.account, _, self.key = rest.partition("/")

    @property
    def fields(self) -> dict[str, Any]:
        """The event's fields; those at their defaults are left out. What cannot be read has none."""
        if self._fields is None:
            text = self._data if isinstance(self._data, str) else codec.dumps(self._data)
            self._fields = read_fields(text) or {}
        return self._fields

    def get(self, name: str, default: Any = None) -> Any:
        """Return one field of the event; *default* if it is not there, or at its own default and left out."""
        if isinstance(self._data, str):
            return self.fields.get(name, default)
        return getattr(self._data, name, default)

    @property
    def ignored(self) -> bool:
        """Whether it changed nothing: the machine ignored or refused the event."""
        return self.outcome is not None and self.outcome != "stayed"

    def __repr__(self) -> str:
        return f"Row(#{self.seq} {self.address} {self.source} -> {self.target} {self.event})"


class Monitor(Protocol):
    """Watches for one kind of incident; made anew for each run.

    It may also have an attribute `events`: names of the events it wants to see, as they stand in journals ("Lost",
    "Elapsed(retry_at)"). Without it, or with None, it sees every row, and costs time for each. And it may have an attribute
    `waiting`: it is given a `Waiting` that counts what is on its way, for what an incident delayed. With an attribute `lags`
    that is true it also sees the rows whose `Row.lag_before` is set.

    A monitor whose incidents are all ended by rows that it sees may have a method `news`, like `finish` but for what has become
    certain since it was last asked: a gateway then asks for that, and need not hear of a thousand outages every few seconds.
    """

    @property
    def kind(self) -> str:
        """What its incidents are called."""

    def see(self, row: Row) -> Iterable[Incident]:
        """Take in the next row; yield what first becomes certain by it (with `last` None), and what is over by it."""

    def finish(self, at: int) -> Iterable[Incident]:
        """Yield what goes on and is certain at *at* (ns of the gateway's clock).

        It must change nothing: a gateway asks for it every few seconds, and goes on afterwards.
        """

"""Units to rows."""

import itertools
from typing import Any, NamedTuple

from statecore import codec
from statecore.events import name_of
from statecore.system import LAST, PLACED, Address, Entry, Unit


class EventRow(NamedTuple):
    """One row of `events`, without its seq, wall, epoch and the final form of its cause."""

    at: int
    machine: str
    version: int
    event: str
    source: str
    target: str
    outcome: str | None
    data: str
    guards: str | None
    cause: int
    schema: int
    definition: int


class InstanceRow(NamedTuple):
    """One row of `instances`; `seq` and a new place in a lane are filled in when the batch is written."""

    address: str
    machine: str
    account: str
    chat: str
    state: str
    version: int
    entered: int
    order: int
    live: bool
    due: int | None
    at: int
    schema: int
    data: str


class Rows(NamedTuple):
    """A unit, ready to be written: event rows in order, and each instance's last row with the index of its event.

    Args:
        unit: what they were made from.
        events: rows of `events`.
        instances: (row, index of the last event, index of the event that gives the place in the lane or -1).
    """

    unit: Unit
    events: list[EventRow]
    instances: list[tuple[InstanceRow, int, int]]


def encode(unit: Unit) -> Rows:
    """Encode a unit.

    Raises:
        CodecError: a value cannot be written.
    """
    events = [_event_row(entry, unit.now) for entry in unit.entries]
    last: dict[str, tuple[int, int]] = {}
    for index, entry in enumerate(unit.entries):
        placed = last[entry.address][1] if entry.address in last else -1
        last[entry.address] = (index, index if entry.order == LAST else placed)
    instances = [(_instance_row(unit.entries[index], unit.now), index, placed) for index, placed in last.values()]
    return Rows(unit, events, instances)


_SHOWN = {"moved": None, "stayed": "stayed"}


def _event_row(entry: Entry, now: int) -> EventRow:
    event, decision = entry.event, entry.decision
    kind, reason, guards = decision.outcome
    return EventRow(
        now,
        entry.address,
        decision.snapshot.version,
        name_of(event),
        entry.source,
        decision.snapshot.state,
        _SHOWN.get(kind, f"{kind}: {reason}"),
        codec.dumps(event),
        ",".join(f"{name}={int(held)}" for name, held in guards) if guards else None,
        entry.cause,
        event.schema,
        entry.machine.version,
    )


def _instance_row(entry: Entry, now: int) -> InstanceRow:
    state, data, version, entered = entry.decision.snapshot
    machine, account, _ = Address.parse(entry.address)
    schema: int = getattr(type(data), "schema", 1)
    return InstanceRow(
        entry.address, machine, account, entry.chat, state, version, entered, entry.order, entry.live, entry.due, now,
        schema, codec.dumps(data),
    )  # fmt: skip


INSERT_EVENT = (
    "insert into events (seq, at, wall, machine, version, event, source, target, outcome, data, guards, cause, epoch,"
    " schema, definition) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
UPSERT_INSTANCE = (
    "insert into instances (address, machine, account, chat, state, version, entered, ord, live, due, at, schema, data,"
    " seq) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " on conflict (address) do update set state = excluded.state, version = excluded.version, entered = excluded.entered,"
    " ord = case excluded.ord when -2 then instances.ord else excluded.ord end, live = excluded.live, due = excluded.due,"
    " at = excluded.at, schema = excluded.schema, data = excluded.data, seq = excluded.seq"
)


def number(
    rows: Rows, first: int, wall: int, epoch: int, instances: dict[str, tuple[Any, ...]]
) -> list[tuple[Any, ...]]:
    """Give the rows of a unit their places in the journal.

    Args:
        rows: of the unit.
        first: seq of its first event.
        wall: the wall clock, in ns.
        epoch: of the lease.
        instances: rows for `UPSERT_INSTANCE` by address; those of this unit are put in, in the place of older ones.

    Returns:
        Rows for `INSERT_EVENT`.
    """
    events = []
    for seq, row in zip(itertools.count(first), rows.events):
        at, *middle, cause, schema, definition = row
        settled = None if cause == 0 else cause if cause > 0 else first - cause - 1
        events.append((seq, at, wall, *middle, settled, epoch, schema, definition))
    for instance, index, placed in rows.instances:
        order = first + placed if placed != -1 else instance.order
        if order == PLACED and instance.address in instances:
            order = instances[instance.address][7]
        instances[instance.address] = (*instance[:7], order, *instance[8:], first + index)
    return events

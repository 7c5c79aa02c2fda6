"""A journal, read whole."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from statecore_journal import LogRow, Status, open_reader


class Held(NamedTuple):
    """An instance as the projection has it."""

    address: str
    machine: str
    account: str
    chat: str
    state: str
    version: int
    entered: int
    seq: int
    order: int
    live: int
    data: str

    @property
    def fields(self) -> dict[str, Any]:
        """What it remembers; what is at its default is left out."""
        found = json.loads(self.data)
        assert isinstance(found, dict)
        return found

    @property
    def key(self) -> str:
        """The last part of its address."""
        return self.address.split("/", 2)[-1]


@attrs.define
class Book:
    """Everything in a journal.

    Args:
        rows: its events, in order.
        instances: its projection, by address.
        secrets: by (account, name).
        commands: (id, account, kind, done).
        pruned: whether old rows are gone.
        status: what `statecore status` would show at the moment of the last row.
    """

    rows: list[LogRow]
    instances: dict[str, Held]
    secrets: dict[tuple[str, str], str]
    commands: list[tuple[int, str, str, str | None]]
    pruned: bool
    status: Status
    cells: list[str] = attrs.field(repr=False)

    def of(self, machine: str, *states: str) -> list[Held]:
        """Return the instances of a machine, in these states or in all, in the order of their lanes."""
        found = [held for held in self.instances.values() if held.machine == machine]
        return sorted((held for held in found if not states or held.state in states), key=lambda held: held.order)

    def events(self, event: str, machine: str = "") -> list[LogRow]:
        """Return the rows of an event."""
        return [row for row in self.rows if row.event == event and row.machine.startswith(machine)]

    def history(self, address: str) -> list[str]:
        """Return the states an instance went through, without those it stayed in."""
        rows = [row for row in self.rows if row.machine == address and row.outcome is None]
        return [row.target for row in rows]

    def messages(self, state: str = "") -> list[str]:
        """Return the ids of messages that came in, oldest first."""
        return [held.key for held in self.of("inbound") if state in ("", held.state)]


def read_book(path: Path) -> Book:
    """Read a journal; a gateway may be writing it."""
    with open_reader(path) as reader:
        rows = list(reader.log())
        status = reader.status(rows[-1].wall if rows else 0)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("pragma query_only = on")
        instances = [
            Held(*row)
            for row in connection.execute(
                "select address, machine, account, chat, state, version, entered, seq, ord, live, data from instances"
            )
        ]
        secrets = {(account, name): value for account, name, value in connection.execute("select * from secrets")}
        commands = connection.execute("select id, account, kind, done from commands order by id").fetchall()
        pruned = connection.execute("select 1 from checkpoints").fetchone() is not None
        cells = list(_cells(connection))
    pruned = pruned or (bool(rows) and rows[0].seq > 1)
    return Book(rows, {held.address: held for held in instances}, secrets, commands, pruned, status, cells)


def _cells(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield every text of every table that may be shown or exported."""
    for table in ("events", "instances", "keys", "leases", "commands", "checkpoints"):
        for row in connection.execute(f"select * from {table}"):
            yield from (cell for cell in row if isinstance(cell, str))


def last(rows: list[LogRow]) -> LogRow:
    """Return the last of some rows."""
    assert rows, "there is no such row"
    return rows[-1]

"""The instances of a journal as aggregates of `eventsourcing`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event


class Instance(Aggregate):
    """An instance of a machine."""

    @event("Begun")
    def __init__(self, address: str) -> None:
        self.address = address
        self.name = self.state = ""
        self.at = 0
        self.fields: dict[str, Any] = {}

    @event("Happened")
    def happen(self, name: str, at: int, target: str, fields: dict[str, Any]) -> None:
        """Take one event; no decision is made, so what is measured is the rebuilding alone."""
        self.name = name
        self.state = target
        self.at = at
        self.fields = fields


@contextmanager
def open_application(path: str) -> Iterator[Application[Any]]:
    """Open the library's own SQLite recorder as it comes."""
    application: Application[Any] = Application({"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": path})
    try:
        yield application
    finally:
        application.close()

"""Every scenario plays on a stage of its own."""

import sqlite3
from pathlib import Path

import pytest

from statecore.units import SECONDS
from statecore_journal import schema, writer
from tests.support.stage import Stage


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the disk: the crashes here are not the disk's, and thousands of commits are."""
    connect = schema.connect

    def quick(path: Path, *, busy_ns: int) -> sqlite3.Connection:
        connection = connect(path, busy_ns=busy_ns)
        connection.execute("pragma synchronous = off")
        return connection

    monkeypatch.setattr(schema, "connect", quick)
    monkeypatch.setattr(writer, "connect", quick)


@pytest.fixture
def slow_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the gateway look around once in ten seconds, and beat once in a minute: for scenarios of hours."""
    monkeypatch.setattr("statecore.gateway.LOOK_EVERY", 10 * SECONDS)
    monkeypatch.setattr("statecore.gateway.BEAT_EVERY", 60 * SECONDS)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Return an empty stage."""
    return Stage(tmp_path)

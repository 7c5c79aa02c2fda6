"""A journal's file, read back as what guarantees are checked on."""

import hashlib
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from statecore import codec
from statecore.machine import Snapshot, Verdict
from statecore.machines import MACHINES
from statecore.simulation.guarantees import Row, Standing
from statecore_journal.fold import Replay

ROWS = "select seq, at, machine, version, source, target, event, data, schema, outcome, cause from events order by seq"
INSTANCES = (
    "select address, machine, state, data, schema, version, entered, chat, live, ord from instances order by address"
)
TABLES = ("events", "instances", "keys", "leases", "commands", "secrets", "checkpoints")


def read_back(path: Path) -> tuple[list[Row], dict[str, Standing]]:
    """Read the rows and the instances of a journal."""
    replays = {name: Replay(machine) for name, machine in MACHINES.items()}
    with closing(sqlite3.connect(path)) as connection:
        rows = [_row(replays, row) for row in connection.execute(ROWS)]
        standing = {row[0]: _standing(replays, row) for row in connection.execute(INSTANCES)}
    return rows, standing


def _row(replays: dict[str, Replay], row: tuple[Any, ...]) -> Row:
    seq, at, address, version, source, target, name, data, schema, outcome, cause = row
    kind = replays[address.partition("/")[0]].kind(name)
    assert kind is not None, f"{name} was written by this very code"
    event = codec.loads(data, kind, schema=schema)
    said = outcome.partition(":")[0] if outcome else "moved"
    return Row(seq, at, address, version, source, target, event, said, cause)


def _standing(replays: dict[str, Replay], row: tuple[Any, ...]) -> Standing:
    _, machine, state, data, schema, version, entered, chat, live, order = row
    return Standing(
        Snapshot(state, replays[machine].remembered(data, schema), version, entered), chat, bool(live), order
    )


def verdicts(rows: Sequence[Row]) -> list[Verdict]:
    """Return what became of each row's event, with the guards that were asked, by stepping the machines once more."""
    folded: dict[str, Snapshot] = {}
    found = []
    for row in rows:
        machine = MACHINES[row.address.partition("/")[0]]
        folded[row.address], verdict, *_ = machine.move(folded.get(row.address, machine.start()), row.event, row.at)
        found.append(verdict)
    return found


def fingerprint(path: Path) -> str:
    """Return a hash over every row of every table: two journals with one hold the same to the byte."""
    digest = hashlib.sha256()
    with closing(sqlite3.connect(path)) as connection:
        for table in TABLES:
            for row in connection.execute(f"select * from {table} order by 1, 2"):  # noqa: S608 - names of ours
                digest.update(repr((table, row)).encode())
    return digest.hexdigest()

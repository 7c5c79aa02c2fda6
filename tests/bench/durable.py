"""Durable transitions: the journal, SQLite alone, and `eventsourcing`, all with synchronous=FULL on the same disk."""

import itertools
import shutil
import sqlite3
from pathlib import Path
from timeit import default_timer
from typing import Any, Final

import attrs
import trio
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from statecore.system import System
from statecore.units import SECONDS
from statecore.world import wall_now
from statecore_journal import open_journal
from tests.bench.timing import percentile, undisturbed
from tests.bench.turnstile import EVENTS, turnstile

ACCOUNT: Final = "bench"
MACHINES: Final = 64
ACCOUNTS: Final = (MACHINES, 2, 1)
"""Accounts the machines belong to, each with a driver that appends what its machines decided in one call: every machine on
its own, one WeChat bot and one QQ bot, all in one."""

SPAN_S: Final = 1.0
"""One run lasts about this long: some hundred commits at least, on a slow disk too."""

TURN_S: Final = 0.4
"""And about this long where two are compared. A disk changes its mood within seconds, so they take many short turns."""

TURNS: Final = 25
ROUNDS: Final = 7
RAW: Final = "sqlite3 alone, the rows of 64 machines a commit"
FULL: Final = 2
"""What SQLite answers for synchronous=FULL."""


@attrs.frozen
class Rate:
    """How fast something was.

    Args:
        per_second: transitions.
        p50_ms: half of them took no longer, from asked for to durable.
        p99_ms: nor did 99 of 100 than this.
    """

    per_second: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


# ---- the journal -----------------------------------------------------------------------------------------------------


async def journal(path: Path, machines: int, accounts: int = MACHINES, span_s: float = SPAN_S) -> Rate:
    """Let machines take events, each as soon as its last one is durable, the way the drivers of their accounts do it.

    Args:
        path: of the journal.
        machines: how many at once.
        accounts: how many they belong to; each has its own driver.
        span_s: seconds.
    """
    waits: list[float] = []
    each = machines // accounts
    async with open_journal(path, wall=wall_now) as opened:
        ends = default_timer() + span_s

        async def drive(account: str) -> None:
            system = System(account, {turnstile.name: turnstile}, opened.store)
            addresses = [f"{turnstile.name}/{account}/{machine}" for machine in range(each)]
            began = default_timer()
            for happening in itertools.cycle(EVENTS):
                now = round(began * SECONDS)
                units = []
                for address in addresses:
                    unit = system.begin(now)
                    system.feed(unit, address, happening)
                    units.append(unit)
                placed: list[Any] = await opened.append(units)  # never `Existing`: no unit has a key
                for unit, first in zip(units, placed):  # noqa: B905 - asking for both to be as long is a cost of its own
                    system.committed(unit, first)
                ended = default_timer()
                waits.append(ended - began)
                if ended > ends:
                    break
                began = ended

        names = [f"{ACCOUNT}-{account}" for account in range(accounts)]
        for name in names:
            await opened.take(name, "boot", 1, "host")
        with undisturbed():
            began = default_timer()
            async with trio.open_nursery() as nursery:
                for name in names:
                    nursery.start_soon(drive, name)
            took = default_timer() - began
    return Rate(len(waits) * each / took, percentile(waits, 0.5) * 1000, percentile(waits, 0.99) * 1000)


# ---- SQLite alone ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Recording:
    """What a journal wrote, to be written again.

    Args:
        tables: statements that make its two tables and their indexes.
        insert: statement that writes one event.
        upsert: statement that writes where an instance is.
        commits: rows of events and of instances, for each commit.
    """

    tables: tuple[str, ...]
    insert: str
    upsert: str
    commits: tuple[tuple[list[Any], list[Any]], ...]


def record(path: Path, machines: int = MACHINES) -> Recording:
    """Read what a journal wrote, as commits of one event for each machine.

    The journal keeps only the last row of each instance, so the ones before are made from it: as long, and with the
    state, the version and the place that the event tells.
    """
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    try:
        made = connection.execute(
            "select sql from sqlite_master where tbl_name in ('events', 'instances') and sql is not null order by rowid"
        )
        tables = tuple(sql for (sql,) in made)
        instances = {row["address"]: dict(row) for row in connection.execute("select * from instances")}
        events = connection.execute("select * from events order by seq").fetchall()
        insert = f"insert into events values ({', '.join('?' * len(events[0]))})"
        columns = list(next(iter(instances.values())))
        changing = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in _FIXED)
        marks = ", ".join("?" * len(columns))
        upsert = f"insert into instances values ({marks}) on conflict (address) do update set {changing}"
    finally:
        connection.close()
    commits = []
    for at in range(0, len(events) - machines + 1, machines):
        rows = events[at : at + machines]
        lasts = {row["machine"]: _instance(instances[row["machine"]], row) for row in rows}
        commits.append(([tuple(row) for row in rows], list(lasts.values())))
    return Recording(tables, insert, upsert, tuple(commits))


_FIXED: Final = frozenset({"address", "machine", "account", "chat"})


def _instance(last: dict[str, Any], row: sqlite3.Row) -> tuple[Any, ...]:
    there = {"state": row["target"], "version": row["version"], "entered": row["version"], "seq": row["seq"]}
    return tuple({**last, **there, "at": row["at"]}.values())


def raw(folder: Path, recording: Recording, span_s: float = SPAN_S) -> Rate:
    """Write the rows of a journal again, by sqlite3 alone, with its tables and as durable."""
    connection = sqlite3.connect(folder / "raw.db", isolation_level=None)
    rows, waits, ended = 0, list[float](), 0.0
    try:
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        for statement in recording.tables:
            connection.execute(statement)
        with undisturbed():
            began = default_timer()
            for events, instances in recording.commits:
                asked = default_timer()
                connection.execute("begin immediate")
                connection.executemany(recording.insert, events)
                connection.executemany(recording.upsert, instances)
                connection.execute("commit")
                rows += len(events)
                ended = default_timer()
                waits.append(ended - asked)
                if ended - began > span_s:
                    break
        return Rate(rows / (ended - began), percentile(waits, 0.5) * 1000, percentile(waits, 0.99) * 1000)
    finally:
        connection.close()


# ---- eventsourcing ---------------------------------------------------------------------------------------------------


class Gate(Aggregate):
    """The turnstile as an aggregate."""

    def __init__(self) -> None:
        self.credit, self.passed = 1_000_000_000, 0

    @event("Paid")
    def pay(self, value: int) -> None:
        """Take a coin."""
        self.credit -= value

    @event("Went")
    def go(self, people: int) -> None:
        """Let people through."""
        self.passed += people


def eventsourcing(folder: Path, span_s: float = SPAN_S) -> Rate:
    """Append one event a save, with the library's own SQLite recorder as it comes."""
    path = folder / "eventsourcing.db"
    environment = {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(path)}
    application: Application[Any] = Application(environment)
    try:
        _check_full(path)
        gate, saves = Gate(), list[float]()
        application.save(gate)
        with undisturbed():
            began = ended = default_timer()
            while ended - began < span_s:
                asked = ended
                if len(saves) % 2:
                    gate.go(1)
                else:
                    gate.pay(1)
                application.save(gate)
                ended = default_timer()
                saves.append(ended - asked)
        return Rate(len(saves) / (ended - began), percentile(saves, 0.5) * 1000, percentile(saves, 0.99) * 1000)
    finally:
        application.close()


def _check_full(path: Path) -> None:
    """Make sure that what it does is as durable as what the journal does."""
    connection = sqlite3.connect(path)
    try:
        (synchronous,) = connection.execute("pragma synchronous").fetchone()
        (mode,) = connection.execute("pragma journal_mode").fetchone()
    finally:
        connection.close()
    assert (synchronous, mode) == (FULL, "wal"), (synchronous, mode)


# ---- side by side ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Turn:
    """The journal and what it is compared with, one right after the other. A disk may be ten times slower in the next
    minute, so only these compare.

    Args:
        journal: it.
        raw: SQLite alone, with the rows that the journal wrote.
        eventsourcing: that library.
    """

    journal: Rate
    raw: Rate
    eventsourcing: Rate

    @property
    def of_raw(self) -> float:
        """What share of SQLite alone the journal reaches."""
        return self.journal.per_second / self.raw.per_second

    @property
    def of_eventsourcing(self) -> float:
        """How many times faster than `eventsourcing` it is."""
        return self.journal.per_second / self.eventsourcing.per_second


def compare(folder: Path) -> dict[int, list[Turn]]:
    """Measure all in turn, many times; for every number of accounts in `ACCOUNTS`.

    Nothing is deleted meanwhile: a disk that is told what became free is slow for the next one in turn.
    """
    found: dict[int, list[Turn]] = {accounts: [] for accounts in ACCOUNTS}
    for turn in range(TURNS):
        for accounts in ACCOUNTS:
            here = folder / f"{turn}-{accounts}"
            here.mkdir()
            ours = trio.run(journal, here / "journal.db", MACHINES, accounts, TURN_S)
            alone = raw(here, record(here / "journal.db"), TURN_S)
            found[accounts].append(Turn(ours, alone, eventsourcing(here, TURN_S / 2)))
    return found


def table(folder: Path) -> list[tuple[str, Rate]]:
    """Measure everything in turn, several times: (what, best)."""
    found: dict[str, list[Rate]] = {}
    for round_ in range(ROUNDS):
        here = folder / str(round_)
        here.mkdir()
        for machines, accounts in ((1, 1), *((MACHINES, accounts) for accounts in ACCOUNTS)):
            rate = trio.run(journal, _path(here, accounts, machines), machines, accounts)
            found.setdefault(f"journal, {machines} machines in {accounts} accounts", []).append(rate)
        found.setdefault(RAW, []).append(raw(here, record(_path(here, ACCOUNTS[0]))))
        single = record(_path(here, 1, 1), 1)
        (here / "raw.db").unlink()
        found.setdefault("sqlite3 alone, one row a commit", []).append(raw(here, single))
        found.setdefault("eventsourcing, one event a save", []).append(eventsourcing(here))
        shutil.rmtree(here)
    return [(name, max(rates, key=lambda rate: rate.per_second)) for name, rates in found.items()]


def _path(folder: Path, accounts: int, machines: int = MACHINES) -> Path:
    return folder / f"journal-{machines}-{accounts}.db"

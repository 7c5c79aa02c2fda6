"""Each way to break a store is found, by the check that names it: a suite that passes everything proves nothing."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trio
from hypothesis import Phase, settings

from statecore.errors import JournalBusy, JournalError
from statecore.system import Unit
from statecore.testing.journals import Faults
from statecore_journal import Journal, writer
from statecore_journal.rows import UPDATE_INSTANCE, Batch
from tests.testing.suites.failing import failing
from tests.testing.suites.sqlite_faults import Mark, SqliteFaults
from tests.testing.suites.test_sqlite_conformance import SqliteSuite


class Broken:
    """A journal in SQLite that is good until somebody breaks it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.store: Any = journal.store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.journal, name)

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        """Append units."""
        return await self.journal.append(units, placed)

    async def sql(self, *statements: tuple[Any, ...]) -> None:
        """Do something to the tables that no store should."""
        for sql, *values in statements:
            await self.journal._writer.run(partial(_execute, sql, values))


def _execute(sql: str, values: list[Any], connection: sqlite3.Connection) -> None:
    connection.execute(sql, values)


class AcknowledgesEarly(Broken):
    """Says that it is there, and writes it with the next."""

    waiting: tuple[Unit, ...] = ()
    following = 1

    async def append(self, units: Sequence[Unit], _placed: Any = None) -> Any:
        await self.journal.append(self.waiting)
        self.waiting = tuple(units)
        firsts = []
        for unit in units:
            firsts.append(self.following)
            self.following += len(unit.entries)
        return firsts


class ForgetsTheProjection(Broken):
    """Writes rows, and where that leaves an instance another time."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        found = await self.journal.append(units, placed)
        await self.sql(("update instances set state = 'queued' where state = 'delivered'",))
        return found


class LeavesHoles(Broken):
    """Takes a position, and does not use it if something goes wrong."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        found = await self.journal.append(units, placed)
        await self.sql(("update events set seq = seq + 1 where seq = ? and seq > 5", found[-1]))
        return found


class WritesHalves(Broken):
    """Writes each unit of a call for itself."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        return [(await self.journal.append([unit], placed))[0] for unit in units]


class Overwrites(Broken):
    """Takes whoever comes last for right."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        try:
            return await self.journal.append(units, placed)
        except JournalError:
            return [1] * len(units)


class KeepsSecretsInRows(Broken):
    """Notes what there was to remember, for whoever looks for a bug."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        found = await self.journal.append(units, placed)
        for unit in units:
            for value in unit.secrets.values():
                await self.sql(("update events set guards = ?", value))
        return found


class WritesSecretsApart(Broken):
    """Writes secrets before what they belong to."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        for unit in units:
            for name, value in unit.secrets.items():
                await self.sql(("insert or replace into secrets values (?, ?, ?)", unit.account, name, value))
        return await self.journal.append(units, placed)


class LosesAppends(Broken):
    """Says "cancelled" of what it has begun."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        with trio.CancelScope(shield=True):
            found = await self.journal.append(units, placed)
        await trio.lowlevel.checkpoint()
        return found


class LetsOthersOvertake(Broken):
    """Tries again by itself what comes from beside an account's loop."""

    async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
        if placed is None:
            return await self.journal.append(units)
        while True:
            try:
                return await self.journal.append(units, placed)
            except JournalBusy:
                await trio.sleep(0.01)


class ForgetsLanes(Broken):
    """Puts what comes back where it was."""

    class Store:
        """Its half for reading."""

        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def heads(self, account: str, machine: str) -> Any:
            """Begin a lane with what has waited longest for anything."""
            return [
                (chat, self._store.following(account, machine, chat, head.order) or head)
                for chat, head in self._store.heads(account, machine)
            ]

        def due(self, account: str, after: int, most: int | None) -> Any:
            """Cut a page off where it is full."""
            found, _ = self._store.due(account, after, None)
            page = found[:most]
            return page, page[-1][0] if len(page) < len(found) else None

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.store = self.Store(journal.store)


def suite(kind: type[Broken]) -> SqliteSuite:
    class Suite(SqliteSuite):
        runs = settings(SqliteSuite.runs, phases=(Phase.explicit, Phase.generate))  # what it finds need not be small

        @asynccontextmanager
        async def open(self, place: Path, wall: Callable[[], int]) -> AsyncIterator[Any]:
            async with SqliteSuite.open(self, place, wall) as journal:
                yield kind(journal)

    return Suite()


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (AcknowledgesEarly, "test_what_was_appended_is_there_when_the_call_returns"),
        (ForgetsTheProjection, "test_the_projection_is_where_the_machines_are"),
        (LeavesHoles, "test_rows_say_what_happened"),
        (WritesHalves, "test_units_of_one_call_are_there_together_or_not_at_all"),
        (Overwrites, "test_what_was_decided_on_what_is_no_longer_so_is_refused_whole"),
        (KeepsSecretsInRows, "test_secrets_are_apart_and_never_shown"),
        (WritesSecretsApart, "test_secrets_come_with_what_they_belong_to_and_can_be_forgotten"),
        (LetsOthersOvertake, "test_what_comes_from_beside_does_not_overtake_what_must_be_appended_again"),
        (LosesAppends, "test_a_cancelled_append_is_not_begun_or_there"),
        (ForgetsLanes, "test_lanes_are_in_the_order_of_acceptance"),
        (ForgetsLanes, "test_deadlines_come_in_order_and_none_is_left_out"),
    ],
)  # fmt: skip
def test_a_broken_store_is_found_by_the_check_that_names_it(kind: type[Broken], found: str) -> None:
    """
    A check that finds nothing in a store that breaks its rule would pass every store.
    """
    assert found in failing(suite(kind), [found])


# ---- what is broken within -------------------------------------------------------------------------------------------


def test_a_store_that_takes_a_stale_epoch_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Two owners at once is what leases are for.
    """
    monkeypatch.setattr(writer.Writer, "_check_lease", lambda self, _, account: self._epochs.get(account, 0))

    said = failing(
        SqliteSuite(),
        ["test_a_former_owner_can_write_no_more", "test_who_took_nothing_writes_nothing_once_somebody_did"],
    )

    assert len(said) == 2


def test_a_store_that_does_not_look_at_versions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Its projection would be of whoever came last.
    """
    blind = UPDATE_INSTANCE.replace(" and version = ?", " and version <> ?")
    monkeypatch.setattr(writer, "UPDATE_INSTANCE", blind)

    assert failing(SqliteSuite(), ["test_the_projection_is_where_the_machines_are"])


def test_a_store_that_takes_a_key_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The sender would be heard twice.
    """
    monkeypatch.setattr(writer, "_claim", lambda _connection, _unit: None)

    checks = ["test_a_senders_key_is_taken_once", "test_two_that_come_at_once_with_one_key_are_one"]
    assert len(failing(SqliteSuite(), checks)) == 2


def test_a_store_that_gives_places_twice_as_far_apart_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A reader would wait for what never comes.
    """
    add = Batch.add

    def gap(self: Batch, rows: Any, epoch: int) -> int:
        self.following += 1
        return add(self, rows, epoch)

    monkeypatch.setattr(Batch, "add", gap)

    assert "test_positions_have_no_gaps_whoever_appends_when" in failing(
        SqliteSuite(), ["test_positions_have_no_gaps_whoever_appends_when"]
    )


class Forgetful(SqliteFaults):
    """A disk that has less than it said: every mark is a frame further than what is there."""

    def mark(self, place: Path) -> Mark:
        mark = super().mark(place)
        return Mark(mark.salt, mark.size - 4096 - 24)


def test_a_disk_that_has_less_than_it_said_is_found() -> None:
    """
    So is a store that acknowledges a moment before its last write.
    """

    class Suite(SqliteSuite):
        faults: ClassVar[Faults | None] = Forgetful()

    said = failing(Suite(), ["test_what_was_acknowledged_survives_a_crash_at_any_write"])

    assert "acknowledged" in said["test_what_was_acknowledged_survives_a_crash_at_any_write"]


def test_a_store_that_hangs_when_it_is_busy_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The loop of every account stands behind it.
    """

    class Hangs(Broken):
        async def append(self, units: Sequence[Unit], placed: Any = None) -> Any:
            try:
                return await self.journal.append(units, placed)
            except JournalBusy:
                return await trio.sleep_forever()

    hangs = suite(Hangs)
    monkeypatch.setattr(type(hangs), "patience_s", 0.5)

    check = "test_a_store_that_others_hold_is_busy_for_so_long_and_no_longer"
    assert check in failing(hangs, [check])

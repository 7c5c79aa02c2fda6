"""Crashes at every write, damage, others that hold the store, and no room."""

from contextlib import ExitStack, suppress
from typing import Any, Final

import pytest
import trio

from statecore.errors import JournalBusy, JournalError, JournalFull
from statecore.system import Unit
from statecore.testing.journals.base import Base, Clock, Desk, Journal, Row, fold, stands

FAT: Final = "x" * 4000
FULL_AFTER: Final = 2000
"""Units of 4000 characters that fill whatever `Faults.fill` leaves."""


class Surviving(Base):
    """Checks of what a store outlives."""

    # ---- crashes -----------------------------------------------------------------------------------------------------

    def test_what_was_acknowledged_survives_a_crash_at_any_write(self) -> None:
        """
        The promise that all others stand on. What was acknowledged is there; what was not is there whole, or not at all;
        the projection is that of the rows; and it goes on.
        """
        self.needs("crash", "rows")
        seen = {"lost": 0, "kept": 0}
        with self.place() as place:

            async def main() -> None:
                units: list[tuple[int, int]] = []
                marks: list[Any] = []
                async with self.open(place, Clock()) as journal:
                    await self._work(place, journal, units, marks)
                    rows = self.rows(place)
                    wrecks = list(self.damage().wrecks(place, marks))
                assert len(wrecks) > len(marks), "there are no more wrecks than there were writes; is every write torn?"
                for wreck in wrecks:
                    there = await self._salvage(wreck, rows, units)
                    seen["kept" if there == len(units) else "lost"] += 1

            trio.run(main)
        assert seen["lost"], "no crash lost anything that was under way: they came too late to check anything"
        assert seen["kept"], "every crash lost something: they came too early to check anything"

    async def _work(self, place: Any, journal: Journal, units: list[tuple[int, int]], marks: list[Any]) -> None:
        """Append units of several rows with secrets; note where each stands, and how far the medium got with it."""
        desk = Desk(journal)
        for number in range(9):
            unit = desk.received("ann" if number % 2 else "bob", text="x" * (10 ** (number % 4)))
            unit.secrets["cursor"] = str(number + 1)
            first = await desk.commit(unit)
            units.append((first, len(unit.entries)))
            marks.append(self.damage().mark(place))

    async def _salvage(self, wreck: Any, rows: list[Row], units: list[tuple[int, int]]) -> int:
        """Open what a crash left, and hold it to what it must be; return how many units are there."""
        try:
            async with self.open(wreck.place, Clock()) as journal:
                there = self.rows(wreck.place)
                assert there == rows[: len(there)], f"{wreck.how}: there are rows that were never written"
                whole = [first + count - 1 for first, count in units]
                assert not there or len(there) in whole, f"{wreck.how}: a unit is there in part, up to row {len(there)}"
                kept = whole.index(len(there)) + 1 if there else 0
                assert kept >= wreck.acknowledged, (
                    f"{wreck.how}: {wreck.acknowledged} units were acknowledged, and {kept} are there"
                )
                stands(journal.store, fold(there), f"{wreck.how}: ")
                for row in rows[len(there) :]:
                    stored = journal.store.load(row.address)
                    assert stored is None or stored.seq <= len(there), (
                        f"{wreck.how}: {row.address} is ahead of its rows"
                    )
                if "secrets" not in self.absent:
                    cursor = journal.secrets("wx").get("cursor")
                    assert cursor == (str(kept) if kept else None), (
                        f"{wreck.how}: the cursor is {cursor}, behind {kept} units"
                    )
                desk = Desk(journal, now=max((row.at for row in there), default=0))
                desk.count = 500
                assert await desk.commit(desk.accepted()) == len(there) + 1, f"{wreck.how}: it does not go on"
        except JournalError as error:
            raise AssertionError(f"{wreck.how}: it cannot be opened any more: {error}") from error
        return kept

    def test_a_damaged_store_is_refused_in_words(self) -> None:
        """
        A person keeps the file and acts. Rows that are read from it all the same are none that were never written.
        """
        self.needs("damage", "rows")
        with self.place() as place:

            async def main() -> None:
                async with self.open(place, Clock()) as journal:
                    await Desk(journal).day()
                    rows = self.rows(place)
                refused = 0
                for how, damaged in self.damage().damaged(place):
                    try:
                        async with self.open(damaged, Clock()) as journal:
                            there = self.rows(damaged)
                            assert all(row in rows for row in there), f"{how}: there are rows that were never written"
                            journal.store.load("connection/wx")
                    except JournalError as error:
                        refused += 1
                        assert len(str(error)) > 20, f"{how}: it is refused with {error}"
                    except Exception as error:
                        if _of_the_medium(error):
                            continue  # `rows` is the author's own way of looking
                        raise
                assert refused, "no damage was noticed"

            trio.run(main)

    # ---- held by others ----------------------------------------------------------------------------------------------

    def test_a_store_that_others_hold_is_busy_for_so_long_and_no_longer(self) -> None:
        """
        Busy means that the machines pause: they must neither hang for ever nor go on without their journal.
        """
        self.needs("busy", "rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.commit(desk.accepted())
            unit = desk.accepted()
            with self.damage().hold(place):
                with trio.move_on_after(self.patience_s) as limit:
                    with pytest.raises(JournalBusy):
                        await journal.append([unit])
                assert not limit.cancelled_caught, f"an append was held up for more than {self.patience_s:g} s"
                assert len(self.rows(place)) == 1
            assert await desk.commit(unit) == 2, "what was refused as busy cannot be appended when it is not"

        self.run(check)

    def test_a_store_that_is_let_go_in_time_is_nothing_to_speak_of(self) -> None:
        """
        Others write too: commands, pruning, a person with a shell.
        """
        self.needs("busy", "rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.commit(desk.accepted())
            async with trio.open_nursery() as nursery:
                with self.damage().hold(place):
                    nursery.start_soon(desk.commit, desk.accepted())
                    await trio.sleep(self.busy_ns / 4e9)
            assert len(self.rows(place)) == 2

        self.run(check)

    def test_what_comes_from_beside_does_not_overtake_what_must_be_appended_again(self) -> None:
        """
        An account's rows are in the order in which they were decided, or nobody can follow them afterwards.
        """
        self.needs("busy", "rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            decided, beside = desk.accepted(), desk.accepted()
            overtook: list[Any] = []
            with ExitStack() as held:
                held.enter_context(self.damage().hold(place))

                async def loop() -> None:
                    with pytest.raises(JournalBusy):
                        await journal.append([decided])
                    held.close()
                    await desk.commit(decided)

                async def sender() -> None:
                    with suppress(JournalBusy):
                        overtook.extend(await journal.append([beside], lambda _: None))

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(loop)
                    await trio.sleep(self.busy_ns / 4e9)
                    nursery.start_soon(sender)
            assert not overtook, "what was decided before is refused as busy, and what was decided after it is taken"
            assert list(await journal.append([beside], lambda _: None)) == [2], "it cannot be handed in again"

        self.run(check)

    # ---- no room -----------------------------------------------------------------------------------------------------

    def test_a_full_disk_loses_nothing_and_is_got_over(self) -> None:
        """
        The driver stands at its commit until there is room again, and then goes on as if nothing had been.
        """
        self.needs("full", "rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            acknowledged = 0
            unit: Unit = desk.accepted(text=FAT)
            with self.damage().fill(place):
                try:
                    while acknowledged < FULL_AFTER:
                        await desk.commit(unit)
                        acknowledged += 1
                        unit = desk.accepted(text=FAT)
                except JournalFull as error:
                    assert str(error), "a full disk is reported without a word"
                assert 0 < acknowledged < FULL_AFTER, (
                    f"{acknowledged} units were written, and it was never full after a first"
                )
                assert len(self.rows(place)) == acknowledged, "what was acknowledged is not what is there"
                with pytest.raises(JournalFull):
                    await journal.append([unit])
            assert await desk.commit(unit) == acknowledged + 1, "with room again, it does not go on"
            rows = self.rows(place)
            stands(journal.store, fold(rows))
            assert len(rows) == acknowledged + 1

        self.run(check)


def _of_the_medium(error: Exception) -> bool:
    """Tell whether an error is one of a library that `rows` reads by, and none of a check."""
    return not isinstance(error, AssertionError) and type(error).__module__.partition(".")[0] not in (
        "builtins",
        "statecore",
    )

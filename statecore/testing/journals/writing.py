"""Appending: what is there when, in which order, and what is refused as a whole."""

from typing import Any

import pytest
import trio
import trio.testing

from statecore.errors import CodecError, Conflict, JournalError
from statecore.machines import delivery
from statecore.system import Unit
from statecore.testing.journals.base import Base, Clock, Desk, Journal, fold, stands


class Writing(Base):
    """Checks of appends."""

    def test_what_was_appended_is_there_when_the_call_returns(self) -> None:
        """
        "Accepted" may be said then, and not before.
        """
        self.needs("rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            for number in range(1, 12):
                first = await desk.commit(desk.accepted())
                assert first == number, f"the unit was said to be at {first}, and comes {number}th"
                there = len(self.rows(place))
                assert there == number, f"{number} units were acknowledged, and {there} are there"

        self.run(check)

    def test_rows_say_what_happened(self) -> None:
        """
        In order, without gaps, each with its cause: the rows are the whole story.
        """
        self.needs("rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            await desk.day()
            cause = desk.unit()
            desk.system.feed(cause, "delivery/wx/c", delivery.Accepted(chat="c", parts=("x",)), chat="c")
            desk.system.feed(cause, "delivery/wx/d", delivery.Accepted(chat="c", parts=("x",)), cause=-1, chat="c")
            desk.system.feed(cause, "delivery/wx/e", delivery.Accepted(chat="c", parts=("x",)), cause=3, chat="c")
            first = await desk.commit(cause)
            rows = self.rows(place)
            seqs = [row.seq for row in rows]
            assert seqs == list(range(1, len(rows) + 1)), f"positions have gaps, or are out of order: {seqs}"
            causes = [row.cause for row in rows if row.seq >= first]
            assert causes == [None, first, 3], f"the causes are {causes}, and not {[None, first, 3]}"
            folded = fold(rows)
            wanted = {address: (held.snapshot, held.seq) for address, held in desk.held.items()}
            assert folded == wanted, "the rows do not lead to where the machines are"

        self.run(check)

    def test_positions_have_no_gaps_whoever_appends_when(self) -> None:
        """
        A reader that goes on behind the last position it saw must miss nothing.
        """
        self.needs("rows")

        async def check(place: Any, journal: Journal) -> None:
            placed: list[tuple[str, int]] = []
            told: list[int] = []

            async def send(number: int) -> None:
                desk = Desk(journal)
                desk.count = number * 100
                for _ in range(4):
                    unit = desk.accepted()
                    (first,) = await journal.append([unit], lambda at: told.extend(seq for _, seq in at))
                    assert first in told, "who appends goes on before everybody was told where it is"
                    desk.note(unit, first)
                    placed.append((unit.entries[0].address, first))

            async with trio.open_nursery() as nursery:
                for number in range(1, 25):
                    nursery.start_soon(send, number)
            rows = {row.address: row.seq for row in self.rows(place)}
            assert sorted(rows.values()) == list(range(1, 97)), "positions have gaps, or two rows have the same"
            assert rows == dict(placed), "a unit is elsewhere than its sender was told"
            assert told == sorted(told), "positions were told in another order than the journal's"

        self.run(check)

    def test_units_of_one_call_are_there_together_or_not_at_all(self) -> None:
        """
        A driver hands over what one turn of its loop decided. A part of it would be a state that nobody decided on.
        """
        self.needs("rows", "conflicts")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            units = [desk.accepted() for _ in range(5)]
            assert list(await journal.append(units)) == [1, 2, 3, 4, 5]
            other = Desk(journal, now=desk.now)
            other.count = 50
            bad = [*(other.accepted() for _ in range(3)), units[0]]
            with pytest.raises(Conflict):
                await journal.append(bad)
            assert len(self.rows(place)) == 5, "units were written although one of their call was refused"
            for unit in bad[:3]:
                assert journal.store.load(unit.entries[0].address) is None, "a refused unit is in the projection"

        self.run(check)

    def test_what_was_decided_on_what_is_no_longer_so_is_refused_whole(self) -> None:
        """
        Whoever comes second changes nothing: not a row, not an instance, not a secret, not a key, not a command.
        """
        self.needs("rows", "conflicts")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            unit = desk.accepted()
            address = unit.entries[0].address
            await desk.commit(unit)
            late = Desk(journal, now=desk.now)
            late.system.instance(address)
            await desk.happen(address, delivery.Purged())
            before = self.rows(place), journal.store.load(address)
            stale = late.unit(
                ("delivery/wx/other", delivery.Accepted(chat="c", parts=("x",))), (address, delivery.Purged())
            )
            stale.secrets["cursor"] = "of a unit that is refused"
            stale.key = "a key"
            with pytest.raises(Conflict):
                await journal.append([stale])
            assert before == (self.rows(place), journal.store.load(address)), (
                "a unit that was refused changed something"
            )
            assert journal.store.load("delivery/wx/other") is None, (
                "the first half of a refused unit is in the projection"
            )
            if "secrets" not in self.absent:
                assert journal.secrets("wx").get("cursor") is None, "a secret of a refused unit was kept"
            if "keys" not in self.absent:
                again = desk.accepted(key="a key")
                assert isinstance(await desk.commit(again), int), "the key of a refused unit was taken"

        self.run(check)

    def test_a_step_from_nowhere_is_refused(self) -> None:
        """
        Rows that continue what is not there could not be replayed.
        """
        self.needs("rows", "conflicts")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            address = desk.accepted().entries[0].address  # decided, and never appended
            with pytest.raises(Conflict):
                await desk.happen(address, delivery.Purged())
            assert not self.rows(place)

        self.run(check)

    def test_a_unit_that_is_refused_costs_others_nothing(self) -> None:
        """
        Accounts share commits. One that is at odds with the journal must not stop the others.
        """
        self.needs("rows", "conflicts")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            good = [desk.accepted() for _ in range(12)]
            nowhere = desk.accepted().entries[0].address
            bad = desk.unit((nowhere, delivery.Purged()))
            ended: list[Any] = []

            async def append(unit: Unit) -> None:
                try:
                    ended.append((await journal.append([unit]))[0])
                except JournalError as error:
                    ended.append(error)

            async with trio.open_nursery() as nursery:
                for unit in (*good[:6], bad, *good[6:]):
                    nursery.start_soon(append, unit)
            assert sum(isinstance(one, Conflict) for one in ended) == 1, f"one unit was at odds, and came to {ended}"
            assert sorted(one for one in ended if isinstance(one, int)) == list(range(1, 13))
            assert len(self.rows(place)) == 12

        self.run(check)

    def test_what_cannot_be_written_is_refused_and_leaves_nothing(self) -> None:
        """
        It is the fault of the one who brought it.
        """
        self.needs("rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            with pytest.raises(CodecError):
                await journal.append([Desk(journal).accepted(text="half a character: \ud800")])
            assert not self.rows(place)
            assert await desk.commit(desk.accepted()) == 1

        self.run(check)

    def test_a_cancelled_append_is_not_begun_or_there(self) -> None:
        """
        A caller that is told "cancelled" while its row is there would do the same again.
        """
        self.needs("rows")

        async def check(place: Any, journal: Journal) -> None:
            desk = Desk(journal)
            with trio.CancelScope() as scope:
                scope.cancel()
                await journal.append([desk.accepted()])
            assert not self.rows(place), "an append that was cancelled before it began has been made"
            ended: list[Any] = []
            async with trio.open_nursery() as nursery:

                async def append() -> None:
                    ended.extend(await journal.append([Desk(journal).accepted()]))

                nursery.start_soon(append)
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            there = [row.seq for row in self.rows(place)]
            assert there == ended, f"an append that was cancelled has told {ended}, and there is {there}"

        self.run(check)

    # ---- and again ---------------------------------------------------------------------------------------------------

    def test_it_is_as_it_was_when_it_is_opened_again(self) -> None:
        """
        Rows, projection, secrets, keys, who drove what, and the clock.
        """
        self.needs("lasts", "rows")
        with self.place() as place:

            async def main() -> None:
                async with self.open(place, Clock()) as journal:
                    desk = Desk(journal)
                    await desk.day()
                    await desk.commit(desk.accepted(key="a key"))
                    unit = desk.unit()
                    unit.secrets["cursor"] = "17"
                    if "secrets" not in self.absent:
                        await journal.append([unit])
                    rows = self.rows(place)
                async with self.open(place, Clock()) as journal:
                    assert self.rows(place) == rows, "rows are others after it was opened again"
                    stands(journal.store, fold(rows))
                    assert journal.store.latest_at() == max(row.at for row in rows), (
                        "the clock does not go on where it was"
                    )
                    if "secrets" not in self.absent:
                        assert journal.secrets("wx").get("cursor") == "17", "a secret is gone"
                    other = Desk(journal, now=desk.now)
                    other.count = 500
                    if "keys" not in self.absent:
                        known = await other.commit(other.accepted(key="a key"))
                        assert not isinstance(known, int), "a key was taken, and is free again"
                    assert await other.commit(other.accepted()) == len(rows) + 1

            trio.run(main)

    def test_a_store_that_is_closed_says_so(self) -> None:
        """
        And does not take what it will not write.
        """
        self.needs("lasts")
        with self.place() as place:

            async def main() -> None:
                async with self.open(place, Clock()) as journal:
                    desk = Desk(journal)
                    await desk.commit(desk.accepted())
                with pytest.raises(JournalError):
                    await journal.append([desk.accepted()])

            trio.run(main)

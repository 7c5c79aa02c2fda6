"""What led to a row, and what it set off."""

import itertools
from pathlib import Path

import pytest
import trio

from statecore.events import Event
from statecore.machines import circuit, connection, delivery, inbound, window
from statecore.units import SECONDS
from statecore_journal import open_reader, why
from statecore_journal.causes import STEPS_MAX, NoRowError
from tests.journal.desk import Hand, opened, rows


class Told(Hand):
    """Lets things happen with a cause."""

    async def caused(self, cause: int, address: str, event: Event, chat: str = "") -> int:
        """Let an event happen, caused by a row; return its place."""
        self.now += SECONDS
        unit = self.system.begin(self.now)
        self.system.feed(unit, address, event, cause=cause, chat=chat)
        return int(await self.commit(unit))


@pytest.fixture
def story(tmp_path: Path) -> Path:
    """Return a journal in which a message came in, was answered, and the answer was refused."""
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Told(journal)
            await hand.dial()  # 1, 2
            arrived = await hand.caused(2, "connection/wx", connection.Arrived(messages=1))  # 3
            came = await hand.caused(
                arrived, "inbound/wx/m", inbound.Received(chat="c", sender="c", id="m", text="hi"), "c"
            )
            await hand.caused(came, "window/wx/c", window.Heard(lasts=1000 * SECONDS), "c")  # 5
            handed = await hand.caused(came, "inbound/wx/m", inbound.Handed())  # 6
            taken = await hand.caused(handed, "delivery/wx/d", delivery.Accepted(chat="c", parts=("ho",)), "c")  # 7
            turn = await hand.caused(taken, "delivery/wx/d", delivery.Turn(token=0, left=9))  # 8
            tripped = circuit.Tripped(reason="refused", wait=9 * SECONDS, failures=1)
            await hand.caused(turn, "circuit/wx/c", tripped, "c")  # 9
            await hand.happen("circuit/wx", tripped)  # 10, of which nobody knows the cause

    trio.run(main)
    rows(path, "update events set cause = 1 where seq = 2")
    return path


def test_causes_lead_back_to_what_came_from_outside(story: Path) -> None:
    """
    Across machines, and not on to the start of the process: that a poll was under way says nothing about what it brought.
    """
    with open_reader(story) as reader:
        chain = why(reader, 9)
        assert [step.row.seq for step in chain.steps] == [3, 4, 6, 7, 8, 9]
        assert [step.after for step in chain.steps] == [None, SECONDS, 2 * SECONDS, SECONDS, SECONDS, SECONDS]
        assert [step.row.seq for step in why(reader, 9, whole=True).steps] == [1, 2, 3, 4, 6, 7, 8, 9]
        assert [step.row.seq for step in why(reader, 3).steps] == [1, 2, 3]
        assert [step.row.seq for step in why(reader, 10).steps] == [10]
    assert (chain.left_out, chain.pruned) == (0, None)


def test_each_step_is_said_in_a_sentence(story: Path) -> None:
    """
    Whoever reads it need not know the machines.
    """
    with open_reader(story) as reader:
        said = [step.says for step in why(reader, 9).steps]

    assert said[0] == "Messages came."
    assert said[3] == "The runtime took it on."
    assert said[5] == "The evidence says that asking again now is pointless."


def test_a_chain_whose_beginning_is_pruned_says_so(story: Path) -> None:
    """
    Or what is left of it would pass for all of it.
    """
    rows(story, "delete from events where seq = 4")
    with open_reader(story) as reader:
        chain = why(reader, 7)

    assert [step.row.seq for step in chain.steps] == [6, 7]
    assert chain.pruned == 4


def test_a_row_that_is_not_there_is_said_to_be_none(story: Path) -> None:
    """
    With those that are.
    """
    with open_reader(story) as reader, pytest.raises(NoRowError, match="has no row 99; it has 1 to 10"):
        why(reader, 99)


def test_an_endless_chain_is_shown_by_both_of_its_ends(tmp_path: Path) -> None:
    """
    A connection that polls for a year is one chain.
    """
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Told(journal)
            await hand.dial()
            await hand.poll(STEPS_MAX)

    trio.run(main)
    rows(path, "update events set cause = seq - 1 where seq > 1")
    ((last,),) = rows(path, "select max(seq) from events")
    with open_reader(path) as reader:
        chain = why(reader, last)
    places = [step.row.seq for step in chain.steps]

    assert len(places) == STEPS_MAX
    assert chain.left_out == last - STEPS_MAX
    assert places[0] == 1
    assert places[-1] == last
    assert sum(after - before > 1 for before, after in itertools.pairwise(places)) == 1


def test_what_a_row_set_off_is_followed_through_others(story: Path) -> None:
    """
    "What came of that?", with any other filter on top.
    """

    def places(cause: int, **how: object) -> list[int]:
        with open_reader(story) as reader:
            return [row.seq for row in reader.log(cause=cause, **how)]  # type: ignore[arg-type]

    assert places(3) == [4, 5, 6, 7, 8, 9]
    assert places(6) == [7, 8, 9]
    assert places(10) == places(9) == []
    assert places(3, machine="delivery") == [7, 8]
    assert places(3, last=2) == [8, 9]
    assert places(3, until=5) == [4, 5]

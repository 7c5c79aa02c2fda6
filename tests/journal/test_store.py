"""What a gateway reads while it decides."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from statecore.account import Command
from statecore.errors import JournalError
from statecore.lanes import Head
from statecore.machines import delivery, inbound
from statecore.machines.circuit import Reset
from statecore.system import Stored
from statecore.units import SECONDS
from statecore_journal import Journal, submit
from tests.journal.desk import LAMPS, START, Hand, Pressed, opened


def play(path: Path, main: Callable[[Journal, Hand], Any]) -> None:
    """Play on a new journal."""

    async def run() -> None:
        async with opened(path) as journal:
            await main(journal, Hand(journal))

    trio.run(run)


def test_an_instance_is_loaded_as_it_was_committed(tmp_path: Path) -> None:
    """
    A restart goes on from exactly there.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        address = await hand.send("1", until="sending")
        held = hand.system.instance(address)
        state, data, version, entered = held.snapshot
        assert journal.store.load(address) == Stored(
            address, state, '{"token":1}', version, entered, held.seq, "chat", held.order, 1
        )
        assert Hand(journal).system.instance(address).snapshot == held.snapshot
        assert data.token == 1
        assert journal.store.load("delivery/wx/none") is None
        assert journal.store.state_of(address) == ("sending", '{"token":1}')
        assert journal.store.state_of("delivery/wx/none") is None

    play(tmp_path / "gateway.db", main)


def test_lanes_are_in_the_order_of_acceptance(tmp_path: Path) -> None:
    """
    Within a chat the first accepted is the first to leave, and what is over is in nobody's way.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        a1 = await hand.send("a1", "a", until="queued")
        b1 = await hand.send("b1", "b", until="queued")
        a2 = await hand.send("a2", "a", until="queued")
        await hand.send("a3", "a", until="queued")
        await hand.happen(a1, delivery.Turn(token=0, left=1))
        heads = dict(journal.store.heads("wx", "delivery"))
        assert heads == {"a": Head(a1, 1, "sending"), "b": Head(b1, 2, "queued")}
        assert journal.store.following("wx", "delivery", "a", 1) == Head(a2, 3, "queued")
        await hand.happen(a2, delivery.Purged())
        assert journal.store.following("wx", "delivery", "a", 1) == Head("delivery/wx/a3", 4, "queued")
        assert journal.store.following("wx", "delivery", "a", 4) is None
        assert journal.store.heads("wx", "inbound") == journal.store.heads("qq", "delivery") == []

    play(tmp_path / "gateway.db", main)


def test_who_comes_back_from_the_dead_goes_to_the_end_of_its_lane(tmp_path: Path) -> None:
    """
    The others were accepted before it was tried again.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        a1 = await hand.send("a1", "a", until="dead")
        a2 = await hand.send("a2", "a", until="queued")
        await hand.happen(a1, delivery.Revived())
        heads = dict(journal.store.heads("wx", "delivery"))
        assert heads["a"].address == a2
        following = journal.store.following("wx", "delivery", "a", heads["a"].order)
        assert following is not None
        assert following.address == a1

    play(tmp_path / "gateway.db", main)


def test_deadlines_come_in_order_and_are_never_torn_apart(tmp_path: Path) -> None:
    """
    They are read a part at a time. One of two that are due at the same moment must not be forgotten between two parts.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        for number, wait in enumerate((50, 10, 30, 30, 30, 40)):
            address = await hand.receive(str(number), f"chat {number}", until="handling")
            hand.now = START + 1000 * SECONDS
            await hand.happen(address, inbound.HandlerFailed(error="x", wait=wait * SECONDS))

        def due(after: int, most: int | None) -> tuple[list[str], int | None]:
            found, upto = journal.store.due("wx", after, most)
            return [address.rpartition("/")[2] for _, address in found if "inbound" in address], upto

        at = START + 1001 * SECONDS
        assert due(0, None) == (["1", "2", "3", "4", "5", "0"], None)
        assert due(0, 2) == (["1"], at + 10 * SECONDS)
        assert due(at + 10 * SECONDS, 1) == (["2", "3", "4"], at + 30 * SECONDS)
        assert due(at + 30 * SECONDS, 2)[0] == ["5", "0"]

    play(tmp_path / "gateway.db", main)


def test_what_was_under_way_is_found_by_its_state(tmp_path: Path) -> None:
    """
    A start asks for it first: its outcome is unknown.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        for number, state in enumerate(("sending", "queued", "sending", "delivered")):
            await hand.send(str(number), f"chat {number}", until=state)
        states = delivery.SENDING
        assert journal.store.in_states("wx", "delivery", states) == ["delivery/wx/0", "delivery/wx/2"]
        assert journal.store.in_states("qq", "delivery", states) == []

    play(tmp_path / "gateway.db", main)


def test_the_messages_of_the_last_minute_are_remembered_over_a_restart(tmp_path: Path) -> None:
    """
    A copy of one may come right after it.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        await hand.receive("1", text="old")
        hand.now += 100 * SECONDS
        await hand.receive("2", text="new")
        found = journal.store.recently_received("wx", hand.now - 60 * SECONDS)
        assert [(received.id, received.text) for _, received in found] == [("2", "new")]
        assert journal.store.recently_received("qq", 0) == []

    play(tmp_path / "gateway.db", main)


def test_what_an_instance_began_with_can_be_read_again(tmp_path: Path) -> None:
    """
    The text of a message stands there and nowhere else.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        address = await hand.send("1", text="words")
        assert journal.store.first_event(address, delivery.Accepted).parts == ("words",)
        with pytest.raises(KeyError):
            journal.store.first_event("delivery/wx/none", delivery.Accepted)

    play(tmp_path / "gateway.db", main)


def test_a_gateway_notices_that_others_have_written(tmp_path: Path) -> None:
    """
    It looks four times a second, so looking must cost nothing; and what it writes itself is no news.
    """
    path = tmp_path / "gateway.db"

    async def main(journal: Journal, _hand: Hand) -> None:
        journal.store.changed()
        assert not journal.store.changed()
        number, _ = submit(path, "wx", Command(id=0, kind="send", target="c", delivery="d", text="t"), wall=START)
        assert journal.store.changed()
        assert not journal.store.changed()
        (command,) = journal.store.commands("wx")
        assert (command.id, command.kind, command.text) == (number, "send", "t")
        assert journal.store.sends_wait("wx")
        await journal.finish(number, "done")
        assert journal.store.commands("wx") == []
        assert not journal.store.sends_wait("wx")

    play(path, main)


def test_the_clock_goes_on_where_the_journal_left_off(tmp_path: Path) -> None:
    """
    Deadlines are on it; a wall clock that was set back in between must not move them.
    """

    async def main(journal: Journal, hand: Hand) -> None:
        assert journal.store.latest_at() == 0
        await hand.dial()
        assert journal.store.latest_at() == hand.now

        first, second = (hand.unit((f"circuit/wx/{chat}", Reset(by="operator"))) for chat in ("ann", "bo"))
        await hand.commit(second)
        await hand.commit(first)  # it was decided before the other, and the journal was busy then
        assert journal.store.latest_at() == second.now

    play(tmp_path / "gateway.db", main)


def test_a_store_reads_and_cannot_write(tmp_path: Path) -> None:
    """
    There is one writer.
    """

    async def main(journal: Journal, _hand: Hand) -> None:
        await Hand(journal, machines=LAMPS).happen("lamp/wx/1", Pressed())
        with pytest.raises(JournalError, match="readonly"):
            journal.store._all("delete from events")

    play(tmp_path / "gateway.db", main)

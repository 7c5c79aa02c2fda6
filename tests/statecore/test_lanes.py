"""Lanes: a chat's messages in their order, chats in turn, and only the first of each in memory."""

from collections import deque

import attrs
from hypothesis import given
from hypothesis import strategies as st

from statecore.lanes import Head, Lanes
from tests.statecore.strategies import often


@attrs.define
class Journal:
    """Where those that wait are: (chat, head) in the order of their places."""

    waiting: list[tuple[str, Head]] = attrs.field(factory=list)

    def heads(self, account: str, machine: str) -> list[tuple[str, Head]]:
        assert (account, machine) == ("wx", "delivery")
        first: dict[str, Head] = {}
        for chat, head in self.waiting:
            first.setdefault(chat, head)
        return list(first.items())

    def following(self, account: str, machine: str, chat: str, after: int) -> Head | None:
        assert (account, machine) == ("wx", "delivery")
        return next((head for its, head in self.waiting if its == chat and head.order > after), None)

    def state_of(self, address: str) -> str | None:
        return next((head.state for _, head in self.waiting if head.address == address), None)

    def add(self, chat: str, state: str = "queued") -> Head:
        order = len(self.waiting) + 1
        head = Head(f"delivery/wx/{order}", order, state)
        self.waiting.append((chat, head))
        return head


def lanes(journal: Journal) -> Lanes:
    return Lanes("wx", "delivery", journal, journal.state_of)


def queue(journal: Journal, into: Lanes, chat: str) -> Head:
    """Accept a message, as the outbox does: it is in the journal, and then in its lane."""
    head = journal.add(chat)
    if into.add(chat, *head):
        into.offer(chat)
    return head


def test_only_the_first_of_a_chat_is_in_memory() -> None:
    """
    Memory grows with chats that have something to say, and not with what they have to say.
    """
    journal = Journal()
    it = lanes(journal)
    first = queue(journal, it, "ann")
    for _ in range(1000):
        queue(journal, it, "ann")

    assert it.head("ann") == first
    assert it.chats() == ["ann"]
    assert len(it.ready) == 1


def test_the_next_follows_when_the_first_has_left() -> None:
    """
    And the chat is gone from memory with its last message.
    """
    journal = Journal()
    it = lanes(journal)
    first, second = queue(journal, it, "ann"), queue(journal, it, "ann")

    assert it.leave("ann", first.address) == second
    assert it.head("ann") == second
    assert it.leave("ann", second.address) is None
    assert it.head("ann") is None
    assert it.chats() == []


def test_one_that_is_not_first_leaves_without_a_trace() -> None:
    """
    It was never in memory.
    """
    journal = Journal()
    it = lanes(journal)
    first, second = queue(journal, it, "ann"), queue(journal, it, "ann")

    assert it.leave("ann", second.address) is None
    assert it.leave("bob", second.address) is None
    assert it.head("ann") == first


def test_the_next_one_has_the_state_that_was_decided_and_not_yet_committed() -> None:
    """
    A message that is held until its user writes must not be offered a turn because the journal does not know of it yet.
    """
    journal = Journal()
    decided: dict[str, str] = {}
    it = Lanes("wx", "delivery", journal, lambda address: decided.get(address) or journal.state_of(address))
    first, second, third = (queue(journal, it, "ann") for _ in range(3))
    decided[second.address] = "window-closed"

    assert it.leave("ann", first.address) == Head(second.address, second.order, "window-closed")
    assert it.head("ann") == Head(second.address, second.order, "window-closed")
    assert it.leave("ann", second.address) == third


def test_an_older_one_goes_before_a_newer_one_that_is_there_already() -> None:
    """
    Acceptance decides the order, and not which commit is heard of first.
    """
    it = lanes(Journal())

    assert it.add("ann", "delivery/wx/2", 2, "queued") is True
    assert it.add("ann", "delivery/wx/1", 1, "queued") is True
    assert it.add("ann", "delivery/wx/1", 1, "sending") is False  # it is there, and what it is doing is known
    assert it.add("ann", "delivery/wx/3", 3, "queued") is False
    assert it.head("ann") == Head("delivery/wx/1", 1, "queued")


def test_the_state_of_the_first_is_kept_up_to_date_and_of_no_other() -> None:
    """
    It decides who may be released.
    """
    journal = Journal()
    it = lanes(journal)
    first, second = queue(journal, it, "ann"), queue(journal, it, "ann")
    it.update("ann", first.address, "sending")
    it.update("ann", second.address, "dead")
    it.update("bob", second.address, "dead")

    assert it.head("ann") == first._replace(state="sending")
    assert it.chats() == ["ann"]


def test_after_a_restart_the_lanes_are_as_they_were() -> None:
    """
    Those that may leave are ready; those that wait for something else are known and not offered.
    """
    journal = Journal()
    journal.add("ann")
    journal.add("bob", "window-closed")
    journal.add("ann")
    it = lanes(journal)
    it.load("queued")

    assert it.chats() == ["ann", "bob"]
    assert list(it.ready) == ["ann"]
    assert it.head("bob") == Head("delivery/wx/2", 2, "window-closed")


def test_chats_take_turns() -> None:
    """
    A chat with a thousand messages must not starve one with a single "yes".
    """
    journal = Journal()
    it = lanes(journal)
    for chat in ("ann", "bob", "cyd"):
        queue(journal, it, chat)
    taken: list[str] = []
    while len(taken) < 6 and (turn := it.take()) is not None:
        taken.append(turn)
        it.offer(turn)

    assert taken == ["ann", "bob", "cyd", "ann", "bob", "cyd"]


def test_a_chat_is_offered_once_however_often_it_is_offered() -> None:
    """
    Else it would have two turns where the others have one.
    """
    it = lanes(Journal())
    for chat in ("ann", "ann", "bob", "ann"):
        it.offer(chat)

    assert [it.take(), it.take(), it.take()] == ["ann", "bob", None]


def test_a_chat_that_was_withdrawn_has_lost_its_place() -> None:
    """
    Left in the queue, a chat that came and went while the account was down would stay there for ever.
    """
    it = lanes(Journal())
    for chat in ("ann", "bob"):
        it.offer(chat)
    it.withdraw("ann")
    it.withdraw("ann")
    it.withdraw("cyd")
    it.offer("ann")

    assert list(it.ready) == ["bob", "ann"]


def test_chats_that_come_and_go_while_nothing_may_leave_leave_nothing_behind() -> None:
    """
    An account that is down for a week, and messages that expire meanwhile, must not fill the memory.
    """
    journal = Journal()
    it = lanes(journal)
    for _ in range(100):
        head = queue(journal, it, "ann")
        it.leave("ann", head.address)

    assert (it.chats(), list(it.ready)) == ([], [])


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["queue", "queue", "leave", "take", "offer", "withdraw"]), st.sampled_from("abc")),
    max_size=60,
)


@often
@given(OPERATIONS)
def test_whatever_happens_order_and_turns_are_those_of_a_list(operations: list[tuple[str, str]]) -> None:
    """
    The model keeps every message in memory, which is what the lanes must not do.
    """
    journal = Journal()
    it = lanes(journal)
    model: dict[str, deque[Head]] = {}
    turns: list[str] = []
    for what, chat in operations:
        held = model.get(chat)
        if what == "queue":
            head = queue(journal, it, chat)
            if held is None:
                turns += [chat] * (chat not in turns)
            model.setdefault(chat, deque()).append(head)
        elif what == "leave" and held:
            gone = held.popleft()
            following = it.leave(chat, gone.address)
            assert following == (held[0] if held else None)
            if not held:
                del model[chat]
                turns = [turn for turn in turns if turn != chat]
        elif what == "take":
            assert it.take() == (turns.pop(0) if turns else None)
        elif what == "offer":
            it.offer(chat)
            turns += [chat] * (chat not in turns)
        elif what == "withdraw":
            it.withdraw(chat)
            turns = [turn for turn in turns if turn != chat]

        assert {name: it.head(name) for name in it.chats()} == {name: heads[0] for name, heads in model.items()}
        assert list(it.ready) == turns

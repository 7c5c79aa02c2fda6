"""Lanes: one chat's messages in the order in which they were accepted. Pure.

Only the first of each lane is in memory; the others wait in the journal, so memory grows with chats that have something
to say and not with what they have to say. Lanes take turns, so a long one cannot starve the others.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

import attrs


class Head(NamedTuple):
    """The first of a lane: its address, its place, its state."""

    address: str
    order: int
    state: str


class LaneStore(Protocol):
    """What lanes read from the journal."""

    def heads(self, account: str, machine: str) -> list[tuple[str, Head]]:
        """Return (chat, head) of every lane that is not empty."""

    def following(self, account: str, machine: str, chat: str, after: int) -> Head | None:
        """Return the first of a lane whose place is after *after*."""


@attrs.define
class Lanes:
    """The lanes of one account in one direction.

    Args:
        account: the account.
        machine: "delivery" or "inbound".
        store: where those that wait are, as of the last commit.
        state_of: tells the state of one as it is now, or None if it has left its lane since that commit.
        ready: chats whose first may have its turn, in the order of their turns.
    """

    account: str
    machine: str
    store: LaneStore
    state_of: Callable[[str], str | None]
    ready: OrderedDict[str, None] = attrs.field(factory=OrderedDict)
    _heads: dict[str, Head] = attrs.field(factory=dict)

    def load(self, waiting: str) -> None:
        """Read all lanes from the journal; those whose first is in state *waiting* are ready."""
        for chat, head in self.store.heads(self.account, self.machine):
            self._heads[chat] = head
            if head.state == waiting:
                self.offer(chat)

    def head(self, chat: str) -> Head | None:
        """Return the first of a lane."""
        return self._heads.get(chat)

    def chats(self) -> list[str]:
        """Return the chats that have something waiting."""
        return list(self._heads)

    def add(self, chat: str, address: str, order: int, state: str) -> bool:
        """Add one at the end; return whether it is the first."""
        head = self._heads.get(chat)
        if head is not None and head.order <= order:
            return False
        self._heads[chat] = Head(address, order, state)
        return True

    def update(self, chat: str, address: str, state: str) -> None:
        """Note the state of the first of a lane."""
        head = self._heads.get(chat)
        if head is not None and head.address == address and head.state != state:
            self._heads[chat] = Head(address, head.order, state)

    def leave(self, chat: str, address: str) -> Head | None:
        """Let the first of a lane go; return the next, if it was the first and there is one."""
        head = self._heads.get(chat)
        if head is None or head.address != address:
            return None
        following = self.store.following(self.account, self.machine, chat, head.order)
        while following is not None:
            state = self.state_of(following.address)
            if state is not None:
                if state != following.state:
                    following = Head(following.address, following.order, state)
                self._heads[chat] = following
                return following
            following = self.store.following(self.account, self.machine, chat, following.order)
        del self._heads[chat]
        self.withdraw(chat)
        return None

    def offer(self, chat: str) -> None:
        """Put a chat at the end of those whose turn comes."""
        self.ready.setdefault(chat)

    def in_turn(self) -> Iterable[str]:
        """Return the chats whose first may have its turn, in order."""
        return self.ready

    def take(self) -> str | None:
        """Take the chat whose turn it is."""
        chat = next(iter(self.in_turn()), None)
        if chat is not None:
            self.withdraw(chat)
        return chat

    def withdraw(self, chat: str) -> None:
        """Take a chat out of turn."""
        self.ready.pop(chat, None)

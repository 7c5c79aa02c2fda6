"""What an account has lately seen of its platform: the memory behind `statecore.reading.Evidence`. Pure.

It is kept in memory only. After a restart it is empty, which costs at most one more experiment a chat; what was
concluded from it stands in the journal.
"""

from collections import deque
from typing import Final, NamedTuple

import attrs

from statecore.units import MINUTES, SECONDS

KEPT: Final = 1024
"""Requests remembered; at the fastest sensible pace that is still far more than the intervals looked at."""


class Answer(NamedTuple):
    """One answer of the platform: when (ns), for which chat, whether it took the part."""

    at: int
    chat: str
    taken: bool


@attrs.define
class Recent:
    """The latest requests and answers of an account."""

    _requests: deque[int] | tuple[()] = ()  # an empty deque takes 600 bytes, and most accounts have nothing to send
    _answers: deque[Answer] | tuple[()] = ()
    _bare_refused: dict[str, None] = attrs.field(factory=dict)
    _lost: dict[str, int] = attrs.field(factory=dict)

    def asked(self, now: int) -> None:
        """Note a request."""
        self._requests = self._requests or deque(maxlen=KEPT)
        self._requests.append(now)

    def taken(self, chat: str, now: int) -> None:
        """Note that the platform took a part."""
        self._answered(Answer(now, chat, taken=True))
        self._lost.clear()
        self._bare_refused.pop(chat, None)

    def refused(self, chat: str, now: int, *, bare: bool) -> None:
        """Note that the platform refused a part."""
        self._answered(Answer(now, chat, taken=False))
        if bare:
            self._bare_refused[chat] = None

    def _answered(self, answer: Answer) -> None:
        self._answers = self._answers or deque(maxlen=KEPT)
        self._answers.append(answer)

    def lost(self, chat: str, now: int, within: int) -> int:
        """Note that an answer was lost; count the chats in which one was, within *within* ns and with nothing taken since."""
        self._lost[chat] = now
        self._lost = {chat: at for chat, at in self._lost.items() if at >= now - within}
        return len(self._lost)

    def heard(self, chat: str) -> None:
        """Note that the chat's user wrote: what was found out about its token is out of date."""
        self._bare_refused.pop(chat, None)

    def bare_refused(self, chat: str) -> bool:
        """Tell whether an attempt without the token was refused since the user last wrote."""
        return chat in self._bare_refused

    def last_second(self, now: int) -> int:
        """Count the requests of the last second."""
        return sum(at > now - SECONDS for at in self._requests)

    def last_minutes(self, now: int) -> int:
        """Count the requests of the last five minutes."""
        return sum(at > now - 5 * MINUTES for at in self._requests)

    def others_refused(self, chat: str, since: int) -> tuple[str, ...]:
        """Return the other chats refused since *since*, with nothing of the account taken after the refusal."""
        found: dict[str, None] = {}
        for answer in reversed(self._answers):
            if answer.taken or answer.at < since:
                break
            if answer.chat != chat:
                found[answer.chat] = None
        return tuple(found)

    def others_accepted(self, chat: str) -> int:
        """Count what was taken in other chats since this chat's first refusal in a row."""
        count = counted = 0
        for answer in reversed(self._answers):
            if answer.chat == chat:
                if answer.taken:
                    break
                counted = count
            elif answer.taken:
                count += 1
        return counted

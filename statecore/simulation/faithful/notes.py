"""What the simulated platforms of a run have in common: how they are handled, and how they tell the truth."""

import random  # noqa: TID251 - the run's own, from its seed
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import attrs
import trio

from statecore.simulation.faithful.connection import sender
from statecore.simulation.faithful.witness import Attempt
from statecore.simulation.plan import Occurrence
from statecore.simulation.truth import Acknowledged, Platform, Said, Send
from statecore_adapters import httpd

HTML: Final = httpd.Response(
    200, {"content-type": "text/html"}, b"<html><body>Welcome to the hotel's WiFi</body></html>"
)
SLOW_S: Final = 8.0
"""Longest that a slow platform takes for an answer."""


@attrs.define
class Notes:
    """What the truth of an account is told by.

    Args:
        truth: the account's.
        chance: decides what a spell hits.
        now: for how long there has been time, in ns.
    """

    truth: Platform
    chance: random.Random
    now: Callable[[], int]
    struck: int = -1
    _served: set[Attempt] = attrs.field(factory=set)

    def sent(
        self, chat: str, text: str, said: Said, *, shown: bool, answers: str = "", number: int = 0, code: str = ""
    ) -> None:
        """Note a request to send."""
        found = sender()
        attempt = found[0] if found is not None else None
        if not isinstance(attempt, Attempt):
            return
        copy = attempt in self._served
        self._served.add(attempt)
        self.truth.sends.append(
            Send(
                at=self.now(), left=attempt.left, key=attempt.key, chat=chat, text=text, said=said, shown=shown,
                seq=attempt.seq, process=attempt.process, epoch=attempt.epoch, answers=answers, number=number,
                code=code, spell=self.struck, copy=copy,
            )
        )  # fmt: skip

    def shown_late(self, chat: str, text: str, answers: str, number: int) -> None:
        """Note that a request is seen that was under review until now."""
        for index, send in enumerate(self.truth.sends):
            waits = send.said in ("review", "nothing") and not send.shown
            if waits and (send.chat, send.text, send.answers, send.number) == (chat, text, answers, number):
                self.truth.sends[index] = attrs.evolve(send, shown=True)
                return

    def close(self) -> None:
        """Put leases that were taken at one instant into their order; the journal gave it, and its tasks were told in another."""
        self.truth.taken.sort(key=lambda one: (one.at, one.epoch))

    def acknowledged(self, ids: tuple[str, ...]) -> None:
        """Note that messages need not come again."""
        found = sender()
        if ids and found is not None and isinstance(found[0], Attempt):
            self.truth.acknowledged.append(Acknowledged(at=self.now(), ids=ids, seq=found[0].seq))


class Side(Protocol):
    """One platform, as a run handles it."""

    def user_writes(self, chat: str, text: str) -> None:
        """Let somebody write."""

    def spell(self, one: Occurrence, number: int, ends: float) -> None:
        """Let the platform suffer until a second of trio's clock."""

    def close(self) -> None:
        """Settle what only the end of the run tells."""


def hits(notes: Notes, one: Occurrence, number: int, ends: float) -> Callable[[], bool]:
    """Return whether a spell hits now, which is drawn and noted."""

    def strikes() -> bool:
        hit = trio.current_time() < ends and notes.chance.random() < one.fields["share"]
        if hit:
            notes.struck = number
        return hit

    return strikes


async def turned(knobs: Any, turned: Mapping[str, Any], ends: float) -> None:
    """Turn knobs, and turn them back."""
    for name, value in turned.items():
        setattr(knobs, name, value)
    await trio.sleep_until(ends)
    kind = attrs.fields_dict(type(knobs))
    for name in turned:
        setattr(knobs, name, kind[name].default)

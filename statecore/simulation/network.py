"""The network between one account and its platform, and the spells that befall it.

A request is three happenings: it leaves, it arrives and is answered, the answer arrives. What a spell does to it is drawn when
it leaves. Whoever asked is told what an adapter would tell: how far the request got, and whether it was given up for lack of
an answer.
"""

from collections.abc import Callable, Mapping
from random import Random  # noqa: TID251 - the one source of chance of a run, handed in
from typing import Any, Final, NamedTuple, Protocol

from statecore.platform import Stage
from statecore.simulation.clockwork import Loop
from statecore.simulation.plan import Occurrence
from statecore.units import MILLISECONDS, SECONDS

WAY: Final = (5 * MILLISECONDS, 40 * MILLISECONDS)
"""How long a packet takes on a network that is well."""

CONNECT_PATIENCE: Final = 10 * SECONDS
"""How long a connection is tried to be made."""


class Unanswered(NamedTuple):
    """No answer came.

    Args:
        stage: how far the request got.
        error: what was seen.
        timed_out: whether it was given up after a while.
    """

    stage: Stage
    error: str
    timed_out: bool


class Later(NamedTuple):
    """An answer that the platform gives only after a while.

    Args:
        result: the answer.
        after: ns.
    """

    result: Any
    after: int


class Asking(Protocol):
    """An attempt that awaits an answer."""

    def answer(self, when: int, result: Any) -> None:
        """Take the answer at a time, in ns from the beginning of the simulation."""


class Spell:
    """A fault that is under way.

    Args:
        index: of its occurrence in the plan.
        occurrence: what the plan says of it.
    """

    __slots__ = ("chat", "code", "delay", "fault", "index", "share", "until")

    def __init__(self, index: int, occurrence: Occurrence) -> None:
        fields: Mapping[str, Any] = occurrence.fields
        self.index = index
        self.fault: str = fields["fault"]
        self.share: float = fields["share"]
        self.until: int = fields["until"]
        self.delay: int = fields.get("delay", 0)
        self.chat: str = fields.get("chat", "")
        self.code: str = fields.get("code", "")


class Spells:
    """The spells of one kind and target that are under way, and how often each fault of theirs was met."""

    def __init__(self, kind: str, loop: Loop, random: Random, met: dict[str, int]) -> None:
        self.kind = kind
        self.active: list[Spell] = []
        self._loop = loop
        self._random = random
        self._met = met

    def begin(self, spell: Spell) -> None:
        """Begin a spell."""
        self.active.append(spell)

    def end(self, spell: Spell) -> None:
        """End a spell."""
        self.active.remove(spell)

    def hit(self, fault: str, chat: str = "") -> Spell | None:
        """Return the spell that a fault befalls this by, or None."""
        for spell in self.active:
            if spell.fault == fault and (not spell.chat or spell.chat == chat):
                if spell.share < 1 and self._random.random() >= spell.share:
                    continue
                self.meet(fault)
                return spell
        return None

    def meet(self, fault: str) -> None:
        """Note that a fault was met."""
        name = f"{self.kind} {fault}"
        self._met[name] = self._met.get(name, 0) + 1

    def delay(self, fault: str) -> int:
        """Return for how much longer a fault makes something take, in ns."""
        spell = self.hit(fault)
        return 0 if spell is None else int(self._random.random() * spell.delay)


class Network:
    """The network of one account.

    Args:
        loop: the agenda.
        random: chance.
        spells: what befalls it.
    """

    def __init__(self, loop: Loop, random: Random, spells: Spells) -> None:
        self.loop = loop
        self.spells = spells
        self.random = random

    def way(self) -> int:
        """Draw how long a packet takes, in ns."""
        low, high = WAY
        took = low + int(self.random.random() * (high - low))
        if self.spells.active:
            took += self.spells.delay("delay") + self.spells.delay("reorder")
        return took

    def request(
        self,
        asking: Asking,
        handle: Callable[[bool], Any],
        patience: int,
        unanswered: Callable[[Unanswered], Any],
        held: Any = None,
    ) -> None:
        """Make a request over a connection of its own.

        Args:
            asking: who awaits the answer.
            handle: the platform's side: (whether it is a copy that the network made) -> the answer, `Later`, *held*, or None
                if it never gives one.
            patience: after how many ns the answer is given up.
            unanswered: makes what the adapter returns if no answer comes.
            held: what *handle* returns if the platform will answer by itself, or is silent until the patience is over.
        """
        loop, spells = self.loop, self.spells
        now = loop.now
        if spells.active:
            if spells.hit("unreachable"):
                refused = Unanswered("connect", "connection refused", timed_out=False)
                asking.answer(now + self.way(), unanswered(refused))
                return
            if spells.hit("half-open"):
                silent = Unanswered("connect", "no answer to the connection request", timed_out=True)
                asking.answer(now + min(patience, CONNECT_PATIENCE), unanswered(silent))
                return
            if spells.hit("lose-request"):
                lost = Unanswered("receive", "no answer", timed_out=True)
                asking.answer(now + patience, unanswered(lost))
                return
            if spells.hit("lose-answer"):
                loop.at(now + self.way(), handle, False)
                lost = Unanswered("receive", "no answer", timed_out=True)
                asking.answer(now + patience, unanswered(lost))
                return
            if spells.hit("cut"):
                arrives = now + self.way()
                loop.at(arrives, handle, False)
                cut = Unanswered("receive", "the connection broke", timed_out=False)
                asking.answer(arrives + self.way(), unanswered(cut))
                return
            if spells.hit("duplicate"):
                loop.at(now + self.way() + self.way(), handle, True)
        arrives = now + self.way()
        if arrives - now > patience:
            loop.at(arrives, handle, False)
            asking.answer(now + patience, unanswered(Unanswered("receive", "no answer in time", timed_out=True)))
            return
        loop.at(arrives, self._arrive, asking, handle, now + patience, unanswered, held)

    def _arrive(
        self, asking: Asking, handle: Callable[[bool], Any], gives_up: int, unanswered: Callable[[Unanswered], Any],
        held: Any,
    ) -> None:  # fmt: skip
        result = handle(False)
        after = 0
        if result is held and held is not None:
            asking.answer(gives_up, unanswered(Unanswered("receive", "no answer in time", timed_out=True)))
            return
        if result.__class__ is Later:
            result, after = result
        when = self.loop.now + after + self.way()
        if result is None or when > gives_up:
            result, when = (
                unanswered(Unanswered("receive", "no answer in time", timed_out=True)),
                max(gives_up, self.loop.now),
            )
        asking.answer(when, result)

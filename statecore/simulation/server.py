"""What the platforms of a simulation have in common: they keep the truth, and misbehave as the plan says.

A server speaks in the values of `statecore.platform`, as its adapter would after reading the wire: the adapters' own reading of
bytes is the faithful speed's to run. Its memory is its own. Nothing in it looks into a journal, except for one number: what was
durable when a request left, which the truth notes.
"""

from typing import Any, Final

import attrs

from statecore.platform import Outgoing
from statecore.simulation.disk import Ledger
from statecore.simulation.driver import Attempt
from statecore.simulation.network import Network, Spell, Spells
from statecore.simulation.process import Process
from statecore.simulation.truth import Acknowledged, Made, Platform, Said, Send
from statecore.units import SECONDS

CANARY: Final = "SIMULATED-SECRET"
"""Stands in every credential, and must stand nowhere else."""

FLOOD: Final = 400
"""Messages of one flood. More of them take longer, and show nothing else."""

SEND_PATIENCE: Final = 15 * SECONDS


@attrs.frozen
class Departed:
    """What is noted of a request when it leaves."""

    at: int
    seq: int
    process: str
    epoch: int


class Server:
    """One account's platform.

    Args:
        name: of the account.
        network: the way to it.
        spells: how it misbehaves.
        truth: what it notes.
    """

    def __init__(self, name: str, network: Network, spells: Spells, truth: Platform) -> None:
        self.name = name
        self.network = network
        self.loop = network.loop
        self.random = network.random
        self.spells = spells
        self.truth = truth
        self.version = 1
        self.flooded: dict[int, int] = {}
        self._made = 0
        self._sent = 0
        self._acknowledged: set[str] = set()
        self._knob = network.random.random()

    # ---- credentials -------------------------------------------------------------------------------------------------

    def revoked(self, version: int) -> Spell | None:
        """Return the spell by which credentials are refused, if they are."""
        for spell in self.spells.active:
            if spell.fault == "revokes" and version <= spell.delay:  # `delay` holds which credentials it concerns
                self.spells.meet("revokes")
                return spell
        return None

    def renew(self) -> None:
        """Give out other credentials, as a person who logs in again does."""
        self.version += 1

    # ---- spells ------------------------------------------------------------------------------------------------------

    def begin(self, spell: Spell) -> None:
        """Begin to misbehave."""
        if spell.fault == "revokes":
            spell.delay = self.version
        self.spells.begin(spell)

    def end(self, spell: Spell) -> None:
        """Behave again."""
        self.spells.end(spell)

    def slowness(self) -> int:
        """Return how much time it takes for an answer, in ns."""
        spell = self.spells.hit("slow")
        return 0 if spell is None else int(self.random.random() * 20 * SECONDS)

    # ---- messages ----------------------------------------------------------------------------------------------------

    def make(self, chat: str, text: str) -> Made:
        """Note that a user wrote."""
        self._made += 1
        made = Made(at=self.loop.now, id=f"{self.name}-m{self._made}", chat=chat, text=text)
        self.truth.made.append(made)
        return made

    def acknowledge(self, ids: tuple[str, ...], seq: int) -> None:
        """Note that the gateway said that it has messages."""
        new = tuple(id_ for id_ in ids if id_ not in self._acknowledged)
        if new:
            self._acknowledged.update(new)
            self.truth.acknowledged.append(Acknowledged(at=self.loop.now, ids=new, seq=seq))

    def client(self, process: Process, ledger: Ledger, /) -> Any:
        """Make the half of the adapter that makes attempts."""
        raise NotImplementedError

    def write(self, chat: str, text: str) -> None:
        """Have a user write."""
        raise NotImplementedError

    # ---- sends -------------------------------------------------------------------------------------------------------

    def note(
        self, left: Departed, part: Outgoing, said: Said, *, shown: bool, copy: bool, code: str = "", spell: int = -1
    ) -> None:
        """Note what became of a request to send."""
        self.truth.sends.append(
            Send(
                at=self.loop.now, left=left.at, key=part.key, chat=part.chat, text=part.text, said=said, shown=shown,
                seq=left.seq, process=left.process, epoch=left.epoch, answers=part.answers, number=part.number, code=code,
                spell=spell, copy=copy,
            )
        )  # fmt: skip

    def message_id(self) -> str:
        """Return a new id of a message that was shown."""
        self._sent += 1
        return f"{self.name}-s{self._sent}"

    def refuses(self, chat: str) -> Spell | None:
        """Return the spell by which sends to a chat are refused, if they are."""
        return self.spells.hit("refuses", chat)


def departed(attempt: Attempt) -> Departed:
    """Note where things stand when a request leaves."""
    driver = attempt.driver
    process = driver.process
    return Departed(process.host.loop.now, process.disk.seq, process.name, driver.epoch)

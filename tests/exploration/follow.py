"""A real account among random surroundings, and a model that must be able to follow it."""

from random import Random  # noqa: TID251 - a test that is the same every time

from statecore.events import Elapsed
from statecore.exploration.bench import delivery_at
from statecore.exploration.chats import ChatsModel
from statecore.exploration.live import OUTSIDE, Live
from statecore.exploration.scene import Act, Scene
from statecore.machines import delivery
from statecore.system import Address, Entry, Unit
from statecore_journal.memory import MemoryStore

OF_DRIVER = ("turn", "elapse", "elapse-window", "elapse-circuit", "elapse-account", "elapse-tie")
"""What the driver of a real account brings about by itself, in its own order."""


class Follower:
    """A model beside a real account.

    Args:
        scene: what both are about.
        seed: decides what happens around the account.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        self.random = Random(seed)
        self.model = ChatsModel(scene)
        self.live = Live(scene, MemoryStore())
        (self.state,) = self.model.initial()
        for act in self.model.prelude:
            self.live.do(act)
        self.followed = 0
        self.met: set[str] = set()

    def step(self) -> None:
        """Let the driver do what is due, or something happen around it."""
        if self.live.account is not None and self.random.random() < 0.6:
            self._drive()
            return
        possible = [act for act, _ in self.model.actions(self.state) if act.kind not in OF_DRIVER]
        if possible:
            self._happen(self.random.choice(possible))

    def _happen(self, act: Act) -> None:
        unit = self.live.do(act)
        self.met.add(act.kind)
        alike = [
            after
            for other, after in self.model.actions(self.state)
            if (other.kind, other.chat, other.delivery) == (act.kind, act.chat, act.delivery)
            and other.how.partition(" with ")[0] == act.how.partition(" with ")[0]
        ]
        self._follow([act], [after for after in alike if act.kind in OUTSIDE or self._is_at(after)], unit)

    def _drive(self) -> None:
        """Do as a driver does: let elapse what is due, give turns to whoever may leave."""
        live, account = self.live, self.live.taken()
        due = account.system.next_due()
        if (
            not account.outbox.in_flight
        ):  # an attempt ends within its time, so no timer that is longer elapses meanwhile
            live.clock.at += self.random.choice((0, 20_000_000, 1_500_000_000))
            if due is not None and self.random.random() < 0.5:
                live.clock.at = max(live.clock.at, due)
        for happen in (account.elapse, account.outbox.pump):
            unit = account.system.begin(live.clock.at)
            happen(unit)
            if not unit.entries:
                continue
            live.commit(unit)
            states = {self.state}
            acts = [act for entry in unit.entries if (act := self._as_act(entry)) is not None]
            for act in acts:
                self.met.add(act.kind)
                states = {after for state in states for one, after in self.model.actions(state) if one == act}
            self._follow(acts, [state for state in states if self._is_at(state)], unit)
            if live.account is None:
                return

    def _follow(self, acts: list[Act], states: list[int], unit: Unit | None) -> None:
        told = [] if unit is None else [(one.address, one.event, one.decision.snapshot) for one in unit.entries]
        assert states, (
            f"after {self.followed} steps the account did {[str(act) for act in acts]}, and the model cannot: {told};"
            f" model {self.model.shared(self.state)} {self.model.chats(self.state)};"
            f" account {self.live.tie()} {self.live.circuit()} {[self.live.core(i) for i in range(self.model.count)]}"
        )
        self.state = states[0]
        self.followed += 1

    def _is_at(self, state: int) -> bool:
        live = self.live
        cores = [live.core(chat) for chat in range(self.model.count)]
        return self.model.is_at(state, live.tie(), live.circuit(), cores)

    def _as_act(self, entry: Entry) -> Act | None:
        machine, _, key = Address.parse(entry.address)
        if isinstance(entry.event, delivery.Turn | delivery.Held):
            return Act("turn", delivery_at(entry.address)[0])
        if not isinstance(entry.event, Elapsed):
            return None
        timer = entry.event.timer
        if machine == "delivery":
            return Act("elapse", *delivery_at(entry.address), timer)
        if machine == "window":
            return Act("elapse-window", int(key[1:]), -1, timer)
        if machine == "circuit" and key:
            return Act("elapse-circuit", int(key[1:]), -1, timer)
        return Act("elapse-account" if machine == "circuit" else "elapse-tie", -1, -1, timer)

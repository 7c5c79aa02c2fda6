"""What happens in a model, happening to a real account: to write a counterexample down, and to hold the model to the code.

The account is the production one, over a store that holds what was committed; time goes on, and a timer elapses when it is
due or later. Nothing is abstracted here. What is abstracted can be read off, and compared with where the model is.
"""

from typing import Any, Final, Protocol

from statecore.account import Account, AccountStore
from statecore.exploration.abstraction import Place, told_apart
from statecore.exploration.bench import (
    Bench,
    Clock,
    Core,
    adopt,
    chat_name,
    delivery_address,
    perform,
)
from statecore.exploration.scene import NAME, Act, Scene
from statecore.machine import Snapshot
from statecore.system import NO_LANE, Instance, Unit, revive
from statecore.units import MILLISECONDS, SECONDS

BEGINS: Final = 1_790_000_000 * SECONDS
"""When it begins, in ns."""

BETWEEN: Final = 10 * MILLISECONDS
"""How long there is at least between two things that happen."""

OUTSIDE: Final = ("arrive", "stray", "copy")
"""What happens in the network and the platform, and leaves no row."""


class LiveStore(AccountStore, Protocol):
    """What holds what was committed."""

    def append(self, unit: Unit, first: int) -> None:
        """Take a unit in, its first entry at position *first*."""


class Live:
    """A real account, to which acts of a model happen.

    Args:
        scene: whose machines, policies and platform are used.
        store: an empty one.

    Attributes:
        account: the account as the process has it that drives it; None while there is none.
        units: what was committed, in order.
    """

    def __init__(self, scene: Scene, store: LiveStore) -> None:
        self.scene = scene
        self.bench = Bench(scene)
        self.account: Account | None = None
        self.units: list[Unit] = []
        self.clock = Clock(BEGINS)
        self._store = store
        self._seq = 0

    def do(self, act: Act) -> Unit | None:
        """Let something happen; return what was committed, or None if the journal knows nothing of it.

        Raises:
            AssertionError: it cannot happen here.
        """
        if act.kind == "crash":
            self.account = None
        if act.kind == "crash" or act.kind in OUTSIDE:
            return None
        if act.kind == "start":
            self.account = self._born()
        account = self.taken()
        self.clock.at = max(self.clock.at + BETWEEN, self._due(account, act))
        unit = perform(account, act, self.scene)
        assert unit is not None, f"it cannot happen that {act}"
        self.commit(unit, accepts=act.kind == "accept")
        return unit

    def taken(self) -> Account:
        """Return the account while a process drives it."""
        assert self.account is not None, "no process drives the account"
        return self.account

    def commit(self, unit: Unit, *, accepts: bool = False) -> None:
        """Write a unit down, and let the account know."""
        if not unit.entries:
            return
        account, first = self.taken(), self._seq + 1
        self._seq += len(unit.entries)
        self._store.append(unit, first)
        self.units.append(unit)
        if accepts:
            adopt(account, unit, first)
        else:
            account.committed(unit, first)
        if account.system.snapshot(account.address).state == "closed":
            self.account = None

    def _born(self) -> Account:
        """Make the account of a new process."""
        scene, clock, store = self.scene, self.clock, self._store
        any_clock: Any = clock
        account = scene.account(NAME, scene.platform, scene.policies, store, any_clock)
        for machine, address in self._addresses():
            stored = store.load(address)
            definition = scene.machines[machine]
            if stored is not None:
                account.system.hold(address, revive(definition, stored))
            elif machine != "delivery":
                account.system.hold(address, Instance(definition, definition.start()))
        return account

    def _addresses(self) -> list[tuple[str, str]]:
        bench, machine = self.bench, self.bench.tie_machine.name
        found = [(machine, bench.tie_address), ("circuit", bench.account_address)]
        for chat, count in enumerate(self.scene.deliveries):
            name = chat_name(chat)
            found += [("circuit", f"circuit/{NAME}/{name}"), ("window", f"window/{NAME}/{name}")]
            found += [("delivery", delivery_address(chat, index)) for index in range(count)]
        return found

    def _due(self, account: Account, act: Act) -> int:
        """Return from when on something may happen, in ns."""
        if act.kind == "turn":
            return account.outbox.free_at(self.clock.at + BETWEEN) or 0
        if not act.kind.startswith("elapse"):
            return 0
        address = {
            "elapse": delivery_address(act.chat, act.delivery),
            "elapse-window": f"window/{NAME}/{chat_name(act.chat)}",
            "elapse-circuit": f"circuit/{NAME}/{chat_name(act.chat)}",
            "elapse-account": self.bench.account_address,
            "elapse-tie": self.bench.tie_address,
        }[act.kind]
        return getattr(account.system.snapshot(address).data, act.how) or 0

    # ---- where it is, as the model would have it ---------------------------------------------------------------------

    def tie(self) -> Place:
        """Return the connection or session."""
        return self.bench.place(self.bench.tie_machine.name, self._snapshot(self.bench.tie_address))

    def circuit(self) -> Place:
        """Return the account's circuit."""
        return self.bench.place("circuit", self._snapshot(self.bench.account_address))

    def core(self, chat: int) -> Core:
        """Return a chat."""
        name, bench = chat_name(chat), self.bench
        at_window = self._snapshot(f"window/{NAME}/{name}")
        window = bench.place("window", at_window)
        places: list[Place | None] = []
        orders: dict[int, int] = {}
        for index in range(self.scene.deliveries[chat]):
            stored = self._store.load(delivery_address(chat, index))
            if stored is None:
                places.append(None)
                continue
            found = bench.place("delivery", self._snapshot(delivery_address(chat, index)))
            places.append(told_apart(window, found, at_window.data.token))
            if found.state not in NO_LANE:
                orders[index] = stored.order
        circuit = bench.place("circuit", self._snapshot(f"circuit/{NAME}/{name}"))
        ready = self.account is not None and name in self.account.outbox.lanes.ready
        return Core(window, circuit, ready, tuple(sorted(orders, key=orders.__getitem__)), tuple(places))

    def _snapshot(self, address: str) -> Snapshot:
        stored = self._store.load(address)
        machine = self.scene.machines[address.partition("/")[0]]
        return machine.start() if stored is None else revive(machine, stored).snapshot

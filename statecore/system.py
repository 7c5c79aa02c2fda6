"""Many machines as one: instances, the transitions that belong together, and who caused what. Pure.

A `Unit` is what is committed at once: the transitions that one happening led to, over however many instances, with the
secrets that must not be parted from them. A `System` holds the instances in memory, loads the others from a `Store`,
and turns (instance, event) into rows of a unit.
"""

import heapq
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import attrs

from statecore import codec
from statecore.errors import CodecError
from statecore.events import Elapsed, Event, Offline, Tell
from statecore.machine import Attempt, Decision, Machine, Snapshot

CASCADE_MAX = 1000
"""Events that one happening may set off. Machines that tell each other in a circle are caught here, with the path."""

TIMERS_HELD = 4096
"""Deadlines fetched from the store at once."""

CACHED_MAX = 4096
"""Instances kept in memory beyond those that are under way; the others are loaded from the projection when needed."""


class Address(NamedTuple):
    """What an instance's address says: machine/account, or machine/account/key."""

    machine: str
    account: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address; a key may hold slashes.

        >>> Address.parse("circuit/wx/a/b").key
        'a/b'
        """
        machine, _, rest = text.partition("/")
        account, _, key = rest.partition("/")
        return _new(cls, (machine, account, key))

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


class Stored(NamedTuple):
    """An instance as the projection holds it.

    Args:
        address: of the instance.
        state: the state it is in.
        data: what it remembers, as the codec wrote it.
        version: see `Snapshot`.
        entered: see `Snapshot`.
        seq: position in the journal of its last event.
        chat: the chat it belongs to, if any.
        order: its place in its chat's lane; 0 if it is in none.
        schema: version of the data.
    """

    address: str
    state: str
    data: str
    version: int
    entered: int
    seq: int
    chat: str
    order: int
    schema: int


class Store(Protocol):
    """What is read from the journal while deciding. Reads see what is committed."""

    def load(self, address: str) -> Stored | None:
        """Return an instance, or None if nothing ever happened to it."""

    def due(self, account: str, after: int, most: int | None) -> tuple[list[tuple[int, str]], int | None]:
        """Return about *most* next (deadline in ns, address) behind *after*, and the last deadline if there are more."""


class Entry(NamedTuple):
    """One transition of a unit.

    Args:
        address: of the instance.
        machine: its definition.
        source: the state before.
        event: what happened.
        decision: what it led to.
        cause: what caused it: a position in the journal if above 0, 0 for nothing inside, and -(i+1) for entry i of the
            same unit.
        chat: the chat the instance belongs to.
        order: its place in the lane; 0 for none, -1 for "at the end", which becomes its position in the journal, -2 for
            "where it is", while that position is not known yet.
        live: whether it is in its lane.
        due: its earliest deadline, in ns.
    """

    address: str
    machine: Machine
    source: str
    event: Event
    decision: Decision
    cause: int
    chat: str
    order: int
    live: bool
    due: int | None


class Request(NamedTuple):
    """An attempt that a unit asks for, once it is committed.

    Args:
        address: of the instance that awaits it.
        attempt: what to do.
        entry: index of the entry that asked for it.
    """

    address: str
    attempt: Attempt
    entry: int


@attrs.define(init=False)
class Unit:
    """What is committed at once. Every decision makes one, so it is made by hand.

    Args:
        account: whose lease must be held for it.
        now: when it was decided, in ns.
        entries: the transitions, in order.
        requests: attempts to make afterwards.
        secrets: what must be remembered and never shown; None forgets.
        forget: whether all of the account's secrets are forgotten first.
        done: commands that are carried out by it.
        key: the sender's idempotency key; if a delivery with the same one exists, the unit is dropped.
    """

    account: str
    now: int
    entries: list[Entry]
    requests: list[Request]
    secrets: dict[str, str | None] = attrs.field(repr=False)
    forget: bool
    done: list[int]
    key: str

    def __init__(self, account: str, now: int, entries: list[Entry] | None = None, *, key: str = "") -> None:
        self.account = account
        self.now = now
        self.entries = [] if entries is None else entries
        self.requests = []
        self.secrets = {}
        self.forget = False
        self.done = []
        self.key = key


@attrs.define
class Instance:
    """One instance in memory.

    Args:
        machine: its definition.
        snapshot: where it is.
        seq: position in the journal of its last committed event.
        chat: the chat it belongs to.
        order: its place in its lane.
        pending: transitions decided and not yet committed.
        armed: the earliest deadline it stands in the timer heap for.
    """

    machine: Machine
    snapshot: Snapshot
    seq: int = 0
    chat: str = ""
    order: int = 0
    pending: int = 0
    armed: int | None = None


_new: Final = tuple.__new__
"""See `statecore.machine`: building a NamedTuple by its class costs twice as much."""

LAST, PLACED = -1, -2
"""Values of `Entry.order` that are no places."""

NO_LANE = frozenset({"dead", "in-review", "delivered", "expired", "purged", "done", "quarantined", "new"})
"""States in which a message is in no lane: the next of its chat is first."""

IN_LANES = frozenset({"delivery", "inbound"})


class System:
    """The instances of one account.

    Args:
        account: its name.
        machines: the definitions, by name.
        store: where instances that are not in memory come from.
    """

    def __init__(self, account: str, machines: Mapping[str, Machine], store: Store) -> None:
        self.account = account
        self._machines = machines
        self._store = store
        self._instances: OrderedDict[str, Instance] = OrderedDict()
        self._heap: list[tuple[int, str]] = []
        self._horizon: int | None = None  # deadlines up to here are in the heap; None for all

    # ---- instances ---------------------------------------------------------------------------------------------------

    def instance(self, address: str) -> Instance:
        """Return an instance, loaded from the projection if need be; a new one if nothing ever happened to it."""
        held = self._instances.get(address)
        if held is not None:
            self._instances.move_to_end(address)
            return held
        stored = self._store.load(address)
        machine = self._machines[Address.parse(address).machine]
        held = Instance(machine, machine.start()) if stored is None else revive(machine, stored)
        self._instances[address] = held
        return held

    def hold(self, address: str, instance: Instance) -> None:
        """Keep an instance in memory that would else be loaded when it is needed."""
        self._instances[address] = instance

    def snapshot(self, address: str) -> Snapshot:
        """Return where an instance is."""
        try:
            return self._instances[address].snapshot
        except KeyError:
            return self.instance(address).snapshot

    def state_in_lane(self, address: str) -> str | None:
        """Return the state of a message that is in its lane, or None if it is in none."""
        state = self.snapshot(address).state
        return None if state in NO_LANE else state

    def exists(self, address: str) -> bool:
        """Tell whether anything ever happened to an instance."""
        return self.snapshot(address).version > 0

    def forget(self, address: str) -> None:
        """Drop an instance from memory."""
        self._instances.pop(address, None)

    @property
    def size(self) -> int:
        """How many instances are in memory."""
        return len(self._instances)

    # ---- deciding ----------------------------------------------------------------------------------------------------

    def begin(self, now: int) -> Unit:
        """Begin a unit."""
        return Unit(self.account, now)

    def feed(self, unit: Unit, address: str, event: Event, *, cause: int = 0, chat: str = "") -> Decision:
        """Let an event happen to an instance, and to whomever that tells, within *unit*.

        Args:
            unit: what it is committed with.
            address: the instance.
            event: what happened.
            cause: what caused it; see `Entry`.
            chat: the chat the instance belongs to, given with its first event.

        Returns:
            The decision of the instance itself.
        """
        first = self._apply(unit, address, event, cause, chat)
        if not first.effects:
            return first
        waiting = [(effect, -len(unit.entries)) for effect in first.effects if isinstance(effect, Tell)]
        while waiting:
            if len(unit.entries) > CASCADE_MAX:
                path = " -> ".join(entry.address for entry in unit.entries[-8:])
                raise CodecError(
                    f"one event set off more than {CASCADE_MAX} others; they tell each other in a circle: {path}"
                )
            tell, told_by = waiting.pop(0)
            decision = self._apply(unit, tell.to, tell.event, told_by, chat)
            waiting += [(effect, -len(unit.entries)) for effect in decision.effects if isinstance(effect, Tell)]
        return first

    def _apply(self, unit: Unit, address: str, event: Event, cause: int, chat: str) -> Decision:
        held = self._instances.get(address)  # as `instance` does, without one call more for every event
        if held is None:
            held = self.instance(address)
        else:
            self._instances.move_to_end(address)
        machine, before = held.machine, held.snapshot
        source = before[0]
        decision = machine.step(before, event, unit.now)
        snapshot, effects, _ = decision
        if chat and not held.chat:
            held.chat = chat
        held.snapshot = snapshot
        held.pending += 1
        live = machine.name in IN_LANES and snapshot[0] not in NO_LANE
        if live and source in NO_LANE:
            held.order = LAST
        order = held.order
        if order == LAST:
            held.order = PLACED
        due = machine.due(snapshot)
        if due is not None and (held.armed is None or due < held.armed):
            heapq.heappush(self._heap, (due, address))
            held.armed = due  # a later deadline is found when this entry comes up; entries must not pile up
        entries = unit.entries
        entries.append(_new(Entry, (address, machine, source, event, decision, cause, held.chat, order, live, due)))
        if effects:
            for effect in effects:
                if effect.__class__ is Attempt:
                    unit.requests.append(_new(Request, (address, effect, len(entries) - 1)))
        return decision

    def committed(self, unit: Unit, first: int) -> list[tuple[Entry, int]]:
        """Note that a unit is in the journal.

        Args:
            unit: the unit.
            first: position of its first entry.

        Returns:
            The entries that put a message at the end of a lane, and its place there.
        """
        joined: list[tuple[Entry, int]] = []
        for seq, entry in enumerate(unit.entries, first):
            address, _, _, _, _, _, _, order, live, _ = entry
            if order == LAST and live:
                joined.append((entry, seq))
            held = self._instances.get(address)
            if held is None:
                continue
            held.seq = seq
            held.pending -= 1
            if order == LAST:
                held.order = seq
            if not held.pending and held.snapshot[0] in held.machine.final:
                del self._instances[address]
        while len(self._instances) > CACHED_MAX:
            address, held = next(iter(self._instances.items()))
            if held.pending or held.machine.effect(held.snapshot.state):
                break
            del self._instances[address]
        return joined

    # ---- timers ------------------------------------------------------------------------------------------------------

    def arm(self, unit: Unit, offline: int) -> None:
        """Arm the timers of the instances in the store.

        Only the next deadlines are held in memory; the others are fetched when the time comes, so that a queue of
        messages that expire some day costs no memory.

        Args:
            unit: where timers that keep what was left to wait are moved.
            offline: for how long nobody drove the account, in ns.
        """
        keeping = [machine for machine in self._machines.values() if machine.keeps_rest_anywhere]
        if offline > 0 and keeping:
            for _, address in self._store.due(self.account, -1, None)[0]:
                held = self.instance(address)
                if held.machine.keeps_rest(held.snapshot.state):
                    self.feed(unit, address, Offline(length=offline))
        self._horizon = -1
        self._fetch()

    def arm_stored(self, due: int, address: str) -> None:
        """Arm the timer of an instance that has just been put into the store."""
        if self._horizon is None or due <= self._horizon:
            heapq.heappush(self._heap, (due, address))

    def _fetch(self) -> None:
        assert self._horizon is not None, "there is more only behind a horizon"
        page, self._horizon = self._store.due(self.account, self._horizon, TIMERS_HELD)
        for one in page:
            heapq.heappush(self._heap, one)

    def next_due(self) -> int | None:
        """Return the earliest deadline of all, in ns. It may turn out to have been moved."""
        first = self._heap[0][0] if self._heap else None
        if self._horizon is None:
            return first
        return self._horizon if first is None else min(first, self._horizon)

    def elapsed(self, now: int, most: int) -> list[tuple[str, Elapsed, int]]:
        """Take the timers that are due: at most *most* of (address, event, cause)."""
        while self._horizon is not None and self._horizon <= now:
            self._fetch()
        if not self._heap or self._heap[0][0] > now:  # as in most turns
            return []
        found: list[tuple[str, Elapsed, int]] = []
        seen: set[str] = set()
        while self._heap and self._heap[0][0] <= now and len(found) < most:
            at, address = heapq.heappop(self._heap)
            held = self.instance(address)
            if held.armed is not None and held.armed <= at:
                held.armed = None
            if address in seen:
                continue
            due = sorted(held.machine.deadlines(held.snapshot))
            if due and due[0][0] <= now:
                seen.add(address)
                found.append((address, Elapsed(due[0][1]), held.seq))
            elif due and held.armed is None:
                held.armed = due[0][0]
                heapq.heappush(self._heap, (due[0][0], address))
        return found


def revive(machine: Machine, stored: Stored) -> Instance:
    """Build an instance from what the projection holds.

    Raises:
        CodecError: the row does not fit the machine as this code has it.
    """
    if stored.state not in machine.states:
        raise CodecError(
            f"{stored.address} is in state {stored.state!r}, which {machine.name} does not have; it was written by other code"
        )
    data: Any = codec.loads(stored.data, machine.remembers, schema=stored.schema)
    snapshot = Snapshot(stored.state, data, stored.version, stored.entered)
    return Instance(machine, snapshot, stored.seq, stored.chat, stored.order)

"""A journal's projection in memory: what an account reads while deciding, of a run that nobody wants to keep."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Any

import attrs

from statecore import codec
from statecore.lanes import Head
from statecore.machine import Snapshot
from statecore.machines.inbound import Received
from statecore.system import LAST, PLACED, Stored, Unit


@attrs.define
class _Held:
    """One instance, as `Stored` has it, but for what it remembers."""

    snapshot: Snapshot
    seq: int
    chat: str
    order: int
    live: bool
    due: int | None


class MemoryStore:
    """Holds the instances of one account; serves `statecore.account.AccountStore`."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._lanes: dict[tuple[str, str], list[tuple[int, str]]] = {}
        self._firsts: dict[str, Any] = {}
        self._received: list[tuple[int, Received]] = []

    # ---- writing -----------------------------------------------------------------------------------------------------

    def put(
        self, address: str, snapshot: Snapshot, seq: int, *, chat: str, order: int, live: bool, due: int | None
    ) -> None:
        """Put an instance where it is."""
        held = self._held.get(address)
        if held is None:
            held = self._held[address] = _Held(snapshot, seq, chat, order, False, due)
        else:
            held.snapshot = snapshot
            held.seq = seq
            held.due = due
        if held.live == live:
            return
        lane = self._lanes.setdefault((address.partition("/")[0], chat), [])
        if held.live:
            lane.remove((held.order, address))
        held.live, held.order, held.chat = live, order, chat
        if live:
            insort(lane, (order, address))

    def begin(self, address: str, event: Any, at: int) -> None:
        """Note the first event of an instance."""
        self._firsts[address] = event
        if isinstance(event, Received):
            self._received.append((at, event))

    def append(self, unit: Unit, first: int) -> None:
        """Take a unit in, its first entry at position *first*."""
        for seq, entry in enumerate(unit.entries, start=first):
            address, _, _, event, decision, _, chat, order, live, due = entry
            snapshot, held = decision[0], self._held.get(address)
            if held is not None and held.live == live:  # as most are: nothing joins a lane, and nothing leaves one
                held.snapshot, held.seq, held.due = snapshot, seq, due
                continue
            order = seq if order == LAST else held.order if order == PLACED and held is not None else order
            self.put(address, snapshot, seq, chat=chat, order=order, live=live, due=due)
            if snapshot[2] == 1:
                self.begin(address, event, unit.now)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def load(self, address: str) -> Stored | None:
        """Return an instance, or None if nothing ever happened to it."""
        held = self._held.get(address)
        if held is None:
            return None
        state, data, version, entered = held.snapshot
        schema = getattr(type(data), "schema", 1)
        return Stored(address, state, codec.dumps(data), version, entered, held.seq, held.chat, held.order, schema)

    def version(self, address: str) -> int:
        """Return how many events an instance has taken."""
        return self._held[address].snapshot.version

    def due(self, _account: str, after: int, _most: int | None) -> tuple[list[tuple[int, str]], int | None]:
        """Return all deadlines behind *after*."""
        found = ((held.due, address) for address, held in self._held.items() if held.due is not None)
        return sorted(one for one in found if one[0] > after), None

    def heads(self, _account: str, machine: str) -> list[tuple[str, Head]]:
        """Return (chat, head) of every lane that is not empty."""
        found = [(chat, self._head(lane[0])) for (name, chat), lane in self._lanes.items() if name == machine and lane]
        return sorted(found)

    def following(self, _account: str, machine: str, chat: str, after: int) -> Head | None:
        """Return the first of a lane whose place is after *after*."""
        lane = self._lanes.get((machine, chat), [])
        place = bisect_left(lane, (after + 1, ""))  # no address comes before the empty one
        return self._head(lane[place]) if place < len(lane) else None

    def _head(self, place: tuple[int, str]) -> Head:
        order, address = place
        return Head(address, order, self._held[address].snapshot.state)

    def in_states(self, _account: str, machine: str, states: Sequence[str]) -> list[str]:
        """Return the addresses of the instances in these states, oldest first."""
        prefix = f"{machine}/"
        found = (
            (held.seq, address)
            for address, held in self._held.items()
            if held.snapshot[0] in states and address.startswith(prefix)
        )
        return [address for _, address in sorted(found)]

    def recently_received(self, _account: str, since: int) -> list[tuple[int, Received]]:
        """Return (when in ns, what) of the messages that came in since *since*."""
        return [(at, received) for at, received in self._received if at >= since]

    def first_event(self, address: str, _kind: type[Any]) -> Any:
        """Return the first event that happened to an instance."""
        return self._firsts[address]

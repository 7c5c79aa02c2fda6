"""Running an account again on what is recorded of the outside: the driver's order of business in virtual time, with no I/O.

The machines, the policies and the composition are those of the gateway (`statecore.account`). What the gateway's surroundings
add is how long each thing took: the operating system's timers, the disk, the network, the program that handles messages. A
run with nothing changed (`follow`) takes these from the record and notes them; a run with something changed lets everything
take as long as it took then, for as long as it asks the same. So with nothing changed a run is the recording, row by row, and
with something changed it parts from it where the change matters, and not before.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

import attrs

from statecore import codec
from statecore.account import Account, Command
from statecore.driver import on_beat
from statecore.errors import StatecoreError
from statecore.events import Governed, name_of
from statecore.lanes import Lanes
from statecore.machine import Machine
from statecore.machines import MACHINES, circuit, connection, delivery, inbound
from statecore.machines.delivery import SendPart
from statecore.recorded import Restored
from statecore.system import IN_LANES, NO_LANE, Address, Instance, Request, Unit
from statecore.units import HOURS
from statecore_journal.memory import MemoryStore
from statecore_journal.whatif.answers import adjusted
from statecore_journal.whatif.recording import ENDED_WITH_PROCESS, Answer, Key, Outside, Recording, Row

STILL_MAX: Final = 200_000
"""Happenings at one moment. More means that the run goes in a circle, as it may when rows of the record are missing."""

NEVER: Final = 2**63 - 1

BEYOND: Final = 2 * HOURS
"""A run that is slower than the record goes on for so long after it, to tell when all would have been over."""


class Happened(NamedTuple):
    """One transition of a run.

    Args:
        at: when, in ns.
        address: of the instance.
        version: how many events it had taken, with this one.
        name: of the event.
        event: what happened.
        source: the state before.
        target: the state after.
        outcome: "moved", "stayed", "ignored" or "refused".
        modelled: whether it rests on an answer that was never recorded.
        seq: its place in the run, or in the journal.
        cause: place of what caused it; None if that is outside.
    """

    at: int
    address: str
    version: int
    name: str
    event: Any
    source: str
    target: str
    outcome: str
    modelled: bool
    seq: int
    cause: int | None

    def is_like(self, other: "Happened") -> bool:
        """Tell whether the same happened at the same moment, whatever its place."""
        return self[:8] == other[:8]


@attrs.define
class Latencies:
    """How long things took, as noted by a run that followed the record; in ns.

    Args:
        turns: when a delivery left, by the instance, its version, and from when on it might have.
        offers: from when a delivery was accepted until the driver knew, where that was late.
        handings: when a handler had a message, by the instance, its version, and when it might have; None for never.
        drained: from when nothing was under way any more until that was noted, by version of the tie.
        unmet: deadlines that were never met.
        deaths: by which life: from when on nothing happened any more, although it was due.
        hands: whether there was anybody who handled messages.
    """

    turns: dict[tuple[Key | None, int], int] = attrs.field(factory=dict)
    offers: dict[Key, int] = attrs.field(factory=dict)
    handings: dict[tuple[Key, int], int | None] = attrs.field(factory=dict)
    drained: dict[int, int] = attrs.field(factory=dict)
    unmet: set[int] = attrs.field(factory=set)
    deaths: dict[int, int] = attrs.field(factory=dict)
    hands: bool = False


class Model(Protocol):
    """A platform that answers what was never asked."""

    def answer(self, request: Request, chat: str, state: str, now: int) -> tuple[Any, int] | None:
        """Return what comes of an attempt, and after how long, in ns; None if nothing ever does."""

    def took(self, result: Any) -> None:
        """Take note of an answer that was taken in, so that it is not given again."""

    def handles(self, address: str) -> tuple[str | None, int]:
        """Return how a handler ends that is given a message: what goes wrong or None, and after how long, in ns."""


class _Clock:
    """The world of a run: its time. Chance follows from what it is drawn for, and ids are recorded."""

    def __init__(self) -> None:
        self.at = 0

    def now(self) -> int:
        """Return the time, in ns."""
        return self.at


class _Lanes(Lanes):
    """Lanes that are looked at when they were looked at."""

    run: "Run"

    def offer(self, chat: str) -> None:
        """Put a chat at the end of those whose turn comes, or do so later."""
        if not self.run.offered(self, chat):
            super().offer(chat)

    def admit(self, chat: str) -> None:
        """Put a chat at the end now."""
        super().offer(chat)

    def in_turn(self) -> Iterable[str]:
        """Return the chats whose first may have its turn; when following the record, those that had it now."""
        return self.run.in_turn(self)


@attrs.define(order=False)
class _Due:
    """Something that happens at a moment."""

    happen: Callable[[], None]
    life: int


class Run:
    """One run of an account.

    Args:
        recording: what came from outside.
        restored: what decided: (text of the settings at a start) -> platform and policies.
        latencies: of a run that followed the record; None to follow it, and note them.
        model: answers what was never asked; None when following.
        renewed_before: how long before their end tokens were renewed, in ns, under the recorded settings.
    """

    def __init__(
        self,
        recording: Recording,
        restored: Callable[[str], Restored],
        latencies: Latencies | None = None,
        model: Model | None = None,
        renewed_before: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self.recording = recording
        self.follows = latencies is None
        self.latencies = latencies if latencies is not None else Latencies()
        self.happened: list[Happened] = []
        self._strayed = NEVER
        self._restored = restored
        self._renewed_before = renewed_before
        self._renewal = 0
        self._model = model
        self._clock = _Clock()
        self._store = MemoryStore()
        self._account: Account | None = None
        self._life = 0
        self._seq = 0
        self._agenda: list[tuple[int, int, int, _Due]] = []
        self._counter = itertools.count()
        self._timers: list[tuple[int, str]] = []
        self._since: dict[tuple[str, str], int] = {}
        self._delayed: set[Key] = set()
        self._drained_since: int | None = None
        self._modelled = False
        self._known = {(row.address, row.after.version) for row in recording.rows}
        self._ends = recording.ends
        self._lives = _lives(recording.rows)
        self._tie_state = "closed"
        self._lets_go = True
        self._turns = _turns(recording.rows) if self.follows else {}
        self._moved: set[Key] = set()
        self._live: set[str] = set()
        self._left = len(_live_at_end(recording))
        self._last_start = max(
            (row.seq for row in recording.rows if isinstance(row.event, connection.Started)), default=0
        )
        self._free: tuple[Key | None, int] | None = None
        self._frees: set[tuple[Key | None, int]] = set()
        self._dies = NEVER
        for address, (snapshot, seq, chat, order) in recording.initial.items():
            machine = _machine(address)
            live = machine.name in IN_LANES and snapshot.state not in NO_LANE
            due = machine.due(snapshot)
            self._store.put(address, snapshot, seq, chat=chat, order=order, live=live, due=due)
            if live and machine.name == "delivery":
                self._live.add(address)
            self._seq = max(self._seq, seq, order)
        for address, (at, event) in recording.firsts.items():
            self._store.begin(address, event, at)

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> "Run":
        """Run to the end of the record."""
        for item in self.recording.outside:
            self._put(item.at, item.seq, lambda item=item: self._outside(item), life=-1)  # type: ignore[misc]
        still = 0
        while (step := self._next()) is not None:
            at, happen = step
            still = still + 1 if at <= self._clock.at else 0
            if still > STILL_MAX:
                raise StatecoreError(
                    f"account {self.recording.account} cannot be run again: what is recorded of it does not fit together, so "
                    "that the run comes to no end. See `statecore verify` for the row, and restore a copy of the file"
                )
            self._clock.at = max(self._clock.at, at)
            happen()
        self._look_for_missing()
        return self

    def _look_for_missing(self) -> None:
        """Note the first row on record that did not happen."""
        if self.follows and len(self._moved) < len(self.recording.rows):
            rows = self.recording.rows
            missing = next((row for row in rows if (row.address, row.before.version) not in self._moved), None)
            if missing is not None:
                self._strayed = min(self._strayed, missing.at)

    @property
    def strayed_at(self) -> int | None:
        """When a run that followed the record first left it, in ns; None if it never did."""
        return None if self._strayed == NEVER else self._strayed

    @property
    def ended(self) -> int:
        """When the run ended, in ns."""
        return max(self._clock.at, self.recording.ends)

    def _put(self, at: int, seq: int, happen: Callable[[], None], life: int | None = None) -> None:
        due = _Due(happen, self._life if life is None else life)
        heapq.heappush(self._agenda, (at, seq, next(self._counter), due))

    def _next(self) -> tuple[int, Callable[[], None]] | None:
        """Choose what happens next: (when, what)."""
        while self._agenda and self._agenda[0][3].life not in (-1, self._life):
            heapq.heappop(self._agenda)
        found: tuple[int, int, Callable[[], None]] | None = None
        if self._agenda:
            at, seq, _, _ = self._agenda[0]
            found = at, seq, self._pop
        for own in (self._timer(), self._turn(), self._handing(), self._drain()):
            if own is None:
                continue
            if self.follows and own[1] == NEVER and self._clock.at >= self._last_of_life():
                self._note_death(own[0])
                continue
            if own[0] > self._dies or (own[0] == self._dies and own[1] == NEVER):
                continue
            if found is None or own[:2] < found[:2]:
                found = own
        if found is None or found[0] > self._ends:
            if self.follows or not self._behind() or self._ends > self.recording.ends:
                return None
            self._ends, self._dies = self.recording.ends + BEYOND, NEVER
            self._timers = list(self._store.due("", -1, None)[0])
            return self._next()
        if self._clock.at > self.recording.ends and not self._behind():
            return None
        return found[0], found[2]

    def _pop(self) -> None:
        heapq.heappop(self._agenda)[3].happen()

    def _last_of_life(self) -> int:
        """Return when the process that drives did its last thing on record."""
        return self._lives[self._life]

    def _note_death(self, at: int) -> None:
        """Note that something was due that never happened: the process had gone."""
        self.latencies.deaths[self._life] = min(self.latencies.deaths.get(self._life, NEVER), at)

    # ---- what is due -------------------------------------------------------------------------------------------------

    def _timer(self) -> tuple[int, int, Callable[[], None]] | None:
        account = self._account
        if account is None or self._tie_state == "closed":
            return None
        while self._timers:
            due, address = self._timers[0]
            if _machine(address).due(account.system.snapshot(address)) != due or self._is_unmet(due):
                heapq.heappop(self._timers)
                continue
            at, seq = self.recording.elapsed.get(due, (on_beat(due, self._clock.at), NEVER))
            return max(at, due), seq, self._elapse
        return None

    def _is_unmet(self, due: int) -> bool:
        """Tell whether a deadline passed, on record, and was not met: something else came before anybody looked."""
        if self.follows and due not in self.recording.elapsed:
            self.latencies.unmet.add(due)
            return True
        return due in self.latencies.unmet and self._ends == self.recording.ends

    def _turn(self) -> tuple[int, int, Callable[[], None]] | None:
        account = self._account
        free = None if account is None or self._lets_go else account.outbox.free_at(self._clock.at)
        if account is None or free is None:
            self._free = None
            return None
        lanes = account.outbox.lanes
        row = self._first_recorded(lanes) if self.follows else None
        if self.follows and row is None:
            return free, NEVER, self._pump
        chat = account.outbox.next_chat(self._clock.at) if row is None else None
        key = self._head_key(lanes, chat) if chat is not None else (row.address, row.before.version) if row else None
        if self._free is None or self._free[0] != key or free > self._clock.at:
            self._free = key, free
        if row is not None:
            self._frees.add(self._free)
            return max(row.at, self._clock.at), row.seq, self._pump
        at = self.latencies.turns.get(self._free, free)
        return max(at, self._clock.at), self._recorded_seq(key), self._pump

    def _handing(self) -> tuple[int, int, Callable[[], None]] | None:
        account = self._account
        if account is None or self._lets_go or not account.intake.lanes.ready:
            return None
        lanes = account.intake.lanes
        if self.follows:
            row = self._first_recorded(lanes)
            return None if row is None else (max(row.at, self._clock.at), row.seq, self._hand)
        best: tuple[int, int, Callable[[], None]] | None = None
        for chat in lanes.ready:
            at = self._handed_at(lanes, chat)
            if at is not None:
                due = max(self._clock.at, at), self._recorded_seq(self._head_key(lanes, chat)), self._hand
                best = due if best is None else min(best, due, key=_when)
        return best

    def _handed_at(self, lanes: Lanes, chat: str) -> int | None:
        """Return when the first of a lane finds a handler; None if nobody comes."""
        key = self._head_key(lanes, chat)
        if key is None or not self.latencies.hands:
            return None
        since = self._since.get((lanes.machine, chat), self._clock.at)
        return self.latencies.handings.get((key, since), since)

    def _first_recorded(self, lanes: Lanes) -> Row | None:
        """Return what comes first on record of those whose turn it could be."""
        rows = self._turns[lanes.machine]
        while rows and (rows[-1].address, rows[-1].before.version) in self._moved:
            rows.pop()
        if not rows:
            return None
        row = rows[-1]
        held = self._of_run().system.instance(row.address)
        if held.chat not in lanes.ready or held.snapshot.version != row.before.version:
            return None
        head = lanes.head(held.chat)
        return row if head is not None and head.address == row.address else None

    def _drain(self) -> tuple[int, int, Callable[[], None]] | None:
        account = self._account
        if account is None or self._tie_state != "draining":
            self._drained_since = None
            return None
        tie = account.system.snapshot(account.address)
        if account.outbox.in_flight or account.intake.handling:
            self._drained_since = None
            return None
        if self._drained_since is None:
            self._drained_since = self._clock.at
        row = self.recording.following.get((account.address, tie.version))
        seq = row.seq if row is not None else NEVER
        if self.follows:
            if row is not None and isinstance(row.event, connection.Drained):
                self.latencies.drained[tie.version] = row.at - self._drained_since
                return row.at, seq, self._end
            return self._clock.at, NEVER, self._end
        return self._drained_since + self.latencies.drained.get(tie.version, 0), seq, self._end

    # ---- following the record ----------------------------------------------------------------------------------------

    def _head_key(self, lanes: Lanes, chat: str) -> Key | None:
        """Return the first of a lane and its version."""
        head = lanes.head(chat)
        if head is None or self._account is None:
            return None
        return (head.address, self._account.system.snapshot(head.address).version)

    def _recorded(self, lanes: Lanes, chat: str, kinds: tuple[type, ...]) -> Row | None:
        """Return what is on record as the next event of the first of a lane, if it is of these kinds."""
        key = self._head_key(lanes, chat)
        row = self.recording.following.get(key) if key is not None else None
        return row if row is not None and isinstance(row.event, kinds) else None

    def _recorded_seq(self, key: Key | None) -> int:
        row = self.recording.following.get(key) if key is not None else None
        return row.seq if row is not None else NEVER

    def in_turn(self, lanes: Lanes) -> Iterable[str]:
        """Return the chats of lanes whose turn it could be now."""
        if not self.follows:
            return lanes.ready if lanes.machine == "delivery" else [c for c in lanes.ready if self._is_handed(lanes, c)]
        row = self._first_recorded(lanes)
        first = None
        if row is not None and row.at <= self._clock.at:
            first = self._of_run().system.instance(row.address).chat
        if lanes.machine == "delivery" and first != next(iter(lanes.ready), None) and not self._probes():
            self._note_skipped(lanes, itertools.takewhile(lambda chat: chat != first, lanes.ready))
        return () if first is None else (first,)

    def _is_handed(self, lanes: Lanes, chat: str) -> bool:
        at = self._handed_at(lanes, chat)
        return at is not None and at <= self._clock.at

    def _probes(self) -> bool:
        """Tell whether the next one out probes for the account, so that it may be any."""
        account = self._of_run()
        return account.system.snapshot(account.outbox.circuit_address).state == "half-open"

    def _note_skipped(self, lanes: Lanes, chats: Iterable[str]) -> None:
        """Note that the driver did not know of these yet."""
        for chat in chats:
            row = self._recorded(lanes, chat, (delivery.Turn, delivery.Held))
            if row is not None:
                since = self._since.get((lanes.machine, chat), self._clock.at)
                self.latencies.offers[(row.address, row.before.version)] = self._clock.at - since

    def offered(self, lanes: "_Lanes", chat: str) -> bool:
        """Take note that a lane's first may have its turn; tell whether it is known only later."""
        if chat not in lanes.ready:
            self._since[lanes.machine, chat] = self._clock.at
        key = self._head_key(lanes, chat)
        if self.follows and key is not None and lanes.machine == "inbound":
            self.latencies.handings.setdefault((key, self._since[lanes.machine, chat]), None)
        if self.follows or key is None or key not in self.latencies.offers or key in self._delayed:
            return False
        self._delayed.add(key)
        at = self._clock.at + self.latencies.offers[key]
        self._put(at, self._recorded_seq(key), lambda: lanes.admit(chat))
        return True

    # ---- what happens ------------------------------------------------------------------------------------------------

    def _outside(self, item: Outside) -> None:
        event = item.event
        if isinstance(event, connection.Started):
            self._start(event)
            return
        if isinstance(event, delivery.Accepted):
            self._accept(item.address, event)
            return
        account = self._account
        if account is None or self._tie_state == "closed":
            return
        unit: Unit | None = None
        match event:
            case connection.StopRequested() if self._behind() and not self.follows and self._is_last(item):
                return  # it came when all was done, and not all is
            case connection.StopRequested():
                unit = account.stop(event.by, event.wait)
            case connection.Woke():
                unit = account.woke(event.slept)
            case Governed():
                unit = account.governed(item.address, event.held, event.rows)
            case circuit.Reset():
                chat = Address.parse(item.address).key
                unit = account.command(Command(id=0, kind="resume", target=chat))
            case delivery.Revived() | inbound.Retried():
                unit = account.command(Command(id=0, kind="retry", target=item.address))
            case delivery.Purged() | inbound.Discarded():
                unit = account.command(Command(id=0, kind="purge", target=item.address))
            case _:
                unit = account.happened(event)
        self._commit(unit)

    def _start(self, event: connection.Started) -> None:
        restored = self._restored(event.settings)
        self._renewal = self._renewed_before(event.settings)
        self._life += 1
        self._dies = self.latencies.deaths.get(self._life, NEVER)
        self._timers.clear()
        self._drained_since = None
        clock: Any = self._clock
        store: Any = self._store
        account = Account(self.recording.account, restored.platform, restored.policies, store, clock)
        for half in (account.outbox, account.intake):
            old = half.lanes
            half.lanes = _Lanes(old.account, old.machine, old.store, old.state_of, OrderedDict())
            half.lanes.run = self
        self._account = account
        unit = account.start(event, self._is_held)
        for due, address in self._store.due("", -1, None)[0]:
            heapq.heappush(self._timers, (due, address))
        self._commit(unit)

    def _behind(self) -> bool:
        """Tell whether more is under way than was when the record ends."""
        return len(self._live) > self._left

    def _is_last(self, item: Outside) -> bool:
        """Tell whether no process came after the one that was stopped."""
        return item.seq > self._last_start

    def _is_held(self, address: str) -> bool:
        """Tell whether a receipt outlived the driver, because its handler did."""
        held = self._store.load(address)
        row = self.recording.following.get((address, held.version)) if held is not None else None
        return row is None or getattr(row.event, "error", None) not in ENDED_WITH_PROCESS

    def _accept(self, address: str, event: delivery.Accepted) -> None:
        account = self._account
        if account is None:
            return
        unit = account.outbox.take_on(Address.parse(address).key, event, self._clock.at)
        first = self._write(unit)
        last = unit.entries[-1]
        account.system.hold(address, Instance(last.machine, last.decision.snapshot, self._seq, last.chat, first))
        account.outbox.adopt(unit, first)

    def _elapse(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self._clock.at)
        account.elapse(unit)
        self._commit(unit)
        while not unit.entries and self._timers and self._timers[0][0] <= self._clock.at:
            heapq.heappop(self._timers)

    def _pump(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self._clock.at)
        account.outbox.pump(unit)
        if self.follows and unit.entries:
            first = unit.entries[0]
            key = (first.address, first.decision.snapshot.version - 1)
            self.latencies.turns.update({free: unit.now for free in self._frees if free[0] == key})
            self._frees.clear()
        self._free = None
        self._commit(unit)

    def _hand(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self._clock.at)
        lanes = account.intake.lanes
        chat = next(iter(self.in_turn(lanes)), None)
        key = self._head_key(lanes, chat) if chat is not None else None
        since = self._since.get((lanes.machine, chat or ""), self._clock.at)
        account.intake.take(unit)
        if self.follows and key is not None:
            self.latencies.hands = True
            self.latencies.handings[key, since] = self._clock.at
        self._commit(unit)

    def _end(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self._clock.at)
        account.drained(unit)
        self._commit(unit)

    def _of_run(self) -> Account:
        assert self._account is not None, "nothing is due before there is an account"
        return self._account

    # ---- committing --------------------------------------------------------------------------------------------------

    def _write(self, unit: Unit) -> int:
        first = self._seq + 1
        self._seq += len(unit.entries)
        self._store.append(unit, first)
        if self.follows:
            self._compare(unit)
        for seq, entry in enumerate(unit.entries, start=first):
            decision, cause = entry.decision, entry.cause
            if not self.follows:
                self.happened.append(
                    Happened(
                        unit.now, entry.address, decision.snapshot.version, name_of(entry.event), entry.event, entry.source,
                        decision.snapshot.state, decision.outcome.kind, self._modelled, seq,
                        cause if cause > 0 else first - cause - 1 if cause else None,
                    )
                )  # fmt: skip
            if entry.due is not None:
                heapq.heappush(self._timers, (entry.due, entry.address))
            if entry.machine.name == "delivery":
                (self._live.add if entry.live else self._live.discard)(entry.address)
        return first

    def _compare(self, unit: Unit) -> None:
        """Note which rows on record these are, and the first that differs."""
        for entry in unit.entries:
            snapshot = entry.decision.snapshot
            key = (entry.address, snapshot.version - 1)
            self._moved.add(key)
            row = self.recording.following.get(key)
            if (
                row is None
                or row.at != unit.now
                or row.event != entry.event
                or row.after.state != snapshot.state
                or row.before.state != entry.source
            ):
                self._strayed = min(self._strayed, unit.now if row is None else min(row.at, unit.now))

    def _commit(self, unit: Unit) -> None:
        if not unit.entries:
            return
        account = self._of_run()
        first = self._write(unit)
        account.committed(unit, first)
        self._tie_state = account.system.snapshot(account.address).state
        self._lets_go = account.draining
        for request in unit.requests:
            if account.system.snapshot(request.address).entered == request.attempt.entered:
                self._ask(request, unit.now, first + request.entry)
        for entry in unit.entries:
            if isinstance(entry.event, inbound.Handed):
                self._ask_handler((entry.address, entry.decision.snapshot.entered), unit.now)

    # ---- attempts ----------------------------------------------------------------------------------------------------

    def _ask(self, request: Request, now: int, cause: int) -> None:
        """See to it that what comes of an attempt comes."""
        key = (request.address, request.attempt.entered)
        answer = self.recording.answers.get(key)
        if answer is not None and answer.asked == now and self._asks_the_same(answer, request):
            began = now if answer.held is None else answer.at - answer.held
            result = adjusted(answer.result, self._renewal)
            self._put(answer.at, answer.seq, lambda: self._came_of(request, result, cause, began, modelled=False))
            return
        if answer is None and self.recording.asked.get(key) == now:
            left = self.recording.left.get(key, self.recording.ends)  # until then it had no answer
            self._put(left + 1, NEVER, lambda: self._ask_model(request, left, cause))
            return
        self._ask_model(request, now, cause)

    def _ask_model(self, request: Request, now: int, cause: int) -> None:
        """Have the model answer what is not on record, if it is still awaited."""
        instance = self._of_run().system.instance(request.address)
        if self._model is None or instance.snapshot.entered != request.attempt.entered:
            return
        said = self._model.answer(request, instance.chat, instance.snapshot.state, now)
        if said is not None:
            result, took = said
            self._put(now + took, NEVER, lambda: self._came_of(request, result, cause, now, modelled=True))

    def _asks_the_same(self, answer: Answer, request: Request) -> bool:
        return answer.effect is None or answer.effect == request.attempt.effect

    def _came_of(self, request: Request, result: Any, cause: int, began: int, *, modelled: bool) -> None:
        account = self._account
        if account is None or self._tie_state == "closed":
            return
        address, attempt, _ = request
        entered = account.system.snapshot(address).entered
        key = (address, attempt.entered)
        recorded = self.recording.answers.get(key)
        if self._clock.at > self._dies:
            return
        if entered != attempt.entered and (modelled or recorded is None or recorded.effect is not None):
            return  # it was cancelled when the state was left
        size = 0
        if isinstance(attempt.effect, SendPart):
            accepted: delivery.Accepted = self._store.first_event(address, delivery.Accepted)
            size = len(accepted.parts[attempt.effect.part].encode())
        self._modelled = self._modelled or modelled
        if self._model is not None:
            self._model.took(result)
        unit = account.came_of(address, attempt.entered, result, cause=cause, began=began, size=size)
        self._commit(unit)

    def _ask_handler(self, key: Key, now: int) -> None:
        answer = self.recording.handled.get(key)
        if answer is None:
            if self._model is not None and key not in self._known:
                error, took = self._model.handles(key[0])
                took = min(took, NEVER - now)
                self._put(now + took, NEVER, lambda: self._handled(key, error), life=-1)
            return
        at = now + answer.at - answer.asked
        self._put(
            at, answer.seq, lambda: self._handled(key, answer.result), life=-1
        )  # a handler may outlive the driver

    def _handled(self, key: Key, error: str | None) -> None:
        account = self._account
        if account is None or account.system.snapshot(key[0]).entered != key[1]:
            return
        unit = account.system.begin(self._clock.at)
        account.intake.handled(unit, key[0], error)
        self._commit(unit)


def written(happened: Happened) -> str:
    """Write an event as the journal does."""
    return codec.dumps(happened.event)


def as_happened(row: Row) -> Happened:
    """Return a recorded row as a transition of a run."""
    outcome = row.outcome.partition(":")[0] if row.outcome else "moved"
    return Happened(
        row.at, row.address, row.after.version, row.name, row.event, row.before.state, row.after.state, outcome, False,
        row.seq, row.cause,
    )  # fmt: skip


def _machine(address: str) -> Machine:
    return MACHINES[address.partition("/")[0]]


def _turns(rows: list[Row]) -> dict[str, list[Row]]:
    """Return the turns on record of the lanes of each machine, the first of them last."""
    kinds = {"delivery": (delivery.Turn, delivery.Held), "inbound": (inbound.Handed,)}
    return {name: [row for row in reversed(rows) if isinstance(row.event, kind)] for name, kind in kinds.items()}


def _live_at_end(recording: Recording) -> set[str]:
    """Return the deliveries that were in their lanes when the record ends."""
    last = {address: snapshot.state for address, (snapshot, *_) in recording.initial.items()}
    last |= {row.address: row.after.state for row in recording.rows}
    return {address for address, state in last.items() if address.startswith("delivery/") and state not in NO_LANE}


def _when(due: tuple[int, int, Callable[[], None]]) -> tuple[int, int]:
    return due[:2]


def _lives(rows: list[Row]) -> list[int]:
    """Return when each process that drove the account did its last thing, by number from 1."""
    found = [0]
    for row in rows:
        if isinstance(row.event, connection.Started):
            found.append(row.at)
        else:
            found[-1] = max(found[-1], row.at)
    return found


Restorer = Callable[[str], Restored]
Changes = Mapping[str, str]

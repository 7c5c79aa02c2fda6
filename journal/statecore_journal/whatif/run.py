"""Running an account again on what is recorded of the outside: the driver's order of business in virtual time, with no I/O.

The machines, the policies and the composition are those of the gateway (`statecore.account`). How long
things take that nobody outside decides is the run's pace (`statecore_journal.whatif.pace`): it goes by the record, or freely.
So with nothing changed a run is the recording, row by row, and with something changed it parts from it where the change
matters, and not before.
"""

import heapq
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Protocol

from statecore.account import Account, Command
from statecore.driver import on_beat
from statecore.errors import StatecoreError
from statecore.events import Elapsed, Governed
from statecore.machine import Machine
from statecore.machines import MACHINES, circuit, connection, delivery, inbound
from statecore.machines.delivery import SendPart
from statecore.recorded import Restored
from statecore.system import IN_LANES, NO_LANE, Address, Instance, Request, Unit
from statecore.units import HOURS
from statecore_journal.memory import MemoryStore
from statecore_journal.whatif.answers import adjusted
from statecore_journal.whatif.pace import NEVER, Moment, Pace, PacedLanes
from statecore_journal.whatif.recording import ENDED_WITH_PROCESS, Answer, Key, Outside, Recording

STILL_MAX: Final = 200_000
"""Happenings at one moment. More means that the run goes in a circle, as it may when rows of the record are missing."""

BEYOND: Final = 2 * HOURS
"""A run that is slower than the record goes on for so long after it, to tell when all would have been over."""


Timer = tuple[int, int, int, str]
"""(when it is met in ns, its position on record or `NEVER`, its deadline in ns, whose)."""


class Model(Protocol):
    """A platform that answers what was never asked."""

    def answer(self, request: Request, chat: str, state: str, now: int) -> tuple[Any, int] | None:
        """Return what comes of an attempt, and after how long, in ns; None if nothing ever does."""

    def took(self, result: Any) -> None:
        """Take note of an answer that was taken in, so that it is not given again."""

    def handles(self, address: str) -> tuple[str | None, int]:
        """Return how a handler ends that is given a message: what goes wrong or None, and after how long, in ns."""


class Run:
    """One run of an account.

    Args:
        recording: what came from outside.
        restored: what decided: (text of the settings at a start) -> platform and policies.
        pace: how long things take that nobody outside decides.
        model: answers what was never asked; None when following the record.
        renewed_before: how long before their end tokens were renewed, in ns, under the recorded settings.
    """

    def __init__(
        self,
        recording: Recording,
        restored: Callable[[str], Restored],
        pace: Pace,
        model: Model | None = None,
        renewed_before: Callable[[str], int] = lambda _: 0,
    ) -> None:
        self.recording = recording
        self.pace = pace
        self.pace.run = self
        self.account: Account | None = None
        self.life = 0
        self.at = 0
        self.tie_state = "closed"
        self.lets_go = True
        self._restored = restored
        self._renewed_before = renewed_before
        self._renewal = 0
        self._model = model
        self._store = MemoryStore()
        self._seq = 0
        self._agenda: list[tuple[int, int, int, int, Callable[[], None]]] = []  # when, place, order, life, what
        self._told = 0  # how much of what came from outside has happened
        self._counter = itertools.count()
        self._timers: list[Timer] = []  # that were met, on record
        self._others: list[Timer] = []  # that were not
        self._next_timers = self._timers
        self._modelled = False
        self._ends = recording.ends
        self._live: set[str] = set()
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
        still = 0
        while (step := self._next()) is not None:
            at, happen = step
            still = still + 1 if at <= self.at else 0
            if still > STILL_MAX:
                raise StatecoreError(
                    f"account {self.recording.account} cannot be run again: what is recorded of it does not fit together, so "
                    "that the run comes to no end. See `statecore verify` for the row, and restore a copy of the file"
                )
            self.at = max(self.at, at)
            happen()
        self._let_go()
        return self

    def _let_go(self) -> None:
        """Undo what holds its parts in circles, so that they are freed when nobody needs them, and not only by a collection."""
        self.account = None
        self._agenda.clear()
        del self.pace.run

    def now(self) -> int:
        """Return the time, in ns. It is all that a run's account asks its world: chance follows from it, and ids are recorded."""
        return self.at

    @property
    def ended(self) -> int:
        """When the run ended, in ns."""
        return max(self.at, self.recording.ends)

    def _put(self, at: int, seq: int, happen: Callable[[], None], life: int | None = None) -> None:
        heapq.heappush(self._agenda, (at, seq, next(self._counter), self.life if life is None else life, happen))

    def _next(self) -> tuple[int, Callable[[], None]] | None:
        """Choose what happens next: (when, what)."""
        agenda, outside, pace = self._agenda, self.recording.outside, self.pace
        while agenda and agenda[0][3] not in (-1, self.life):
            heapq.heappop(agenda)
        found: Moment | None = None
        happen = self._outside
        if self._told < len(outside):
            item = outside[self._told]
            found = item.at, item.seq
        if agenda and (found is None or agenda[0] < found):
            found, happen = agenda[0][:2], self._pop
        own = self._timer(found or (NEVER, NEVER))
        if own is not None and (found is None or own < found) and not pace.over(own):
            found, happen = own, self._elapse
        own = pace.turn()
        if own is not None and (found is None or own < found) and not pace.over(own):
            found, happen = own, self._pump
        own = pace.handing()
        if own is not None and (found is None or own < found) and not pace.over(own):
            found, happen = own, self._hand
        if self.tie_state == "draining":
            own = pace.drain()
            if own is not None and (found is None or own < found) and not pace.over(own):
                found, happen = own, self._end
        if found is None or found[0] > self._ends:
            if not self._behind() or not self.pace.goes_beyond():
                return None
            self._ends = self.recording.ends + BEYOND
            self._arm_stored()
            return self._next()
        if self.at > self.recording.ends and not self._behind():
            return None
        return found[0], happen

    def _pop(self) -> None:
        heapq.heappop(self._agenda)[4]()

    # ---- what is due -------------------------------------------------------------------------------------------------

    def _arm_stored(self) -> None:
        self._timers.clear()
        self._others.clear()
        for due, address in self._store.due("", -1, None)[0]:
            self._arm(due, address, self._store.version(address))

    def _arm(self, due: int, address: str, version: int) -> None:
        met = self.recording.elapsed.get((address, due))
        if met is not None:
            heapq.heappush(self._timers, (max(met[0], due), met[1], due, address))
            return
        at, row = due, self.recording.following.get((address, version))
        if row is not None and row.at > due and _machine(address).due(row.before) == due:
            at = row.at  # it passed on record, and something else came first
        heapq.heappush(self._others, (at, NEVER, due, address))

    def _timer(self, before: Moment) -> Moment | None:
        """Find the next timer before a moment.

        Those that are due at once need not be met at once: who was accepted may not be known yet.
        """
        account = self.account
        if account is None:
            return None
        self._next_timers = self._timers
        found: Moment | None = None
        if self._timers and self._timers[0][:2] < before and self._drop_stale(self._timers, account):
            found = None if self._let_go_of(self._timers[0][1]) else self._timers[0][:2]
        if self.tie_state == "closed" or (self.pace.by_record and self.at < self.recording.lives[self.life]):
            return found
        if self._others and self._others[0][:2] < before and self._drop_stale(self._others, account):
            at, _, due, _ = self._others[0]
            moment = max(at, on_beat(due, self.at)), NEVER
            if found is None or moment < found:
                found, self._next_timers = moment, self._others
        return found

    def _drop_stale(self, timers: list[Timer], account: Account) -> bool:
        """Forget deadlines that are none any more; tell whether there is one left."""
        while timers:
            _, _, due, address = timers[0]
            if _machine(address).due(account.system.snapshot(address)) == due:
                return True
            heapq.heappop(timers)
        return False

    # ---- what happens ------------------------------------------------------------------------------------------------

    def _outside(self) -> None:
        item = self.recording.outside[self._told]
        self._told += 1
        event = item.event
        if isinstance(event, connection.Started):
            self._start(event)
            return
        if isinstance(event, delivery.Accepted):
            self._accept(item.address, event)
            return
        account = self.account
        if account is None or self._let_go_of(item.seq):
            return
        unit: Unit | None = None
        match event:
            case connection.StopRequested() if self._behind() and not self.pace.follows and self._is_last(item):
                return  # it came when all was done, and not all is
            case connection.StopRequested():
                unit = account.stop(event.by, event.wait)
            case connection.Woke():
                unit = account.woke(event.slept)
            case Governed():
                unit = account.governed(item.address, event.held, event.rows)
            case connection.Resumed():
                unit = account.command(Command(id=0, kind="resume"))
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
        self.life += 1
        self.pace.begin_life()
        world: Any = self
        store: Any = self._store
        account = Account(self.recording.account, restored.platform, restored.policies, store, world)
        for half in (account.outbox, account.intake):
            old = half.lanes
            half.lanes = PacedLanes(old.account, old.machine, old.store, old.state_of, OrderedDict())
            half.lanes.pace = self.pace
        self.account = account
        unit = account.start(event, self._is_held)
        self._arm_stored()
        self._commit(unit)

    def _let_go_of(self, position: int) -> bool:
        """Tell whether something is too late, the account being closed; the turn that closes it still takes in what is there."""
        return self.tie_state == "closed" and not (position != NEVER and self.pace.by_record)

    def _behind(self) -> bool:
        """Tell whether more is under way than was when the record ends."""
        return len(self._live) > self.recording.waiting

    def _is_last(self, item: Outside) -> bool:
        """Tell whether no process came after the one that was stopped."""
        return item.seq > self.recording.last_start

    def _is_held(self, address: str) -> bool:
        """Tell whether a receipt outlived the driver, because its handler did."""
        held = self._store.load(address)
        row = self.recording.following.get((address, held.version)) if held is not None else None
        return row is None or getattr(row.event, "error", None) not in ENDED_WITH_PROCESS

    def _accept(self, address: str, event: delivery.Accepted) -> None:
        account = self.account
        if account is None:
            return
        unit = account.outbox.take_on(Address.parse(address).key, event, self.at)
        first = self._write(unit)
        last = unit.entries[-1]
        account.system.hold(address, Instance(last.machine, last.decision.snapshot, self._seq, last.chat, first))
        account.outbox.adopt(unit, first)

    def _elapse(self) -> None:
        account, address = self._of_run(), heapq.heappop(self._next_timers)[3]
        unit = account.system.begin(self.at)
        held = account.system.instance(address)
        _, timer = min(held.machine.deadlines(held.snapshot))
        account.meet(unit, address, Elapsed(timer), held.seq)
        self._commit(unit)

    def _pump(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self.at)
        account.outbox.pump(unit)
        self.pace.pumped()
        self._commit(unit)

    def _hand(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self.at)
        lanes = account.intake.lanes
        chat = next(iter(lanes.in_turn()), None)
        if chat is not None:
            self.pace.hands(lanes, chat)
        account.intake.take(unit)
        self._commit(unit)
        for entry in unit.entries:
            self._ask_handler((entry.address, entry.decision.snapshot.entered), unit.now)

    def _end(self) -> None:
        account = self._of_run()
        unit = account.system.begin(self.at)
        account.drained(unit)
        self._commit(unit)

    def _of_run(self) -> Account:
        assert self.account is not None, "nothing is due before there is an account"
        return self.account

    # ---- committing --------------------------------------------------------------------------------------------------

    def _write(self, unit: Unit) -> int:
        first = self._seq + 1
        self._seq += len(unit.entries)
        self._store.append(unit, first)
        self.pace.wrote(unit, first, modelled=self._modelled)
        for address, machine, _, _, decision, _, _, _, live, due in unit.entries:
            if due is not None:
                self._arm(due, address, decision[0][2])
            if machine is delivery.delivery:
                (self._live.add if live else self._live.discard)(address)
        return first

    def _commit(self, unit: Unit) -> None:
        if not unit.entries:
            return
        account = self._of_run()
        first = self._write(unit)
        account.committed(unit, first)
        snapshot = account.system.snapshot
        state = snapshot(account.address).state
        if state != self.tie_state:
            self.tie_state, self.lets_go = state, account.draining
        for request in unit.requests:
            if snapshot(request.address).entered == request.attempt.entered:
                self._ask(request, unit.now, first + request.entry)

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
        account = self.account
        if account is None or self._let_go_of(NEVER if modelled else 0):
            return
        address, attempt, _ = request
        if self.at > self.pace.dies:
            return
        if account.system.snapshot(address).entered != attempt.entered:
            recorded = self.recording.answers.get((address, attempt.entered))
            if modelled or recorded is None or recorded.effect is not None:
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
            address, version = key
            if self._model is not None and (address, version - 1) not in self.recording.following:
                error, took = self._model.handles(address)
                took = min(took, NEVER - now)
                self._put(now + took, NEVER, lambda: self._handled(key, error), life=-1)
            return
        at = now + answer.at - answer.asked
        self._put(
            at, answer.seq, lambda: self._handled(key, answer.result), life=-1
        )  # a handler may outlive the driver

    def _handled(self, key: Key, error: str | None) -> None:
        account = self.account
        if account is None or account.system.snapshot(key[0]).entered != key[1]:
            return
        unit = account.system.begin(self.at)
        account.intake.handled(unit, key[0], error)
        self._commit(unit)


def _machine(address: str) -> Machine:
    return MACHINES[address.partition("/")[0]]

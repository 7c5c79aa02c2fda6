"""The driver of a simulated account: the order of business of `statecore.driver`, without tasks.

    wake -> decide -> commit -> perform

Everything that decides is the production code (`statecore.account`, the governor, the beats of deadlines). What differs is who
waits: a task there, an entry of the agenda here. The other speed runs `statecore.driver` itself, and so watches over this copy.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from statecore import driver as drivers
from statecore.account import Account, Command
from statecore.driver import FROZEN, IDLE_FLOOR, JOURNAL_RETRY, POSTED_AT_ONCE, WAITS_FOR_CREDENTIALS, on_beat, payer
from statecore.errors import JournalBusy, JournalError, JournalFull, NotAccepted
from statecore.governor import Budgets, Governor
from statecore.machines.connection import CredentialsChanged, Started
from statecore.machines.delivery import Accepted, SendPart
from statecore.machines.inbound import Received
from statecore.machines.session import ReadFrame
from statecore.platform import Outgoing, Unsent
from statecore.recorded import Restored
from statecore.simulation.disk import Existing, Job, Ledger
from statecore.system import Request, Unit
from statecore.ties import Crash
from statecore.units import SECONDS, show_duration

if TYPE_CHECKING:
    from statecore.simulation.process import Process

CLOSED: Final = "closed"


class Attempt:
    """One attempt, until what came of it is taken in.

    Args:
        driver: who makes it.
        request: what for.
        cause: position of the row that asked for it.
    """

    __slots__ = ("address", "began", "cause", "driver", "effect", "entered", "over_at", "size", "within")

    def __init__(self, driver: "Driver", request: Request, cause: int) -> None:
        self.driver = driver
        self.address = request.address
        self.effect = request.attempt.effect
        self.entered = request.attempt.entered
        self.within = request.attempt.within
        self.over_at = 0
        self.cause = cause
        self.began = 0
        self.size = 0

    @property
    def is_live(self) -> bool:
        """Whether its outcome is still awaited."""
        return self.driver.attempts.get(self.address) is self

    def answer(self, when: int, result: Any) -> None:
        """Take in what came of it at a time, in ns from the beginning of the simulation."""
        self.driver.process.call(when, self.came, result)

    def came(self, result: Any) -> None:
        """Take in what came of it, now."""
        driver = self.driver
        if driver.attempts.get(self.address) is self:
            del driver.attempts[self.address]
            driver.posted.append((self, result))
            driver.wake()

    def overdue(self) -> None:
        """Give it up if its time is over, by the clock that stands while the machine is suspended."""
        if self.driver.attempts.get(self.address) is not self:
            return
        host = self.driver.process.host
        left = self.over_at - host.monotonic()
        if left > 0:
            self.driver.process.call(host.loop.now + left, self.overdue)
            return
        self.came(Crash("overdue", f"no outcome within {show_duration(self.within)}"))


class Driver:
    """Drives one account for as long as its process holds its lease.

    Args:
        name: of the account.
        decides: its platform's pure half, and its numbers.
        ledger: what the journal holds of it.
        process: who drives.
        client: the half of the adapter that makes attempts: a model of it, and of the platform behind it.
        epoch: of the lease.
        ended: told why it ended: None if the account was closed in order.
    """

    def __init__(
        self, name: str, decides: Restored, ledger: Ledger, process: "Process", client: Any, epoch: int,
        ended: Callable[["Driver", Exception | None], None],
    ) -> None:  # fmt: skip
        store: Any = ledger.store
        self.name = name
        self.process = process
        self.account = Account(name, decides.platform, decides.policies, store, process.world)
        self._tie = self.account.address
        self.ledger = ledger
        self.client = client
        self.epoch = epoch
        self.ended = False
        self.attempts: dict[str, Attempt] = {}
        self.posted: list[Callable[[], Unit | None] | tuple[Attempt, Any]] = []
        self.recording: list[Callable[[bool], None]] = []
        self._awaited: dict[Callable[[bool], None], None] = {}
        self._on_end = ended
        self._budgets = Budgets(Governor())
        self._handing: list[str] = []
        self._commands: set[int] = set()
        self._accepting: list[Command] = []
        self._unwritten: JournalError | None = None
        self._woken = False
        self._waiting = 0
        self._turns = 0
        self._busy = True
        self._moved = True
        self._committed_at = 0

    # ---- what others ask for -----------------------------------------------------------------------------------------

    def post(self, happening: Callable[[], Unit | None]) -> None:
        """Have something happen to the account in the next turn."""
        self.posted.append(happening)
        self.wake()

    def wake(self) -> None:
        """Look around soon."""
        self._woken = True
        if not self._busy:
            self._busy = True
            self._turns += 1
            self.process.call(self.process.host.loop.now, self._turn)

    def wake_to_hand(self) -> None:
        """Look around if there is a message that could be handed over."""
        if self.account.intake.lanes.ready:
            self.wake()

    def stop(self, by: str, wait: int) -> None:
        """Let the account go."""
        self.post(lambda: self.account.stop(by, wait))

    def look_for_credentials(self) -> None:
        """End the wait for new credentials if there are some."""
        state = self.account.system.snapshot(self.account.address).state
        if state in WAITS_FOR_CREDENTIALS and self.client.renewed():
            self.post(lambda: self.account.happened(CredentialsChanged()))

    def note_handled(self, address: str, error: str | None, then: Callable[[bool], None]) -> None:
        """Have it recorded how a handler ended; *then* is told whether that is durable."""
        if self.ended:
            then(False)
            return

        def happening() -> Unit | None:
            unit = self.account.system.begin(self.process.world.now())
            if address in self.account.intake.handling:
                self.account.intake.handled(unit, address, error)
            self.recording.append(then)
            return unit

        self._awaited[then] = None
        self.post(happening)

    def accept(
        self, id_: str, chat: str, text: str, *, reply_to: str, key: str, expires_at: int | None, command: int = 0,
        then: Callable[[str, JournalError | None], None],
    ) -> None:  # fmt: skip
        """Take a message on; *then* is told the address of its delivery when it is durable, or what went wrong.

        Raises:
            NotAccepted: the platform cannot take such a text.
        """
        if self._unwritten is not None:
            then("", self._unwritten)
            return
        unit = self.account.outbox.accept(
            id_, chat, text, reply_to=reply_to, key=key, expires_at=expires_at, origin="command" if command else "api",
            now=self.process.world.now(),
        )  # fmt: skip
        if command:
            unit.done.append(command)

        def done(result: Any, error: JournalError | None) -> None:
            first = result[0] if error is None else None
            then(first.address if first.__class__ is Existing else unit.entries[0].address, error)

        self.process.writer.submit(Job([unit], self.epoch, self._adopt, then=done))

    def _adopt(self, placed: list[tuple[Unit, int]]) -> None:
        for unit, first in placed:
            self.account.outbox.adopt(unit, first)
        self.wake()

    def carry_out(self, commands: list[Command]) -> None:
        """Carry out what other processes asked for."""
        sends = []
        for command in commands:
            if command.id in self._commands:
                continue
            self._commands.add(command.id)
            if command.kind == "send":
                sends.append(command)
            else:
                self.post(lambda command=command: self.account.command(command))  # type: ignore[misc]
        idle = not self._accepting
        self._accepting += sends
        if sends and idle:
            self._accept_next()

    def _accept_next(self) -> None:
        if not self._accepting:
            return
        command, now = self._accepting[0], self.process.world
        try:
            self.accept(
                command.delivery, command.target, command.text, reply_to=command.reply_to, key=command.key,
                expires_at=command.expires_at(now.now(), now.wall()), command=command.id, then=self._accepted,
            )  # fmt: skip
        except NotAccepted:
            refused = Job(function=lambda: self.process.disk.finish(self.name, command.id), then=self._refused)
            self.process.writer.submit(refused)

    def _refused(self, _: Any, error: JournalError | None) -> None:
        self._accepted("", error)

    def _accepted(self, _: str, error: JournalError | None) -> None:
        if error is not None:
            self._commands.difference_update(command.id for command in self._accepting)
            self._accepting.clear()
            self.process.look_soon()
            return
        self._commands.discard(self._accepting.pop(0).id)
        self._accept_next()

    # ---- the loop ----------------------------------------------------------------------------------------------------

    def run(self, started: Started, held: Callable[[str], bool]) -> None:
        """Begin to drive."""
        self._append([self.account.start(started, held)])

    def _next(self) -> None:
        """Wait for the next happening."""
        system = self.account.system
        state = system.snapshot(self._tie)[0]
        if state == CLOSED:
            self.end(None)
            return
        if state in WAITS_FOR_CREDENTIALS:
            self.process.look_for_credentials_soon()
        loop = self.process.host.loop
        if self.posted or self._woken:
            self._turns += 1
            self.process.call(loop.now, self._turn)
            return
        self._busy = False
        due, turn = system.next_due(), self.account.outbox.next_turn
        if turn is not None and (due is None or turn < due):
            due = turn
        if due is not None:
            now = self.process.world.now()
            wait, least = on_beat(due, now) - now, 0 if self._moved else IDLE_FLOOR
            self._waiting += 1
            self.process.call(loop.now + max(least, wait), self._timer, self._waiting)

    def _timer(self, number: int) -> None:
        if not self._busy and number == self._waiting:
            self._busy = True
            self._turn()

    def _turn(self) -> None:
        self._waiting += 1
        self._woken = False
        units = self._decide()
        self._moved = bool(units)
        if units:
            self._append(units)
        else:
            self._next()

    def _decide(self) -> list[Unit]:
        account, units = self.account, list[Unit]()
        unit: Unit | None
        if self.posted:
            posted, self.posted = self.posted[:POSTED_AT_ONCE], self.posted[POSTED_AT_ONCE:]
            for happening in posted:
                unit = self._came_of(*happening) if happening.__class__ is tuple else happening()  # type: ignore[operator]
                if unit is not None and (unit.entries or unit.done):
                    units.append(unit)
        program = self.process.program
        unit, handed, more = account.turn(self.process.world.now(), program.hungry)
        if more:
            self._woken = True
        if handed:
            self._handing += handed
            program.promised += len(handed)
        if unit.entries:
            units.append(unit)
        return units

    def _came_of(self, attempt: Attempt, result: Any) -> Unit:
        return self.account.came_of(
            attempt.address, attempt.entered, result, cause=attempt.cause, began=attempt.began, size=attempt.size
        )

    def _append(self, units: list[Unit]) -> None:
        self.process.writer.submit(Job(units, self.epoch, then=partial(self._appended, units)))

    def _appended(self, units: list[Unit], placed: list[int], error: JournalError | None) -> None:
        if self.ended:
            return
        if error is None:
            self._unwritten = None
            self._committed(units, placed)
            self._next()
        elif isinstance(error, JournalBusy | JournalFull):
            self._unwritten = error
            self.process.call(self.process.host.loop.now + JOURNAL_RETRY, self._append, units)
        else:
            self.end(error)

    def _committed(self, units: list[Unit], placed: list[int]) -> None:
        account, attempts = self.account, self.attempts
        now = self._committed_at = self.process.world.now()
        for unit, first in zip(units, placed, strict=True):
            if account.committed(unit, first):
                self._woken = True
            if unit.entries:
                self._budgets.charge(payer(account, unit), len(unit.entries), unit.now)
        for unit, first in zip(units, placed, strict=True):
            if unit.done:
                self._commands.difference_update(unit.done)
            if attempts:
                for entry in unit.entries:
                    under_way = attempts.get(entry[0])
                    if under_way is not None and entry.decision.snapshot.entered != under_way.entered:
                        del attempts[entry[0]]
            for request in unit.requests:
                if account.system.snapshot(request.address).entered == request.attempt.entered:
                    self._attempt(Attempt(self, request, first + request.entry), now)
        if self._handing or self.recording:
            self._tell_program()

    def _tell_program(self) -> None:
        """Hand over what was committed, and tell handlers that their end is durable."""
        if self._handing:
            handing, self._handing = self._handing, []
            self.process.program.promised -= len(handing)
            for address in handing:
                self.process.program.hand(self, address, self.ledger.store.first_event(address, Received))
        if self.recording:
            recording, self.recording = self.recording, []
            for then in recording:
                del self._awaited[then]
                then(True)

    # ---- attempts ----------------------------------------------------------------------------------------------------

    def _attempt(self, attempt: Attempt, now: int) -> None:
        self.attempts[attempt.address] = attempt
        held = self._budgets.hold(attempt.address, now)
        if held:
            rows = round(held / SECONDS * self._budgets.policy.rows_per_second)
            self.post(lambda: self.account.governed(attempt.address, held, rows))
            self.process.call(self.process.host.loop.now + held, self._begin, attempt)
        else:
            self._begin(attempt)

    def _begin(self, attempt: Attempt) -> None:
        if self.attempts.get(attempt.address) is not attempt:
            return
        attempt.began = self.process.world.now()
        host = self.process.host
        attempt.over_at = host.monotonic() + attempt.within
        ambush = self.process.simulation.ambushed.pop(attempt.address, None)
        if (
            ambush is not None or attempt.effect.__class__ is ReadFrame
        ):  # a request is given up by its adapter long before
            self.process.call(host.loop.now + attempt.within, attempt.overdue)
        try:
            if ambush is None:
                self._perform(attempt)
            else:
                ambush(attempt)
        except Exception as error:  # noqa: BLE001 - as in production: a slip of the adapter is an outcome
            attempt.came(Crash("died", type(error).__name__))

    def _perform(self, attempt: Attempt) -> None:
        effect = attempt.effect
        if effect.__class__ is not SendPart:
            self.client.perform(attempt, effect)
            return
        if self._superseded():
            attempt.came(Unsent(stage="connect", error="another process has taken the account"))
            return
        accepted: Accepted = self.ledger.store.first_event(attempt.address, Accepted)
        text = accepted.parts[effect.part]
        attempt.size = len(text.encode())
        token = self.ledger.secrets.get(f"token/{accepted.chat}") if effect.token else None
        key = drivers.key_of(attempt.address, effect.part)
        part = Outgoing(
            chat=accepted.chat, text=text, key=key, token=token or "", bare=effect.bare, answers=effect.answers,
            number=effect.number,
        )  # fmt: skip
        self.process.judge.leaves(self, attempt)
        self.client.send(attempt, part)

    def _superseded(self) -> bool:
        if self.process.world.now() - self._committed_at <= FROZEN:
            return False
        return self.ledger.lease.epoch != self.epoch

    # ---- the end -----------------------------------------------------------------------------------------------------

    def end(self, error: Exception | None) -> None:
        """End, in order or not."""
        if self.ended:
            return
        self.ended = True
        self.process.program.promised -= len(self._handing)
        self._handing.clear()
        self.attempts.clear()
        self.client.close()
        awaited, self._awaited = self._awaited, {}
        for then in awaited:
            then(False)
        self._on_end(self, error)

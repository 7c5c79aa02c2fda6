"""The driver: the only loop over I/O.

    await what the states name -> step -> commit -> perform

It wakes when an attempt has come back, a timer is due, or someone asked for something; lets all of that happen to the
machines; commits the units; and only then makes the attempts they ask for. A crash between commit and attempt leaves a
row that says that the attempt was about to be made, and the next start treats its outcome as unknown.

While the journal cannot be written nothing else happens: the loop stands at its commit, tries again each second, and no
machine moves, no effect leaves and no message is handed over until what was decided is durable.
"""

import logging
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import trio

from statecore.account import Account, AccountStore, Command
from statecore.codec import ERROR_CHARACTERS_MAX, mend
from statecore.errors import JournalBusy, JournalError, JournalFull, NotAccepted
from statecore.governor import Budgets, Governor
from statecore.machine import Attempt
from statecore.machines.connection import CredentialsChanged, Dial, HangUp, Receive, Started
from statecore.machines.delivery import SETTLED, Accepted, SendPart
from statecore.machines.inbound import Received
from statecore.machines.session import Authorise, Identify, LookUp, OpenSocket, ReadFrame, Resume
from statecore.platform import (
    AccountConfig,
    Address,
    Batch,
    BeatAck,
    BeatWanted,
    Client,
    Dialled,
    Empty,
    Ended,
    Failure,
    FrameSent,
    Hello,
    Invalid,
    Note,
    Outgoing,
    Pending,
    Refusal,
    Review,
    Secrets,
    SessionClient,
    SocketOpen,
    Taken,
    Token,
    Unauthorised,
    Unclear,
    Unsent,
    Welcome,
)
from statecore.system import Request, Unit
from statecore.ties import Crash
from statecore.units import MILLISECONDS, SECONDS, show_duration
from statecore.waking import Bell, Clock
from statecore.world import World

log = logging.getLogger("statecore")

WAITS_FOR_CREDENTIALS: Final = frozenset({"token-stale", "tripped"})
"""States of a tie that other credentials end."""

JOURNAL_RETRY: Final = 1 * SECONDS
"""How often a commit that failed is tried again while the journal is locked or its disk is full."""

FROZEN: Final = 1 * SECONDS
"""From the commit that asked for it, a part leaves within milliseconds. If it took longer, this process did not run, and
whether the account is still its own is asked once more."""

IDLE_FLOOR: Final = 5 * MILLISECONDS
"""A turn of the loop in which nothing moved is followed by a wait of at least this, whatever the deadlines say: no mistake
in them can make the loop spin."""

BEATS: Final = (1 * SECONDS, 250 * MILLISECONDS)
"""A deadline that is eight beats away or more is met with the next beat, and all accounts of the process share them: what
falls due at about the same time is attempted and committed together. So no wait gets longer by more than an eighth, nor by
more than a second, and a thousand accounts cost little more than a few."""

POSTED_AT_ONCE: Final = 256
"""Happenings taken into one commit; the rest go into the next, so that nobody waits for a batch without end."""


class JournalPort(Protocol):
    """What the driver asks of a journal."""

    @property
    def store(self) -> Any:
        """Return the half that is read while deciding; see `AccountStore`."""

    def secrets(self, account: str) -> Secrets:
        """Return an account's secrets."""

    async def append(self, units: list[Unit], placed: Any = None) -> Any:
        """
        Append units and return the seq of each one's first row. What comes from beside the loop, with *placed*, never
        overtakes what the loop must append again, because the journal was busy or full.
        """

    def owner(self, account: str) -> Any:
        """Return who drives an account, as far as the journal knows; its epoch is what counts."""

    async def finish(self, command: int, result: str) -> None:
        """Mark a command as carried out."""


@attrs.frozen
class Handed:
    """A message that was handed over.

    Args:
        address: of its receipt.
        received: what came in.
    """

    address: str
    received: Received


@attrs.define(eq=False)
class Recorded:
    """How a handler ended, on its way into the journal.

    Args:
        event: set when it is there, or when the driver has ended without it.
        durable: whether it is there.
    """

    event: trio.Event = attrs.field(factory=trio.Event)
    durable: bool = False


@attrs.define
class Hooks:
    """What a driver tells its gateway.

    Args:
        hungry: how many more messages the gateway's consumers can take now.
        promise: told how many messages more were decided for them and are not committed yet; or how many fewer.
        hand: takes a message that was handed over and committed.
        settled: told of every delivery that ended or died.
        moved: told of every committed unit; for monitors and displays.
    """

    hungry: Callable[[], int]
    promise: Callable[[int], None]
    hand: Callable[[Handed], None]
    settled: Callable[[str], None]
    moved: Callable[[Unit, int], None]


class Driver:
    """Drives one account for as long as this process holds its lease.

    Args:
        name: what the account's user calls it.
        config: the account.
        journal: where everything is recorded.
        world: time, chance, ids.
        governor: the bound on transitions.
        hooks: the gateway's side.
        clock: that of the process.
        nursery: where its attempts live, as those of the other accounts do. None of them outlives it.

    Attributes:
        ended: whether it drives the account no more.
        state: of the connection, as of the last commit. A gateway looks at it so often that it need not be searched for.
    """

    def __init__(
        self,
        name: str,
        config: AccountConfig,
        journal: JournalPort,
        world: World,
        governor: Governor,
        hooks: Hooks,
        clock: Clock,
        nursery: trio.Nursery,
    ) -> None:
        store: AccountStore = journal.store
        self.name = name
        self.account = Account(name, config.platform, config.policies, store, world)
        self._unwritten: JournalBusy | JournalFull | None = None
        self._config = config
        self._journal = journal
        self._world = world
        self._budgets = Budgets(governor)
        self._hooks = hooks
        self._posted: list[Callable[[], Unit | None]] = []
        self._bell = Bell(clock)
        self._nursery = nursery
        self._under_way = 0  # tasks of attempts
        self._failure: Exception | None = None  # of one of them
        self._attempts: dict[str, tuple[int, trio.CancelScope]] = {}
        self._sizes: dict[str, int] = {}
        self._commands: dict[int, None] = {}  # taken and not carried out; an empty set takes three times as much
        self._accepting: trio.Lock | None = None  # few accounts are ever asked for something by other processes
        self._handing: list[str] = []
        self._epoch = 0
        self._committed_at = 0
        self._recording: list[Recorded] = []
        self._awaited: dict[Recorded, None] = {}
        self._client: Client | SessionClient | None = None
        self.ended = False
        self.state = ""
        self._moved = True

    # ---- what others ask for -----------------------------------------------------------------------------------------

    def post(self, happening: Callable[[], Unit | None]) -> None:
        """Have something happen to the account in the next turn of the loop."""
        self._posted.append(happening)
        self.wake()

    def wake(self) -> None:
        """Let the loop look around."""
        self._bell.ring()

    def wake_to_hand(self) -> None:
        """Let the loop look around if there is a message that could be handed over."""
        if self.account.intake.lanes.ready:
            self.wake()

    def stop(self, by: str, wait: int) -> None:
        """Let the account go: see to its end what is under way, for at most *wait* ns."""
        self.post(lambda: self.account.stop(by, wait))

    def look_for_credentials(self) -> None:
        """End the wait for new credentials if there are some."""
        if self.state in WAITS_FOR_CREDENTIALS and self._client is not None and self._renewed(self._client):
            self.post(lambda: self.account.happened(CredentialsChanged()))

    def _renewed(self, client: Client | SessionClient) -> bool:
        try:
            return bool(client.renewed())
        except Exception as error:  # noqa: BLE001 - a slip of the adapter's; the slow probes go on all the same
            log.error("%s: looking for new credentials raised %s", self.name, place(error))  # noqa: TRY400
            return False

    async def accept(
        self,
        id_: str,
        chat: str,
        text: str,
        *,
        reply_to: str,
        key: str,
        expires_at: int | None,
        origin: str,
        command: int = 0,
    ) -> str:
        """Take a message on; when this returns it is durable.

        Returns:
            The address of its delivery; of the earlier one, if there is one with this key.

        Raises:
            NotAccepted: the platform cannot take such a text.
            JournalError: it could not be recorded, so it was not accepted.
        """
        if self._unwritten is not None:  # what was decided before must stand before it in the journal
            raise type(self._unwritten)(str(self._unwritten))
        unit = self.account.outbox.accept(
            id_, chat, text, reply_to=reply_to, key=key, expires_at=expires_at, origin=origin, now=self._world.now()
        )
        if command:
            unit.done.append(command)
        (result,) = await self._journal.append([unit], self._adopt)
        return unit.entries[0].address if isinstance(result, int) else str(result.address)

    def _adopt(self, placed: list[tuple[Unit, int]]) -> None:
        for unit, first in placed:
            self.account.outbox.adopt(unit, first)
            self._hooks.moved(unit, first)
            if len(unit.entries) > 1:
                self._hooks.settled(unit.entries[0].address)
        self.wake()

    async def handled(self, address: str, error: str | None) -> bool:
        """Record how a handler ended; return whether that is durable, or else that the driver has ended."""
        recorded = self.note_handled(address, error)
        await recorded.event.wait()
        return recorded.durable

    def note_handled(self, address: str, error: str | None) -> "Recorded":
        """Have it recorded how a handler ended, without waiting for that."""
        recorded = Recorded()
        if self.ended:
            recorded.event.set()
            return recorded

        def happening() -> Unit | None:
            unit = self.account.system.begin(self._world.now())
            if address in self.account.intake.handling:  # else a stop has already said what became of it
                self.account.intake.handled(unit, address, error)
            self._recording.append(recorded)
            return unit

        self._awaited[recorded] = None
        self.post(happening)
        return recorded

    def carry_out(self, commands: list[Command]) -> list[Command]:
        """Carry out what other processes asked for; return those that are messages to accept."""
        sends = []
        for command in commands:
            if command.id in self._commands:
                continue
            self._commands[command.id] = None
            if command.kind == "send":
                sends.append(command)
            else:
                self.post(lambda command=command: self.account.command(command))  # type: ignore[misc]
        return sends

    async def accept_commands(self, commands: list[Command]) -> None:
        """Accept messages that other processes asked for, in the order in which they did."""
        self._accepting = self._accepting or trio.Lock()  # it is fair, so those who wait for it go on in their order
        async with self._accepting:
            for index, command in enumerate(commands):
                try:
                    await self._accept_command(command)
                except JournalError as error:  # also `Fenced`: then the new owner finds the same commands
                    log.warning("%s: %d messages that were asked for wait: %s", self.name, len(commands) - index, error)
                    for waiting in commands[index:]:
                        self._commands.pop(waiting.id, None)
                    return

    async def _accept_command(self, command: Command) -> None:
        try:
            await self.accept(
                command.delivery,
                command.target,
                command.text,
                reply_to=command.reply_to,
                key=command.key,
                expires_at=command.expires_at(self._world.now(), self._world.wall()),
                origin="command",
                command=command.id,
            )
        except JournalError:
            raise
        except NotAccepted as error:
            await self._journal.finish(command.id, f"refused: {error}")
        except Exception as error:  # noqa: BLE001 - a slip of the adapter's; met again with every look, it would never end
            log.error("%s: accepting what was asked for raised %s", self.name, place(error))  # noqa: TRY400
            await self._journal.finish(command.id, f"refused: the adapter raised {place(error)}")
        self._commands.pop(command.id, None)

    # ---- the loop ----------------------------------------------------------------------------------------------------

    async def run(self, started: Started, held: Callable[[str], bool] = lambda _: False) -> None:
        """Drive the account until it is closed.

        Args:
            started: who drives it.
            held: see `Account.start`.

        Raises:
            Fenced: another process took it.
            JournalError, StepError: see there; what is committed is safe, and the next start goes on from it.
        """
        self._epoch = started.epoch
        try:
            async with self._config.connect(self._journal.secrets(self.name)) as client:
                self._client = client
                try:
                    await self._commit([self.account.start(started, held)])
                    del started  # the configuration as text is in it; what is named here stays as long as the account
                    while self.account.system.snapshot(self.account.address).state != "closed":
                        await self._next_happening()
                        await self._turn()
                finally:
                    await self._end_all()
        finally:
            self.ended = True
            self._hooks.promise(-len(self._handing))
            self._handing.clear()
            for recorded in self._awaited:
                recorded.event.set()

    async def _turn(self) -> None:
        """Let happen what has come up. What that led to is not held while the loop waits for the next."""
        if self._failure is not None:
            raise self._failure
        units = self._decide()
        self._moved = bool(units)
        if units:
            await self._commit(units)

    def _next_happening(self) -> Awaitable[None]:
        """Return what to await until something has come up."""
        if self._posted:
            return self._bell.wait(0)
        dues = [due for due in (self.account.system.next_due(), self.account.outbox.next_turn) if due is not None]
        if not dues:
            return self._bell.wait()
        now = self._world.now()
        wait = on_beat(min(dues), now) - now
        return self._bell.wait(max(0 if self._moved else IDLE_FLOOR, wait) / SECONDS)

    def _decide(self) -> list[Unit]:
        """Let everything happen that has come up. Pure but for what was posted."""
        units = []
        posted, self._posted = self._posted[:POSTED_AT_ONCE], self._posted[POSTED_AT_ONCE:]
        for happening in posted:
            unit = happening()
            if unit is not None and (unit.entries or unit.done):
                units.append(unit)
        unit, handed, more = self.account.turn(self._world.now(), self._hooks.hungry)
        if more:
            self.wake()
        if handed:
            self._handing += handed
            self._hooks.promise(len(handed))
        if unit.entries:
            units.append(unit)
        return units

    async def _commit(self, units: list[Unit]) -> None:
        placed = await self._append(units)
        self._committed_at = self._world.now()
        for unit, first in zip(units, placed, strict=True):
            if self.account.committed(unit, first):
                self.wake()
            if unit.entries:
                self._budgets.charge(payer(self.account, unit), len(unit.entries), unit.now)
            self._hooks.moved(unit, first)
            for entry in unit.entries:
                if entry.address == self.account.address:
                    self.state = entry.decision.snapshot.state
                if entry.machine.name == "delivery" and entry.decision.snapshot.state in SETTLED:
                    self._hooks.settled(entry.address)
        for unit, first in zip(units, placed, strict=True):
            for done in unit.done:
                self._commands.pop(done, None)
            self._end_attempts(unit)
            for request in unit.requests:
                if self.account.system.snapshot(request.address).entered == request.attempt.entered:
                    self._begin(request, first + request.entry)
        handing, self._handing = self._handing, []
        self._hooks.promise(-len(handing))
        for address in handing:
            self._hooks.hand(Handed(address, self._journal.store.first_event(address, Received)))
        for recorded in self._recording:
            recorded.durable = True
            recorded.event.set()
            self._awaited.pop(recorded, None)
        self._recording.clear()

    async def _append(self, units: list[Unit]) -> list[int]:
        while True:
            try:
                placed: list[int] = await self._journal.append(units)
            except (JournalBusy, JournalFull) as error:
                if self._unwritten is None:
                    log.error("%s: everything waits, because the journal cannot be written: %s", self.name, error)  # noqa: TRY400
                self._unwritten = error
                await trio.sleep(JOURNAL_RETRY / SECONDS)
            else:
                if self._unwritten is not None:
                    log.warning("%s: the journal can be written again", self.name)
                self._unwritten = None
                return placed

    @property
    def paused(self) -> str:
        """Why everything waits, if it does: the journal cannot be written."""
        return "" if self._unwritten is None else str(self._unwritten)

    # ---- attempts ----------------------------------------------------------------------------------------------------

    def _end_attempts(self, unit: Unit) -> None:
        """Cancel the attempts of states that were left."""
        for entry in unit.entries:
            under_way = self._attempts.get(entry.address)
            if under_way is not None and entry.decision.snapshot.entered != under_way[0]:
                del self._attempts[entry.address]
                under_way[1].cancel()

    def _begin(self, request: Request, cause: int) -> None:
        self._under_way += 1
        self._nursery.start_soon(self._attempt, request, cause, name="attempt")

    async def _end_all(self) -> None:
        """End what is under way, and wait until it has ended."""
        self.ended = True
        for _, scope in self._attempts.values():
            scope.cancel()
        with trio.CancelScope(shield=True):  # the attempts can be cancelled
            while self._under_way:
                await self._bell.wait()

    async def _attempt(self, request: Request, cause: int) -> None:
        """Make one attempt, and post what came of it. All of it is here: for as long as it waits each call costs memory."""
        address, attempt, _ = request
        del request
        result: Any = None
        try:
            with trio.CancelScope() as scope:
                self._attempts[address] = (attempt.entered, scope)
                if self.ended:
                    scope.cancel()
                if held := self._budgets.hold(address, self._world.now()):
                    await self._hold_back(address, held)
                began = self._world.now()
                scope.deadline = trio.current_time() + attempt.within / SECONDS
                try:
                    call = self._call(address, attempt.effect)
                    result = call if isinstance(call, Unsent) else await call
                except Exception as error:  # noqa: BLE001 - an outcome too, so a child's death is a transition of its instance
                    result = _died(address, error)
                else:
                    result = _checked(result, attempt.effect)
            self._take_in(address, attempt, result, cause, began)
        except Exception as error:  # noqa: BLE001 - a matter of this account; the nursery is everybody's
            self._failure = error
        finally:
            self._under_way -= 1
            if self.ended or self._failure is not None:
                self.wake()

    def _take_in(self, address: str, attempt: Attempt, result: Any, cause: int, began: int) -> None:
        if self._attempts.get(address, (None,))[0] == attempt.entered:  # else the state was left meanwhile
            del self._attempts[address]
            if result is None:
                result = Crash("overdue", f"no outcome within {show_duration(attempt.within)}")
        if result is not None:
            size = self._sizes.pop(address, 0)
            self.post(
                lambda: self.account.came_of(address, attempt.entered, result, cause=cause, began=began, size=size)
            )

    async def _hold_back(self, address: str, held: int) -> None:
        rows = round(held / SECONDS * self._budgets.policy.rows_per_second)
        self.post(lambda: self.account.governed(address, held, rows))
        await trio.sleep(held / SECONDS)

    def _call(self, address: str, effect: Any) -> Awaitable[Any] | Unsent:
        """Return the call that makes an attempt, to be awaited; or what it came to, where it is not to be made."""
        client: Any = self._client  # a Client or a SessionClient; the machine asks only for what its own kind has
        call: Awaitable[Any]
        match effect:
            case SendPart():
                if self._superseded():
                    return Unsent(stage="connect", error="another process has taken the account")
                call = client.send(self._outgoing(address, effect))
            case Dial():
                call = client.dial()
            case Receive():
                call = client.receive()
            case ReadFrame():
                call = client.read(effect.taken, beat=effect.beat)
            case Authorise():
                call = client.authorise(effect.number, refused=effect.refused)
            case LookUp():
                call = client.look_up(effect.failures)
            case OpenSocket():
                call = client.open_socket(effect.url)
            case Identify():
                call = client.identify()
            case Resume():
                call = client.resume()
            case HangUp():
                call = client.hang_up()
            case _:
                raise TypeError(f"no adapter knows how to {effect!r}")
        return call

    def _superseded(self) -> bool:
        """Tell whether this process was frozen between a commit and now for so long that another one may have taken over."""
        if self._world.now() - self._committed_at <= FROZEN:
            return False
        owner = self._journal.owner(self.name)
        return owner is not None and owner.epoch != self._epoch

    def _outgoing(self, address: str, effect: SendPart) -> Outgoing:
        """Fetch what a part needs at the last moment, so that it carries the newest token."""
        accepted: Accepted = self._journal.store.first_event(address, Accepted)
        text = accepted.parts[effect.part]
        self._sizes[address] = len(text.encode())
        token = self._journal.secrets(self.name).get(f"token/{accepted.chat}") if effect.token else None
        key = key_of(address, effect.part)
        return Outgoing(
            chat=accepted.chat,
            text=text,
            key=key,
            token=token or "",
            bare=effect.bare,
            answers=effect.answers,
            number=effect.number,
        )


def _died(address: str, error: Exception) -> Crash:
    # What it says may hold a URL with a token in it; where it happened does not.
    log.error("%s: an attempt raised %s; adapters must return what came of it", address, place(error))
    return Crash("died", place(error))


def _checked(result: Any, effect: Any) -> Any:
    """Return what an adapter returned, such as it can be written."""
    if not isinstance(result, OUTCOMES[type(effect)]):
        return Crash("died", f"the adapter returned {type(result).__name__}, which is no outcome of {effect}")
    told = isinstance(result, Failure | Unauthorised | Refusal | Unsent | Unclear | Ended | Note | str)
    return mend(result, ERROR_CHARACTERS_MAX if told else None)


def payer(account: Account, unit: Unit) -> str:
    """Return whose budget a unit is taken from. The connection brought every message, so it pays for its handling."""
    first = unit.entries[0]
    return account.address if first.machine.name == "inbound" else first.address


def key_of(address: str, part: int) -> str:
    """Return the idempotency key of a delivery's part: the same on every attempt, another for every part."""
    return f"sc-{address.rpartition('/')[2]}-{part}"


FRAMES: Final = (Hello, Welcome, Batch, Note, Review, BeatAck, BeatWanted, Invalid, Ended)
OUTCOMES: Final[dict[type, tuple[type, ...]]] = {
    Dial: (Dialled, Failure, Unauthorised),
    Receive: (Batch, Empty, Failure, Unauthorised),
    Authorise: (Token, Failure, Unauthorised),
    LookUp: (Address, Failure, Unauthorised),
    OpenSocket: (SocketOpen, Failure),
    Identify: (FrameSent, Ended),
    Resume: (FrameSent, Ended),
    ReadFrame: FRAMES,
    SendPart: (Taken, Pending, Refusal, Unsent, Unclear, Unauthorised),
    HangUp: (str,),
}
"""What an attempt may come to; see `statecore.platform.Client`."""


def on_beat(due: int, now: int) -> int:
    """Put a deadline off to the beat it is met with; see `BEATS`. All in ns of the gateway's clock.

    >>> [on_beat(due * MILLISECONDS, 0) // MILLISECONDS for due in (1_999, 2_001, 7_990, 8_001)]
    [1999, 2250, 8000, 9000]
    """
    for beat in BEATS:
        if due - now >= 8 * beat:
            return due + -due % beat
    return due


def place(error: BaseException) -> str:
    """Tell what was raised and where, without what it says."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"

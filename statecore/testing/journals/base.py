"""What every check of a store stands on: what its author says about it, and a desk at which things happen."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol, TypeVar

import pytest
import trio

from statecore import codec
from statecore.account import Command
from statecore.events import BUILT_IN, Elapsed, Event, name_of
from statecore.machine import Machine, Snapshot
from statecore.machines import MACHINES, connection, delivery, inbound, window
from statecore.system import LAST, PLACED, Address, System, Unit
from statecore.units import SECONDS

T = TypeVar("T")

START: Final = 1_790_000_000 * SECONDS
ACCOUNT: Final = "wx"

Claim = Literal[
    "rows", "conflicts", "keys", "leases", "commands", "secrets", "several", "lasts", "crash", "damage", "busy", "full"
]
"""What a store may claim.

rows       what happened can be read back
conflicts  a unit that was decided on what is no longer so is refused
keys       a sender's key is taken once
leases     who drives an account, and that nobody else can write for it
commands   what other processes ask for
secrets    what is remembered and never shown
several    it can be open more than once at a time
lasts      it is as it was when it is opened again
crash      what was acknowledged survives the end of the process, at any moment
damage     a store that was damaged is refused, in words
busy       it may be held by somebody else
full       there may be no room
"""


class Row(NamedTuple):
    """One transition, as a store holds it.

    Args:
        seq: its position, from 1.
        at: when it was decided, in ns.
        address: of the instance.
        version: of the instance after it.
        event: what happened, by name.
        source: the state before.
        target: the state after.
        data: the event's fields, as the codec wrote them.
        cause: position of the row that caused it; None if the cause is outside.
        epoch: of the lease under which it was written.
        schema: version of the event's fields.
    """

    seq: int
    at: int
    address: str
    version: int
    event: str
    source: str
    target: str
    data: str
    cause: int | None
    epoch: int
    schema: int


class Journal(Protocol):
    """What the runtime asks of a store that is open. What a store does not claim it need not have.

    `store` serves `statecore.account.AccountStore`, and what `statecore.gateway` reads besides: `secret`, `changed`, `asked`,
    `commands`, `sends_wait`, `signs`, `latest_at`.
    """

    @property
    def store(self) -> Any:
        """The half that is read while deciding."""

    def append(self, units: Sequence[Unit], placed: Any = None) -> Awaitable[Any]:
        """Append units, all or none; return the position of the first row of each, or an object with the *address* of the
        delivery that has its key already. *placed* is called with [(unit, position)] before anybody goes on."""

    def secrets(self, account: str) -> Any:
        """Return an account's secrets: *get* returns the newest value of a name, or None."""

    async def take(self, account: str, boot: str, pid: int, host: str) -> tuple[int, int]:
        """Take the lease of an account; return its epoch, and for how long nobody drove the account, in ns."""

    async def beat(self, statuses: dict[str, tuple[int, str]]) -> None:
        """Write heartbeats: (epoch, status) by account."""

    def owner(self, account: str) -> Any:
        """Return who has the lease: an object with *epoch*; None for nobody."""

    async def ask(self, account: str, command: Command) -> tuple[int, str]:
        """Record a command; return its number (0 if its key was used before) and the delivery it is about."""

    async def finish(self, command: int, result: str) -> None:
        """Mark a command as carried out without a unit."""


class Wreck(NamedTuple):
    """A store as a crash may have left it.

    Args:
        place: where it is.
        acknowledged: how many marks it must hold everything of.
        how: what happened to it, for people.
    """

    place: Any
    acknowledged: int
    how: str


class Faults(Protocol):
    """What can befall a store from outside. Its author implements what the store claims."""

    def mark(self, place: Any) -> Any:
        """Note how far the medium has got. Called with the store open, just after something was acknowledged."""

    def wrecks(self, place: Any, marks: Sequence[Any]) -> Iterable[Wreck]:
        """Yield every way in which a crash may have left the store: cut at each write, and torn within. Called with the store
        open, and nothing under way."""

    def damaged(self, place: Any) -> Iterable[tuple[str, Any]]:
        """Yield (what is wrong, place) of copies that are damaged as no crash can. Called with the store closed."""

    def hold(self, place: Any) -> AbstractContextManager[None]:
        """Have somebody else hold what it takes to write."""

    def fill(self, place: Any) -> AbstractContextManager[None]:
        """Let there be room for a little, and for no more."""


class Clock:
    """A wall clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        """Return the time, in ns since 1970."""
        return self.now


class Base:
    """What the author of a store says about it. Override `open` and `rows`; the rest as far as it is claimed.

    Attributes:
        absent: by claim, why the store does not make it. What depends on it is skipped, with the reason.
        faults: what can befall it.
        busy_ns: how long a write waits for somebody else; `open` is given it.
        patience_s: real seconds within which a write that cannot be made has said so.
    """

    absent: ClassVar[Mapping[Claim, str]] = {}
    faults: ClassVar[Faults | None] = None
    busy_ns: ClassVar[int] = SECONDS // 5
    patience_s: ClassVar[float] = 5.0

    # ---- the author's ------------------------------------------------------------------------------------------------

    @contextmanager
    def place(self) -> Iterator[Any]:
        """Return where a new store can be made. By default the name of a file that does not exist yet."""
        with TemporaryDirectory(prefix="statecore-") as folder:
            yield Path(folder) / "gateway.db"

    def open(self, place: Any, wall: Callable[[], int]) -> AbstractAsyncContextManager[Journal]:
        """Open the store that is there, or make it."""
        raise NotImplementedError("override open(): an async context manager that yields the open store")

    def rows(self, place: Any) -> list[Row]:
        """Return everything that was appended, in order. The store may be open."""
        raise NotImplementedError("override rows(), or say in `absent` why there are none")

    def shown(self, place: Any) -> str:
        """Return everything of it that may be shown to others: rows, projection, exports; all but what is secret."""
        raise NotImplementedError("override shown(), or say in `absent` why there are no secrets")

    # ---- for checks --------------------------------------------------------------------------------------------------

    def needs(self, *claims: Claim) -> None:
        """Skip a check of what is not claimed."""
        for claim in claims:
            if claim in self.absent:
                pytest.skip(f"no {claim!r}: {self.absent[claim]}")

    def damage(self) -> Faults:
        """Return what can befall the store."""
        assert self.faults is not None, "a store that claims this needs `faults`"
        return self.faults

    def run(self, check: Callable[[Any, Journal], Awaitable[T]]) -> T:
        """Run a check with a new store, open."""
        with self.place() as place:

            async def main() -> T:
                async with self.open(place, Clock()) as journal:
                    return await check(place, journal)

            return trio.run(main)


# ---- the desk --------------------------------------------------------------------------------------------------------


class Held(NamedTuple):
    """Where an instance must be.

    Args:
        snapshot: its state, and what it remembers.
        seq: position of its last row.
        chat: the chat it belongs to.
        order: its place in its lane.
        live: whether it is in one.
        due: its earliest deadline.
        first: the event it began with.
        began: when, in ns.
    """

    snapshot: Snapshot
    seq: int
    chat: str
    order: int
    live: bool
    due: int | None
    first: Event
    began: int


class Desk:
    """Lets things happen to the shipped machines as a driver does, a unit at a time, and knows where they must be.

    Args:
        journal: where it is recorded.
        account: whose machines they are.
        now: the gateway's clock, in ns; it goes on by a second a unit.
    """

    def __init__(self, journal: Journal, account: str = ACCOUNT, now: int = START) -> None:
        self.journal = journal
        self.account = account
        self.system = System(account, MACHINES, journal.store)
        self.now = now
        self.held: dict[str, Held] = {}
        self.count = 0

    def unit(self, *happenings: tuple[str, Event], chat: str = "") -> Unit:
        """Decide a unit, without appending it."""
        self.now += SECONDS
        unit = self.system.begin(self.now)
        for address, event in happenings:
            self.system.feed(unit, address, event, chat=chat)
        return unit

    async def commit(self, unit: Unit) -> Any:
        """Append a unit; return where its first row is."""
        (first,) = await self.journal.append([unit])
        if isinstance(first, int):
            self.note(unit, first)
        return first

    def note(self, unit: Unit, first: int) -> None:
        """Note that a unit is there."""
        self.system.committed(unit, first)
        for seq, entry in enumerate(unit.entries, start=first):
            known = self.held.get(entry.address)
            order = seq if entry.order == LAST else entry.order
            if order == PLACED:
                assert known is not None, "a place comes from an earlier row"
                order = known.order
            begun = (entry.event, unit.now) if known is None else (known.first, known.began)
            self.held[entry.address] = Held(
                entry.decision.snapshot, seq, entry.chat, order, entry.live, entry.due, *begun
            )

    async def happen(self, address: str, *events: Event, chat: str = "") -> Any:
        """Let events happen to an instance, a unit each."""
        first: Any = 0
        for event in events:
            first = await self.commit(self.unit((address, event), chat=chat))
        return first

    # ---- what happens in a day ---------------------------------------------------------------------------------------

    async def dial(self) -> None:
        """Bring the connection up."""
        address = f"connection/{self.account}"
        await self.happen(address, connection.Started(boot="b", pid=1, host="h", epoch=1), connection.Ready())

    def accepted(self, chat: str = "chat", text: str = "hello", key: str = "") -> Unit:
        """Decide to take a message on."""
        self.count += 1
        address = f"delivery/{self.account}/{self.count:08x}"
        unit = self.unit((address, delivery.Accepted(chat=chat, parts=(text,), key=key)), chat=chat)
        unit.key = key
        return unit

    def received(self, chat: str = "chat", text: str = "hello") -> Unit:
        """Decide to take a message in: its instance, and the window that it opens, in one unit."""
        self.count += 1
        address = f"inbound/{self.account}/{self.count:08x}"
        came = inbound.Received(chat=chat, sender=chat, id=address, text=text)
        heard = window.Heard(lasts=86_400 * SECONDS, token=True)
        return self.unit((address, came), (f"window/{self.account}/{chat}", heard), chat=chat)

    async def send(self, chat: str, until: str) -> str:
        """Take a message on, and see it to a state."""
        unit = self.accepted(chat)
        address = unit.entries[0].address
        await self.commit(unit)
        if until in ("sending", "delivered", "backing-off", "dead"):
            turn = (address, delivery.Turn(token=1, left=9))
            spent = (f"window/{self.account}/{chat}", window.Spent(delivery=address, left=9))
            await self.commit(self.unit(turn, spent, chat=chat))
        failed = delivery.NotSent(stage="connect", error="refused", wait=7 * SECONDS, final=until == "dead")
        ends: dict[str, Event] = {
            "delivered": delivery.PartAccepted(message="m"), "dead": failed, "backing-off": failed, "purged": delivery.Purged(),
        }  # fmt: skip
        if until in ends:
            await self.happen(address, ends[until])
        return address

    async def receive(self, chat: str, until: str) -> str:
        """Take a message in, and see it to a state."""
        unit = self.received(chat)
        address = unit.entries[0].address
        await self.commit(unit)
        ends: dict[str, tuple[Event, ...]] = {
            "handling": (inbound.Handed(),), "done": (inbound.Handed(), inbound.Handled()),
            "quarantined": (inbound.Handed(), inbound.HandlerFailed(error="it raised", final=True)),
        }  # fmt: skip
        await self.happen(address, *ends.get(until, ()))
        return address

    async def day(self, chats: Sequence[str] = ("ann", "bob", "a/b")) -> None:
        """Let a little of everything happen."""
        await self.dial()
        for number, chat in enumerate((*chats, *chats)):
            await self.receive(chat, ("waiting", "handling", "done", "quarantined")[number % 4])
            await self.send(chat, ("queued", "sending", "delivered", "backing-off", "dead", "purged")[number % 6])
        await self.send(chats[0], "queued")


# ---- folding ---------------------------------------------------------------------------------------------------------


def fold(rows: Iterable[Row], machines: Mapping[str, Machine] = MACHINES) -> dict[str, tuple[Snapshot, int]]:
    """Take rows through their machines; return where each instance ends, and the position of its last row.

    Raises:
        AssertionError: a row is not what its machine does.
    """
    found: dict[str, tuple[Snapshot, int]] = {}
    kinds = {name: _kinds(machine) for name, machine in machines.items()}
    for row in rows:
        name = Address.parse(row.address).machine
        machine = machines[name]
        before, _ = found.get(row.address, (machine.start(), 0))
        event = codec.loads(row.data, kinds[name][row.event], schema=row.schema)
        after = machine.step(before, event, row.at).snapshot
        recorded, folded = (row.source, row.target, row.version), (before.state, after.state, after.version)
        assert recorded == folded, f"row {row.seq} says {recorded} of {row.address}, and its machine goes {folded}"
        found[row.address] = after, row.seq
    return found


def _kinds(machine: Machine) -> dict[str, Any]:
    return {name_of(event): Elapsed if isinstance(event, Elapsed) else event for event in (*machine.events, *BUILT_IN)}


def stands(store: Any, folded: Mapping[str, tuple[Snapshot, int]], where: str = "") -> None:
    """Hold the projection to the fold.

    Raises:
        AssertionError: they differ.
    """
    for address, (snapshot, seq) in folded.items():
        stored = store.load(address)
        assert stored is not None, f"{where}{address} is not in the projection"
        projected = stored.state, stored.version, stored.entered, stored.seq
        wanted = snapshot.state, snapshot.version, snapshot.entered, seq
        assert projected == wanted, f"{where}the projection has {address} at {projected}, and its rows end at {wanted}"
        data = codec.loads(stored.data, type(snapshot.data), schema=stored.schema)
        assert data == snapshot.data, f"{where}{address} remembers {data!r}, and by its rows {snapshot.data!r}"

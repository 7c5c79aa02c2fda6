"""What the tests of the journal have in common: a small machine, messages of a real account, and a hand that lets things
happen to them the way a driver does."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.events import Elapsed, Event, External
from statecore.evolve import evolve
from statecore.machine import STAY, Machine, Signal, ignore, on
from statecore.machines import MACHINES, connection, delivery, inbound, window
from statecore.system import System, Unit
from statecore.units import SECONDS
from statecore_journal import Journal, open_journal
from statecore_journal.neighbours import WritingConnection
from statecore_journal.rows import INSERT_EVENT, INSERT_INSTANCE, UPDATE_INSTANCE, Batch, encode
from statecore_journal.schema import connect, prepare

START: Final = 1_790_000_000 * SECONDS


@attrs.frozen
class Lamp:
    """What a lamp remembers."""

    turns: int = 0
    note: str = ""


@attrs.frozen(kw_only=True)
class Pressed(External):
    """Its switch was pressed."""

    note: str = ""


@attrs.frozen(kw_only=True)
class Looked(External):
    """Somebody looked at it."""


@attrs.frozen(kw_only=True)
class Smashed(External):
    """There is no lamp any more."""


def pressed(was: Lamp, event: Pressed, _now: int) -> Lamp:
    return evolve(was, turns=was.turns + 1, note=event.note)


# fmt: off
lamp = Machine(
    "lamp",
    remembers=Lamp,
    initial="off",
    table=[
        on("off",          Pressed, "on",     pressed),
        on("on",           Pressed, "off",    pressed),
        on(("on", "off"),  Looked,  STAY),
        on(("on", "off"),  Smashed, "broken"),
        ignore("broken",   (Pressed, Looked, Smashed), because="it is broken"),
    ],
    awaits={"off": Signal(Pressed, Looked, Smashed), "on": Signal(Pressed, Looked, Smashed)},
    final=("broken",),
)
# fmt: on

LAMPS: Final[Mapping[str, Machine]] = {"lamp": lamp}


class Clock:
    """A wall clock that moves when it is told to."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


@asynccontextmanager
async def opened(
    path: Path, *, wall: Callable[[], int] | None = None, busy_ns: int = 5 * SECONDS, threaded: bool = True
) -> AsyncIterator[Journal]:
    """Open a journal at a fixed time."""
    async with open_journal(path, wall=wall or Clock(), busy_ns=busy_ns, threaded=threaded) as journal:
        yield journal


class Hand:
    """Lets things happen, one unit at a time, and waits until each is durable.

    Args:
        journal: where it is recorded.
        account: whose machines they are.
        machines: by name.
        now: the gateway's clock, in ns; it moves on by a second a unit.
    """

    def __init__(
        self, journal: Journal, account: str = "wx", machines: Mapping[str, Machine] = MACHINES, now: int = START
    ) -> None:
        self.journal = journal
        self.system = System(account, machines, journal.store)
        self.account = account
        self.now = now

    def unit(self, *happenings: tuple[str, Event], chat: str = "") -> Unit:
        """Decide a unit without committing it."""
        self.now += SECONDS
        unit = self.system.begin(self.now)
        for address, event in happenings:
            self.system.feed(unit, address, event, chat=chat)
        return unit

    async def commit(self, unit: Unit) -> Any:
        """Commit a unit."""
        (first,) = await self.journal.append([unit])
        if isinstance(first, int):
            self.system.committed(unit, first)
        return first

    async def happen(self, address: str, *events: Event, chat: str = "") -> int:
        """Let events happen to an instance, a unit each; return the place of the last."""
        first = 0
        for event in events:
            first = await self.commit(self.unit((address, event), chat=chat))
        return first

    async def dial(self) -> None:
        """Bring the connection up."""
        await self.happen(
            f"connection/{self.account}", connection.Started(boot="b", pid=1, host="h", epoch=1), connection.Ready()
        )

    async def poll(self, times: int) -> None:
        """Poll for nothing, so often."""
        tie = f"connection/{self.account}"
        for _ in range(times):
            self.now += 35 * SECONDS
            await self.happen(tie, connection.Idle(held=35 * SECONDS, wait=SECONDS))
            (due, name) = self.system.instance(tie).machine.deadlines(self.system.snapshot(tie))[0]
            self.now = max(self.now, due)
            await self.happen(tie, Elapsed(name))

    async def receive(self, id_: str, chat: str = "chat", text: str = "hello", *, until: str = "done") -> str:
        """Take a message in, and see it to state *until*."""
        address = f"inbound/{self.account}/{id_}"
        received = inbound.Received(chat=chat, sender=chat, id=id_, text=text)
        heard = window.Heard(lasts=86_400 * SECONDS, token=True)
        await self.commit(self.unit((address, received), (f"window/{self.account}/{chat}", heard), chat=chat))
        ends: dict[str, tuple[Event, ...]] = {
            "waiting": (),
            "handling": (inbound.Handed(),),
            "done": (inbound.Handed(), inbound.Handled()),
            "quarantined": (inbound.Handed(), inbound.HandlerFailed(error="it raised", final=True)),
        }
        await self.happen(address, *ends[until])
        return address

    async def send(
        self, id_: str, chat: str = "chat", text: str = "you said hello", *, until: str = "delivered", key: str = ""
    ) -> str:
        """Take a message on, and see it to state *until*."""
        address = f"delivery/{self.account}/{id_}"
        unit = self.unit((address, delivery.Accepted(chat=chat, parts=(text,), key=key)), chat=chat)
        unit.key = key
        await self.commit(unit)
        spent = (f"window/{self.account}/{chat}", window.Spent(delivery=address, left=9))
        turn = (address, delivery.Turn(token=1, left=9))
        if until not in ("queued", "purged"):
            await self.commit(self.unit(turn, spent, chat=chat))
        ends: dict[str, tuple[Event, ...]] = {
            "queued": (),
            "sending": (),
            "delivered": (delivery.PartAccepted(message="m1"),),
            "dead": (delivery.NotSent(stage="connect", error="refused", wait=SECONDS, final=True),),
            "purged": (delivery.Purged(),),
        }
        await self.happen(address, *ends[until])
        return address


def record(path: Path, units: Iterable[Unit]) -> None:
    """Write units to a journal, all in one transaction."""
    prepare(path, busy_ns=SECONDS)
    with closing(connect(path, busy_ns=SECONDS)) as connection_:
        ((last,),) = connection_.execute("select coalesce(max(seq), 0) from events").fetchall()
        batch = Batch(last + 1, START)
        for unit in units:
            batch.add(encode(unit), 0)
        connection_.execute("pragma synchronous = off")
        connection_.execute("begin")
        connection_.executemany(INSERT_EVENT, batch.events)
        connection_.executemany(INSERT_INSTANCE, batch.inserts())
        connection_.executemany(UPDATE_INSTANCE, batch.updates())
        connection_.execute("commit")


def rows(path: Path, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    """Ask a journal by hand, or change it."""
    with closing(sqlite3.connect(path, isolation_level=None, factory=WritingConnection)) as connection_:
        return connection_.execute(sql, values).fetchall()


def files(folder: Path) -> dict[str, bytes]:
    """Return everything that is in a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file()}

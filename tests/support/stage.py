"""A scenario's stage: one journal file, the platforms with their truth, and gateways that come and go."""

import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from statecore.account import Command
from statecore.gateway import Gateway, Options, run_gateway
from statecore.handover import Replacing
from statecore.messages import Message, Receipt
from statecore.platform import AccountConfig, Outgoing
from statecore.platform import Message as Incoming
from statecore.world import VirtualWorld
from statecore_journal import Letter, open_journal, open_reader
from tests.support.book import Book, read_book
from tests.support.clock import virtual
from tests.support.guarantees import ROWS_PER_SECOND, assert_guarantees
from tests.support.platform import Fake, Server
from tests.support.power import Cut, Power, WiredJournal

Program = Callable[[Gateway], Awaitable[None]]


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@attrs.define
class JournalWitness:
    """Looks into the journal file at the very moment something happens outside.

    Args:
        path: the journal.
        account: whose.
    """

    path: Path
    account: str
    _connection: sqlite3.Connection | None = None

    def _one(self, sql: str, *values: Any) -> Any:
        if self._connection is None:
            self._connection = sqlite3.connect(self.path, isolation_level=None)
        return self._connection.execute(sql, values).fetchone()

    def sending(self, part: Outgoing) -> bool:
        """Tell whether a part is committed as being sent."""
        id_, _, index = part.key.removeprefix("sc-").rpartition("-")
        row = self._one(
            "select state, coalesce(data ->> 'part', 0) from instances where address = ?",
            f"delivery/{self.account}/{id_}",
        )
        return row is not None and row[0] in ("sending", "sending-bare") and row[1] == int(index)

    def owns(self, message: Incoming) -> bool:
        """Tell whether a message is committed, itself or as the copy of another."""
        if self._one("select 1 from instances where address = ?", f"inbound/{self.account}/{message.id}"):
            return True
        sql = "select 1 from events where event = 'Repeated' and data ->> 'id' = ?"
        return self._one(sql, message.id) is not None

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Stage:
    """Where a scenario plays.

    Attributes:
        path: the journal.
        server: the platform of the account "wx".
        servers: all platforms by account.
        log: lines of the log.
        steps: how many steps tasks made in the last run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "gateway.db"
        self.server = Server()
        self.account = Fake(self.server)
        self.servers: dict[str, Server] = {"wx": self.server}
        self.accepted: dict[str, str] = {}
        self.log: list[str] = []
        self.steps = 0
        self._seed = 0
        self._world: VirtualWorld | None = None
        self._witnesses: list[JournalWitness] = []
        self._peephole: sqlite3.Connection | None = None

    # ---- time --------------------------------------------------------------------------------------------------------

    @property
    def world(self) -> VirtualWorld:
        """The machine's clocks, chance and ids; the same over every restart."""
        if self._world is None:
            self._world = VirtualWorld(seed=self._seed)
        return self._world

    def run(
        self,
        main: Callable[[], Awaitable[None]],
        *,
        seed: int = 0,
        limit: float = 6 * 3600.0,
        rows_per_second: int | None = ROWS_PER_SECOND,
    ) -> Book:
        """Run a scenario, and hold every guarantee against what it left.

        Args:
            main: the scenario.
            seed: decides chance, and which task runs first.
            limit: virtual seconds after which it has hung.
            rows_per_second: see `assert_guarantees`.
        """
        self._seed, self._world = seed, None
        with self._listening():
            try:
                virtual(main, seed=seed, limit=limit, stepped=self._note_steps)
            finally:
                for witness in self._witnesses:
                    witness.close()
                if self._peephole is not None:
                    self._peephole.close()
                    self._peephole = None
        return assert_guarantees(
            self.path, self.servers, accepted=self.accepted, logs=self.log, rows_per_second=rows_per_second
        )

    def _note_steps(self, steps: int) -> None:
        self.steps = steps

    @contextmanager
    def _listening(self) -> Iterator[None]:
        handler = _Lines()
        handler.lines = self.log
        root = logging.getLogger()
        level = root.level
        root.addHandler(handler)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.removeHandler(handler)
            root.setLevel(level)

    # ---- gateways ----------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def gateway(
        self,
        accounts: Mapping[str, AccountConfig] | None = None,
        *,
        power: Power | None = None,
        options: Options | None = None,
        busy_ns: int = 50_000_000,
        replacing: Replacing | None = None,
    ) -> AsyncIterator[Gateway]:
        """Run a gateway over the stage's journal."""
        configs = dict(accounts if accounts is not None else {"wx": self.account})
        options = options or Options(lock_folder=self.folder / "locks")
        async with open_journal(self.path, wall=self.world.wall, busy_ns=busy_ns, threaded=False) as opened:
            journal: Any = opened if power is None else WiredJournal(opened, power)
            for name, config in configs.items():
                if isinstance(config, Fake):
                    self._watch(name, config)
                    configs[name] = attrs.evolve(config, power=power)
            async with run_gateway(journal, configs, self.world, options, signals=(), replacing=replacing) as gateway:
                yield gateway

    def _watch(self, name: str, config: Fake) -> None:
        self.servers[name] = config.server
        if config.server.witness is None:
            witness = JournalWitness(self.path, name)
            self._witnesses.append(witness)
            config.server.witness = witness

    async def boot(
        self,
        program: Program,
        power: Power | None = None,
        accounts: Mapping[str, AccountConfig] | None = None,
        options: Options | None = None,
        replacing: Replacing | None = None,
    ) -> bool:
        """Run a program over a gateway until it returns or the power fails.

        Returns:
            Whether the power failed.
        """
        power = power if power is not None else Power()
        try:
            with power.scope:
                async with self.gateway(accounts, power=power, options=options, replacing=replacing) as gateway:
                    await program(gateway)
        except* Cut:
            assert not power.on
        return not power.on

    # ---- what programs do --------------------------------------------------------------------------------------------

    async def send(self, gateway: Gateway, chat: str, text: str, account: str = "wx", **how: Any) -> Receipt:
        """Send, and check that what was accepted is in the file when the caller hears so."""
        receipt = await gateway.send(account, chat, text, **how)
        self.accepted[receipt.id] = account
        there = self._peek(
            "select 1 from instances where address = ? union all"
            " select 1 from commands where done is null and kind = 'send' and instr(body, ?)",
            f"delivery/{account}/{receipt.id}",
            receipt.id,
        )
        assert there, f"{receipt} is accepted, and nowhere"
        return receipt

    async def ask(self, gateway: Gateway, kind: str, target: str = "", account: str = "wx") -> None:
        """Ask for something as another process would, and wait until it is done."""
        number, _ = await gateway._journal.ask(account, Command(id=0, kind=kind, target=target))
        await self.until(lambda: {id_: done for id_, *_, done in self.book().commands}[number] is not None)

    def letters(self) -> list[Letter]:
        """Return what `statecore dead` lists."""
        with open_reader(self.path) as reader:
            return reader.dead()

    def dead(self) -> list[str]:
        """Return the addresses of what is dead. Cheaper than `letters`."""
        return [
            address for (address,) in self._peek("select address from instances where state = 'dead' order by address")
        ]

    def book(self) -> Book:
        """Read the journal as it is now."""
        return read_book(self.path)

    def _peek(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        if self._peephole is None:
            self._peephole = sqlite3.connect(self.path, isolation_level=None)
        return self._peephole.execute(sql, values).fetchall()

    def counts(self, *machines: str) -> dict[tuple[str, str], int]:
        """Count instances by (machine, state), and commands that nobody has carried out. Cheaper than `book`."""
        rows = self._peek(
            "select machine, state, count(*) from instances group by machine, state"
            " union all select 'command', 'asked', count(*) from commands where done is null having count(*) > 0"
        )
        found = {(machine, state): count for machine, state, count in rows}
        return {key: count for key, count in found.items() if not machines or key[0] in machines}

    async def connected(self, *, within: float = 60.0) -> float:
        """Wait until every account is connected; return the virtual second."""

        def holds() -> bool:
            states = {state for _, state in self.counts("connection", "session")}
            return bool(states) and states <= {"connected", "resting", "beating"}

        return await self.until(holds, within=within)

    async def heard(self, messages: int) -> None:
        """Wait until so many messages have come in."""
        await self.until(lambda: sum(self.counts("inbound").values()) >= messages, every=0.05)

    async def until(self, holds: Callable[[], bool], *, within: float = 600.0, every: float = 0.25) -> float:
        """Wait until something holds; return the virtual second."""
        began = trio.current_time()
        while not holds():
            assert trio.current_time() - began < within, f"that did not come to hold within {within:g} s"
            await trio.sleep(every)
        return trio.current_time()

    async def settled(self, *machines: str, within: float = 600.0) -> float:
        """Wait until nothing of these machines is under way: by default no delivery and no message."""

        def over() -> bool:
            done = {"delivered", "dead", "expired", "purged", "done", "quarantined"}
            counts = self.counts(*(machines or ("delivery", "inbound")), "command")
            return all(state in done for _, state in counts)

        return await self.until(over, within=within, every=0.5)


async def answer(gateway: Gateway, handle: Callable[[Message], Awaitable[None]]) -> None:
    """Handle what comes in until the gateway stops."""
    async for message in gateway.inbox():
        async with message:
            await handle(message)

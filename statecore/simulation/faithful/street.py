"""One plan, carried out by the real gateway: processes on one machine, platforms behind a network, truth kept by them."""

import logging
import random  # noqa: TID251 - the run's own, from its seed
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import attrs
import trio

from statecore.account import Command
from statecore.errors import GatewayStopped, JournalError, NotAccepted, StatecoreError
from statecore.gateway import Gateway, Options, run_gateway
from statecore.handover import Replacing
from statecore.messages import Message
from statecore.platform import AccountConfig
from statecore.simulation.faithful.disk import Before, Disk, DiskSpell, Peephole, Remains, When, WiredJournal
from statecore.simulation.faithful.kernel import Kernel, Killed, Machine, Process, World
from statecore.simulation.faithful.link import Spell
from statecore.simulation.faithful.network import Network
from statecore.simulation.faithful.notes import Notes, Side
from statecore.simulation.faithful.platforms import open_platform
from statecore.simulation.faithful.plugs import collect
from statecore.simulation.faithful.reading import read_back
from statecore.simulation.faithful.witness import Attempt, Receiving, witnessed
from statecore.simulation.guarantees import Row, Standing
from statecore.simulation.plan import Occurrence, Plan
from statecore.simulation.truth import Platform, Taken, Told, Truth
from statecore.units import SECONDS
from statecore_journal import open_journal, submit

ORIGIN: Final = 1_790_000_000 * SECONDS
"""What the wall clock says when a run begins."""

BUSY_NS: Final = 50_000_000
CUT_WITHIN_S: Final = 2.0
"""How long a crash waits for the write that it is to hit; then it comes without one."""

CONSUMERS: Final = 4
"""Tasks of a program that take messages."""

REPLIES: Final = 0.8
"""How often a program answers."""

NEED_POWER: Final = frozenset({"process-crashes", "process-stops", "process-freezes", "power-fails"})


class How(NamedTuple):
    """How a process is started.

    Args:
        replaces: whether it asks the owner to hand over.
        apart: whether its locks are elsewhere than those of the others.
    """

    replaces: bool
    apart: bool


@attrs.define(eq=False)
class Booted:
    """A gateway that runs."""

    process: Process
    gateway: Gateway
    journal: WiredJournal
    how: How


@attrs.define
class _Account:
    side: Side
    config: AccountConfig
    notes: Notes
    receiving: Receiving


class Street:
    """Everything of one run.

    Args:
        plan: what happens.
        folder: an empty one.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.path = folder / "gateway.db"
        self.folder = folder
        self.network = Network(self._chance("network"), _is_repeated)
        self.kernel = Kernel(self.network)
        self.disk = Disk(self._chance("disk"))
        self.truth = Truth()
        self.peephole = Peephole(self.path)
        self.machine: Machine
        self.nursery: trio.Nursery
        self.accounts: dict[str, _Account] = {}
        self.running: dict[str, Booted] = {}
        self.starting: dict[str, Process] = {}
        self.met: dict[str, int] = {}
        self.rows = 0
        self._own = self._chance("run")
        self._awake = trio.Event()
        self._powered = trio.Event()
        self._program: list[tuple[str, str, float, float, float]] = []  # account, fault, until, share, delay
        self._excused: set[str] = set()  # processes that cannot know that they are not the owner any more

    def _chance(self, whose: str) -> random.Random:
        return random.Random(f"{self.plan.seed}/{whose}")  # noqa: S311 - repeatable on purpose

    # ---- the whole ---------------------------------------------------------------------------------------------------

    async def run(self) -> tuple[list[Row], dict[str, Standing]]:
        """Carry the plan out; return what the journal holds at its end."""
        self.machine = Machine(ORIGIN)
        self._awake.set()
        self._powered.set()
        trio.lowlevel.add_instrument(self.kernel)
        async with trio.open_nursery() as self.nursery, AsyncExitStack() as stack:
            await self.nursery.start(self.network.run)
            self.nursery.start_soon(collect)
            for number, planned in enumerate(self.plan.accounts):
                link = self.network.link(f"{planned.name}.test", f"10.0.0.{number + 1}")
                notes = Notes(
                    self.truth.platforms.setdefault(planned.name, Platform()), self._chance(planned.name), self._now
                )
                side, config, secrets = await stack.enter_async_context(
                    open_platform(planned, notes, link, self.plan.seed)
                )
                self.truth.secrets += secrets
                self.accounts[planned.name] = _Account(side, config, notes, Receiving(notes.truth))
            for number, one in enumerate(self.plan.occurrences):
                await trio.sleep_until(one.at / SECONDS)
                self._happens(number, one)
            await trio.sleep_until(self.plan.length / SECONDS)
            for account in self.accounts.values():
                account.side.close()
                account.notes.close()
            found = read_back(self.path)
            await self._end()
            self.nursery.cancel_scope.cancel()
        trio.lowlevel.remove_instrument(self.kernel)
        return found

    async def _end(self) -> None:
        """Take everything apart. Whatever happens now is not part of the run."""
        self.peephole.close()
        ends = [process.ended for process in self.kernel.processes.values()]
        for process in list(self.kernel.processes.values()):
            process.kill(told=False)
        for ended in ends:
            await ended.wait()

    def _now(self) -> int:
        return self.machine.elapsed()

    # ---- what happens ------------------------------------------------------------------------------------------------

    def _happens(self, number: int, one: Occurrence) -> None:
        fields = one.fields
        if one.fault:
            self._meet(one.fault if one.kind not in ("network", "platform", "disk", "program") else "")
        match one.kind:
            case "user-writes":
                self.accounts[one.target].side.user_writes(fields["chat"], fields["text"])
            case "network":
                self._network_spell(one)
            case "platform":
                if fields["fault"] == "away":
                    self._away(one)
                else:
                    self.accounts[one.target].side.spell(one, number, fields["until"] / SECONDS)
                self._meet(one.fault)
            case "program":
                self._program.append(
                    (one.target, fields["fault"], fields["until"] / SECONDS, fields["share"], fields["delay"] / SECONDS)
                )
            case "disk":
                if fields["fault"] != "torn":
                    self.disk.spells.append(
                        DiskSpell(
                            begins=one.at / SECONDS, ends=fields["until"] / SECONDS, fault=fields["fault"],
                            share=fields["share"], delay=fields["delay"] / SECONDS,
                        )
                    )  # fmt: skip
            case "wall-steps":
                self.machine.step_wall(fields["by"])
            case "host-suspends":
                self.nursery.start_soon(self._suspend, fields["length"])
            case _:
                self.nursery.start_soon(self._on_machine, number, one)

    async def _on_machine(self, number: int, one: Occurrence) -> None:
        """Do what takes a machine that is awake and has power."""
        if one.kind in NEED_POWER and not self._powered.is_set():
            return  # what is off cannot fail
        await self._up()
        fields, booted = one.fields, self.running.get(one.target)
        match one.kind:
            case "program-sends":
                await self._program_sends(one)
            case "operator":
                self._operator(one)
            case "process-starts":
                self.start(one.target, How(fields["replaces"], fields["apart"]))
            case "process-freezes" if booted is not None:
                await self._freeze(booted, fields["length"] / SECONDS)
            case "process-stops" if booted is not None:
                booted.process.terminate()
                await self._again(one.target, booted, fields["back_after"])
            case "process-crashes" if booted is not None:
                self._aim(booted, partial(self._crashed, booted))
                await self._again(one.target, booted, fields["back_after"])
            case "power-fails":
                await self._power_fails(number, fields["back_after"])

    async def _up(self) -> None:
        """Wait until the machine has power and is awake."""
        while not (self._awake.is_set() and self._powered.is_set()):
            await self._awake.wait()
            await self._powered.wait()

    def _meet(self, fault: str) -> None:
        if fault:
            self.met[fault] = self.met.get(fault, 0) + 1

    # ---- processes ---------------------------------------------------------------------------------------------------

    def start(self, name: str, how: How) -> None:
        """Start a process, unless it runs."""
        if name in self.starting or not self._powered.is_set():
            return
        process = self.kernel.begin(name)
        self.starting[name] = process
        self.nursery.start_soon(self._boot, process, how)

    async def _boot(self, process: Process, how: How) -> None:
        """Run a process from its start to its end."""
        self.kernel.enter(process)
        try:
            with process.scope:
                await self._serve(process, how)
        except* Killed:
            assert not process.alive, "only the dead are told so"
        except* JournalError as group:
            _log.warning("%s ends: %s", process.name, group.exceptions[0])
        finally:
            process.alive = False
            self.network.orphan(process)
            if self.starting.get(process.name) is process:
                del self.starting[process.name]
            self.running.pop(process.name, None) if self._runs(process) else None
            process.ended.set()

    def _runs(self, process: Process) -> bool:
        booted = self.running.get(process.name)
        return booted is not None and booted.process is process

    async def _serve(self, process: Process, how: How) -> None:
        async with open_journal(self.path, wall=self.machine.wall, busy_ns=BUSY_NS, threaded=False) as opened:
            # A run crashes by itself, so nothing has to reach a real disk; what a cut leaves is read through the same cache.
            opened._writer._connection.execute("pragma synchronous = off")  # noqa: SLF001
            journal = WiredJournal(opened, process, self.disk, partial(self._took, process), self._pay)
            world = World(self.machine, self._chance(f"process {process.pid}"), opened.store.latest_at())
            options = Options(lock_folder=self.folder / ("locks-apart" if how.apart else "locks"))
            configs = {
                name: witnessed(
                    account.config,
                    partial(self._attempt, journal, process, name),
                    partial(self._receives, process, account),
                )
                for name, account in self.accounts.items()
            }
            replacing = Replacing() if how.replaces else None
            async with run_gateway(journal, configs, world, options, signals=(), replacing=replacing) as gateway:
                process.on_term = partial(gateway.stop, "signal 15")
                process.on_kill = gateway.hurry
                process.locks = partial(_locks, gateway)
                self.running[process.name] = Booted(process, gateway, journal, how)
                if how.apart:
                    self._excused.update(self.running)
                async with trio.open_nursery() as consumers:
                    for _ in range(CONSUMERS):
                        consumers.start_soon(self._handle, gateway)

    def _pay(self, rows: int) -> None:
        self.rows += rows

    def _took(self, process: Process, account: str, epoch: int) -> None:
        taken = Taken(at=self._now(), process=process.name, epoch=epoch, seq=self.peephole.last())
        self.truth.platforms[account].taken.append(taken)

    def _attempt(self, journal: WiredJournal, process: Process, account: str, key: str) -> Attempt:
        process.check()
        return Attempt(self._now(), self.peephole.last(), process.name, journal.epochs.get(account, 0), key)

    def _receives(self, process: Process, account: _Account) -> Any:
        return account.receiving.by(process.name, self._counts)

    def _counts(self, name: str) -> bool:
        booted = self.running.get(name)
        return booted is not None and not booted.process.frozen and name not in self._excused

    async def _again(self, name: str, booted: Booted, back_after: int) -> None:
        """Start a process again some time after it has ended."""
        if back_after:
            await trio.sleep(back_after / SECONDS)
            await booted.process.ended.wait()
            await self._up()
            self.start(name, booted.how)

    async def _freeze(self, booted: Booted, length_s: float) -> None:
        booted.process.freeze()
        self._excused.add(booted.process.name)
        await trio.sleep(length_s)
        await self._up()
        booted.process.thaw()

    async def _suspend(self, length: int) -> None:
        if not self._awake.is_set():
            return
        self._awake = trio.Event()
        chosen = [booted.process for booted in self.running.values() if not booted.process.frozen]
        for process in chosen:
            process.freeze()
        await trio.sleep(length / SECONDS)
        self.machine.slept += length
        for process in chosen:
            process.thaw()
        self._awake.set()

    # ---- crashes -----------------------------------------------------------------------------------------------------

    def _aim(
        self, booted: Booted, cut: Callable[[Before | None], None], choices: tuple[When, ...] = ("before", "after")
    ) -> None:
        """Let a crash come at once, or around the next write."""
        if self._own.random() < 0.5:
            cut(None)
            return
        booted.journal.on_cut = cut
        booted.journal.cut_next = self._own.choice(choices)
        self.nursery.start_soon(self._cut_late, booted, cut)

    async def _cut_late(self, booted: Booted, cut: Callable[[Before | None], None]) -> None:
        await trio.sleep(CUT_WITHIN_S)
        if booted.journal.cut_next is not None and booted.process.alive:
            booted.journal.cut_next = None
            cut(None)

    def _crashed(self, booted: Booted, _: Before | None) -> None:
        booted.process.kill()

    async def _power_fails(self, number: int, back_after: int) -> None:
        """Cut the power of the whole machine; what comes up afterwards finds the disk as it was then."""
        names = {name: booted.how for name, booted in self.running.items()}
        remains: list[Remains] = []
        dark = trio.Event()

        def cut(before: Before | None) -> None:
            self._powered = trio.Event()
            if self.path.exists():
                remains.append(Remains.of(self.path, self._chance(f"cut {number}"), before))
            for process in self.kernel.processes.values():
                process.kill(told=False)
            dark.set()

        aimed = next(iter(self.running.values()), None)
        if aimed is None:
            cut(None)
        else:
            self._aim(aimed, cut, ("torn", "torn", "after", "before"))
        await dark.wait()
        for process in list(self.kernel.processes.values()):
            await process.ended.wait()
        self.peephole.close()
        for one in remains:
            one.put_back()
        await trio.sleep(back_after / SECONDS)
        self._powered.set()
        await self._up()
        for name, how in names.items() if back_after else ():
            self.start(name, how)

    # ---- programs and people -----------------------------------------------------------------------------------------

    async def _handle(self, gateway: Gateway) -> None:
        while (message := await self._next(gateway)) is not None:
            async with message:
                await self._answer(gateway, message)

    async def _next(self, gateway: Gateway) -> Message | None:
        while any(self._suffers(name, "absent") for name in self.accounts) and not gateway.stopping:
            with trio.move_on_after(1):
                await gateway.wait_for_stop()
        async for message in gateway.inbox():
            return message
        return None

    async def _answer(self, gateway: Gateway, message: Message) -> None:
        if (late := self._suffers(message.account, "slow")) is not None:
            await trio.sleep(late * self._own.random())
        if self._suffers(message.account, "fails") is not None:
            raise ValueError("the program fails on purpose")
        if "flood" in message.text or self._own.random() >= REPLIES:
            return
        text = f"re {message.text}" if self._own.random() < 0.9 else f"re {message.text} " + "blah " * 70  # in parts
        try:
            receipt = await gateway.send(
                message.account, message.chat, text.strip(), reply_to=message, key=f"answer-{message.id}"
            )
        except NotAccepted:
            return
        self._told(message.account, receipt.id, f"answer-{message.id}")

    def _suffers(self, account: str, fault: str) -> float | None:
        now = trio.current_time()
        for name, what, until, share, delay in self._program:
            if (name, what) == (account, fault) and now < until and (fault == "absent" or self._own.random() < share):
                self._meet(f"program {fault}")
                return delay
        return None

    def _told(self, account: str, id_: str, key: str = "") -> None:
        there = self.peephole.one("select 1 from instances where address = ?", f"delivery/{account}/{id_}")
        told = Told(at=self._now(), id=id_, seq=self.peephole.last(), asked=there is None, key=key)
        self.truth.platforms[account].told.append(told)

    async def _program_sends(self, one: Occurrence) -> None:
        fields = one.fields
        ready = [booted for booted in self.running.values() if not booted.process.frozen and booted.process.alive]
        if ready:
            booted = self._own.choice(ready)
            await self._sends_inside(booted, one)
            return
        command = Command(
            id=0, kind="send", target=fields["chat"], delivery=f"{self._now() // 1_000_000:011x}{self._own.getrandbits(48):012x}",
            text=fields["text"], key=fields["key"], lasts=fields["lasts"] or None, asked_wall=self.machine.wall(),
        )  # fmt: skip
        self._submit(one.target, command)

    async def _sends_inside(self, booted: Booted, one: Occurrence) -> None:
        self.kernel.enter(booted.process)  # the task serves this occurrence alone
        fields = one.fields
        try:
            receipt = await booted.gateway.send(
                one.target, fields["chat"], fields["text"], key=fields["key"] or None,
                expires=fields["lasts"] / SECONDS if fields["lasts"] else None,
            )  # fmt: skip
            booted.process.check()
        except (NotAccepted, JournalError, GatewayStopped, Killed):
            return
        self._told(one.target, receipt.id, fields["key"])

    def _submit(self, account: str, command: Command) -> None:
        try:
            _, id_ = submit(self.path, account, command, wall=self.machine.wall(), busy_ns=BUSY_NS)
        except StatecoreError as error:
            _log.info("%s of %s could not be asked for: %s", command.kind, account, error)
            return
        if command.kind == "send":
            self._told(account, id_, command.key)

    def _operator(self, one: Occurrence) -> None:
        kind = one.fields["command"]
        targets = [one.fields["chat"]]
        if kind in ("retry", "purge"):
            machine = "state in ('dead', 'quarantined') and account = ?"
            row = self.peephole.one(f"select address from instances where {machine} order by seq limit 1", one.target)  # noqa: S608
            targets = [row[0]] if row is not None else []
        for target in targets:
            self._submit(one.target, Command(id=0, kind=kind, target=target))

    # ---- the network -------------------------------------------------------------------------------------------------

    def _network_spell(self, one: Occurrence) -> None:
        fields, begins, ends = one.fields, one.at / SECONDS, one.fields["until"] / SECONDS
        link = self.network.link_to(self._address(one.target))
        share, delay = float(fields["share"]), fields["delay"] / SECONDS

        def spell(kind: str, amount: float, **direction: bool) -> None:
            link.spells.append(Spell(begins=begins, ends=ends, kind=kind, amount=amount, **direction))

        match fields["fault"]:
            case "delay":
                spell("delay", delay)
            case "reorder":
                spell("reorder", delay)
            case "lose-request":
                spell("loss", share, down=False)
            case "lose-answer":
                spell("loss", share, up=False)
            case "cut":
                spell("cut", share)
            case "half-open":
                spell("half-open", share)
                self.network.deaden(link)
            case "duplicate":
                spell("duplicate", share)
            case "unreachable":
                spell(self._own.choice(("refuse", "resolve", "loss")), 1.0)

    def _away(self, one: Occurrence) -> None:
        link = self.network.link_to(self._address(one.target))
        link.spells.append(Spell(begins=one.at / SECONDS, ends=one.fields["until"] / SECONDS, kind="refuse"))
        self.network.cut(link)

    def _address(self, account: str) -> str:
        return f"10.0.0.{[one.name for one in self.plan.accounts].index(account) + 1}"


_log = logging.getLogger("statecore.simulation")


def _is_repeated(data: bytes) -> bool:
    """Tell whether a request is one that a proxy may repeat: a message that is posted."""
    return data.startswith(b"POST ") and (b"/messages " in data[:300] or b"sendmessage" in data[:300])


def _locks(gateway: Gateway) -> list[Any]:
    """Return the locks that a gateway holds; a kernel knows them without asking."""
    locks = [claim.lock for claim in gateway._claims.values()]  # noqa: SLF001
    return [lock for lock in locks if lock._file is not None]  # noqa: SLF001

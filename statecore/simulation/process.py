"""A simulated process: what a gateway does around its drivers, and the program that uses it.

It takes up the accounts one by one, each for itself: waits for the lock, takes the lease, drives, and takes the account up again
after a fault. It looks around every 250 ms, as `statecore.gateway` does; here only when there is something to be seen. A crash
ends it between any two happenings. A stop by a signal (a freeze) lets everything of it happen later.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from statecore import chance
from statecore.account import Command
from statecore.errors import Fenced, JournalError, NotAccepted
from statecore.gateway import BEAT_EVERY, CREDENTIALS_EVERY_LOOKS, LOOK_EVERY, STEP_NOTED
from statecore.handover import COMES_WITHIN, PRESS_EVERY, Replacing
from statecore.lease import ASK_EVERY
from statecore.machines.connection import ClockStepped, Started
from statecore.machines.inbound import Received
from statecore.policies import Backoff, backoff
from statecore.simulation.clockwork import ProcessWorld
from statecore.simulation.disk import Job, Lease, Writer
from statecore.simulation.driver import Driver
from statecore.simulation.truth import Left, Told
from statecore.system import Unit
from statecore.units import MILLISECONDS, SECONDS

if TYPE_CHECKING:
    from statecore.simulation.discrete import Simulation

DRAIN: Final = 10 * SECONDS
SHUTDOWN: Final = DRAIN + 15 * SECONDS
"""How long a stop waits for what is under way, and after which a process that was told to stop is gone whatever it does."""

CONSUMERS: Final = 3
"""Messages that the program handles at once."""

SILENT_AFTER: Final = 15 * SECONDS

HANDLED_WITHIN: Final = 300 * MILLISECONDS
"""How long a handler takes at most, when all is well."""

REPLIES: Final = 0.4
"""How often it answers."""


class Process:
    """One process that runs a gateway.

    Args:
        simulation: what it is part of.
        name: its name in the plan.
        replaces: whether it asks whoever drives an account to hand over.
        apart: whether its locks are not those of the others, so that nothing but the journal's fence keeps them apart.
    """

    def __init__(self, simulation: "Simulation", name: str, *, replaces: bool, apart: bool) -> None:
        self.simulation = simulation
        self.name = name
        self.replaces = replaces
        self.apart = apart
        self.alive = True
        self.stopping = False
        self.frozen_until = 0
        self.host = simulation.host
        self.rests = self.host.asleep_until > 0
        self._kept: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.call = partial(self.host.loop.within, self)
        """Has something happen in this process, at a time in ns from the beginning: (when, what, its arguments...)."""
        self.disk = simulation.disk
        self.judge = simulation.judge
        self.world = ProcessWorld(self.host, max(self.disk.latest_at, self.host.wall()))
        self.boot = self.world.new_id()
        self.writer = Writer(self.disk, self.call)
        self.program = Program(self)
        self.supervisors = {name: Supervisor(self, name) for name in simulation.decides}
        self._began = self.host.monotonic()
        self._slept = self.host.slept
        self._drift = self.world.wall() - self.world.now()
        self._looking = False
        self._looking_for_credentials = False
        self._last_beat: int | None = None

    # ---- beginning and ending ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take up every account."""
        for supervisor in self.supervisors.values():
            supervisor.seek()

    def stop(self, by: str) -> None:
        """Stop in order."""
        if self.stopping:
            return
        self.stopping = True
        for supervisor in self.supervisors.values():
            supervisor.stop(by)
        self.call(self.host.loop.now + SHUTDOWN, self.crash)
        self.over()

    def over(self) -> None:
        """End if every account was let go."""
        if self.alive and all(supervisor.over for supervisor in self.supervisors.values()):
            self.crash()

    def freeze(self, until: int) -> None:
        """Stop it by a signal, until a time in ns from the beginning or longer."""
        self.frozen_until = max(self.frozen_until, until)
        self.rests = True

    def resume(self, do: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Have something happen when it runs again: it was frozen, or the machine asleep, or it is gone."""
        if self.alive:
            self._kept.append((do, args))
            if len(self._kept) == 1:
                self._go_on_later()

    def _go_on_later(self) -> None:
        self.host.loop.at(max(self.frozen_until, self.host.asleep_until), self._go_on)

    def _go_on(self) -> None:
        """Let the next thing happen that was kept. Until all have, whatever comes is kept too, so that nothing overtakes."""
        if not self.alive:
            return
        if self.frozen_until > self.host.loop.now or self.host.asleep_until:  # which is 0 once the clocks are put right
            self._go_on_later()
            return
        do, args = self._kept.popleft()
        if self._kept:
            self._go_on_later()
        else:
            self.rests = False
        do(*args)

    def crash(self) -> None:
        """End at once: by a signal that nobody can catch, or because all is done."""
        if not self.alive:
            return
        self._last_beat = self.last_beat()
        self.alive = False
        self.rests = True
        self.writer.crash(torn=self.simulation.torn())
        for supervisor in self.supervisors.values():
            supervisor.died()
        self.simulation.locks.release_all(self)

    def last_beat(self) -> int:
        """Return when it last wrote its heartbeat, by the wall clock."""
        if self._last_beat is not None:
            return self._last_beat
        since = (self.host.monotonic() - self._began) % BEAT_EVERY
        if self.frozen_until > self.host.loop.now:
            since += self.host.loop.now - self.simulation.frozen_at.get(self.name, self.host.loop.now)
        return self.host.wall() - since

    # ---- looking around ----------------------------------------------------------------------------------------------

    def _next_look(self, every: int) -> int:
        passed = self.host.monotonic() - self._began
        return self.host.loop.now + every - passed % every

    def look_soon(self) -> None:
        """Look around when it is time for that: there is something to be seen."""
        if not self._looking:
            self._looking = True
            self.call(self._next_look(LOOK_EVERY), self._look)

    def look_for_credentials_soon(self) -> None:
        """Look for other credentials when it is time for that."""
        if not self._looking_for_credentials:
            self._looking_for_credentials = True
            self.call(self._next_look(LOOK_EVERY * CREDENTIALS_EVERY_LOOKS), self._look_for_credentials)

    def _look_for_credentials(self) -> None:
        self._looking_for_credentials = False
        for driver in self.drivers():
            driver.look_for_credentials()

    def drivers(self) -> list[Driver]:
        """Return the drivers that run."""
        return [one.driver for one in self.supervisors.values() if one.driver is not None and not one.driver.ended]

    def _look(self) -> None:
        self._looking = False
        for supervisor in self.supervisors.values():
            supervisor.take_commands()
        slept = self.host.slept - self._slept
        self._slept = self.host.slept
        if slept > STEP_NOTED:
            self.world.forward(slept)
            for driver in self.drivers():
                driver.post(lambda driver=driver: driver.account.woke(slept))  # type: ignore[misc]
        stepped = self.world.wall() - self.world.now() - self._drift
        if abs(stepped) > STEP_NOTED:
            self._drift += stepped
            event = ClockStepped(by=stepped)
            for driver in self.drivers():
                driver.post(lambda driver=driver: driver.account.happened(event))  # type: ignore[misc]

    # ---- sending -----------------------------------------------------------------------------------------------------

    def send(
        self, account: str, chat: str, text: str, *, reply_to: str = "", key: str = "", lasts: int = 0,
        then: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """Take a message on for delivery, as `Gateway.send` does; *then* is called when its caller goes on."""
        id_ = self.world.new_id()
        truth, disk = self.simulation.truth.platforms[account], self.disk
        driver = self.supervisors[account].driver
        if driver is not None and not driver.ended and not driver.ledger.sends_wait():

            def accepted(address: str, error: JournalError | None) -> None:
                if error is None:
                    known = address.rpartition("/")[2]
                    truth.told.append(Told(at=self.host.loop.now, id=known, seq=disk.seq, key=key))
                then()

            expires_at = self.world.now() + lasts if lasts else None
            try:
                driver.accept(id_, chat, text, reply_to=reply_to, key=key, expires_at=expires_at, then=accepted)
            except NotAccepted:
                then()
            return
        command = Command(
            id=0, kind="send", target=chat, delivery=id_, text=text, key=key, lasts=lasts or None,
            asked_wall=self.world.wall(), reply_to=reply_to,
        )  # fmt: skip

        def asked(result: Any, error: JournalError | None) -> None:
            if error is None:
                truth.told.append(Told(at=self.host.loop.now, id=result[1], seq=disk.seq, asked=True, key=key))
            then()

        self.writer.submit(Job(function=lambda: disk.ask(account, command), then=asked))


class Supervisor:
    """Drives one account of a process, whatever happens to it.

    Args:
        process: whose.
        account: its name.
    """

    def __init__(self, process: Process, account: str) -> None:
        self.process = process
        self.account = account
        self.driver: Driver | None = None
        self.over = False
        self.stops: dict[int, Command] = {}
        self.unrecorded: dict[str, str | None] = {}
        self._lock = (process.name if process.apart else "", account)
        self._failures = 0
        self._began: int | None = None
        self._pressed = False
        self._waits = False

    # ---- the lock ----------------------------------------------------------------------------------------------------

    def seek(self) -> None:
        """Take the account as soon as it is free."""
        if self.process.stopping:
            self._finish()
            return
        holder = self.process.simulation.locks.take(self._lock, self.process)
        if holder is self.process:
            self._waits = False
            self._take()
            return
        self._waits = True
        self.process.simulation.locks.wait(self._lock, self)
        if self.process.replaces and not self._pressed:
            self._pressed = True
            self._press(holder)

    def freed(self) -> None:
        """The lock was let go; ask for it when it is time for that."""
        every = PRESS_EVERY if self.process.replaces else ASK_EVERY
        self.process.call(self.process.host.loop.now + int(self.process.world.draw() * every), self._ask_again)

    def _ask_again(self) -> None:
        if self._waits:
            self.seek()

    def _press(self, holder: Process) -> None:
        disk = self.process.disk
        command = Command(id=0, kind="stop", target=holder.boot, text=self.process.name)
        self.process.writer.submit(Job(function=lambda: disk.ask(self.account, command)))
        how = Replacing()
        self.process.call(self.process.host.loop.now + how.patience + how.grace, self._kill, holder, how)

    def _kill(self, holder: Process, how: Replacing) -> None:
        """End an owner that shows no sign of life."""
        if not self._waits or not holder.alive:
            return
        now = self.process.host.loop.now
        silent = now - self.process.simulation.frozen_at.get(holder.name, now) if holder.frozen_until > now else 0
        if silent >= how.patience + how.grace:
            holder.crash()
        elif self._waits:
            self.process.call(now + 1 * SECONDS, self._kill, holder, how)

    # ---- the lease, and driving --------------------------------------------------------------------------------------

    def _take(self) -> None:
        process = self.process
        ledger = process.disk.ledgers[self.account]

        def take() -> tuple[int, int]:
            before, wall = ledger.lease, process.host.wall()
            beat = before.beat() if before.epoch else wall
            ledger.lease = Lease(before.epoch + 1, process.name, process.boot, "running", process.last_beat)
            if process.disk.history is not None:
                process.disk.history.append((wall, ledger.lease, self.account))
            process.simulation.took(self.account, process, ledger.lease.epoch)
            return ledger.lease.epoch, max(0, wall - beat)

        process.writer.submit(Job(function=take, then=self._taken))

    def _taken(self, result: Any, error: JournalError | None) -> None:
        if error is not None:
            self._failed(error)
            return
        process = self.process
        epoch, offline = result
        process.world.forward(process.disk.latest_at - process.world.now())
        simulation = process.simulation
        decides = simulation.decides[self.account]
        ledger = process.disk.ledgers[self.account]
        self.driver = None
        self.stops = {}
        if process.stopping:
            self._release()
            self._finish()
            return
        client = simulation.servers[self.account].client(process, ledger)
        driver = self.driver = Driver(self.account, decides, ledger, process, client, epoch, self._ended)
        simulation.drives(self.account)
        self.take_commands()
        self._began = process.world.now()
        started = Started(
            boot=process.boot, pid=simulation.pid(process), host="simulated", epoch=epoch, offline=offline,
            resumable=decides.policies.sessions.resume_within, settings=simulation.settings[self.account],
            chance=chance.seed(process.world.draw()),
        )  # fmt: skip
        for address, told in list(self.unrecorded.items()):
            driver.note_handled(address, told, partial(self._recorded, address))
        driver.run(started, self._is_given)

    def _recorded(self, address: str, durable: bool) -> None:
        if durable:
            self.unrecorded.pop(address, None)

    def _is_given(self, address: str) -> bool:
        return address in self.process.program.given or address in self.unrecorded

    def take_commands(self) -> None:
        """Carry out what was asked for."""
        driver = self.driver
        if driver is None or driver.ended:
            return
        commands = driver.ledger.waiting()
        for command in commands:
            if command.kind == "stop" and command.id not in self.stops:
                self.stops[command.id] = command
                driver.post(lambda command=command: self._stop_asked(driver, command))  # type: ignore[misc]
        driver.carry_out([command for command in commands if command.kind != "stop"])

    def _stop_asked(self, driver: Driver, command: Command) -> Unit:
        if command.target in ("", self.process.boot):
            unit = driver.account.stop(command.text or "command", DRAIN)
        else:
            unit = driver.account.system.begin(self.process.world.now())
        unit.done.append(command.id)
        return unit

    def stop(self, by: str) -> None:
        """Let the account go, because the process stops."""
        if self.driver is not None and not self.driver.ended:
            self.driver.stop(by, DRAIN)
        elif self._waits:
            self._waits = False
            self._finish()

    def died(self) -> None:
        """Note that the process is gone."""
        if self.driver is not None and not self.driver.ended:
            self.driver.ended = True
            self.driver.client.close()

    # ---- afterwards --------------------------------------------------------------------------------------------------

    def _ended(self, _: Driver, error: Exception | None) -> None:
        process = self.process
        if error is not None:
            self._failed(error)
            return
        lease = process.disk.ledgers[self.account].lease
        if lease.process == process.name and lease.boot == process.boot:
            lease.says = "stopped"
            stopped_at = process.host.wall()
            lease.beat = lambda: stopped_at
        self._release()
        asked = any(command.target == process.boot for command in self.stops.values())
        if process.stopping or not asked:
            self._finish()
            return
        process.call(process.host.loop.now + COMES_WITHIN, self._look_who_follows)

    def _look_who_follows(self) -> None:
        """Take the account again if nobody came for it."""
        if self.process.simulation.locks.last(self._lock) is self.process:
            self.seek()
        else:
            self._finish()

    def _failed(self, error: Exception) -> None:
        self._release()
        if isinstance(error, Fenced):
            self._outwait()
            return
        self._back_off()

    def _back_off(self) -> None:
        process = self.process
        if process.stopping:
            self._finish()
            return
        self._failures = backoff.failures_now(Backoff(), self._failures, self._began, process.world.now())
        self._began = None
        wait = backoff.delay(Backoff(), self._failures, process.world.draw())
        self._waits = True
        process.call(process.host.loop.now + wait, self._ask_again)

    def _outwait(self) -> None:
        """Leave the account to the process that took it, until that one is done or silent."""
        process = self.process
        if process.stopping:
            self._finish()
            return
        lease = process.disk.ledgers[self.account].lease
        if process.host.wall() - lease.beat() > SILENT_AFTER or lease.says == "stopped":
            self._back_off()
            return
        process.call(process.host.loop.now + 1 * SECONDS, self._outwait)

    def _release(self) -> None:
        self.process.simulation.locks.release(self._lock, self.process)

    def _finish(self) -> None:
        self.over = True
        asked = self.process.stopping or bool(self.stops)
        left = Left(at=self.process.host.loop.now, process=self.process.name, asked=asked)
        self.process.simulation.truth.platforms[self.account].left.append(left)
        self.process.over()


class Program:
    """The program that uses a gateway: it takes messages, handles them, and answers some.

    Args:
        process: it runs in.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.promised = 0
        self.given: set[str] = set()
        self._idle = CONSUMERS
        self._inbox: list[tuple[Driver, str, Received]] = []

    def hungry(self) -> int:
        """Return how many more messages can be taken now."""
        if self.process.stopping or self.process.simulation.absent:
            return 0
        return self._idle - len(self._inbox) - self.promised

    def hand(self, driver: Driver, address: str, received: Received) -> None:
        """Take a message that was handed over and committed."""
        self.given.add(address)
        self._inbox.append((driver, address, received))
        self.process.call(self.process.host.loop.now, self._take)

    def _take(self) -> None:
        if not self._inbox or not self._idle:
            return
        self._idle -= 1
        driver, address, received = self._inbox.pop(0)
        process, random = self.process, self.process.host.random
        spells = process.simulation.programs[driver.name]
        takes = int(random.random() * HANDLED_WITHIN) + (spells.delay("slow") if spells.active else 0)
        error = "ValueError: of the handler" if spells.active and spells.hit("fails") else None
        answers = error is None and random.random() < REPLIES
        process.call(process.host.loop.now + takes, self._handle, driver.name, address, received, error, answers)

    def _handle(self, account: str, address: str, received: Received, error: str | None, answers: bool) -> None:
        def done() -> None:
            self._done(account, address, error)

        if answers:
            text = (
                f"re {received.text}"
                if self.process.host.random.random() < 0.9
                else f"re {received.text} " + "blah " * 70
            )
            self.process.send(account, received.chat, text.strip(), reply_to=address, then=done)
        else:
            done()

    def _done(self, account: str, address: str, error: str | None) -> None:
        supervisor = self.process.supervisors[account]

        def recorded(durable: bool) -> None:
            if not durable:
                supervisor.unrecorded[address] = error
            self.given.discard(address)
            self._idle += 1
            for driver in self.process.drivers():
                driver.wake_to_hand()

        driver = supervisor.driver
        if driver is None:
            recorded(durable=False)
        else:
            driver.note_handled(address, error, recorded)


class Locks:
    """The locks that the operating system holds for processes, and lets go when they end."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Process] = {}
        self._last: dict[tuple[str, str], Process] = {}
        self._waiting: dict[tuple[str, str], list[Supervisor]] = {}

    def take(self, lock: tuple[str, str], process: Process) -> Process:
        """Take a lock if it is free; return who holds it."""
        holder = self._held.setdefault(lock, process)
        self._last[lock] = holder
        return holder

    def last(self, lock: tuple[str, str]) -> Process | None:
        """Return who held it last."""
        return self._last.get(lock)

    def wait(self, lock: tuple[str, str], supervisor: Supervisor) -> None:
        """Tell a supervisor when a lock becomes free."""
        waiting = self._waiting.setdefault(lock, [])
        if supervisor not in waiting:
            waiting.append(supervisor)

    def release(self, lock: tuple[str, str], process: Process) -> None:
        """Let a lock go."""
        if self._held.get(lock) is process:
            del self._held[lock]
            for supervisor in self._waiting.pop(lock, ()):
                supervisor.freed()

    def release_all(self, process: Process) -> None:
        """Let go of everything a process held."""
        for lock in [lock for lock, holder in self._held.items() if holder is process]:
            self.release(lock, process)

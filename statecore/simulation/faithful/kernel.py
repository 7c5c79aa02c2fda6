"""One machine: its clocks, and processes that are killed, frozen and signalled, as tasks of one trio run.

A process is a task tree that carries its process in a context variable. Frozen, none of its tasks gets a step: they are
taken out of trio's queue as they come, and put back when it goes on; what arrives meanwhile waits in its sockets, and its
deadlines pass. Killed, its sockets are reset and its locks free in the same instant, and whatever its tasks still try ends
with `Killed`, which nothing catches; so not a byte of it reaches a disk or a wire.
"""

import random  # noqa: TID251 - the run's own, from its seed
import signal
from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from statecore.simulation.faithful.connection import CLIENT
from statecore.simulation.faithful.network import Network
from statecore.units import SECONDS

PID_FIRST: Final = 10_000_001
"""Above every number that Linux gives (2**22), so no signal can ever reach a process outside."""

HOST: Final = "simulated"

PROCESS: ContextVar["Process | None"] = ContextVar("virtual process", default=None)


class Killed(BaseException):
    """The process is no more."""


@attrs.define(eq=False)
class Machine:
    """The clocks that all processes of the machine share.

    Args:
        origin: what its wall clock says when the run begins, in ns since 1970.
    """

    origin: int
    _began: float = attrs.field(factory=trio.current_time)
    _set_by: int = 0
    slept: int = 0

    def elapsed(self) -> int:
        """Return for how long there has been time, in ns."""
        return round((trio.current_time() - self._began) * SECONDS)

    def wall(self) -> int:
        """Return its wall clock, in ns since 1970."""
        return self.origin + self._set_by + self.elapsed()

    def step_wall(self, by: int) -> None:
        """Set its wall clock by so many ns."""
        self._set_by += by


class World:
    """Time, chance and ids of one process; see `statecore.world.World`.

    Args:
        machine: whose clocks.
        chance: of this process.
        origin: what `now` is when it begins, in ns, unless the wall clock is ahead of it.
    """

    def __init__(self, machine: Machine, chance: random.Random, origin: int) -> None:
        self._machine = machine
        self._chance = chance
        self._origin = max(origin, machine.wall())
        self._began = machine.elapsed() - machine.slept

    def now(self) -> int:
        """Return the time for decisions, in ns. It stands while the machine is suspended."""
        return self._origin + self._machine.elapsed() - self._machine.slept - self._began

    def wall(self) -> int:
        """Return the time for records, in ns since 1970."""
        return self._machine.wall()

    def asleep(self) -> int:
        """Return for how long the machine has been suspended in all, in ns."""
        return self._machine.slept

    def forward(self, by: int) -> None:
        """Move `now` forward by so many ns."""
        self._origin += max(0, by)

    def draw(self) -> float:
        """Return a uniform random number in [0, 1)."""
        return self._chance.random()

    def new_id(self) -> str:
        """Return an id that sorts after those of earlier milliseconds."""
        return f"{self.now() // 1_000_000:011x}{self._chance.getrandbits(48):012x}"


@attrs.define(eq=False)
class Process:
    """One process.

    Args:
        name: what the run calls it.
        pid: its number.
        kernel: where it runs.
        locks: return the locks that it holds, so that they are freed when it is killed.
        on_term: what it does about SIGTERM.
        on_kill: hastens its being taken apart.
    """

    name: str
    pid: int
    kernel: "Kernel"
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    locks: Callable[[], list[Any]] = list
    on_term: Callable[[], None] = lambda: None
    on_kill: Callable[[], None] = lambda: None
    alive: bool = True
    frozen: bool = False
    asked: bool = False
    ended: trio.Event = attrs.field(factory=trio.Event)
    held: list[trio.lowlevel.Task] = attrs.field(factory=list)

    def check(self) -> None:
        """Go on only if it is alive.

        Raises:
            Killed: it is not.
        """
        if not self.alive:
            raise Killed

    def kill(self, *, told: bool = True) -> None:
        """End it at once.

        Args:
            told: whether its kernel lives on to reset its connections; without, the machine has lost its power.
        """
        if not self.alive:
            return
        self.alive = False
        self.kernel.network.orphan(self, told=told)
        for lock in self.locks():
            lock.release()
        self.on_kill()
        self.scope.cancel()
        self.thaw()  # only to be taken apart

    def terminate(self) -> None:
        """Ask it to end; a frozen one finds that when it goes on."""
        if self.frozen:
            self.asked = True
        elif self.alive:
            self.on_term()

    def freeze(self) -> None:
        """Stop it, as SIGSTOP does: its tasks get no step from the next turn of the loop on."""
        if self.alive:
            self.frozen = True

    def thaw(self) -> None:
        """Let it go on."""
        if self.frozen:
            self.frozen = False
            held, self.held = self.held, []
            runner: Any = trio._core._run.GLOBAL_RUN_CONTEXT.runner  # noqa: SLF001 - nothing public stops a task
            runner.runq.extend(held)
            if self.asked and self.alive:
                self.asked = False
                self.on_term()


class Kernel(trio.abc.Instrument):
    """The processes of the machine, and who of them gets a step.

    Args:
        network: where their sockets are.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.processes: dict[int, Process] = {}
        self.signals: list[tuple[int, int]] = []
        self._queue: Any = None

    def begin(self, name: str) -> Process:
        """Make a process. Its task calls `enter` first."""
        process = Process(name, PID_FIRST + len(self.processes), self)
        self.processes[process.pid] = process
        return process

    def enter(self, process: Process) -> None:
        """Make the current task, and all that it starts, part of a process."""
        PROCESS.set(process)
        CLIENT.set(process)

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        """Keep the task of a frozen process from its step."""
        process = task.context.get(PROCESS)
        if process is not None and process.frozen:
            if self._queue is None:
                self._queue = trio._core._run.GLOBAL_RUN_CONTEXT.runner.runq  # noqa: SLF001 - as above
            taken = self._queue.pop()
            assert taken is task, "trio tells of a task right after it has put it into its queue"
            process.held.append(task)

    # ---- what `statecore.processes` asks of a kernel -----------------------------------------------------------------

    def begun(self, pid: int) -> int | None:
        """Return when a process began; numbers are never used again here, so the number will do."""
        return pid if pid in self.processes and self.processes[pid].alive else None

    def dead(self, pid: int) -> bool:
        """Tell whether a process has ended."""
        return self.begun(pid) is None

    def holds(self, pid: int, path: Path) -> bool:
        """Tell whether a process has a file open with a lock on it."""
        process = self.processes.get(pid)
        return process is not None and process.alive and any(lock.path == path for lock in process.locks())

    def end(self, pid: int, number: int, is_meant: Callable[[], str]) -> str:
        """Send a signal to a process, if it is the one that is meant; see `statecore.processes.end`."""
        process = self.processes.get(pid)
        if process is None or not process.alive:
            return "it has ended"
        if refusal := is_meant():
            return refusal
        self.signals.append((pid, number))
        if number == signal.SIGKILL:
            process.kill()
        elif number == signal.SIGTERM:
            process.terminate()
        return ""


def here() -> tuple[int, str]:
    """Return the current process's number and the name of its host."""
    process = PROCESS.get()
    return (process.pid if process is not None else 1), HOST

"""Bugs in what is kept: the journal, its owner, restarts, replay."""

from itertools import count
from typing import Any, Final
from unittest.mock import patch

import attrs
import trio

from statecore.driver import Driver
from statecore.evolve import evolve
from statecore.handover import Claim
from statecore.machine import Row
from statecore.machines import circuit
from statecore.simulation.disk import Disk, Job, Writer
from statecore.simulation.process import Supervisor
from statecore.system import System, Unit
from tests.bugs.altering import Table, together
from tests.bugs.bug import Bug, Story
from tests.bugs.stories import ONE, RESTART, TWO


def told_early() -> Any:
    """Have the journal say that a message is written before it is."""
    right = Writer.submit

    def submit(self: Writer, job: Job) -> None:
        then = job.then
        if job.placed is not None and then is not None:
            job = attrs.evolve(job, then=None)
            right(self, job)
            then([0], None)
        else:
            right(self, job)

    return patch.object(Writer, "submit", submit)


def no_fence() -> Any:
    right = Disk._refused

    def refused(self: Disk, job: Job) -> Any:
        for unit in job.units:
            job = attrs.evolve(job, epoch=self.ledgers[unit.account].lease.epoch)
        return right(self, job)

    return patch.object(Disk, "_refused", refused)


def timers_lost() -> Any:
    def arm(self: System, _unit: Unit, _offline: int) -> None:
        self._horizon = None

    return patch.object(System, "arm", arm)


def gives_up() -> Any:
    """Have a process leave an account for good that it finds held: the real one, and its copy in the plain simulation."""

    async def acquire(self: Claim, _stop: trio.Event, _trouble: Any) -> bool:
        return self._try() is None

    right = Supervisor.seek

    def seek(self: Supervisor) -> None:
        right(self)
        if self._waits:
            self._waits = False
            self._finish()

    return together(patch.object(Supervisor, "seek", seek), patch.object(Claim, "acquire", acquire))


def no_lock() -> Any:
    """Have a process take an account whoever holds it: the real one, and its copy in the plain simulation."""
    right = Claim._try

    def try_(self: Claim) -> None:
        right(self)

    def seek(self: Supervisor) -> None:
        if self.process.stopping:
            self._finish()
            return
        self.process.simulation.locks.take(self._lock, self.process)
        self._take()

    return together(patch.object(Supervisor, "seek", seek), patch.object(Claim, "_try", try_))


def effect_first() -> Any:
    """Have the driver make the attempts that its decisions ask for before these are committed."""
    right = Driver._commit

    async def commit(self: Driver, units: list[Unit]) -> None:
        for unit in units:
            for request in unit.requests:
                self._begin(request, 1)
            unit.requests.clear()
        await right(self, units)

    return patch.object(Driver, "_commit", commit)


CALLS: Final = count(1)


def _counted(was: circuit.Circuit, event: Any, now: int) -> circuit.Circuit:
    return evolve(circuit.reset(was, event, now), closed_at=now + next(CALLS))


def _impure(row: Row) -> Row:
    return attrs.evolve(row, do=_counted) if row.do is circuit.reset else row


IMPURE: Final = Table("circuit", _impure)

BUGS: Final = (
    Bug(
        name="restart race",
        incident="seed 4: hermes-agent#17198",
        says="a process that finds its account held gives up for good",
        put_in=gives_up,
        guarantee="G6",
        story=Story(RESTART, "G8"),
    ),
    Bug(
        name="lock misread",
        incident="B6: hermes-agent, read in its source",
        says="a process takes an account while another holds it",
        put_in=no_lock,
        guarantee="G6",
        story=Story(TWO, "G6"),
    ),
    Bug(
        name="effect before its row",
        incident="D2: openclaw#88015",
        says="the request leaves, and then what asked for it is committed",
        put_in=effect_first,
        guarantee="G1",
        simulated=False,
        story=Story(ONE, "G1"),
    ),
    Bug(
        name="accepted before it is durable",
        incident="D3: hermes-agent#58818",
        says="a sender is told that its message was accepted while it is in memory alone",
        put_in=told_early,
        guarantee="G1",
    ),
    Bug(
        name="no fence",
        incident="D22: hermes-agent, read in its source",
        says="the journal takes rows from a process whose lease another one has taken",
        put_in=no_fence,
        guarantee="G6",
    ),
    Bug(
        name="timers lost on restart",
        incident="xstate#5331",
        says="a process does not arm the timers of what it finds in the journal",
        put_in=timers_lost,
        guarantee="G3",
    ),
    Bug(
        name="impure step",
        incident="xstate-statemachine 0.11, measured",
        says="a step counts its calls, so the same rows lead elsewhere when they are read again",
        put_in=IMPURE.put_in,
        guarantee="G9",
        table=IMPURE,
    ),
)

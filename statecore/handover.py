"""Waiting for an account that another process drives, and taking it from there.

A newcomer waits, however long. One that is to replace the owner asks it to hand over, by a command in the journal: that is
durable, and needs no right to signal. The owner takes no new work, sees to its end what is under way, and lets go; while it
shows any sign of life it is waited for. Only an owner that has stopped answering is ended, and only if the kernel says that
it is the process that holds the lock.

An owner that was asked and let go waits until somebody has taken the account, and takes it again if nobody comes. So an
account is not left alone because a newcomer died halfway.
"""

import datetime as dt
import enum
import functools
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from statecore import processes
from statecore.account import Command
from statecore.errors import JournalError
from statecore.hermes_lock import HermesLocks
from statecore.lease import ASK_EVERY, Holder, Lock
from statecore.settings import duration
from statecore.units import MILLISECONDS, MINUTES, SECONDS, show_duration
from statecore.world import World, here

log = logging.getLogger("statecore")

PRESS_EVERY: Final = 50 * MILLISECONDS
"""How often a process that replaces another asks for the lock: the account is without an owner for about half of it."""

SILENCE_A_LOOK: Final = 1 * SECONDS
"""What one look may add to an owner's silence. If more time has passed, we ourselves did not run, and perhaps neither did
the owner: a machine that was suspended, a process that was stopped and goes on."""

TELL_EVERY: Final = 30 * MINUTES
"""How often a process that waits says so again."""

COMES_WITHIN: Final = 5 * SECONDS
"""How long an owner that was asked to hand over leaves the account alone. Whoever asked looks every `PRESS_EVERY`."""


@attrs.frozen
class Replacing:
    """How an owner is replaced.

    Args:
        patience: how long it may show no sign of life before it is asked by SIGTERM. An owner writes its heartbeat every
            five seconds, and every second while it lets go.
        grace: how long it may show none after that before it is ended by SIGKILL.
    """

    patience: int = duration("20s", low="2s", high="1h")
    grace: int = duration("10s", low="2s", high="1h")


class Step(enum.Enum):
    """What to do about an owner next."""

    WAIT = "wait"
    ASK = "ask"
    TERMINATE = "terminate"
    KILL = "kill"


@attrs.define
class Vigil:
    """Watches an owner that is to be replaced. Pure: what is seen goes in, what to do comes out.

    Args:
        how: how long it may be silent.
    """

    how: Replacing
    _sign: Any = None
    _silence: int = 0
    _looked: int | None = None
    _next: Step = Step.ASK

    def look(self, sign: Any, now: int) -> Step:
        """Take in what is seen of the owner.

        Args:
            sign: whatever changes while it is alive.
            now: monotonic, in ns.
        """
        passed = 0 if self._looked is None else now - self._looked
        self._looked = now
        self._silence = 0 if sign != self._sign else self._silence + min(passed, SILENCE_A_LOOK)
        self._sign = sign
        if self._next in (Step.ASK, Step.TERMINATE) and self._silence >= self.how.patience:
            return Step.TERMINATE  # also if it could not be asked: a signal asks as well
        if self._next is Step.KILL and self._silence >= self.how.grace:
            return Step.KILL
        return Step.ASK if self._next is Step.ASK else Step.WAIT

    def put_off(self) -> None:
        """Note that it cannot be done now; it is said again in a second."""
        self._silence -= SILENCE_A_LOOK

    def did(self, step: Step) -> None:
        """Note that something was done about it."""
        self._silence = 0
        self._next = {Step.ASK: Step.TERMINATE, Step.TERMINATE: Step.KILL}.get(step, Step.WAIT)


@functools.lru_cache(16)
def _of_process(boot: str, journal: Path) -> Holder:
    """Return what is the same for all accounts of a gateway."""
    pid, host = here()
    return Holder(pid=pid, host=host, begun=processes.begun(pid) or 0, boot=boot, journal=str(journal.resolve()))


@attrs.define
class Claim:
    """One account that a process drives, or waits for.

    Args:
        name: what the account is called here.
        lock: its lock.
        hermes: its locks in the way of Hermes.
        journal: see `statecore_journal.Journal`.
        world: for the wall clock, which is only told.
        boot: this gateway's own id.
        replacing: how the owner is replaced that is met first; None to wait for it.
    """

    name: str
    lock: Lock
    hermes: HermesLocks
    journal: Any
    world: World
    boot: str
    replacing: Replacing | None = None
    _beside: Holder | None = None
    _owner: Holder | None = None
    _vigil: Vigil | None = None
    _told_at: float = 0
    _refused: str = ""

    @property
    def _about(self) -> Holder:
        """What this process says of itself."""
        return attrs.evolve(_of_process(self.boot, self.journal.path), account=self.name)

    async def acquire(self, stop: trio.Event, trouble: Callable[[str], None]) -> bool:
        """Take the account as soon as it is free, however long that takes.

        Args:
            stop: ends the wait.
            trouble: told what is waited for whenever that changes.

        Returns:
            Whether it is ours; False if it was told to stop first.
        """
        began = trio.current_time()
        while (owner := self._try()) is not None:
            if owner != self._owner:
                self._owner, self._refused = owner, ""
                self._vigil = Vigil(self.replacing) if self.replacing is not None and owner.boot else None
                self._tell(owner)
                trouble(f"waiting for {self._described(owner)}, which drives it")
            elif trio.current_time() - self._told_at > TELL_EVERY / SECONDS:
                self._tell(owner)
            if self._vigil is not None:
                await self._press(owner, self._vigil)
            with trio.move_on_after((ASK_EVERY if self._vigil is None else PRESS_EVERY) / SECONDS):
                await stop.wait()
            if stop.is_set():
                return False
        if self._owner is not None and self._owner.boot != self.boot:
            waited = show_duration(round((trio.current_time() - began) * SECONDS))
            log.warning("account %s: taken over from %s after %s", self.name, self._owner, waited)
        self._owner = self._vigil = None
        self.replacing = None  # once: whoever has it the next time came after us
        return True

    def release(self) -> None:
        """Let go of it."""
        self.hermes.release()
        self.lock.release()

    async def followed(self, stop: trio.Event) -> Holder | None:
        """Wait until somebody has taken the account that was let go; return who has, or None if nobody comes.

        Args:
            stop: ends the wait.
        """
        with trio.move_on_after(COMES_WITHIN / SECONDS):
            while not stop.is_set():
                owner = self.lock.holder()
                if owner.boot not in ("", self.boot):
                    return owner
                with trio.move_on_after(ASK_EVERY / SECONDS):
                    await stop.wait()
        return None

    # ---- the locks ---------------------------------------------------------------------------------------------------

    def _try(self) -> Holder | None:
        """Take the locks if they are free; return who holds one otherwise."""
        if self._beside is not None and (other := self.hermes.holder()) is not None:
            return (
                other  # without taking our own lock for a moment again and again, and telling others that we drive it
            )
        if not self.lock.try_acquire(attrs.evolve(self._about, since=self.world.wall())):
            return self.lock.holder()
        self._beside = self.hermes.try_acquire()
        if self._beside is not None:
            self.lock.release()
        return self._beside

    # ---- saying what is waited for -----------------------------------------------------------------------------------

    def _described(self, owner: Holder) -> str:
        if owner.boot == self.boot:
            return f"this very process, as account {owner.account!r}: they are one identity"
        if not owner.since:
            return str(owner)
        began = dt.datetime.fromtimestamp(owner.since / SECONDS).astimezone()
        lasts = show_duration(max(1, (self.world.wall() - owner.since) // SECONDS) * SECONDS)
        return f"{owner} (since {began:%Y-%m-%d %H:%M:%S}, for {lasts})"

    def _tell(self, owner: Holder) -> None:
        self._told_at = trio.current_time()
        log.warning("account %s is driven by %s; waiting for it", self.name, self._described(owner))

    # ---- replacing ---------------------------------------------------------------------------------------------------

    async def _press(self, owner: Holder, vigil: Vigil) -> None:
        """Do the next thing about an owner that is to let go."""
        if owner.boot == self.boot:
            return
        if owner.journal != self._about.journal:
            self._say_once(f"its journal is {owner.journal or 'another one'}, so it cannot be asked; stop it yourself")
            return
        try:
            step = vigil.look(self.journal.store.signs(owner.account), round(trio.current_time() * SECONDS))
            if step is Step.ASK:
                asked = Command(id=0, kind="stop", target=owner.boot, text=str(self._about))
                await self.journal.ask(owner.account, asked)
                log.warning("account %s: asked %s to hand over", self.name, owner)
                vigil.did(step)
        except JournalError as error:
            self._say_once(f"it cannot be asked now: {error}")
            return
        if step in (Step.TERMINATE, Step.KILL):
            self._end(owner, vigil, step)

    def _end(self, owner: Holder, vigil: Vigil, step: Step) -> None:
        assert self.replacing is not None, "only then there is a vigil"
        number, waited = (
            (signal.SIGTERM, self.replacing.patience)
            if step is Step.TERMINATE
            else (signal.SIGKILL, self.replacing.grace)
        )
        if refusal := self.lock.end_holder(owner, number):
            self._say_once(f"it has shown no sign of life for {show_duration(waited)}, and is not ended: {refusal}")
            vigil.put_off()
            return
        log.warning(
            "account %s: %s has shown no sign of life for %s; sent it %s",
            self.name, owner, show_duration(waited), number.name,
        )  # fmt: skip
        vigil.did(step)

    def _say_once(self, text: str) -> None:
        if text != self._refused:
            self._refused = text
            log.warning("account %s: %s: %s", self.name, self._owner, text)

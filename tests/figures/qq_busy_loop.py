"""Figure 1 of QQ: the sequence that made another gateway spin. The socket ends, and nothing answers for a while."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import attrs
import trio

from statecore.machines.session import UP
from statecore.world import wall_now
from statecore_adapters.qqbot.simulator import Abort, Close, Eof, Simulator, open_simulator
from statecore_adapters.qqbot.simulator.model import Lookups
from statecore_journal import LogRow, open_reader
from tests.figures.registry import Measured, scratch
from tests.figures.scene import qqbot
from tests.figures.worker import ACCOUNT, Worker, open_worker

CPU_MAX: Final = 0.01
WARM_UP_S: Final = 4.0
"""Imports and the first session are over by then; a gateway lives for weeks."""

AFTER_S: Final = 10.0
"""How long it is watched once it is back: long enough for a copy to show."""

ASKED_EVERY_S: Final = 0.1
SLACK_S: Final = 1.0
"""From the end of the last wait to RESUMED: a token perhaps, an address, a socket and three frames."""

LOOKUPS: Final = ("gateway", "gateway/bot")
SCENES: Final = 4
"""Messages of users come at so many moments of the outage, evenly, from a person and in a group each."""


@attrs.frozen
class Ending:
    """How the socket ends, and for how long nothing answers after that.

    Args:
        says: what it is, for the figure.
        step: what the platform does to the socket.
        outage_s: seconds in which every request and every dial is answered with an error.
    """

    says: str
    step: Close | Eof | Abort
    outage_s: float


ENDINGS: Final = (
    Ending("4009", Close(4009), 60),
    Ending("end of stream without a close frame", Eof(), 20),
    Ending("reset", Abort(), 20),
)


@attrs.frozen
class _Seen:
    """What `statecore status` said at one moment.

    Args:
        seq: the newest row it knew.
        connected: whether it called the account connected.
    """

    seq: int
    connected: bool | None


@attrs.frozen
class _Found:
    """What came of one ending.

    Args:
        ending: which.
        cpu: share of a core, from the end to some seconds after everything was well again.
        gaps: seconds between attempts, dials and questions for the address alike.
        waits: what the backoff had chosen for them.
        lookups: questions for the address.
        within_budget: whether the platform would have answered so many.
        lies: how often it was said to be connected while it was not.
        asked: how often status was asked meanwhile.
        back_s: seconds from the platform's recovery to the resume.
        last_wait_s: the wait that was running at the recovery.
        resumed: whether that was with the old session, at the first attempt.
        said: messages of users.
        done: of which so many were handled.
        answers: what users saw, by text.
    """

    ending: Ending
    cpu: float
    gaps: list[float]
    waits: list[float]
    lookups: int
    within_budget: bool
    lies: int
    asked: int
    back_s: float
    last_wait_s: float
    resumed: bool
    said: int
    done: int
    answers: Counter[str]

    @property
    def faults(self) -> list[str]:
        """What is not as it must be."""
        checks = {
            "too much CPU": self.cpu < CPU_MAX,
            "dialled before the backoff was over": all(
                gap >= wait for gap, wait in zip(self.gaps, self.waits, strict=True)
            ),
            "asked for the address too often": self.within_budget,
            f"{self.lies} times said to be connected": not self.lies,
            "back too late": self.back_s <= self.last_wait_s + SLACK_S,
            "another session": self.resumed,
            "messages lost": self.done == self.said and len(self.answers) == self.said,
            "messages twice": max(self.answers.values(), default=0) <= 1,
        }
        return [fault for fault, right in checks.items() if not right]

    def __str__(self) -> str:
        found = f"{self.cpu:.2%} of a core, back {self.back_s:.1f} s after the platform, {self.done} of {self.said} messages"
        return f"{self.ending.says}: {found}{''.join(f', {fault}' for fault in self.faults)}"

    @property
    def note(self) -> str:
        """What else there is to know."""
        gaps = ", ".join(f"{gap:.1f}" for gap in self.gaps)
        return (
            f"{self.ending.says}: attempts after {gaps} s, {self.lookups} of them asked for the address; "
            f"the last wait was {self.last_wait_s:.1f} s; status was asked {self.asked} times meanwhile"
        )


async def busy_loop() -> Measured:
    """Measure every ending, each against a platform and with a gateway of its own."""
    found: dict[str, _Found] = {}

    async def measure(ending: Ending, journal: Path) -> None:
        found[ending.says] = await _measure(ending, journal)

    with scratch() as folder:
        async with trio.open_nursery() as nursery:
            for number, ending in enumerate(ENDINGS):
                nursery.start_soon(measure, ending, folder / f"gateway-{number}.db")
    all_found = [found[ending.says] for ending in ENDINGS]
    return Measured(
        "; ".join(map(str, all_found)),
        holds=not any(one.faults for one in all_found),
        notes=tuple(one.note for one in all_found),
    )


async def _measure(ending: Ending, journal: Path) -> _Found:
    async with open_simulator() as sim:
        bot = sim.add_bot(f"{102_000_001 + ENDINGS.index(ending)}")
        async with open_worker(journal, {ACCOUNT: qqbot(sim, bot)}) as worker:
            await worker.ask("echo")
            await sim.wait_until(sim.is_up)
            said = _speak(sim, 0)
            await sim.wait_until(lambda: len(sim.seen) == len(said))
            await trio.sleep(WARM_UP_S)
            began, used = trio.current_time(), await worker.cpu()
            ended_at = sim.now()
            asked: list[_Seen] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_ask, journal, asked)
                sim.refuse(for_ms=ending.outage_s * 1000, status=500)
                sim.order(ending.step)
                for moment in range(1, SCENES + 1):
                    await trio.sleep(ending.outage_s / (SCENES + 1))
                    said |= _speak(sim, moment)
                await trio.sleep_until(began + ending.outage_s)
                recovered_at = sim.now()
                await sim.wait_until(lambda: sim.is_up() and len(sim.seen) >= len(said))
                await trio.sleep(AFTER_S)
                nursery.cancel_scope.cancel()
            cpu = (await worker.cpu() - used) / (trio.current_time() - began)
            done = await _done(worker)
        return _judge(ending, sim, _session_rows(journal), asked, cpu, said, done, ended_at, recovered_at)


def _speak(sim: Simulator, moment: int) -> set[str]:
    """Let users write."""
    texts = {f"c2c {moment}", f"group {moment}"}
    sim.say_c2c("5A0C8D1E", f"c2c {moment}")
    sim.say_group("9F3B77C2", "5A0C8D1E", f"group {moment}")
    return texts


async def _ask(journal: Path, asked: list[_Seen]) -> None:
    """Ask for the status again and again, as `statecore status` does."""
    while True:
        with open_reader(journal) as reader:
            status = reader.status(wall_now())
        asked.append(_Seen(status.events, status.accounts[0].connected))
        await trio.sleep(ASKED_EVERY_S)


async def _done(worker: Worker) -> int:
    (account,) = (await worker.ask("status"))["accounts"]
    return int(account["messages"].get("done", 0))


def _session_rows(journal: Path) -> list[LogRow]:
    with open_reader(journal) as reader:
        return list(reader.log(machine="session"))


def _judge(
    ending: Ending,
    sim: Simulator,
    rows: Sequence[LogRow],
    asked: Sequence[_Seen],
    cpu: float,
    said: set[str],
    done: int,
    ended_at: float,
    recovered_at: float,
) -> _Found:
    """Compare what the platform saw, what status said, and the journal."""
    (first,) = (row for row in rows if row.event == "Lost" and row.source in UP)
    back = next(row for row in rows if row.seq > first.seq and row.target in UP)
    down = [row for row in rows if first.seq <= row.seq < back.seq]
    waits = [row.fields["wait"] / 1e9 for row in down if row.event == "Lost"]
    lookups = sorted(one.at for name in LOOKUPS for one in sim.requests_to(name) if one.at >= ended_at)
    attempts = sorted([*lookups, *(dial.at for dial in sim.dials if dial.at >= ended_at)])
    gaps = [after - before for before, after in pairwise([ended_at, *attempts])]
    bucket = Lookups()
    return _Found(
        ending=ending,
        cpu=cpu,
        gaps=gaps[: len(waits)],  # the last wait is followed by a whole attempt, which may be two requests
        waits=waits,
        lookups=len(lookups),
        within_budget=all(bucket.admits(at, 10, 2) for at in lookups),
        lies=sum(one.connected is not False for one in asked if first.seq <= one.seq < back.seq)
        + sum(row.target in UP for row in down),
        asked=sum(first.seq <= one.seq < back.seq for one in asked),
        back_s=next(one.at for one in sim.resumes if one.at > ended_at) - recovered_at,
        last_wait_s=waits[-1],
        resumed=back.event == "Welcomed" and back.fields["resumed"] and len(sim.identifies) == 1,
        said=len(said),
        done=done,
        answers=Counter(one.text for one in sim.seen),
    )

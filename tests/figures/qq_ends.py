"""Figure 3 of QQ: whatever the platform does, the session ends where it must, and costs the platform little.

Everything is played in virtual time, with the gateway, the adapter and the simulator that ship; each play is a process of
its own, as many at a time as there are cores.
"""

import math
import os
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import attrs
import trio

from statecore.policies import Sessions
from statecore_adapters.qqbot.simulator import Knobs, Simulator, Wait
from statecore_adapters.qqbot.simulator.model import Lookups
from tests.figures.qq_faults import CLOSES, FAULTS, STAYS_AWAY_S, USER, Ending, Fault, step_of
from tests.figures.registry import Measured
from tests.support.clock import virtual
from tests.support.qq_scene import QQScene, open_virtual_qq, stands

HOUR_S: Final = 3600.0
DAY_S: Final = 24 * HOUR_S
PLATFORM_STARTS: Final = 1000
"""Sessions that may be begun in a day. Source: QQ bot API v2, the sample of session_start_limit."""

DIALS_MAX: Final = 130
"""In any hour, for any platform: a wait of half a minute on average, and some shorter ones before it gets that long."""

STARTS_MAX: Final = round(Sessions().burst + Sessions().per_day)
"""Sessions begun in any day."""

STARTS_HOUR_MAX: Final = math.ceil(Sessions().burst + Sessions().per_day / 24)

STEADY_S: Final = 70.0
"""It stands for this long before anything happens to it, which is long enough to be taken for good."""

AT_ONCE_S: Final = 3.0
"""From the end of a connection that was good to the next dial, where nothing tells against it."""

BACK_S: Final = {"stop": HOUR_S + 60, "": 180.0}
"""Until it is back from what it has to come back from: the slowest probe, or the longest backoff and what is then asked."""

STOPPED: Final = ("tripped", "token-stale")


@attrs.frozen
class _Bill:
    """What it cost the platform.

    Args:
        dials: in the worst hour.
        starts: sessions begun, in the worst hour.
        starts_day: the same in the worst day.
        lookups: whether questions for the address kept within the platform's limit.
    """

    dials: int
    starts: int
    starts_day: int
    lookups: bool

    @property
    def fits(self) -> bool:
        """Whether that is little enough."""
        return (
            self.dials <= DIALS_MAX
            and self.starts <= STARTS_HOUR_MAX
            and self.starts_day <= STARTS_MAX
            and self.lookups
        )


@attrs.frozen
class _Play:
    """What became of one play.

    Args:
        name: of what was played.
        bill: what it cost.
        faults: what was not as it must be.
    """

    name: str
    bill: _Bill
    faults: tuple[str, ...]


@attrs.frozen
class Flap:
    """A platform that closes every session soon.

    Args:
        after_s: how soon, after READY or RESUMED.
        ending: how.
        resumes: whether it lets sessions be resumed.
    """

    after_s: float
    ending: Ending
    resumes: bool

    def __str__(self) -> str:
        return f"{self.after_s:g} s, {self.ending}, {'resumable' if self.resumes else 'not resumable'}"


FLAPS: Final = (
    Flap(0, 4009, resumes=True),
    Flap(0, 4009, resumes=False),
    Flap(0, 4900, resumes=False),
    Flap(2, 4009, resumes=True),
    Flap(5, 4009, resumes=True),
    Flap(2, None, resumes=False),
    Flap(30, 4000, resumes=False),
    Flap(65, 4006, resumes=False),
    Flap(90, "reset", resumes=True),
)


def ends() -> Measured:
    """Measure every close code, every fault for an hour, and flapping for a day."""
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        flapping = [processes.submit(play_flap, flap) for flap in FLAPS]  # the longest first
        closing = [processes.submit(play_close, ending) for ending in CLOSES]
        failing = [processes.submit(play_fault, name) for name in FAULTS]
        closes, faults, flaps = ([one.result() for one in some] for some in (closing, failing, flapping))
    plays = [*closes, *faults, *flaps]
    wrong = [play for play in plays if play.faults or not play.bill.fits]
    worst, longest = (max(play.bill.dials for play in plays), max(play.bill.starts_day for play in flaps))
    return Measured(
        f"{_right(closes)} close codes and {_right(faults)} faults end where they must; "
        f"at most {worst} dials and {max(play.bill.starts for play in plays)} sessions begun in any hour; "
        f"{len(flaps)} ways of flapping for a day begin at most {longest} sessions, of the platform's {PLATFORM_STARTS}",
        holds=not wrong and longest <= STARTS_MAX < PLATFORM_STARTS,
        notes=(
            *(f"{play.name}: {', '.join(play.faults)}; {play.bill}" for play in wrong),
            *(f"{play.name}: {play.bill.starts_day} sessions, {play.bill.dials} dials an hour" for play in flaps),
        ),
    )


def _right(plays: Sequence[_Play]) -> str:
    return f"{sum(not play.faults for play in plays)} of {len(plays)}"


# ---- one play --------------------------------------------------------------------------------------------------------


def _played(act: Callable[[QQScene], Awaitable[list[str]]], name: str, limit_s: float) -> _Play:
    """Let something happen to a session that has stood for a while."""
    found: list[_Play] = []

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with (
                open_virtual_qq(Path(folder), knobs=Knobs(connection_s=None)) as scene,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(scene.echo)
                await stands(scene)
                await trio.sleep(STEADY_S)
                faults = await act(scene)
                found.append(_Play(name, _bill(scene.sim), tuple(faults)))
                nursery.cancel_scope.cancel()

    virtual(main, limit=limit_s)
    return found[0]


def _bill(sim: Simulator) -> _Bill:
    dials = [dial.at for dial in sim.dials]
    starts = [one.at for one in sim.identifies]
    bucket, knobs = Lookups(), sim.knobs
    lookups = sorted(one.at for name in ("gateway", "gateway/bot") for one in sim.requests_to(name))
    return _Bill(
        dials=_most(dials, HOUR_S),
        starts=_most(starts, HOUR_S),
        starts_day=_most(starts, DAY_S),
        lookups=all(bucket.admits(at, knobs.lookups_burst, knobs.lookups_per_minute) for at in lookups),
    )


def _most(times: Sequence[float], span: float) -> int:
    return max((sum(begin <= at < begin + span for at in times) for begin in times), default=0)


async def _connected(scene: QQScene, within_s: float) -> bool:
    with trio.move_on_after(within_s):
        while not scene.status().connected:  # noqa: ASYNC110 - asked as another process asks
            await trio.sleep(1)
        return True
    return False


# ---- close codes -----------------------------------------------------------------------------------------------------


def play_close(ending: Ending) -> _Play:
    """Close a session once, and see what follows."""
    return _played(lambda scene: _close(scene, ending), f"closed: {ending}", 3 * HOUR_S)


async def _close(scene: QQScene, ending: Ending) -> list[str]:
    sim, then = scene.sim, CLOSES[ending]
    fetched = len(sim.requests_to("token"))
    sim.order(step_of(ending))
    closed_at = sim.now()
    await trio.sleep(10)
    status = scene.status()
    if then == "stop":
        checks = {
            f"it is {status.state}": status.state == "tripped" and status.connected is False,
            "it says no action": bool(status.action),
            "it goes on dialling": len(sim.dials) == 1,
            "it does not come back": await _connected(scene, BACK_S["stop"]),
        }
        return [fault for fault, right in checks.items() if not right]
    back = await _connected(scene, BACK_S[""])
    asked = [("identify", one.at) for one in sim.identifies[1:]] + [("resume", one.at) for one in sim.resumes]
    op, at = asked[0] if asked else ("nothing", math.inf)
    away_s = STAYS_AWAY_S.get(ending, 0) if isinstance(ending, int) else 0
    checks = {
        f"it asked to {op}": op == ("identify" if then == "identify" else "resume"),
        f"{len(asked)} attempts": len(asked) == 1 == len(sim.dials) - 1,
        f"it was away for {at - closed_at:.1f} s": away_s <= at - closed_at <= max(away_s * 1.1, AT_ONCE_S),
        "it fetched no token": then != "token" or len(sim.requests_to("token")) > fetched,
        "it does not come back": back,
    }
    return [fault for fault, right in checks.items() if not right]


# ---- faults ----------------------------------------------------------------------------------------------------------


def play_fault(name: str) -> _Play:
    """Let a fault go on for an hour, and see what comes of it and what follows."""
    return _played(lambda scene: _fail(scene, FAULTS[name]), name, 4 * HOUR_S)


async def _fail(scene: QQScene, fault: Fault) -> list[str]:
    sim, dials = scene.sim, len(scene.sim.dials)
    end = fault.begin(sim)
    await trio.sleep(HOUR_S / 2)
    dials = len(sim.dials) - dials
    await trio.sleep(HOUR_S / 4)
    status = scene.status()
    said = bool(status.reason) and (bool(status.action) or fault.comes != "stop")
    right_place = {
        "up": status.connected is True,
        "down": status.connected is False and status.state not in STOPPED and said,
        "stop": status.state in STOPPED and said,
        "any": True,
    }
    end()
    back = await _connected(scene, DAY_S if fault.comes == "any" else BACK_S.get(fault.comes, BACK_S[""]))
    sim.say_c2c(USER, "afterwards")
    with trio.move_on_after(60):
        await sim.wait_until(lambda: any(one.text == "afterwards" for one in sim.seen))
    await trio.sleep(60)
    answers = Counter(one.text for one in sim.seen)
    meanwhile = sum(text.startswith("meanwhile") for text in answers)
    done = scene.status().messages.get("done", 0)
    checks = {
        f"it came to {status.state} ({status.reason or 'no reason'}; {status.action or 'no action'})": right_place[
            fault.comes
        ],
        f"{dials} dials": fault.dials in (None, dials),
        "it does not come back": back,
        f"{done - 1} of {fault.handled} messages handled": done == fault.handled + 1,
        f"{meanwhile} answers seen": fault.shown in (None, meanwhile) and answers["afterwards"] == 1,
        "answers seen twice": max(answers.values(), default=0) <= 1,
    }
    return [wrong for wrong, right in checks.items() if not right]


# ---- flapping --------------------------------------------------------------------------------------------------------


def play_flap(flap: Flap) -> _Play:
    """Let a platform close every session soon, for a day."""
    return _played(lambda scene: _flap(scene, flap), f"flapping after {flap}", DAY_S + HOUR_S)


async def _flap(scene: QQScene, flap: Flap) -> list[str]:
    sim = scene.sim
    if not flap.resumes:
        sim.knobs.resume_window_s = 0
    sim.at("up", Wait(flap.after_s * 1000), step_of(flap.ending))
    sim.order(step_of(flap.ending))
    await trio.sleep(DAY_S)
    status = scene.status()
    return [] if status.connected or status.reason else [f"it is {status.state}, and does not say why"]

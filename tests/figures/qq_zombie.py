"""Figure 2 of QQ: a connection that is open, and nobody at its other end."""

from pathlib import Path
from typing import Final

import attrs
import trio

from statecore_adapters.qqbot.simulator import Freeze, Knobs
from tests.figures.registry import Measured, scratch
from tests.support.clock import virtual
from tests.support.qq_scene import QQScene, open_qq, open_virtual_qq, stands

PHASES: Final = 8
"""It goes dead at so many different moments between two heartbeats."""

SHORT_MS: Final = 2000.0
USUAL_MS: Final = 41_250.0
ALLOWED: Final = 2.0
"""Intervals."""

USER: Final = "5A0C8D1E"


@attrs.frozen
class _Found:
    """What one interval's zombies cost, in seconds.

    Args:
        interval: between heartbeats.
        noticed: from the moment it went dead, of each.
        resumed: the same, until the session stood again.
        whole: whether every message came through once, and no other session was begun.
    """

    interval: float
    noticed: list[float]
    resumed: list[float]
    whole: bool

    @property
    def holds(self) -> bool:
        """Whether all were noticed in time, and resumed."""
        return self.whole and max(self.noticed) <= ALLOWED * self.interval

    def __str__(self) -> str:
        if len(self.resumed) < PHASES:
            return f"every {self.interval:g} s only {len(self.resumed)} of {PHASES} were noticed and resumed"
        late = max(self.noticed) / self.interval
        return (
            f"every {self.interval:g} s noticed within {late:.2f} intervals ({max(self.noticed):.1f} s), "
            f"resumed within {max(self.resumed):.1f} s{'' if self.whole else ', something lost, doubled or begun anew'}"
        )


def zombies() -> Measured:
    """Measure with a short interval in real time, and with the platform's usual one in virtual time."""
    with scratch() as folder:
        short = trio.run(_real, folder)
    with scratch() as folder:
        usual = virtual(lambda: _virtual(folder))
    return Measured(
        f"heartbeats {short}; {usual} in virtual time",
        holds=short.holds and usual.holds,
        notes=tuple(
            f"{one.interval:g} s: noticed after {', '.join(f'{seconds:.1f}' for seconds in one.noticed)} s"
            for one in (short, usual)
        ),
    )


async def _real(folder: Path) -> _Found:
    async with open_qq(folder, knobs=Knobs(heartbeat_interval_ms=SHORT_MS)) as scene:
        return await _measure(scene, SHORT_MS / 1000)


async def _virtual(folder: Path) -> _Found:
    async with open_virtual_qq(folder, knobs=Knobs(heartbeat_interval_ms=USUAL_MS)) as scene:
        return await _measure(scene, USUAL_MS / 1000)


async def _measure(scene: QQScene, interval: float) -> _Found:
    """Let it go dead at one moment after the other, and a user write while it is."""
    sim, found = scene.sim, _Found(interval, [], [], whole=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scene.echo)
        with trio.move_on_after(PHASES * 10 * interval):
            await stands(scene)
            for number in range(PHASES):
                await _go_dead(scene, number, found)
            await trio.sleep(interval)  # long enough for a copy to show
        nursery.cancel_scope.cancel()
    texts = [one.text for one in sim.seen]
    whole = texts == [f"hello {number}" for number in range(PHASES)] and len(sim.identifies) == 1
    return attrs.evolve(found, whole=whole and len(sim.resumes) == PHASES)


async def _go_dead(scene: QQScene, number: int, found: _Found) -> None:
    sim, beats = scene.sim, len(scene.sim.heartbeats)
    await sim.wait_until(lambda: len(sim.heartbeats) > beats)
    await trio.sleep(found.interval * number / PHASES)
    dead_at, died = trio.current_time(), len(_dead(scene))
    sim.order(Freeze())
    sim.say_c2c(USER, f"hello {number}")
    while len(_dead(scene)) == died:  # noqa: ASYNC110 - the journal tells nobody
        await trio.sleep(found.interval / 100)
    found.noticed.append(trio.current_time() - dead_at)
    await sim.wait_until(lambda: len(sim.resumes) > number and len(sim.seen) > number)
    found.resumed.append(trio.current_time() - dead_at)


def _dead(scene: QQScene) -> list[int]:
    return [row.seq for row in scene.rows("Elapsed(beat_at)") if row.target == "reconnecting"]

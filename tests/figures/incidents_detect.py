"""Figure 3 of incidents: what is found in the recorded journals, and what it costs to look for it while they are written."""

import tempfile
from pathlib import Path
from timeit import default_timer
from typing import Final

import trio

from statecore.system import Unit
from statecore_journal import open_reader
from statecore_journal.incidents import LiveMonitors, find
from tests.figures.registry import Measured
from tests.incidents.record import JOURNALS
from tests.incidents.scene import Scene, recording
from tests.incidents.scenes import SCENES, trouble
from tests.support.platform import QUICK, Fake, Plain
from tests.support.stage import Stage

SEEDS: Final = ("retry-storm", "silent-drop", "stale-token", "restart-race", "busy-loop")
MORE_MIN: Final = 10
HEALTHY_MIN: Final = 10
MESSAGES: Final = 2000
TURNS: Final = 5


def detecting() -> Measured:
    """Look into every recorded journal."""
    wrong = {scene.name: why for scene in SCENES.values() if (why := _wrong(scene))}
    calm = [scene.name for scene in SCENES.values() if not scene.expects]
    more = [scene.name for scene in SCENES.values() if scene.expects and scene.name not in SEEDS]
    right = {
        name: sum(one not in wrong for one in names)
        for name, names in (("seeds", SEEDS), ("more", more), ("calm", calm))
    }
    kinds = {expect.kind for scene in SCENES.values() if scene.name not in wrong for expect in scene.expects}
    row, unit = cost()
    enough = len(more) >= MORE_MIN and len(calm) >= HEALTHY_MIN
    return Measured(
        f"{right['seeds']} of {len(SEEDS)} seeds and {right['more']} of {len(more)} others named with their start,"
        f" {len(kinds)} kinds in all; nothing in {right['calm']} of {len(calm)} healthy ones;"
        f" live it costs {row * 1e6:.1f} µs a row",
        holds=not wrong and enough,
        notes=(
            *(f"{name}: {why}" for name, why in wrong.items()),
            f"a unit of a busy gateway costs {unit * 1e6:.1f} µs",
        ),
    )


def _wrong(scene: Scene) -> str:
    """Return what is not as the script has it; empty if all is."""
    path = JOURNALS / f"{scene.name}.db"
    with open_reader(path) as reader:
        rows = list(reader.log())
    found = sorted((incident.kind, incident.first, incident.last is not None) for incident in find(path))
    expected = sorted((expect.kind, expect.start(rows), expect.over) for expect in scene.expects)
    return "" if found == expected else f"found {found}, expected {expected}"


def cost() -> tuple[float, float]:
    """Return the seconds that monitors take for a row, and for a unit, of a gateway with messages coming and going."""
    units = _busy()
    count = sum(len(unit.entries) for unit, _ in units)
    best = float("inf")
    for _ in range(TURNS):
        now = 0
        monitors = LiveMonitors(lambda: now)  # noqa: B023 - it is the clock of this very turn
        began = default_timer()
        for unit, first in units:
            now = unit.now
            monitors.take(unit, first)
        monitors.look(now)
        best = min(best, default_timer() - began)
    return best / count, best / len(units)


def _busy() -> list[tuple[Unit, int]]:
    """Return the units of a gateway that answers many messages."""
    units: list[tuple[Unit, int]] = []

    async def main() -> None:
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            gateway.watch(lambda unit, first: units.append((unit, first)))
            for _ in range(8):
                nursery.start_soon(trouble.echo, gateway)
            for number in range(MESSAGES):
                stage.server.say(f"chat {number % 50}", f"message {number}")
                if number % 20 == 0:
                    await trio.sleep(3)
            await stage.settled(within=3600)
            nursery.cancel_scope.cancel()

    with tempfile.TemporaryDirectory() as folder, recording():
        stage = Stage(Path(folder))
        stage.account = Fake(stage.server, Plain(), QUICK)
        stage.run(main, rows_per_second=None)
    return units

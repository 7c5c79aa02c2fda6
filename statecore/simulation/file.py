"""A simulated journal as a file: written through the real store, so that every reading command opens it."""

from pathlib import Path
from typing import Final

import trio

from statecore.errors import JournalError
from statecore.simulation.discrete import Outcome, Simulation
from statecore.simulation.disk import Lease
from statecore.simulation.plan import Plan
from statecore.system import Unit

UNITS_AT_ONCE: Final = 500


def run_to_file(plan: Plan, path: str | Path) -> Outcome:
    """Run a plan, and write its journal to a new file.

    Raises:
        JournalError: there is such a file already, or it cannot be written.
    """
    file = Path(path)
    if file.exists():
        raise JournalError(f"{file} exists; name a file that does not, or remove it")
    if not file.parent.is_dir():
        raise JournalError(f"{file.parent} is no folder; make it first")
    simulation = Simulation(plan, keep=True)
    outcome = simulation.run()
    trio.run(_write, file, simulation.disk.history or [])
    return outcome


async def _write(file: Path, history: list[tuple[int, Unit | Lease, str]]) -> None:
    from statecore_journal import open_journal

    clock = [history[0][0] if history else 0]
    async with open_journal(file, wall=lambda: clock[0], threaded=False) as journal:
        waiting: list[Unit] = []
        for wall, what, account in history:
            if isinstance(what, Lease) or len(waiting) >= UNITS_AT_ONCE:
                if waiting:
                    await journal.append(waiting)
                waiting = []
            clock[0] = wall
            if isinstance(what, Lease):
                await journal.take(account, what.boot, 1, "simulated")
            else:
                waiting.append(what)
        if waiting:
            await journal.append(waiting)

"""The composition root: the one place where the runtime meets the journal and the adapters.

Everything else in `statecore` knows only the ports.
"""

import signal
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from statecore.gateway import Gateway, Monitors, Options, run_gateway
from statecore.handover import Replacing
from statecore.platform import AccountConfig
from statecore.world import RealWorld


@asynccontextmanager
async def open_gateway(
    journal: str | Path,
    accounts: Mapping[str, AccountConfig],
    *,
    options: Options | None = None,
    signals: bool = True,
    replacing: Replacing | None = None,
) -> AsyncIterator[Gateway]:
    """Run a gateway for as long as the context lasts; leaving it lets the accounts go in order.

    It returns at once. Accounts come up by themselves, each independently of the others; what is sent meanwhile is
    durable and waits. An account that another process drives is waited for, and taken over when that process ends.

    Args:
        journal: the journal's file; made if it does not exist. Its folder must exist.
        accounts: by the names under which `send` and messages know them.
        options: how it runs.
        signals: stop on SIGTERM and SIGINT: `inbox` ends, and so the program can leave the context. Only where that is
            possible, in the main thread.
        replacing: ask the processes that drive the accounts to hand them over, and end those that have stopped answering;
            None to wait for them.

    Raises:
        NotAJournal, JournalTooNew, JournalCorrupt, JournalError: the file cannot be used; it was not changed.
        ConfigError: an account cannot be run as it is configured.
    """
    from statecore_journal import open_journal  # it imports the core, whose front door this is

    options = options if options is not None else Options()
    watched = (
        (signal.SIGTERM, signal.SIGINT) if signals and threading.current_thread() is threading.main_thread() else ()
    )
    boot = RealWorld()
    async with open_journal(journal, wall=boot.wall, busy_ns=options.busy) as opened:
        world = RealWorld(origin=opened.store.latest_at())
        monitors = _monitors(opened.path, world) if options.incidents == "on" else None
        async with run_gateway(
            opened, accounts, world, options, signals=watched, replacing=replacing, monitors=monitors
        ) as gateway:
            yield gateway


def _monitors(path: Path, world: RealWorld) -> Monitors:
    """Make what watches a gateway for incidents, with what went on before it began."""
    from statecore_journal import Reader
    from statecore_journal.incidents import LiveMonitors

    monitors = LiveMonitors(world.wall)
    monitors.read(Reader(path), world.now())
    return monitors

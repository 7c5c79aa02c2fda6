"""Everything a run replaces so that its seed decides all of it, each with the reason; and what need not be replaced.

Left alone, because it changes nothing that is recorded: the masks and keys of WebSockets (random bytes of a fixed length),
the date in the headers of the simulated servers (also of a fixed length, and only told apart from itself), the salts in
SQLite's log.
"""

import gc
import logging
import os
import random  # noqa: TID251 - the run's own, from its seed
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Final
from unittest import mock

import trio
from httpcore._async import http11

from statecore import gateway, handover, hermes_lock, lease, processes, world
from statecore.simulation.faithful.kernel import Kernel, here

PROXIES: Final = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@contextmanager
def plugged(seed: int, folder: Path, kernel: Kernel) -> Iterator[None]:
    """Replace what is outside for as long as the context lasts.

    Args:
        seed: of the run.
        folder: of the run; stands for the user's home.
        kernel: which knows the processes of the run.
    """
    chance = random.Random(f"{seed}/wire")  # noqa: S311 - repeatable on purpose
    with ExitStack() as stack:
        # Fields of requests that want a fresh number: the length of one decides how long its request takes. The module's
        # own generator is drawn from by whoever likes, also by modules that happen to be imported during the run.
        drawn = SimpleNamespace(getrandbits=chance.getrandbits, Random=random.Random)
        stack.enter_context(mock.patch.object(world, "random", drawn))
        stack.enter_context(mock.patch.dict(os.environ, _environment(folder)))
        for name in PROXIES:
            os.environ.pop(name, None)
        # Process numbers and the host's name are in the journal, and signals must reach the processes of the run only.
        for module in (gateway, handover, lease, hermes_lock):
            stack.enter_context(mock.patch.object(module, "here", here))
        for name in ("begun", "holds", "end", "dead"):
            stack.enter_context(mock.patch.object(processes, name, getattr(kernel, name)))
        # What a gateway says in a run is no news of the real one. Whoever listens to the log on purpose still hears it.
        stack.enter_context(_silent(logging.getLogger("statecore")))
        # How long a connection of httpx has been idle decides whether it is used again.
        stack.enter_context(mock.patch.object(http11, "time", _VirtualTime))
        stack.enter_context(_collected_on_time())
        yield


def _environment(folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "XDG_STATE_HOME": str(folder / "state"),
        "HERMES_HOME": str(folder / "hermes"),
        "no_proxy": "*",
    }


@contextmanager
def _silent(log: logging.Logger) -> Iterator[None]:
    """Keep Python from printing what nobody handles."""
    handler = logging.NullHandler()
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


class _VirtualTime:
    """The module `time` for httpcore, with trio's clock."""

    @staticmethod
    def monotonic() -> float:
        """Return trio's time."""
        return trio.current_time()


@contextmanager
def _collected_on_time() -> Iterator[None]:
    """Keep the collector from running whenever it likes: what it finds may have finalisers, and weak references end.

    What there was before is put aside, so that a collection in the run looks at the run only.
    """
    was = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was:
            gc.enable()


async def collect(every_s: float = 60.0) -> None:
    """Run the collector at fixed times."""
    while True:
        await trio.sleep(every_s)
        gc.collect()


__all__ = ["collect", "plugged"]

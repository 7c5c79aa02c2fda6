"""Figure 6 of QQ: what a thousand connections cost that have nothing to do, half of them in backoff."""

import resource
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from timeit import default_timer
from typing import Any, Final

import attrs
import trio

from statecore.world import wall_now
from statecore_adapters.qqbot import simulator as qq
from statecore_adapters.weixin import simulator as wx
from statecore_journal import open_reader
from tests.figures.registry import Measured, scratch
from tests.figures.scene import qqbot, weixin
from tests.figures.worker import Accounts, Worker, open_worker

HEALTHY: Final = 250
"""Connections of each platform that stand; as many more of each are in backoff."""

ALL: Final = 4 * HEALTHY

SETTLE_S: Final = 90.0
"""Until every backoff has got to its cap: its waits are 1, 2, 4 ... 60 s at the most."""

SPAN_S: Final = 60.0
"""A heartbeat, a poll and an attempt of everyone fall into it."""

STANDING: Final = ("connected", "beating", "resting")
"""States of a connection with nothing to do."""

CPU_MAX: Final = 0.05
EACH_KB_MAX: Final = 25
STATUS_S_MAX: Final = 0.1
STATUS_ASKED: Final = 5


@attrs.frozen
class _Cost:
    """What a gateway costs.

    Args:
        cpu: share of a core.
        memory: resident, in MB.
        up: how many accounts stood, by state.
        asked_s: the longest its own answer took.
        read_s: the longest that reading its journal took, as `statecore status` does.
        rows: journaled in a second.
    """

    cpu: float
    memory: float
    up: dict[str, int]
    asked_s: float
    read_s: float
    rows: float


async def thousand() -> Measured:
    """Measure a gateway with one connection of each platform, and one with a thousand."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))  # the simulators hold as many sockets
    with _refusing() as nobody:
        few = await _measure(1, 0, nobody)
        many = await _measure(HEALTHY, HEALTHY, nobody)
    each = (many.memory - few.memory) * 1000 / (ALL - 2)
    states = ", ".join(f"{count} {state}" for state, count in sorted(many.up.items()))
    slowest = max(many.asked_s, many.read_s)
    return Measured(
        f"{many.cpu:.1%} of a core, {each:.1f} kB each, status within {slowest * 1000:.0f} ms",
        holds=many.cpu < CPU_MAX
        and each < EACH_KB_MAX
        and slowest <= STATUS_S_MAX
        and sum(count for state, count in many.up.items() if state in STANDING) >= 2 * HEALTHY,
        notes=(
            f"{states}; {many.rows:.0f} rows/s",
            f"status: {many.asked_s * 1000:.0f} ms asked of the gateway, {many.read_s * 1000:.0f} ms read from its journal",
            f"two connections cost {few.cpu:.2%} and {few.memory:.1f} MB, a thousand {many.memory:.1f} MB",
        ),
    )


@contextmanager
def _refusing() -> Iterator[str]:
    """Hold a port at which nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{nobody.getsockname()[1]}"


async def _measure(healthy: int, failing: int, nobody: str) -> _Cost:
    with scratch() as folder:
        async with wx.open_simulator() as weixins, qq.open_simulator() as qqs:
            accounts: dict[str, dict[str, Any]] = {}
            for number in range(healthy + failing):
                refused = number >= healthy
                bot = weixins.add_bot(f"{number:012x}@im.bot")
                robot = qqs.add_bot(str(102_000_001 + number))
                about, other = weixin(weixins, bot), qqbot(qqs, robot)
                accounts[f"wx{number}"] = about | ({"base_url": nobody} if refused else {})
                accounts[f"qq{number}"] = other | (
                    {"api_base": nobody, "token_url": f"{nobody}/token"} if refused else {}
                )
            return await _cost(folder / "gateway.db", accounts, 2 * healthy)


async def _cost(journal: Path, accounts: Accounts, standing: int) -> _Cost:
    async with open_worker(journal, accounts) as worker:
        await worker.ask("take")
        while sum(_states(journal)[state] for state in STANDING) < standing:  # noqa: ASYNC110 - as another process asks
            await trio.sleep(1)
        await trio.sleep(SETTLE_S)
        began, used, rows = trio.current_time(), await worker.cpu(), _rows(journal)
        await trio.sleep(SPAN_S)
        span = trio.current_time() - began
        used, rows, memory = await worker.cpu() - used, _rows(journal) - rows, worker.memory()
        up = _states(journal)
        asked_s, read_s = await _ask_status(worker, journal)
        return _Cost(used / span, memory, dict(up), asked_s, read_s, rows / span)


async def _ask_status(worker: Worker, journal: Path) -> tuple[float, float]:
    """Ask for the status in both ways; return the longest of each."""
    asked_s = read_s = 0.0
    for _ in range(STATUS_ASKED):
        asked_s = max(asked_s, (await worker.ask("status"))["seconds"])
        began = default_timer()
        _states(journal)
        read_s = max(read_s, default_timer() - began)
    return asked_s, read_s


def _states(journal: Path) -> Counter[str]:
    """Ask as `statecore status` does."""
    if not journal.exists():
        return Counter()
    with open_reader(journal) as reader:
        return Counter(account.state for account in reader.status(wall_now()).accounts)


def _rows(journal: Path) -> int:
    with open_reader(journal) as reader:
        return max((row.seq for row in reader.log(last=1)), default=0)

"""Figure 6 of the gateway: what a misbehaving peer costs it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from timeit import default_timer
from typing import Final

import attrs
import trio

from statecore.world import wall_now
from statecore_adapters.weixin.simulator import CloseAtOnce, HalfResponse, Simulator, open_simulator
from statecore_journal import open_reader
from tests.figures.registry import Measured, scratch
from tests.figures.scene import weixin
from tests.figures.worker import ACCOUNT, Worker, open_worker

SPAN_S: Final = 10.0
WARM_UP_S: Final = 4.0
"""Imports, the first dial and the burst that the governor allows are over by then; a gateway lives for weeks."""

CPU_MAX: Final = 0.02
STATUS_S_MAX: Final = 0.1
"""What a person calls at once."""

STATUS_ASKED: Final = 5


def _empty(sim: Simulator) -> None:
    sim.knobs.instant_empty = True


def _stops(sim: Simulator) -> None:
    sim.script("getupdates", lambda answer: HalfResponse(answer, len(answer.body) // 2, then="stall"))
    sim.knobs.instant_empty = True


def _breaks_off(sim: Simulator) -> None:
    sim.knobs.instant_empty = True
    sim.knobs.poll_fault = "half_response"


def _closes_polls(sim: Simulator) -> None:
    sim.knobs.instant_empty = True
    sim.knobs.poll_fault = "close_at_once"


def _closes_all(sim: Simulator) -> None:
    sim.script("*", CloseAtOnce())


def _endless_body(sim: Simulator) -> None:
    sim.knobs.instant_empty = True
    sim.knobs.poll_fault = "flood"


def _endless_messages(sim: Simulator) -> None:
    sim.knobs.message_flood = 50


PEERS: Final[Mapping[str, Callable[[Simulator], None]]] = {
    "answers with nothing": _empty,
    "stops halfway": _stops,
    "breaks off halfway": _breaks_off,
    "closes polls": _closes_polls,
    "closes all": _closes_all,
    "endless answer": _endless_body,
    "endless messages": _endless_messages,
}


@attrs.frozen
class Cost:
    """What one peer cost.

    Args:
        cpu: share of a core.
        status_s: the longest that a status took, asked of the gateway and read from the journal.
        polls: how often the peer was asked in the span.
        says: what status said of the connection.
    """

    cpu: float
    status_s: float
    polls: int
    says: str


async def hostile_peers() -> Measured:
    """Measure one peer after the other, and a good one for comparison."""
    idle = await _measure(lambda _sim: None)
    costs = {name: await _measure(misbehave) for name, misbehave in PEERS.items()}
    cpu = ", ".join(f"{name} {cost.cpu:.1%}" for name, cost in costs.items())
    slowest = max(cost.status_s for cost in costs.values())
    return Measured(
        f"{cpu}; status within {slowest * 1000:.0f} ms",
        holds=slowest <= STATUS_S_MAX and all(cost.cpu < CPU_MAX for cost in costs.values()),
        notes=(
            f"for comparison, a good peer costs {idle.cpu:.2%} and status {idle.status_s * 1000:.1f} ms",
            *(
                f"{name}: {cost.cpu:.2%}, {cost.polls} polls, status {cost.status_s * 1000:.1f} ms, {cost.says}"
                for name, cost in costs.items()
            ),
        ),
    )


async def _measure(misbehave: Callable[[Simulator], None]) -> Cost:
    with scratch() as folder:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            misbehave(sim)
            accounts = {ACCOUNT: weixin(sim, bot)}
            journal = folder / "gateway.db"
            async with open_worker(journal, accounts) as worker:
                await worker.ask("take")
                await trio.sleep(WARM_UP_S)
                polls, began, used = sim.polls, trio.current_time(), await worker.cpu()
                await trio.sleep(SPAN_S)
                used = await worker.cpu() - used
                share = used / (trio.current_time() - began)
                polls = sim.polls - polls
                slowest, says = await _ask_status(worker, journal)
                return Cost(share, slowest, polls, says)


async def _ask_status(worker: Worker, journal: Path) -> tuple[float, str]:
    """Ask for the status in both ways while the peer goes on; return the longest wait in seconds, and what it said."""
    slowest, says = 0.0, ""
    for _ in range(STATUS_ASKED):
        await trio.sleep(0.1)
        began = default_timer()
        status = await worker.ask("status")
        slowest = max(slowest, default_timer() - began)
        says = next(f"{one['state']}: {one['reason']}" for one in status["accounts"] if one["name"] == ACCOUNT)
        began = default_timer()
        with open_reader(journal) as reader:  # as `statecore status` does
            reader.status(wall_now())
        slowest = max(slowest, default_timer() - began)
    return slowest, says

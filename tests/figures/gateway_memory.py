"""Figure 7 of the gateway: what it costs in memory that 100,000 messages wait for one chat."""

from pathlib import Path
from timeit import default_timer
from typing import Any, Final

import trio

from statecore.world import wall_now
from statecore_adapters.weixin.simulator import Bot, Simulator, open_simulator
from statecore_journal import ChatStatus, open_reader
from tests.figures.gateway_refusals import PREPARE_FAILED
from tests.figures.registry import Measured, scratch
from tests.figures.scene import weixin
from tests.figures.worker import ACCOUNT, Worker, open_worker

MESSAGES: Final = 100_000
GROWTH_MB_MAX: Final = 40
USER: Final = "o9cq80refused@im.wechat"
SETTLE_S: Final = 3


async def backlog() -> Measured:
    """Measure an idle gateway, the same with everything queued, and one that starts with that."""
    with scratch() as folder:
        journal = folder / "gateway.db"
        async with open_simulator() as sim:
            bot = sim.add_bot()
            accounts = {ACCOUNT: weixin(sim, bot)}
            async with open_worker(journal, accounts) as worker:
                await _up(worker, sim, bot)
                idle = worker.memory()
                sim.script("sendmessage", PREPARE_FAILED, for_user=USER)
                took = await worker.ask("fill", chat=USER, count=MESSAGES)
                await trio.sleep(SETTLE_S)
                grown, peak = worker.memory() - idle, worker.memory("VmHWM") - idle
                waits, inside = await _asked(worker)
            async with open_worker(journal, accounts) as worker:
                began = default_timer()
                await worker.ask("cpu")
                restart = default_timer() - began
                await trio.sleep(SETTLE_S)
                again, again_peak = worker.memory() - idle, worker.memory("VmHWM") - idle
            read, outside = _read(journal)
        explained = waits["waiting"] == MESSAGES == read.waiting and bool(waits["reason"]) and bool(waits["action"])
        worst = max(peak, grown, again_peak)
        return Measured(
            f"{grown:+.1f} MB over an idle gateway's {idle:.0f} MB (at most {peak:+.1f}; after a restart {again:+.1f}), "
            f"{MESSAGES / took:.0f} accepted/s; status names {waits['waiting']} waiting and why in {inside * 1000:.0f} ms",
            holds=worst < GROWTH_MB_MAX and explained,
            notes=(
                f"status says: {waits['state']}: {waits['reason']}; {waits['action']}",
                f"`statecore status` takes {outside * 1000:.0f} ms on {_size(journal):.0f} MB of journal",
                f"a restart is up after {restart:.2f} s and peaks at {again_peak:+.1f} MB",
            ),
        )


async def _up(worker: Worker, sim: Simulator, bot: Bot) -> None:
    """Wait until the gateway has heard the user and has come to rest."""
    sim.say(bot, USER, "hello")
    while not any(account["messages"] for account in (await worker.ask("status"))["accounts"]):  # noqa: ASYNC110
        await trio.sleep(0.05)
    await trio.sleep(SETTLE_S)


async def _asked(worker: Worker) -> tuple[dict[str, Any], float]:
    began = default_timer()
    status = await worker.ask("status")
    took = default_timer() - began
    account = next(account for account in status["accounts"] if account["name"] == ACCOUNT)
    return next(chat for chat in account["chats"] if chat["chat"] == USER), took


def _read(journal: Path) -> tuple[ChatStatus, float]:
    """Ask as another process does."""
    began = default_timer()
    with open_reader(journal) as reader:
        status = reader.status(wall_now())
    took = default_timer() - began
    account = next(account for account in status.accounts if account.name == ACCOUNT)
    return next(chat for chat in account.chats if chat.chat == USER), took


def _size(journal: Path) -> float:
    return journal.stat().st_size / 1e6

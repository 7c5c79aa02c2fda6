"""Figure 2 of incidents: what-if over an incident of ten thousand events."""

from pathlib import Path
from timeit import default_timer
from typing import Final

import trio

from statecore.gateway import Gateway
from statecore.platform import Policies
from statecore_journal.whatif import Compared, what_if
from tests.figures.registry import Measured, scratch
from tests.support.platform import PLATFORMS, Fake, refused, wechat
from tests.support.stage import Stage

EVENTS: Final = 10_000
WITHIN_S: Final = 1.0
RUNS: Final = 5
CHATS: Final = tuple(f"chat{number}" for number in range(12))
CHANGES: Final = {"account.wx.circuit.cooldown": "20s", "account.wx.pacing.per_second": "1.5"}


def what_if_speed() -> Measured:
    """Record an incident in virtual time, and ask of it what would have been; and whether it is what it was.

    Reading the journal, running it once as it was and once with the change, and comparing them are all in the time.
    """
    with scratch() as folder:
        path = record(folder)
        (same,) = what_if(path, {}, PLATFORMS)
        took = []
        changed: list[Compared] = []
        for _ in range(RUNS):
            began = default_timer()
            changed = what_if(path, CHANGES, PLATFORMS)
            took.append(default_timer() - began)
    reproduced = same.rows if same.strayed is None and same.parting is None else 0
    middle, found = sorted(took)[RUNS // 2], changed[0]
    return Measured(
        f"{middle:.2f} s for {found.rows} events, {reproduced} of {same.rows} transitions reproduced with nothing changed",
        holds=middle < WITHIN_S and same.rows >= EVENTS and reproduced == same.rows,
        notes=(
            f"the fastest of {RUNS} took {min(took):.2f} s, the slowest {max(took):.2f} s",
            f"refused requests {found.recorded.refused} -> {found.changed.refused}",
        ),
    )


def record(folder: Path) -> Path:
    """Record two refusals of some minutes, with 12 chats that talk all the while."""
    stage = Stage(folder)
    stage.account = Fake(stage.server, wechat(), Policies())

    async def talk() -> None:
        while True:
            for chat in CHATS:
                stage.server.say(chat, f"and {trio.current_time():.0f}")
            await trio.sleep(120)

    async def listen(gateway: Gateway) -> None:
        async for message in gateway.inbox():
            async with message:
                pass

    async def main() -> None:
        stage.server.during(60, 400, refused())
        stage.server.during(1500, 1700, refused())
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            nursery.start_soon(listen, gateway)
            receipts = []
            for number in range(2200):
                receipts.append(await gateway.send("wx", CHATS[number % len(CHATS)], f"message {number}"))
                await trio.sleep(1.3)
            for receipt in receipts:
                await receipt.settled()
            nursery.cancel_scope.cancel()

    stage.run(main, limit=1e6, rows_per_second=None)
    return stage.path

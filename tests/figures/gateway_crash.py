"""Figure 5 of the gateway: kill -9 at random moments, over and over, while it accepts and delivers."""

import json
import random  # noqa: TID251 - the moments of the kills; nothing of the project is decided by them
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Final

import attrs
import trio

from statecore.world import wall_now
from statecore_adapters.httpd import Answer, Response
from statecore_adapters.weixin.simulator import Bot, Knobs, Simulator, Stall, open_simulator
from statecore_journal import diverges, open_reader
from tests.figures.registry import Measured, scratch
from tests.figures.scene import tally, weixin
from tests.figures.worker import ACCOUNT, Accounts, open_worker

KILLS: Final = 50
CHATS: Final = 20
EACH: Final = 10
ALL: Final = CHATS * EACH
USERS: Final = [f"o9cq80user{number}@im.wechat" for number in range(CHATS)]
TEXTS: Final = {user: [f"message {number} to {user}" for number in range(EACH)] for user in USERS}

PER_SECOND: Final = 40
START_UP_S: Final = 1.0
"""About what a start takes. Every fifth kill falls into it, whatever the process is doing then."""

ANSWER_S_MAX: Final = 0.04
"""The platform takes this long to answer at most, after it has taken the part: time in which a kill leaves it unknown."""

NO_LIMIT: Final = 1_000_000
FAST: Final = {
    "pacing": {"per_second": PER_SECOND, "burst": 5},
    "window": {"messages": NO_LIMIT},
    "retry": {"resend_after": "50ms"},
}
"""Settings that let 200 messages leave while a gateway is killed 50 times, and nothing else than that."""


@attrs.define
class _Run:
    """What is going on.

    Args:
        sim: the platform.
        bot: the account there.
        journal: of the gateway.
        chance: when kills fall.
        accepted: keys of messages for which `send` has returned.
        kills: of which so many fell while something had not arrived.
    """

    sim: Simulator
    bot: Bot
    journal: Path
    chance: random.Random
    accepted: set[str] = attrs.field(factory=set)
    kills: int = 0

    @property
    def accounts(self) -> Accounts:
        return {ACCOUNT: {**weixin(self.sim, self.bot), **FAST}}

    def arrived(self) -> int:
        return len({one.text for one in self.sim.delivered(self.bot)})

    def unaccepted(self, life: int) -> dict[str, list[tuple[str, str]]]:
        """Return what the program still has to send by this life, so that kills fall into its sends as well."""
        most = EACH * (life + 1) // (KILLS * 3 // 4) + 1
        due = {user: [(text, text) for text in texts[:most]] for user, texts in TEXTS.items()}
        return {user: [item for item in items if item[0] not in self.accepted] for user, items in due.items()}


async def kills() -> Measured:
    """Measure 200 deliveries through 50 kills. Each text is its own idempotency key."""
    seed = wall_now() % 1_000_000
    with scratch() as folder:
        async with open_simulator(knobs=Knobs(quota=NO_LIMIT)) as sim:
            run = _Run(sim, sim.add_bot(), folder / "gateway.db", random.Random(seed))

            def slowly(answer: Response) -> Answer:
                return Stall(run.chance.uniform(0, ANSWER_S_MAX), then=answer)

            sim.script("sendmessage", slowly)
            await _let_users_write(run)
            for life in range(KILLS):
                await _live_and_be_killed(run, life)
            await _live_to_the_end(run)
            return _judge(run, seed)


async def _let_users_write(run: _Run) -> None:
    async with open_worker(run.journal, run.accounts) as worker:
        for user in USERS:
            run.sim.say(run.bot, user, "hello")
        heard = 0
        while heard < CHATS:
            status = await worker.ask("status")
            heard = sum(sum(account["messages"].values()) for account in status["accounts"])


async def _live_and_be_killed(run: _Run, life: int) -> None:
    async with open_worker(run.journal, run.accounts) as worker:
        if life % 5:
            await worker.ask("cpu")  # it is up
            await worker.tell("send", chats=run.unaccepted(life))
            share = (ALL - run.arrived()) / (KILLS - life + 1)
            await trio.sleep(run.chance.uniform(0, 2 * share / PER_SECOND + 0.05))
        else:
            await worker.tell("send", chats=run.unaccepted(life))
            await trio.sleep(run.chance.uniform(0, START_UP_S))
        worker.process.kill()
        await worker.process.wait()
        run.kills += run.arrived() < ALL
        await worker.ended.wait()
        run.accepted.update(worker.accepted)


async def _live_to_the_end(run: _Run) -> None:
    async with open_worker(run.journal, run.accounts) as worker:
        await worker.ask("send", chats=run.unaccepted(KILLS))
        run.accepted.update(worker.accepted)
        with trio.move_on_after(60):
            while _states(run.journal) != {"delivered": ALL}:  # noqa: ASYNC110 - asked as another process asks
                await trio.sleep(0.2)


def _states(journal: Path) -> dict[str, int]:
    with open_reader(journal) as reader:
        status = reader.status(wall_now())
    return dict(next(account.deliveries for account in status.accounts if account.name == ACCOUNT))


def _judge(run: _Run, seed: int) -> Measured:
    """Compare the phones, what the program was told, and the journal."""
    found = tally(run.sim.delivered(run.bot), TEXTS)
    states = _states(run.journal)
    marked, unknown = _marks(run.journal)
    times = Counter(one.text for one in run.sim.delivered(run.bot))
    silent = sum(count - 1 for text, count in times.items() if text not in marked)
    baseless = [text for text in marked if text not in unknown]
    diverged = diverges(run.journal)
    holds = (
        run.kills == KILLS
        and found.arrived == ALL
        and not found.disordered
        and states == {"delivered": ALL}
        and len(run.accepted) == ALL
        and not silent
        and not baseless
        and diverged is None
    )
    order = f"out of order in {len(found.disordered)} chats" if found.disordered else "in order"
    return Measured(
        f"{found.arrived} of {ALL} delivered through {run.kills} kills, {order}, {len(unknown)} parts of unknown outcome "
        f"with {found.twice} copies, {found.twice - silent} of them marked; the journal folds to "
        f"{'its states' if diverged is None else 'other states than it holds'}",
        holds=holds,
        notes=(
            f"seed {seed}; states {states}; {len(run.accepted)} accepted; {len(baseless)} marked for no reason",
            *([] if diverged is None else [str(diverged)]),
        ),
    )


def _marks(journal: Path) -> tuple[set[str], set[str]]:
    """Return the keys of deliveries that are marked as possibly doubled, and of those with an outcome nobody knows."""
    connection = sqlite3.connect(f"file:{journal}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "select keys.key, instances.data from keys join instances on instances.address = keys.address"
        ).fetchall()
        unclear = connection.execute(
            "select distinct keys.key from keys join events on events.machine = keys.address"
            " where events.event in ('Broken', 'PartUnknown') and events.target in ('unknown', 'dead')"
        ).fetchall()
    finally:
        connection.close()
    return {key for key, data in rows if json.loads(data).get("doubled")}, {key for (key,) in unclear}

"""Handing over: 100 restarts of real processes, while people write and are written to every second."""

import json
import os
import random  # noqa: TID251 - the moments of the restarts; nothing of the project is decided by them
import sqlite3
import statistics
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from statecore.account import Command
from statecore.errors import JournalError
from statecore.units import SECONDS
from statecore.world import random_id, wall_now
from statecore_journal import diverges, open_reader, submit
from tests.figures.registry import ROOT, Measured, scratch

RESTARTS: Final = 100
GAP_MEDIAN_MAX_S: Final = 2.0
ACCOUNT: Final = "bot"
STEP_S: Final = 60
"""For one restart. More is an account that stays without an owner."""

PAUSE_S_MAX: Final = 1.0
"""Until the next restart, so that they fall into every moment of the second."""

ROOTS: Final = ("", "adapters", "journal", "diagrams")
NO_LIMIT: Final = 1_000_000
HANDLER: Final = """\
async def handle(message, gateway):
    with open("handled.txt", "a") as file:
        file.write(message.text + "\\n")
    if message.text.startswith("question"):
        await gateway.send(message.account, message.chat, f"answer to {message.text}", reply_to=message, key=message.id)
"""


@attrs.frozen
class Phone:
    """One person on a simulated platform.

    Args:
        account: the bot's settings, as a configuration file has them.
        chat: the person, as the bot knows them.
        say: lets the person write.
        shown: returns what the person has got.
    """

    account: Mapping[str, Any]
    chat: str
    say: Callable[[str], object]
    shown: Callable[[], list[str]]


@asynccontextmanager
async def _on_weixin() -> AsyncIterator[Phone]:
    from statecore_adapters.weixin.simulator import Knobs, open_simulator

    async with open_simulator(knobs=Knobs(quota=NO_LIMIT)) as sim:
        bot, user = sim.add_bot(), "o9cq80ann@im.wechat"
        account = {
            "platform": "weixin",
            "account_id": bot.account_id,
            "token": bot.token,
            "base_url": sim.base_url,
            "pacing": {"per_second": 2},
        }
        yield Phone(
            account,
            user,
            lambda text: sim.say(bot, user, text),
            lambda: [one.text for one in sim.delivered(bot, user)],
        )


@asynccontextmanager
async def _on_qqbot() -> AsyncIterator[Phone]:
    from statecore_adapters.qqbot.simulator import open_simulator

    async with open_simulator() as sim:
        bot, user = sim.add_bot(), "5A0C8D1E"
        account = {
            "platform": "qqbot",
            "app_id": bot.app_id,
            "client_secret": bot.secret,
            "api_base": sim.api_base,
            "token_url": sim.token_url,
        }
        yield Phone(
            account,
            f"c2c:{user}",
            lambda text: sim.say_c2c(user, text),
            lambda: [one.text for one in sim.delivered if one.target == user],
        )


PLATFORMS: Final[Mapping[str, Callable[[], AbstractAsyncContextManager[Phone]]]] = {
    "weixin": _on_weixin,
    "qqbot": _on_qqbot,
}


@attrs.define
class _Run:
    """What is going on.

    Args:
        folder: of the configuration, the journal, and what the handler notes.
        phone: the person.
        written: what the person wrote.
        news: what the person was written without being asked.
        statuses: with which the processes ended that were replaced.
    """

    folder: Path
    phone: Phone
    written: list[str] = attrs.field(factory=list)
    news: list[str] = attrs.field(factory=list)
    statuses: list[int] = attrs.field(factory=list)

    @property
    def journal(self) -> Path:
        return self.folder / "gateway.db"

    @property
    def due(self) -> list[str]:
        """What has to be on the phone in the end."""
        return [f"answer to {text}" for text in self.written if text.startswith("question")] + self.news

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True)) as connection:
            return connection.execute(sql).fetchall()

    def handled(self) -> list[str]:
        noted = self.folder / "handled.txt"
        return noted.read_text().splitlines() if noted.exists() else []

    def configure(self) -> None:
        """Write the configuration."""
        table = "\n".join(f"{name} = {_toml(value)}" for name, value in self.phone.account.items())
        text = f'journal = "gateway.db"\nhandler = "bot:handle"\n[accounts.{ACCOUNT}]\n{table}\n'
        (self.folder / "gateway.toml").write_text(text)
        (self.folder / "bot.py").write_text(HANDLER)

    async def start(self, command: str) -> trio.Process:
        """Start a gateway as a user would."""
        path = os.pathsep.join(str(ROOT / root) for root in ROOTS)
        environment = {**os.environ, "PYTHONPATH": path, "HOME": str(self.folder)}
        return await trio.lowlevel.open_process(
            [sys.executable, "-m", "statecore", command, "gateway.toml", "--quiet"],
            cwd=self.folder,
            env=environment,
            stderr=(self.folder / "stderr.txt").open("ab"),
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, which nobody would tell us."""
        with trio.fail_after(STEP_S):
            while not holds():  # noqa: ASYNC110
                await trio.sleep(0.02)

    def connected(self, epoch: int) -> bool:
        """Tell whether the so-many-th owner is connected."""
        try:
            with open_reader(self.journal) as reader:
                (account,) = reader.status(wall_now()).accounts
        except (JournalError, ValueError):  # it is just being made
            return False
        return account.connected is True and account.owner is not None and account.owner.epoch == epoch


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = {_toml(item)}" for name, item in value.items()) + " }"
    return json.dumps(value)


async def handovers(platform: str = "weixin", restarts: int = RESTARTS) -> Measured:
    """Measure 100 restarts under load.

    Args:
        platform: "weixin" or "qqbot".
        restarts: how many.
    """
    seed = wall_now() % 1_000_000
    chance = random.Random(seed)
    with scratch() as folder:
        async with PLATFORMS[platform]() as phone:
            run = _Run(folder, phone)
            run.configure()
            process = await run.start("run")
            try:
                await run.until(lambda: run.connected(1))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_talk, run)
                    for number in range(restarts):
                        await trio.sleep(chance.uniform(0, PAUSE_S_MAX))
                        process = await _restart(run, process, number + 2)
                    nursery.cancel_scope.cancel()
                with trio.move_on_after(STEP_S):
                    await run.until(lambda: _settled(run))
                process.terminate()
                await process.wait()
            finally:
                if process.returncode is None:
                    process.kill()
                    with trio.CancelScope(shield=True):
                        await process.wait()
            return _judge(run, restarts, f"{platform}, seed {seed}")


async def _talk(run: _Run) -> None:
    """Have the person write every second, and be written to every second: an answer and news by turns."""
    for second in range(NO_LIMIT):
        text = f"remark {second}" if second % 2 else f"question {second}"
        run.written.append(text)
        run.phone.say(text)
        if second % 2:
            news = f"news {second}"
            run.news.append(news)
            command = Command(id=0, kind="send", target=run.phone.chat, delivery=random_id(), text=news)
            submit(run.journal, ACCOUNT, command, wall=wall_now())
        await trio.sleep(1)


async def _restart(run: _Run, old: trio.Process, epoch: int) -> trio.Process:
    new = await run.start("restart")
    try:
        with trio.fail_after(STEP_S):
            run.statuses.append(await old.wait())
        await run.until(lambda: run.connected(epoch))
    except trio.TooSlowError:
        for process in (old, new):
            process.kill()
        raise
    return new


def _settled(run: _Run) -> bool:
    return len(run.phone.shown()) >= len(run.due) and len(run.handled()) >= len(run.written)


def _judge(run: _Run, restarts: int, about: str) -> Measured:
    """Compare the phone, what the handler noted, and the journal."""
    shown, handled = run.phone.shown(), run.handled()
    lost = (set(run.due) - set(shown)) | (set(run.written) - set(handled))
    twice = [text for text, count in (Counter(shown) + Counter(handled)).items() if count > 1]
    rows = run.rows(
        "select wall, event, target from events where machine in ('connection/bot', 'session/bot') order by seq"
    )
    starts = [wall for wall, event, _ in rows if event == "Started"]
    ends = [wall for wall, _, target in rows if target == "closed"]
    gaps = [(start - end) / SECONDS for end, start in zip(ends, starts[1:], strict=False)]
    silences = _silences(rows)
    diverged = diverges(run.journal)
    well = len(starts) == restarts + 1 and run.statuses == [0] * restarts
    median = statistics.median(gaps)
    holds = not lost and not twice and well and median < GAP_MEDIAN_MAX_S and diverged is None
    return Measured(
        f"{len(run.written)} messages in and {len(run.due)} out over {restarts} restarts: {len(lost) or 'none'} lost, "
        f"{len(twice) or 'none'} twice; without an owner for {median * 1000:.0f} ms at the median, {max(gaps) * 1000:.0f} ms "
        f"at most; {'every' if well else 'NOT every'} owner had its successor and ended well",
        holds=holds,
        notes=(
            f"{about}; {len(starts)} starts, exit statuses {dict(Counter(run.statuses))}",
            f"not connected for {statistics.median(silences) * 1000:.0f} ms at the median, {max(silences) * 1000:.0f} at most",
            *([f"lost: {sorted(lost)[:5]}"] if lost else []),
            *([f"twice: {twice[:5]}"] if twice else []),
            *([str(diverged)] if diverged is not None else []),
        ),
    )


def _silences(rows: Sequence[tuple[int, str, str]]) -> list[float]:
    """Return for how many seconds the account was not connected from one owner to the next."""
    found = []
    since: int | None = None
    for wall, event, target in rows:
        if target == "draining" and event == "StopRequested":
            since = wall
        elif target == "connected" and since is not None:
            found.append((wall - since) / SECONDS)
            since = None
    return found

"""An incident whose journal is shown to others: what a real gateway wrote, hidden, and still the same story."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import trio

from statecore.gateway import Gateway
from statecore_journal import diverges
from statecore_journal.export import Cut, How, export
from tests.support.platform import QUICK, Fake, Plain, pending
from tests.support.power import Power
from tests.support.stage import Stage

HOW = How(packages=("statecore", "statecore_adapters"), shift=True)


def story(path: Path) -> list[tuple[Any, ...]]:
    sql = "select seq, version, event, source, target, outcome, guards, cause, epoch from events order by seq"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def parts(path: Path) -> Iterator[Cut]:
    last = len(story(path))
    yield Cut()
    yield Cut(since=last // 2)
    yield Cut(since=last // 3, until=2 * last // 3)
    yield Cut(chat="zuckerfee")


def test_what_a_gateway_wrote_is_the_same_story_when_it_is_hidden(stage: Stage) -> None:
    """
    With reviews, lost answers, restarts and a session: reasons and guards are made of fields that were hidden.
    """
    stage.account = Fake(stage.server, Plain("once", tie="session"), QUICK)
    stage.server.once(pending("r1"), containing="one")

    async def program(gateway: Gateway) -> None:
        await stage.connected()
        first = await stage.send(gateway, "zuckerfee", "part one|part two", key="zuckerfee-1")
        stage.server.say("zuckerfee", "good evening")
        await stage.send(gateway, "bob", "good morning")
        await trio.sleep(30)
        stage.server.review("r1", passed=True)
        await first.settled()

    async def main() -> None:
        for _ in range(2):
            await stage.boot(program, Power())

    stage.run(main)

    for number, cut in enumerate(parts(stage.path)):
        to = stage.folder / f"{number}.db"
        done = export(stage.path, to, how=HOW, cut=cut)
        assert done.unfolded == 0
        assert diverges(to) is None
        assert b"zuckerfee" not in to.read_bytes()
        assert b"good " not in to.read_bytes()
        assert set(story(to)) <= set(story(stage.path))
    assert story(stage.folder / "0.db") == story(stage.path)

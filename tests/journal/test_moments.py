"""Moments the way people write them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from statecore.units import HOURS, MINUTES, SECONDS
from statecore_journal import open_reader
from statecore_journal.moments import Moment, NoMomentError, read
from tests.journal.desk import START, Clock, Hand, opened, rows

LAST = 1_795_284_245 * SECONDS  # 2026-11-21 18:04:05 UTC


@pytest.fixture(autouse=True)
def _in_shanghai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let local times be eight hours ahead."""
    monkeypatch.setitem(os.environ, "TZ", "Asia/Shanghai")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22 02:04:05", LAST),
        ("2026-11-22 02:04:05.25", LAST + SECONDS // 4),
        ("2026-11-22T02:04:05", LAST),
        ("2026-11-21T18:04:05Z", LAST),
        ("2026-11-21T19:04:05+01:00", LAST),
        ("2026-11-22", LAST - 2 * HOURS - 4 * MINUTES - 5 * SECONDS),
        ("02:04:05", LAST),
        ("2:04", LAST - 5 * SECONDS),
        ("02:04:05.000000007", LAST + 7),
        ("11-22 02:04:05.250", LAST + SECONDS // 4),
        ("12-24 02:04:05", LAST - 333 * 24 * HOURS),
        ("02-29 02:04:05", LAST - 997 * 24 * HOURS),
        ("10m", LAST - 10 * MINUTES),
        (" 1.5h ", LAST - 90 * MINUTES),
    ],
)
def test_a_moment_is_read_the_way_it_is_written(text: str, moment: int) -> None:
    """
    Out of a chat, a log of something else, or one's own watch.
    """
    assert read(text).wall(LAST) == moment


@pytest.mark.parametrize(
    "text", ["", "yesterday", "25:00", "2026-13-01", "13-01 18:04", "10 parsecs", "-5m", "9999999999999999999999"]
)
def test_what_is_no_moment_is_said_to_be_none(text: str) -> None:
    """
    With an example of what would be one.
    """
    with pytest.raises(NoMomentError, match=r"is no moment; write a row like 4711, a time like 18:04:05"):
        read(text)


def test_a_moment_has_a_place_in_the_journal(tmp_path: Path) -> None:
    """
    The first row from then on and the last by then; with rows missing in between, as pruning leaves them.
    """
    path, clock = tmp_path / "gateway.db", Clock()

    async def main() -> None:
        async with opened(path, wall=clock) as journal:
            hand = Hand(journal)
            for _ in range(10):
                clock.now += SECONDS
                await hand.poll(1) if hand.system.exists("connection/wx") else await hand.dial()

    trio.run(main)
    rows(path, "delete from events where seq between 5 and 9")
    written = rows(path, "select seq, wall from events order by seq")
    with open_reader(path) as reader:
        for moment in range(START - SECONDS, START + 12 * SECONDS, SECONDS // 2):
            by_then = [seq for seq, wall in written if wall <= moment]
            from_then = [seq for seq, wall in written if wall >= moment]
            for meant in (Moment("wall", moment), Moment("before", written[-1][1] - moment)):
                assert reader.until(meant) == max(by_then, default=0)
                assert reader.since(meant) == min(from_then, default=written[-1][0] + 1)
        assert reader.since(read("7")) == reader.until(read("#7")) == 7

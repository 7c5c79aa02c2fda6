"""A gateway keeps its own journal small."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import statecore.gateway
from statecore.gateway import Options, Retention, run_gateway
from statecore.units import MINUTES
from statecore.world import VirtualWorld
from statecore_journal import diverges, open_journal, open_reader
from tests.support.platform import Fake, Server


def test_what_is_over_leaves_the_journal_while_the_gateway_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An idle account makes five thousand rows a day. A disk that fills with them stops the messages (openrun#100).
    """
    monkeypatch.setattr(statecore.gateway, "LOOK_EVERY", 10 * MINUTES)
    path = tmp_path / "gateway.db"
    server = Server()

    async def main() -> None:
        world = VirtualWorld()
        options = Options(lock_folder=tmp_path / "locks", retention=Retention(keep=3600, every=600))
        async with (
            open_journal(path, wall=world.wall, threaded=False) as journal,
            run_gateway(journal, {"wx": Fake(server)}, world, options, signals=()) as gateway,
        ):
            receipt = await gateway.send("wx", "ann", "hello", key="once")
            await receipt.settled()
            await trio.sleep(9000)
            again = await gateway.send("wx", "ann", "hello", key="once")

            assert again.id == receipt.id

    trio.run(main, clock=MockClock(autojump_threshold=0))

    assert diverges(path) is None
    with open_reader(path) as reader:
        rows = list(reader.log())
    assert not [row for row in rows if row.event in ("Accepted", "Turn")]
    assert len(rows) < 400
    assert len(server.attempts) == 1

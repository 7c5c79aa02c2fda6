"""A Hermes gateway on the same machine, with the same bot.

Two programs that poll one token take its messages from each other (A24), and each of them looks healthy.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import trio

from statecore.messages import Delivered
from statecore.processes import begun
from tests.support.platform import QUICK, Fake, Plain
from tests.support.stage import Stage

NAME = "qqbot-appid-37834f2f25762f23.lock"


@attrs.define
class Shared(Fake):
    """An account that Hermes knows too."""

    @property
    def hermes_scopes(self) -> tuple[tuple[str, str], ...]:
        """What Hermes would lock."""
        return (("qqbot-appid", "102"),)


@pytest.fixture
def hermes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Iterator["Hermes"]:
    """Have a Hermes, which does not have the bot yet."""
    monkeypatch.setenv("HERMES_GATEWAY_LOCK_DIR", str(stage.folder / "hermes"))
    stage.account = Shared(stage.server, Plain(), QUICK)
    command = [sys.executable, "-c", "import time; time.sleep(600)", "hermes", "gateway", "run"]
    with subprocess.Popen(command) as running:
        try:
            yield Hermes(running, stage.folder / "hermes")
        finally:
            running.kill()


@attrs.define
class Hermes:
    """A gateway of Hermes, as far as its locks show it."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    def takes_the_bot(self) -> None:
        """Do as `hermes gateway run --replace` does: delete what there is, and write its own."""
        self.folder.mkdir(exist_ok=True)
        for file in self.folder.glob("*.lock"):
            file.unlink()
        pid = self.process.pid
        record = {"pid": pid, "kind": "hermes-gateway", "argv": ["hermes"], "start_time": begun(pid)}
        (self.folder / NAME).write_text(json.dumps(record))

    def ends(self) -> None:
        """End, and leave the lock behind."""
        self.process.kill()
        self.process.wait()


def test_a_gateway_waits_for_a_hermes_that_has_the_bot(stage: Stage, hermes: Hermes) -> None:
    """
    It is waited for like any owner: for as long as it takes, and visibly. It is never asked, and never ended.
    """
    hermes.takes_the_bot()

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(900)
            assert not stage.server.dialled
            assert f"Hermes gateway {hermes.process.pid}" in gateway.troubles()["wx"]
            hermes.ends()
            await stage.until(lambda: bool(stage.server.dialled), within=2)
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)

    stage.run(main)

    assert list(hermes.folder.iterdir()) == []
    assert len([line for line in stage.log if "is driven by Hermes gateway" in line]) < 4


def test_a_gateway_whose_bot_hermes_takes_stands_back_and_comes_again(stage: Stage, hermes: Hermes) -> None:
    """
    Whoever runs `hermes gateway run --replace` takes the lock by force. Two readers would be worse than the other one.
    """

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.until(lambda: bool(stage.server.dialled))
            hermes.takes_the_bot()
            await stage.until(lambda: "wx" in gateway.troubles(), within=5)
            await trio.sleep(600)
            assert len(stage.server.dialled) == 1
            assert stage.counts("connection") == {("connection", "closed"): 1}
            hermes.ends()
            await stage.until(lambda: len(stage.server.dialled) == 2, within=2)

    stage.run(main)

    assert stage.server.most_under_way == 1

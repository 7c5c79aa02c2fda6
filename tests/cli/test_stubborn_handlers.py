"""A gateway ends when it is told to, whatever its handlers are at."""

import signal
from pathlib import Path

import pytest
import trio

from tests.support.running import open_street

SLEEPS = """\
import sys, trio

async def handle(message, gateway):
    print("at it", file=sys.stderr, flush=True)
    await trio.sleep_forever()
"""
AWAITS = """\
import sys

async def handle(message, gateway):
    receipts = [await gateway.send(message.account, "o9cq80bob@im.wechat", f"part {number}") for number in range(12)]
    print("at it", file=sys.stderr, flush=True)
    await receipts[-1].settled()
"""
WINDOW = "window = { messages = 1000000 }"


@pytest.mark.parametrize("program", [SLEEPS, AWAITS], ids=["asleep", "waiting for a receipt"])
def test_one_signal_ends_it_after_the_drain(tmp_path: Path, program: str) -> None:
    """
    It took SIGKILL, and a supervisor that waits a minute and a half for each restart.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            street.configure(drain="500ms", program=program)
            settings = (tmp_path / "gateway.toml").read_text()
            (tmp_path / "gateway.toml").write_text(settings.replace(WINDOW, "window = { messages = 1 }"))
            running = await street.run()
            street.say("hello")
            await running.says("at it")
            running.signal(signal.SIGTERM)
            assert await running.ends() == 0
            assert street.rows("select state from instances where machine = 'inbound'") == [("retrying",)]

    trio.run(main)


def test_a_second_signal_waits_for_nothing(tmp_path: Path) -> None:
    """
    Whoever presses Ctrl-C twice does not want to wait for an hour.
    """

    async def main() -> None:
        async with open_street(tmp_path) as street:
            street.configure(drain="1h", program=SLEEPS)
            running = await street.run()
            street.say("hello")
            await running.says("at it")
            running.signal(signal.SIGINT)
            await running.says("letting go")
            running.signal(signal.SIGINT)
            assert await running.ends() == 0

    trio.run(main)

"""Whether a gateway deserves its watchdog's food.

E11 (hermes-agent#66377): alive, and no use. E4 (openclaw#21944): started again and again for what no start can mend.
"""

import pytest
import trio

from statecore.errors import JournalBusy, JournalError, JournalFull
from statecore.systemd import SILENCE_MAX
from tests.support.power import Power
from tests.support.stage import Stage


@pytest.mark.parametrize(
    ("error", "fed"),
    [
        (None, True),
        (JournalFull("the disk is full"), True),
        (JournalBusy("somebody holds it"), True),
        (JournalError("it does not answer as it should"), False),
    ],
    ids=["well", "full", "busy", "damaged"],
)
def test_a_gateway_is_ended_for_what_a_start_may_mend(stage: Stage, error: Exception | None, *, fed: bool) -> None:
    """
    A disk that is full, and a lock that somebody holds, are the same after a restart: they are said, and waited for.
    """
    power = Power(fault=lambda kind: error if kind == "beat" else None)

    async def main() -> None:
        async with stage.gateway(power=power) as gateway:
            await stage.connected()
            await trio.sleep(60)
            assert (gateway.pulse_age < SILENCE_MAX) is fed
            power.fault = None

    stage.run(main)


def test_a_gateway_whose_journal_hangs_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No error comes of it: a disk on a network that is gone keeps the writer for ever.
    """

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await trio.sleep(60)
            assert gateway.pulse_age < SILENCE_MAX

            async def hang(_statuses: object) -> None:
                await trio.sleep(60)

            monkeypatch.setattr(gateway._journal, "beat", hang)
            await trio.sleep(30)
            assert gateway.pulse_age >= SILENCE_MAX
            monkeypatch.undo()

    stage.run(main)


def test_a_gateway_that_only_waits_is_well(stage: Stage) -> None:
    """
    It has no account to beat for, and is there for the moment when it will.
    """

    async def main() -> None:
        async with stage.gateway():
            await stage.connected()
            async with stage.gateway() as waiting:
                await trio.sleep(60)
                assert waiting.pulse_age < SILENCE_MAX
                assert waiting.doing()["wx"].startswith("waiting for process")

    stage.run(main)

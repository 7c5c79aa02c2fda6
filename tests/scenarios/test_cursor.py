"""C1: the cursor runs ahead of the work.

Tencent/openclaw-weixin#164: the platform does not rewind, so what its cursor has passed and nobody has written down is
gone. hermes-agent#27902. Messages and cursor are in one transaction, whatever happens around it.
"""

from pathlib import Path
from typing import Literal

import pytest
import trio

from statecore.gateway import Gateway
from tests.support.platform import QUICK, Fake, Plain
from tests.support.power import Power
from tests.support.stage import Stage


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("at", range(1, 14))
def test_a_cut_at_any_row_of_the_intake_leaves_the_cursor_where_the_messages_are(
    tmp_path: Path, at: int, when: Literal["before", "after"]
) -> None:
    """
    The guarantees compare the two at every poll and at the end; here they have something to compare, in batches of one,
    three and ten.
    """
    stage = Stage(tmp_path)
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power.failing(when, at)
    said = 0

    async def main() -> None:
        await stage.boot(program, power)
        await stage.boot(program)

    async def program(_gateway: Gateway) -> None:
        nonlocal said
        for count in (1, 3, 10, 1, 1, 1):
            for _ in range(count):
                stage.server.say(f"chat {said % 3}", f"message {said}")
                said += 1
            await trio.sleep(1)
        await stage.heard(said)

    book = stage.run(main, seed=at)

    assert [held.key for held in book.of("inbound")] == [message.id for message in stage.server.inbox]


@pytest.mark.parametrize("moment", [0.2 * step for step in range(1, 20)])
def test_what_a_platform_that_never_repeats_has_handed_over_is_there(tmp_path: Path, moment: float) -> None:
    """
    Even one that takes giving out for having been received: what its cursor covers is in the journal.
    """
    stage = Stage(tmp_path)
    stage.server.forgetful = True
    stage.account = Fake(stage.server, Plain(), QUICK)
    power = Power()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(talk)
            nursery.start_soon(cut)
            await stage.boot(program, power)
            await stage.boot(program)

    async def program(_gateway: Gateway) -> None:
        await trio.sleep(5)

    async def talk() -> None:
        for number in range(20):
            stage.server.say("ann", f"message {number}")
            await trio.sleep(0.17)

    async def cut() -> None:
        await trio.sleep(moment)
        power.cut()

    book = stage.run(main)

    assert len(book.messages()) == 20

"""One chat is refused with the code that means the account's credentials, and the account is accepted all the while.

Each such refusal takes the account down to see whether its credentials are good. If that is done for ever, one chat holds up
all others, and is asked again each time the account is back: a storm made of good intentions. Found by the simulation.
"""

import trio

from statecore.messages import Delivered
from tests.support.platform import QUICK, Fake, Plain, refused
from tests.support.stage import Stage


def test_a_chat_that_is_refused_like_the_account_is_left_alone_after_a_while(stage: Stage) -> None:
    """
    Its circuit opens, says why, and the others go on undisturbed; when the platform takes it again, so do we.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 400, refused("who"), "ann")

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            held = await stage.send(gateway, "ann", "hello")
            for number in range(30):
                receipt = await stage.send(gateway, "bob", f"message {number}")
                assert isinstance(await receipt.settled(), Delivered)
                await trio.sleep(10)
            assert isinstance(await held.settled(), Delivered)

    book = stage.run(main)

    tries = [attempt for attempt in stage.server.attempts if attempt.chat == "ann" and not attempt.taken]
    assert len(tries) < 14
    doubts = book.events("Doubted", "connection/")
    assert len(doubts) == 2
    assert any(
        "the account itself was accepted" in row.fields.get("reason", "")
        for row in book.events("Tripped", "circuit/wx/ann")
    )

"""D12: a long answer of which a part fails.

hermes-agent#7836, #114396, openclaw#88016: the first part arrives, the second fails, and then either all of it is sent
again, or it is said to be delivered.
"""

import pytest

from statecore.messages import Dead, Delivered
from tests.support.platform import QUICK, Fake, Fate, Plain, refused, unclear, unsent
from tests.support.stage import Stage

FAULTS = {
    "unsent": unsent(),
    "refused for a moment": refused("busy"),
    "chat left alone": refused("mute"),
    "account left alone": refused("fast"),
    "answer lost": unclear(takes=False),
}
PARTS = ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("failing", range(5))
def test_it_goes_on_with_the_part_that_failed(stage: Stage, failing: int, fault: str) -> None:
    """
    Whichever it was, and however it failed: those before it are not sent again, and those after it follow in order.
    """
    stage.server.once(FAULTS[fault], containing=PARTS[failing])
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            outcome = await (await stage.send(gateway, "ann", "|".join(PARTS))).settled()
            assert isinstance(outcome, Delivered)

    stage.run(main)

    assert stage.server.shown() == PARTS
    assert len(stage.server.attempts) == 6
    assert len({attempt.key for attempt in stage.server.attempts}) == 5


@pytest.mark.parametrize("failing", range(5))
def test_what_died_halfway_says_how_far_it_came_and_goes_on_from_there(stage: Stage, failing: int) -> None:
    """
    A person who has it tried again does not have it shown again from the beginning.
    """
    stage.server.once(refused("gone"), containing=PARTS[failing])
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            receipt = await stage.send(gateway, "ann", "|".join(PARTS))
            assert isinstance(await receipt.settled(), Dead)
            letters = stage.letters()
            assert [(letter.sent, letter.parts) for letter in letters] == [(failing, 5)]
            await stage.ask(gateway, "retry", f"delivery/wx/{receipt.id}")
            await stage.until(lambda: stage.counts("delivery") == {("delivery", "delivered"): 1})

    stage.run(main)

    assert stage.server.shown() == PARTS


def test_a_slow_part_holds_its_chat_up_and_no_other(stage: Stage) -> None:
    """
    And the parts of two messages never mix in one chat.
    """
    stage.server.once(Fate("taken", takes=True, after=20), containing="two")
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "|".join(PARTS))
            await stage.send(gateway, "ann", "six|seven")
            await stage.send(gateway, "bob", "|".join(PARTS))
            await stage.settled()

    stage.run(main)

    assert stage.server.shown("ann") == [*PARTS, "six", "seven"]
    assert stage.server.shown("bob") == PARTS
    assert max(attempt.at for attempt in stage.server.attempts if attempt.chat == "bob") < 3


@pytest.mark.parametrize(("code", "next_bare"), [("marks", False), ("unmarked", True)])
def test_markup_is_given_up_for_a_message_or_for_all(stage: Stage, code: str, *, next_bare: bool) -> None:
    """
    What one message has wrong says nothing about the next; a permission that is missing is missing for all, and is not
    found out again with each.
    """
    stage.account = Fake(stage.server, Plain(markup=True), QUICK)
    stage.server.once(refused(code), containing="two")

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            for text in ("one", "two", "three"):
                assert isinstance(await (await stage.send(gateway, "ann", text)).settled(), Delivered)

    stage.run(main)

    assert [(attempt.part.text, attempt.part.bare) for attempt in stage.server.attempts] == [
        ("one", False),
        ("two", False),
        ("two", True),
        ("three", next_bare),
    ]

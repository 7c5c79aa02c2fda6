"""A recorded account is run again: as it was, and as it would have been."""

from pathlib import Path

import pytest
import trio

from statecore.errors import ConfigError, StatecoreError
from statecore.gateway import Gateway
from statecore.messages import Message
from statecore.platform import Policies
from statecore.policies import Circuit
from statecore.units import SECONDS
from statecore_journal.whatif import Compared, what_if
from tests.support.platform import PLATFORMS, Fake, Plain, refused, wechat
from tests.support.power import Power
from tests.support.stage import Stage, answer

JOURNALS = Path(__file__).parents[1] / "incidents" / "journals"
CHATS = ("ann", "bob", "cyd", "dan")


@pytest.fixture
def refusal(stage: Stage) -> Stage:
    """Twenty messages to four chats, all refused for the first twenty seconds."""
    stage.account = Fake(stage.server, wechat(), Policies())

    async def main() -> None:
        for chat in CHATS:
            stage.server.say(chat, "hello")
        stage.server.during(0, 20, refused())
        async with stage.gateway() as gateway:
            receipts = [await stage.send(gateway, CHATS[number % 4], f"message {number}") for number in range(20)]
            for receipt in receipts:
                await receipt.settled()

    stage.run(main)
    return stage


def ask(stage: Stage, **changes: str) -> Compared:
    """Ask what would have been."""
    keys = {f"account.wx.{key.replace('__', '.')}": value for key, value in changes.items()}
    (found,) = what_if(stage.path, keys, PLATFORMS)
    return found


# ---- as it was -------------------------------------------------------------------------------------------------------


def test_with_nothing_changed_every_transition_is_as_it_was_recorded(refusal: Stage) -> None:
    """
    Whoever asks "what if" must be able to believe the answer to "what if not".
    """
    found = ask(refusal)

    assert (found.strayed, found.parting, found.modelled) == (None, None, None)
    assert found.recorded == found.changed
    assert (found.recorded.delivered, found.recorded.refused) == (20, len(refusal.server.refusals))


def test_a_session_with_reviews_handlers_and_a_crash_is_reproduced(stage: Stage) -> None:
    """
    A session's frames are answers like any other.
    """
    stage.account = Fake(stage.server, Plain(tie="session"), Policies())

    async def reply(gateway: Gateway) -> None:
        async def handle(message: Message) -> None:
            await gateway.send("wx", message.chat, f"you said {message.text}", reply_to=message)
            if message.text == "fail":
                raise ValueError("on purpose")

        await answer(gateway, handle)

    async def reply_for_a_minute(gateway: Gateway) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reply, gateway)
            await trio.sleep(60)
            gateway.stop()

    async def main() -> None:
        power = Power()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stage.boot, reply, power)
            await trio.sleep(1)
            stage.server.say("ann", "one")
            await trio.sleep(5)
            stage.server.say("bob", "fail")
            await trio.sleep(30)
            power.cut()
        stage.server.say("ann", "two")
        await stage.boot(reply_for_a_minute)

    stage.run(main)

    (found,) = what_if(stage.path, {}, PLATFORMS)
    assert (found.strayed, found.parting) == (None, None)
    assert found.recorded.delivered >= 2


def test_an_account_that_a_person_has_tried_again_is_reproduced(stage: Stage) -> None:
    """
    They are asked once, and it closes the account's circuit too.
    """
    stage.account = Fake(stage.server, wechat(), Policies(circuit=Circuit(cooldown=300)))

    async def main() -> None:
        for chat in CHATS:
            stage.server.say(chat, "hello")
        stage.server.during(0, 20, refused())
        async with stage.gateway() as gateway:
            receipts = [await stage.send(gateway, chat, "now") for chat in CHATS]
            await trio.sleep(30)
            await stage.ask(gateway, "resume")
            for receipt in receipts:
                await receipt.settled()

    stage.run(main)

    found = ask(stage)
    resumed = next(step for step in found.steps if step.name == "Resumed")
    assert [(step.address, step.target) for step in found.steps if step.cause == resumed.seq] == [
        ("circuit/wx", "closed")
    ]
    assert (found.strayed, found.parting) == (None, None)
    assert found.recorded.delivered == len(CHATS)


# ---- as it would have been -------------------------------------------------------------------------------------------


def test_a_longer_cooldown_asks_less_often_and_is_later(refusal: Stage) -> None:
    """
    The trade that the setting is about shows on the incident that made somebody ask.
    """
    found = ask(refusal, circuit__cooldown="60s")

    assert found.changed.delivered == 20
    assert found.changed.refused < found.recorded.refused
    assert found.changed.delay_max is not None
    assert found.recorded.delay_max is not None
    assert found.changed.delay_max > found.recorded.delay_max


def test_a_deadline_that_was_overtaken_on_record_is_met_where_nothing_overtakes_it() -> None:
    """
    There the account was blamed, which closed the chat's circuit before its probe was due.
    """
    (found,) = what_if(JOURNALS / "retry-storm.db", {"account.wx.pacing.per_second": "2.5"}, PLATFORMS)

    tripped, probed = [step for step in found.steps if step.address == "circuit/wx/ann"][:2]
    assert (tripped.name, probed.name) == ("Tripped", "Elapsed(probe_at)")
    assert 0 <= probed.at - tripped.at - tripped.event.wait <= SECONDS


def test_the_first_transition_that_would_have_been_another_is_named(refusal: Stage) -> None:
    """
    Everything before it is as it was, so there is nothing to explain there.
    """
    found = ask(refusal, circuit__cooldown="60s")

    assert found.parting is not None
    was, would_be = found.parting.recorded, found.parting.computed
    assert was is not None
    assert would_be is not None
    assert (was.name, was.address, was.version) == (would_be.name, would_be.address, would_be.version)
    assert was.event.wait < 10 * SECONDS < 60 * SECONDS <= would_be.event.wait


def test_what_rests_on_answers_that_are_not_on_record_is_marked(refusal: Stage) -> None:
    """
    The platform was never asked at that moment. Up to it all is fact.
    """
    found = ask(refusal, circuit__cooldown="7s")

    assert found.modelled is not None
    assert found.parting is not None
    assert found.parting.at < found.modelled
    assert all(step.modelled == (step.at >= found.modelled) for step in found.steps)


def test_whoever_asks_within_a_refusal_is_refused(refusal: Stage) -> None:
    """
    The platform was seen to refuse at 1 s and at 15 s; a probe at 8 s would not have been let through.
    """
    found = ask(refusal, circuit__cooldown="7s")

    refusals = [step.at - found.began for step in found.steps if step.name == "PartRefused" and step.modelled]
    assert refusals
    assert max(refusals) < 20 * SECONDS


def test_to_assume_the_worst_is_never_quicker(refusal: Stage) -> None:
    """
    What was refused last may have gone on until something was taken; the truth is between the two.
    """
    changes = {"account.wx.circuit.cooldown": "7s"}
    (seen,) = what_if(refusal.path, changes, PLATFORMS)
    (worst,) = what_if(refusal.path, changes, PLATFORMS, "worst")

    assert worst.changed.refused >= seen.changed.refused
    assert worst.changed.delay_max is not None
    assert seen.changed.delay_max is not None
    assert worst.changed.delay_max >= seen.changed.delay_max


def test_a_setting_that_never_mattered_changes_nothing(refusal: Stage) -> None:
    """
    Nobody's handler failed, so how often it would have been tried again is of no consequence.
    """
    found = ask(refusal, handling__attempts="9")

    assert (found.parting, found.modelled) == (None, None)


@pytest.mark.parametrize("key", ["wx.circuit.cooldown", "account.wx", "circuit", "account..cooldown"])
def test_a_key_that_names_no_setting_of_an_account_is_refused(refusal: Stage, key: str) -> None:
    """
    Whatever it was meant to change, it would not.
    """
    with pytest.raises(ConfigError, match="account"):
        what_if(refusal.path, {key: "1s"}, PLATFORMS)


def test_an_account_that_is_not_there_is_refused(refusal: Stage) -> None:
    """
    With the names of those that are.
    """
    with pytest.raises(StatecoreError, match="it has wx"):
        what_if(refusal.path, {"account.qq.circuit.cooldown": "1s"}, PLATFORMS)


def test_nothing_is_written(refusal: Stage) -> None:
    """
    The journal may be evidence.
    """
    before = {path: path.read_bytes() for path in refusal.path.parent.glob("gateway.db*")}

    ask(refusal, circuit__cooldown="7s")

    assert before == {path: path.read_bytes() for path in refusal.path.parent.glob("gateway.db*")}

"""A platform that wants to be told which message is answered, and counts the answers to each.

QQ takes four or five within an hour, and knows a repetition by message and number. Found out by being refused, the rest of
a long answer is lost (openclaw-qqbot#251, hermes-agent#66107); numbered at random, two parts in ten thousand pairs are
taken for one and never shown; numbered anew after a lost answer, a part is shown twice.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Dead, Delivered, Message
from statecore.platform import Policies
from statecore.policies import Backoff, Pacing, Retry, Window
from tests.support.book import Book
from tests.support.platform import Answers, Fake, Fate, Plain, dies, hangs, refused, unclear, unsent
from tests.support.power import Power
from tests.support.stage import Stage, answer

FIVE = Policies(
    pacing=Pacing(per_second=1000, burst=1000),
    window=Window(messages=5, lasts="1h"),  # type: ignore[arg-type]
    retry=Retry(backoff=Backoff(floor=1, cap=10)),
)


def counting(stage: Stage, *, unasked: int = 0, asks: bool | None = None) -> Answers:
    """Let the platform count answers, and let ours know that it does."""
    stage.server.answers = Answers(unasked=unasked)
    platform = Plain("always", answers=True, unasked=unasked > 0 if asks is None else asks)
    stage.account = Fake(stage.server, platform, FIVE)
    return stage.server.answers


@asynccontextmanager
async def listening(stage: Stage) -> AsyncIterator[tuple[Gateway, dict[str, Message]]]:
    """Run a gateway and keep what came in, by its id."""
    kept: dict[str, Message] = {}

    async def keep(message: Message) -> None:
        kept[message.id] = message

    async with stage.gateway() as gateway, trio.open_nursery() as nursery:
        nursery.start_soon(answer, gateway, keep)
        await stage.connected()
        yield gateway, kept
        nursery.cancel_scope.cancel()


def numbers(stage: Stage, chat: str | None = None) -> list[tuple[str, int]]:
    """Return under which numbers parts were shown, in order."""
    return [
        (attempt.part.answers, attempt.part.number)
        for attempt in stage.server.attempts
        if attempt.shown and chat in (None, attempt.chat)
    ]


def hold(stage: Stage) -> None:
    """Check what holds whatever happens: a number stands for one part, and a part keeps the number it may be known by."""
    answers = stage.server.answers
    assert answers is not None
    parts: dict[tuple[str, int], set[str]] = defaultdict(set)
    given: dict[str, tuple[str, int]] = {}
    free: set[str] = set()
    for attempt in stage.server.attempts:
        number = (attempt.part.answers, attempt.part.number)
        if attempt.part.answers:
            parts[number].add(attempt.key)
        if attempt.key in given and attempt.key not in free:
            assert number == given[attempt.key], f"{attempt.key} was {given[attempt.key]}, and then {number}"
        given[attempt.key] = number
        free.discard(attempt.key)
        if attempt.said in ("refused old", "refused full", "refused known", "refused shut"):
            free.add(attempt.key)
    shared = {number: keys for number, keys in parts.items() if len(keys) > 1}
    assert not shared, f"parts that share a number: {shared}"


# ---- the budget ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_of_nine_thousand_characters_five_parts_leave_and_the_rest_waits_for_the_next_message(
    stage: Stage, seed: int
) -> None:
    """
    It is spent before a request leaves: nothing is refused, nothing is lost, and what waits says why.
    """
    counting(stage)
    parts = [f"part {number} ".ljust(1000, "-") for number in range(9)]

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "tell me everything")
            await stage.until(lambda: "m1" in kept)
            receipt = await stage.send(gateway, "ann", "|".join(parts), reply_to=kept["m1"])
            await stage.until(lambda: len(stage.server.taken) == 5)
            await trio.sleep(300)
            assert len(stage.server.attempts) == 5
            (chat,) = gateway.status().accounts[0].chats
            assert (chat.state, chat.window, chat.waiting) == ("window-closed", "used-up", 1)
            assert "all 5 messages allowed since the user last wrote are used up" in chat.reason
            assert "write" in chat.action
            stage.server.say("ann", "go on")
            assert isinstance(await receipt.settled(), Delivered)

    stage.run(main, seed=seed)

    hold(stage)
    assert stage.server.shown() == parts
    assert not stage.server.refusals
    assert numbers(stage) == [*(("m1", number) for number in range(1, 6)), *(("m2", number) for number in range(1, 5))]


@pytest.mark.usefixtures("slow_looks")
def test_what_lapsed_is_not_answered_and_nothing_is_sent_to_find_out(stage: Stage) -> None:
    """
    Half of the budget was left, and an hour has passed.
    """
    counting(stage)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            await (await stage.send(gateway, "ann", "one|two", reply_to=kept["m1"])).settled()
            await trio.sleep(3700)
            late = await stage.send(gateway, "ann", "three", reply_to=kept["m1"])
            await trio.sleep(600)
            assert len(stage.server.attempts) == 2
            stage.server.say("ann", "are you there?")
            await late.settled()

    stage.run(main)

    hold(stage)
    assert numbers(stage) == [("m1", 1), ("m1", 2), ("m2", 1)]
    assert not stage.server.refusals


def test_the_message_that_is_answered_comes_first_and_then_the_newest_and_then_none(stage: Stage) -> None:
    """
    An answer stands under what it answers; where that is used up, under the last thing that was said; and where nothing may
    be answered any more, by itself, as long as the platform allows that.
    """
    counting(stage, unasked=2)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            for text in ("first", "second", "third"):
                stage.server.say("ann", text)
            await stage.until(lambda: len(kept) == 3)
            for number in range(17):
                await (await stage.send(gateway, "ann", f"answer {number}", reply_to=kept["m1"])).settled()

    stage.run(main)

    hold(stage)
    assert numbers(stage) == [
        *(("m1", number) for number in range(1, 6)),
        *(("m3", number) for number in range(1, 6)),
        *(("m2", number) for number in range(1, 6)),
        ("", 0),
        ("", 0),
    ]
    assert not stage.server.refusals


@pytest.mark.parametrize("heard", [True, False])
def test_without_a_message_to_answer_it_waits_where_nothing_may_be_sent_unasked(stage: Stage, *, heard: bool) -> None:
    """
    Whether the user's messages are used up, or they never wrote: no request finds out what is known.
    """
    counting(stage)
    budget = 5 * heard

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            if heard:
                stage.server.say("ann", "hello")
                await stage.until(lambda: "m1" in kept)
            for number in range(budget + 1):
                await stage.send(gateway, "ann", f"message {number}")
            await trio.sleep(300)
            assert len(stage.server.attempts) == budget
            (chat,) = gateway.status().accounts[0].chats
            assert chat.state == "window-closed"
            assert "write" in chat.action
            stage.server.say("ann", "hello again")
            await stage.settled()

    stage.run(main)

    hold(stage)
    assert len(stage.server.taken) == budget + 1
    assert not stage.server.refusals


def test_what_the_platform_takes_unasked_needs_no_message(stage: Stage) -> None:
    """
    A reminder in the morning answers nothing.
    """
    counting(stage, unasked=1)

    async def main() -> None:
        async with listening(stage) as (gateway, _):
            outcome = await (await stage.send(gateway, "ann", "good morning")).settled()
            assert isinstance(outcome, Delivered)

    stage.run(main)

    assert numbers(stage) == [("", 0)]


def test_a_platform_that_takes_nothing_unasked_after_all_is_not_asked_again(stage: Stage) -> None:
    """
    It said so once; the next message of the user is another matter.
    """
    counting(stage, unasked=0, asks=True)

    async def main() -> None:
        async with listening(stage) as (gateway, _):
            receipts = [await stage.send(gateway, "ann", f"message {number}") for number in range(3)]
            await trio.sleep(600)
            assert len(stage.server.attempts) == 1
            stage.server.say("ann", "hello")
            for receipt in receipts:
                await receipt.settled()

    stage.run(main)

    hold(stage)
    assert numbers(stage) == [("m1", 1), ("m1", 2), ("m1", 3)]


# ---- refused numbers -------------------------------------------------------------------------------------------------


def test_a_message_that_the_platform_calls_too_old_is_given_up_for_the_newest(stage: Stage) -> None:
    """
    Its clock decides. The part gets another number, under another message, and that one message is not answered again.
    """
    answers = counting(stage)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "first")
            stage.server.say("ann", "second")
            await stage.until(lambda: len(kept) == 2)
            answers.heard["m1"] = ("ann", -1e6)
            for number in range(2):
                outcome = await (await stage.send(gateway, "ann", f"answer {number}", reply_to=kept["m1"])).settled()
                assert isinstance(outcome, Delivered)

    stage.run(main)

    hold(stage)
    assert [attempt.said for attempt in stage.server.attempts] == ["refused old", "taken", "taken"]
    assert numbers(stage) == [("m2", 1), ("m2", 2)]


def test_the_last_message_that_is_called_too_old_leaves_what_may_be_sent_unasked(stage: Stage) -> None:
    """
    The platform refused one message as an address, and nothing of the chat.
    """
    answers = counting(stage, unasked=1)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            answers.heard["m1"] = ("ann", -1e6)
            receipt = await stage.send(gateway, "ann", "news", reply_to=kept["m1"])
            with trio.fail_after(600):
                assert isinstance(await receipt.settled(), Delivered)

    stage.run(main)

    assert numbers(stage) == [("", 0)]


def test_a_number_that_another_program_used_is_passed_over(stage: Stage) -> None:
    """
    "I have that" about a part that was never sent means that something else has its number.
    """
    answers = counting(stage)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            answers.used |= {("m1", 1): "theirs", ("m1", 2): "theirs"}
            outcome = await (await stage.send(gateway, "ann", "one|two", reply_to=kept["m1"])).settled()
            assert isinstance(outcome, Delivered)

    stage.run(main)

    hold(stage)
    assert numbers(stage) == [("m1", 3), ("m1", 4)]


# ---- lost answers ----------------------------------------------------------------------------------------------------

LOST: dict[str, Callable[[], Fate]] = {
    "cut off": lambda: unclear(takes=True),
    "never answered": lambda: hangs(takes=True),
    "an adapter that raises": lambda: dies(TimeoutError(), takes=True),
}


@pytest.mark.parametrize("how", LOST)
def test_a_part_whose_answer_was_lost_is_known_by_its_number_and_counts_as_delivered(stage: Stage, how: str) -> None:
    """
    It is sent once more under the number it had, although the user has written meanwhile; "I have that" is the answer that
    was lost. Nobody is shown it twice, and nothing is marked as doubled.
    """
    counting(stage)
    stage.server.once(LOST[how]())

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            receipt = await stage.send(gateway, "ann", "one|two", reply_to=kept["m1"])
            await stage.until(lambda: len(stage.server.attempts) == 1, every=0.01)
            stage.server.say("ann", "hello?")
            outcome = await receipt.settled()
            assert isinstance(outcome, Delivered)
            assert (outcome.doubled, outcome.unconfirmed) == ((), 1)

    book = stage.run(main)

    hold(stage)
    assert stage.server.shown() == ["one", "two"]
    assert [attempt.said for attempt in stage.server.attempts][1:] == ["refused known", "taken"]
    assert numbers(stage)[0] == ("m1", 1)
    assert [row.fields.get("repeated", False) for row in book.events("PartAccepted")] == [True, False]


def test_a_part_that_may_have_arrived_and_gets_another_number_is_said_to_be_doubled(stage: Stage) -> None:
    """
    Its answer was lost; by the time it is sent once more, the message it answers is too old. The refusal says that this
    request came to nothing, and not that the one before did. Found by simulation: it was shown twice, and nothing said so.
    """
    answers = counting(stage)
    stage.server.once(unclear(takes=True))

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "first")
            stage.server.say("ann", "second")
            await stage.until(lambda: len(kept) == 2)
            receipt = await stage.send(gateway, "ann", "answer", reply_to=kept["m1"])
            await stage.until(lambda: len(stage.server.attempts) == 1, every=0.01)
            answers.heard["m1"] = ("ann", -1e6)
            answers.used.clear()  # with the message, the platform has forgotten its answers
            outcome = await receipt.settled()
            assert isinstance(outcome, Delivered)
            assert outcome.doubled == (0,)

    stage.run(main)

    assert [attempt.said for attempt in stage.server.attempts][1:] == ["refused old", "taken"]
    assert stage.server.shown() == ["answer", "answer"]


@pytest.mark.parametrize("fault", ["unsent", "busy", "mute", "fast"])
def test_a_part_keeps_its_number_over_every_failure_and_the_next_one_has_another(stage: Stage, fault: str) -> None:
    """
    A number given back could be given to another part while the first is still on its way.
    """
    counting(stage)
    stage.server.once(unsent() if fault == "unsent" else refused(fault), times=2)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            await stage.send(gateway, "ann", "one|two", reply_to=kept["m1"])
            await stage.send(gateway, "ann", "three", reply_to=kept["m1"])
            await stage.settled(within=3 * 3600)

    stage.run(main)

    hold(stage)
    assert stage.server.shown() == ["one", "two", "three"]
    assert numbers(stage) == [("m1", 1), ("m1", 2), ("m1", 3)]


def test_a_last_answer_that_did_not_leave_gives_nothing_back(stage: Stage) -> None:
    """
    It keeps its number, so the budget stays used up, and what waits goes on saying so.
    """
    counting(stage)
    stage.server.once(unsent(), containing="5", times=3)

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            await stage.send(gateway, "ann", "1|2|3|4|5|6", reply_to=kept["m1"])
            await stage.until(lambda: len(stage.server.taken) == 5)
            await trio.sleep(60)
            (chat,) = gateway.status().accounts[0].chats
            assert (chat.state, chat.window) == ("window-closed", "used-up")
            assert "all 5 messages allowed" in chat.reason
            stage.server.say("ann", "go on")
            await stage.settled()

    stage.run(main)

    hold(stage)
    assert stage.server.shown() == list("123456")
    assert not stage.server.refusals


def test_two_messages_to_one_chat_never_share_a_number(stage: Stage) -> None:
    """
    Not even with one that died, is looked at by a person, and is sent after all.
    """
    counting(stage)
    stage.server.once(refused("gone"), containing="first")
    stage.server.once(unclear(takes=False), containing="third")

    async def main() -> None:
        async with listening(stage) as (gateway, kept):
            stage.server.say("ann", "hello")
            await stage.until(lambda: "m1" in kept)
            receipts = [
                await stage.send(gateway, "ann", text, reply_to=kept["m1"]) for text in ("first", "second", "third")
            ]
            assert [type(await receipt.settled()) for receipt in receipts] == [Dead, Delivered, Delivered]
            await stage.ask(gateway, "retry", f"delivery/wx/{receipts[0].id}")
            await stage.settled()

    stage.run(main)

    hold(stage)
    assert sorted(stage.server.shown()) == ["first", "second", "third"]
    assert sorted(numbers(stage)) == [("m1", 1), ("m1", 2), ("m1", 3)]


# ---- crashes ---------------------------------------------------------------------------------------------------------


def program(stage: Stage) -> Callable[[Gateway], Awaitable[None]]:
    """Return a program that may be run again after a crash, because it names what it sends."""

    async def run(gateway: Gateway) -> None:
        async def handle(message: Message) -> None:
            text = "|".join(f"{message.text} {part}" for part in ("one", "two", "three"))
            await stage.send(gateway, message.chat, text, reply_to=message, key=f"reply to {message.id}")

        def over() -> bool:
            counts = stage.counts("delivery", "inbound")
            return counts == {("inbound", "done"): 3, ("delivery", "delivered"): 3}

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.until(over)
            gateway.stop()

    return run


def play(folder: Path, *crashes: Power, seed: int = 0) -> tuple[Book, Stage, int]:
    """Play the scenario through some crashes, and then to its end.

    Returns:
        The journal, the stage, and how often the last process wrote.
    """
    folder.mkdir()
    stage = Stage(folder)
    counting(stage)
    last = Power()

    async def main() -> None:
        stage.server.say("ann", "a")
        stage.server.say("bob", "b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(later)
            for power in crashes:
                await stage.boot(program(stage), power)
            await stage.boot(program(stage), last)

    async def later() -> None:
        await trio.sleep(0.3)
        stage.server.say("ann", "c")

    return stage.run(main, seed=seed), stage, last.writes


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_power_cut_at_any_row_gives_no_part_another_number(tmp_path: Path, when: Literal["before", "after"]) -> None:
    """
    The number is in the row that announces the part, so whoever finds the row knows under which the platform may have it.
    """
    *_, writes = play(tmp_path / "whole")
    assert writes > 15

    for at in range(1, writes + 1):
        _, stage, _ = play(tmp_path / str(at), Power.failing(when, at), seed=at)
        hold(stage)
        assert sorted(stage.server.shown()) == sorted(
            f"{message} {part}" for message in "abc" for part in ("one", "two", "three")
        )
        assert {attempt.said for attempt in stage.server.attempts} <= {"taken", "refused known"}


def test_what_is_said_twice_is_heard_twice_where_messages_have_ids_of_the_platform(stage: Stage) -> None:
    """
    C4: two real "ok" within two seconds. QQ pushes a copy under the id of the first, so another id is another message.
    """
    counting(stage)

    async def main() -> None:
        async with listening(stage) as (_, kept):
            stage.server.say("ann", "ok")
            await trio.sleep(1)
            stage.server.say("ann", "ok")
            await stage.until(lambda: len(kept) == 2, within=10)

    stage.run(main)

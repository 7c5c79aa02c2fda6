"""D2, D3, D12, C1: the process dies at every instruction that matters.

openclaw#29106, #88015, #99600 and PraisonAI#2328 sent answers twice after a crash; hermes-agent#58818 and
mautrix/whatsapp#423 lost answers that were already paid for; hermes-agent#7836 sent the first part of a long answer
again because the second had failed. Between all of them lies one row, written at the right moment. So a small scenario
is played once for every row it writes, and the power fails right before that row is durable, or right after, before
anybody knows.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Message
from statecore.platform import Policies
from statecore.policies import Pacing
from tests.support.book import Book
from tests.support.platform import Fake, Plain
from tests.support.power import Power
from tests.support.stage import Stage, answer

TEXTS = {"ann": ["one", "two", "three", "you said hello"], "bob": ["news", "you said hi"]}
FAST = Policies(pacing=Pacing(per_second=1000, burst=1000))
Resends = Literal["always", "once", "never"]


def program(stage: Stage) -> Callable[[Gateway], Awaitable[None]]:
    """Return a program that may be run again after a crash, because it names what it sends."""

    async def run(gateway: Gateway) -> None:
        async def handle(message: Message) -> None:
            await stage.send(gateway, message.chat, f"you said {message.text}", key=f"reply to {message.id}")

        def over() -> bool:
            counts = stage.counts("delivery", "inbound")
            ended = counts.get(("delivery", "delivered"), 0) + counts.get(("delivery", "dead"), 0)
            return counts.get(("inbound", "done")) == 2 and ended == 4

        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            await stage.send(gateway, "ann", "one|two|three", key="numbers")
            await stage.send(gateway, "bob", "news", key="news")
            await stage.until(over)
            gateway.stop()

    return run


def play(folder: Path, *crashes: Power, resends: Resends = "once", seed: int = 0) -> tuple[Book, Stage, int]:
    """Play the scenario through some crashes, and then to its end.

    Returns:
        The journal, the stage, and how often the last process wrote.
    """
    folder.mkdir()
    stage = Stage(folder)
    stage.server.known_keys = resends == "always"
    stage.account = Fake(stage.server, Plain(resends), FAST)
    last = Power()

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bob)
            for power in crashes:
                await stage.boot(program(stage), power)
            await stage.boot(program(stage), last)

    async def bob() -> None:
        await trio.sleep(0.12)
        stage.server.say("bob", "hi")

    return stage.run(main, seed=seed), stage, last.writes


def hold(book: Book, stage: Stage, resends: Resends) -> None:
    """Check what this scenario promises beyond the guarantees."""
    assert sorted(book.messages("done")) == ["m1", "m2"]
    dead = book.of("delivery", "dead")
    assert resends == "never" or not dead
    for chat, texts in TEXTS.items():
        seen = stage.server.shown(chat)
        assert set(seen) <= set(texts)
        assert dead or set(seen) == set(texts), f"{chat} never saw {set(texts) - set(seen)}"
        assert resends == "once" or len(seen) == len(set(seen))
    unknown = [held for held in dead if "nobody knows" not in held.fields["reason"]]
    assert not unknown, "what died did not die of a lost outcome"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("resends", ["once", "always", "never"])
def test_a_power_cut_at_any_row_loses_nothing_and_doubles_nothing_in_silence(
    tmp_path: Path, resends: Resends, when: Literal["before", "after"]
) -> None:
    """
    Whatever the platform's policy about lost answers is, and whichever row the cut falls on.
    """
    *_, writes = play(tmp_path / "whole", resends=resends)
    assert writes > 20

    for at in range(1, writes + 1):
        power = Power.failing(when, at)
        book, stage, _ = play(tmp_path / str(at), power, resends=resends, seed=at)
        hold(book, stage, resends)


@pytest.mark.parametrize("seed", range(24))
def test_a_machine_that_keeps_dying_gets_there(tmp_path: Path, seed: int) -> None:
    """
    Six cuts in a row, each at another place, as a machine on a bad socket suffers them.
    """
    cuts = [Power(before=2 + (seed * 7 + turn * 5) % 11, after=3 + (seed * 3 + turn * 11) % 13) for turn in range(6)]
    book, stage, _ = play(tmp_path / "stage", *cuts, seed=seed)

    hold(book, stage, "once")
    assert sum(not power.on for power in cuts) >= 3


@pytest.mark.parametrize("moment", [round(0.05 + 0.02 * step, 2) for step in range(24)])
def test_a_power_cut_at_any_moment_in_between_is_like_one_at_a_row(tmp_path: Path, moment: float) -> None:
    """
    Not only rows are moments: the request may be on its way, taken, or answered when the light goes out.
    """
    power = Power()
    folder = tmp_path / "stage"
    folder.mkdir()
    stage = Stage(folder)
    stage.account = Fake(stage.server, Plain("once"), FAST)

    async def main() -> None:
        stage.server.say("ann", "hello")
        stage.server.say("bob", "hi")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cut)
            await stage.boot(program(stage), power)
        await stage.boot(program(stage))

    async def cut() -> None:
        await trio.sleep(moment)
        power.cut()

    hold(stage.run(main, seed=round(moment * 1000)), stage, "once")

"""A3, A4, A13, A15, G2: a platform that answers at once, and a program that asks at once.

hermes-agent#31771: a closed socket makes the reader return, the loop around it calls it again: one core, for hours,
status "running". Measured here on the real Hermes 0.14: 93 % of a core, and the whole event loop frozen with it. A4
(nanobot#5171): a long poll that comes back empty at once. A13 (hermes-agent#22179): a connection that stands for a second
resets the backoff. A15 (qq-official-bot#98): a delay that is no number is none at all.
"""

import math
from typing import Any

import attrs
import pytest
import trio

from statecore.gateway import Options
from statecore.governor import Governor
from statecore.platform import Batch, Dialled, Empty, Failure, Message
from statecore.policies import Backoff
from tests.support.platform import CANARY, EXPIRED, QUICK, Fake, Plain, PollAnswer, refused
from tests.support.stage import Stage

LASTS = 600.0
COPY = Message(chat="ann", sender="ann", id="m1", text="hello", sent_at=1)
LIES: dict[str, PollAnswer] = {
    "empty at once": Empty(),
    "silent at once": Empty(silent=True),
    "empty with a new cursor": Empty(secrets={"cursor": f"{CANARY}-cursor-0"}),
    "the same message for ever": Batch(messages=(COPY,), secrets={"cursor": f"{CANARY}-cursor-0"}),
    "a batch of nothing": Batch(messages=()),
    "closed": Failure(stage="receive", error="closed"),
    "closed, and answering": Failure(stage="receive", error="closed", reachable=True),
    "closed, for a person to see to": Failure(stage="tls", error="the certificate is not valid", action="see to it"),
    "refused": EXPIRED,
    "raising": OSError("bad file descriptor"),
    "raising nothing that says anything": TimeoutError(),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_peer_is_asked_about_once_a_second(stage: Stage, lie: str) -> None:
    """
    Whatever comes back at once, and for however long: sixty polls a minute at the most, and less as it goes on.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.polls.append(lambda _: LIES[lie])

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(LASTS)

    book = stage.run(main, rows_per_second=8)

    polls = stage.server.polled
    assert len(polls) <= 61 + LASTS / 60 * 25
    for begin in range(0, int(LASTS), 60):
        assert sum(begin <= at < begin + 60 for at in polls) <= 61
    assert len(book.rows) < 5 * len(polls) + 50
    assert stage.steps / LASTS < 50


@pytest.mark.usefixtures("slow_looks")
def test_a_peer_that_answers_dials_and_nothing_else_is_dialled_ever_more_slowly(stage: Stage) -> None:
    """
    A13: standing for a moment is not standing, so a thousand short-lived connections cost no more than a dead one.
    """

    def gone(_: int) -> Failure:
        return Failure(stage="receive", error="closed after a moment", reachable=True)

    stage.server.polls.append(gone)

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(3600)

    book = stage.run(main)

    assert len(stage.server.dialled) < 200
    first = sum(at < 60 for at in stage.server.dialled)
    assert first < 15
    waits = [row.fields["wait"] / 1e9 for row in book.events("Lost")]
    assert max(waits) > 45


def test_backoff_starts_again_after_the_connection_has_held(stage: Stage) -> None:
    """
    A13, the other side: who was connected for an hour is not punished for last week.
    """
    stage.server.hold = 10
    stage.server.dials.append(lambda _: Failure(stage="connect", error="down") if trio.current_time() < 600 else None)
    stage.server.polls.append(
        lambda _: Failure(stage="receive", error="closed") if 1200 < trio.current_time() < 1210 else None
    )

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(1500)

    book = stage.run(main)

    down, *after = [row for row in book.events("Lost") if row.at > (1_790_000_000 + 1000) * 10**9]
    assert down.fields["failures"] == 1
    assert not after or after[0].fields["failures"] == 2


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("hint", [0, -5, 1, 10**30, math.nan, math.inf, -math.inf, "soon"])
def test_a_delay_that_makes_no_sense_is_no_delay_of_ours(stage: Stage, hint: Any) -> None:
    """
    A15: every wait is a number between a floor and a cap, whoever chose it.
    """
    stage.server.dials.append(lambda number: Failure(stage="connect", error="down", hint=hint) if number < 4 else None)

    async def main() -> None:
        async with stage.gateway():
            await stage.until(lambda: len(stage.server.dialled) == 4, within=20 * 3600, every=10)

    book = stage.run(main, limit=24 * 3600)

    waits = [row.fields["wait"] / 1e9 for row in [*book.events("Lost"), *book.events("Broken")]]
    assert all(1 <= wait <= 6 * 3600 for wait in waits)
    assert len(stage.server.dialled) == 4


@pytest.mark.parametrize("size", [1, 20])
def test_a_flood_is_bounded_by_the_governor(stage: Stage, size: int) -> None:
    """
    G2: messages pay for the next poll, so what a hostile peer can drive by sending is the governor's to bound; and the
    messages are all there.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    governor = Governor(rows_per_second=100, burst=200)

    def flood(number: int) -> Batch | None:
        if trio.current_time() > 20:
            return None
        first = number * size
        messages = [attrs.evolve(COPY, id=f"f{first + each}", text=f"{first + each}") for each in range(size)]
        stage.server.inbox += messages
        return Batch(messages=tuple(messages), secrets={"cursor": f"{CANARY}-cursor-{len(stage.server.inbox)}"})

    stage.server.polls.append(flood)

    async def main() -> None:
        async with stage.gateway(options=Options(lock_folder=stage.folder / "locks", governor=governor)):
            await trio.sleep(40)

    book = stage.run(main, rows_per_second=None)

    assert len(book.rows) < 200 + 100 * 21 + 3 * size + 100
    assert book.events("Governed")
    assert len(book.messages()) == len(stage.server.inbox)


@pytest.mark.usefixtures("slow_looks")
def test_a_dial_that_succeeds_and_a_poll_that_is_refused_do_not_chase_each_other(stage: Stage) -> None:
    """
    A7: the dial says yes, the poll says no; the one must not wake what the other put to sleep.
    """
    stage.server.dials.append(lambda _: Dialled(proved=True))
    stage.server.polls.append(lambda _: EXPIRED)

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(3600)

    stage.run(main)

    assert len(stage.server.dialled) < 30


def test_sends_that_are_refused_as_unauthorised_do_not_chase_the_dial(stage: Stage) -> None:
    """
    A7, B1: polls and dials are well, only sends say that the account is unknown.
    """
    stage.server.during(0, 1e9, refused("who"))
    stage.account = Fake(stage.server, Plain(), attrs.evolve(QUICK, backoff=Backoff(floor=1, cap=60)))

    async def main() -> None:
        async with stage.gateway() as gateway:
            for chat in ("ann", "bob", "cyd"):
                await stage.send(gateway, chat, "hello")
            await trio.sleep(3600)

    stage.run(main)

    assert len(stage.server.attempts) < 500
    assert len(stage.server.dialled) < 200

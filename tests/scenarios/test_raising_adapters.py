"""E1, E8, F4: adapters that raise where they should return.

E1 (hermes-agent#87382: deaf for twenty hours; hermes-agent#111020, puffo-agent#298): a task dies and nobody notices.
Here a child's death is a transition of its instance. F4 (hermes-agent#58501): and what it died of may hold a credential.
"""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio

from statecore.messages import Delivered
from statecore.platform import Dialled, Failure, Message, Outgoing, Refusal, Taken
from statecore.reading import Evidence, Reading
from tests.support.odd import Odd
from tests.support.platform import CANARY, EXPIRED, QUICK, Credentials, Fake, FakeClient, Plain, Server, dies, refused
from tests.support.stage import Stage

ERRORS: list[Callable[[], Exception]] = [
    lambda: OSError("connection reset"),
    TimeoutError,
    lambda: ExceptionGroup("several", [ValueError("one"), KeyError("two")]),
]


@pytest.mark.parametrize("error", range(len(ERRORS)))
@pytest.mark.parametrize("where", ["dial", "receive", "send"])
def test_an_attempt_that_raises_is_a_transition(stage: Stage, where: str, error: int) -> None:
    """
    The row says what it died of, the instance waits and tries again, and nothing else notices.
    """
    fault = ERRORS[error]()
    if where == "dial":
        stage.server.dials.append(lambda number: fault if number <= 3 else None)
    elif where == "receive":
        stage.server.polls.append(lambda number: fault if number <= 3 else None)
    else:
        stage.server.once(dies(fault, takes=False))
    stage.account = Fake(stage.server, Plain("always"), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)
            await trio.sleep(60)
            assert not gateway.troubles()
            assert stage.counts("connection").keys() <= {("connection", "connected"), ("connection", "resting")}

    book = stage.run(main)

    broken = book.events("Broken")
    assert len(broken) == (1 if where == "send" else 3)
    assert {row.fields["how"] for row in broken} == {"died"}
    assert len(book.events("Started")) == 1


def test_an_error_of_any_length_is_recorded_at_one_that_can_be_read(stage: Stage) -> None:
    """
    G7: an adapter that puts the whole answer into its error must not fill the disk with it, attempt after attempt.
    """
    stage.server.dials.append(lambda number: AssertionError("x" * 100_000) if number <= 3 else None)

    async def main() -> None:
        async with stage.gateway():
            await stage.connected()

    book = stage.run(main)

    assert all(len(row.data) < 5000 for row in book.rows)


class BadGoodbye(FakeClient):
    """Raises when it hangs up."""

    async def hang_up(self) -> str:
        raise OSError("gone already")


class StuckGoodbye(FakeClient):
    """Never hangs up."""

    async def hang_up(self) -> str:
        await trio.sleep_forever()
        return ""


class BadRenewal(FakeClient):
    """Raises when it is asked for new credentials."""

    def renewed(self) -> bool:
        raise PermissionError("the file with the token is not yours")


class Nonsense(FakeClient):
    """Returns what no port allows."""

    calls = 0

    async def receive(self) -> Any:
        Nonsense.calls += 1
        await trio.sleep(1)

    async def send(self, part: Outgoing) -> Any:
        await trio.sleep(0.1)
        return True if part.text == "hello" else Taken()


@pytest.mark.parametrize("kind", [BadGoodbye, StuckGoodbye])
def test_a_goodbye_that_fails_keeps_nobody(stage: Stage, kind: type[FakeClient]) -> None:
    """
    The account is let go all the same, within the seconds allowed.
    """

    async def main() -> None:
        async with stage.gateway({"wx": Odd(lambda secrets: kind(stage.server, Credentials(), secrets, None))}):
            await stage.connected()
        assert trio.current_time() < 7

    book = stage.run(main)

    assert book.of("connection", "closed")


def test_credentials_that_cannot_be_looked_at_are_not_the_end_of_the_gateway(stage: Stage) -> None:
    """
    E1, E9: asked every few seconds, in the task that looks after every account.
    """
    bad = Server()
    bad.dials.append(lambda _: EXPIRED)
    odd = Odd(lambda secrets: BadRenewal(bad, Credentials(), secrets, None))

    async def main() -> None:
        async with stage.gateway({"odd": odd, "wx": stage.account}) as gateway:
            await trio.sleep(60)
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)

    stage.run(main)


@pytest.mark.parametrize("what", ["receive", "send"])
def test_an_answer_that_is_no_answer_is_an_attempt_that_failed(stage: Stage, what: str) -> None:
    """
    E8: an adapter made for another version returns None, or True. That is a lost outcome: neither a success, nor a
    reason to wait for ever for what has come already.
    """
    Nonsense.calls = 0

    async def main() -> None:
        odd = Odd(lambda secrets: Nonsense(stage.server, Credentials(), secrets, None))
        async with stage.gateway({"wx": odd}) as gateway:
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(300)
            assert not gateway.troubles()
            if what == "receive":
                assert Nonsense.calls > 3
            else:
                assert stage.counts("delivery") == {("delivery", "dead"): 1}

    book = stage.run(main)

    assert len(book.events("Started")) == 1


class BadReading(Plain):
    """Cannot read what it is told."""

    def read(self, refusal: Refusal, _evidence: Evidence) -> Reading:
        raise LookupError(refusal.code)


def test_a_refusal_that_cannot_be_read_is_left_alone_for_a_while(stage: Stage) -> None:
    """
    E1: a slip in the reading is no reason to lose the answer, and so no reason to ask again and again.
    """
    stage.server.during(0, 1e9, refused("?"))
    stage.account = Fake(stage.server, BadReading(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(60)
            assert not gateway.troubles()

    book = stage.run(main)

    assert len(stage.server.attempts) <= 3
    assert not [held for held in book.of("delivery") if held.fields.get("doubled")]


@pytest.mark.parametrize("where", ["dial", "send"])
def test_an_error_that_holds_a_credential_does_not_get_out(stage: Stage, where: str) -> None:
    """
    F4: adapters must not let it, but the exception they did not foresee is just the one that holds the address with the
    token in it.
    """
    fault = OSError(f"POST https://api.example/bot{CANARY}-bot-token/send: reset")
    if where == "dial":
        stage.server.dials.append(lambda number: fault if number == 1 else None)
    else:
        stage.server.once(dies(fault, takes=False))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await (await stage.send(gateway, "ann", "hello")).settled()

    stage.run(main)


def test_a_message_that_cannot_be_written_down_does_not_stop_the_others(stage: Stage) -> None:
    """
    C6 on the way in: half a character, which JSON can carry and the journal cannot. The platform sends it again with
    every poll, so who trips over it never gets past it.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        stage.server.deliver(Message(chat="ann", sender="ann", id="m-bad", text="half \ud83d"))
        stage.server.say("bob", "hello")
        async with stage.gateway():
            await trio.sleep(30)
            assert ("inbound", "waiting") in stage.counts("inbound")

    book = stage.run(main)

    assert len(book.events("Started")) == 1


@pytest.mark.parametrize("what", ["reason", "error", "code"])
def test_texts_of_the_platform_that_are_no_texts_are_recorded_all_the_same(stage: Stage, what: str) -> None:
    """
    What a peer says of itself may be anything.
    """
    if what == "reason":
        stage.server.dials.append(lambda number: Failure(stage="answer", error="\ud800\0") if number == 1 else None)
    elif what == "error":
        stage.server.once(dies(OSError("\ud800\0"), takes=False))
    else:
        stage.server.dials.append(
            lambda number: attrs.evolve(EXPIRED, message="\ud800") if number == 1 else Dialled(proved=True)
        )
    stage.account = Fake(stage.server, Plain("always"), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)

    book = stage.run(main)

    assert len(book.events("Started")) == 1

"""C2, C3, C4, C7, C11: what a platform delivers twice, and what people say twice.

C2 (hermes-agent#100032, matterbridge#1059: a picture ten times): dedup in memory forgets over a restart. C3
(Tencent/openclaw-weixin#239): every message twice, under ids made up on the spot. C4 (hermes-agent#36750): "ok" twice
within five minutes, and the second vanishes. C11 (hermes-agent#90464): messages sent during the start are taken for old.
"""

import json

import attrs
import pytest
import trio

from statecore.gateway import Gateway
from statecore.messages import Message
from statecore.platform import Dialled, Empty
from statecore_adapters.weixin import protocol
from tests.support.platform import QUICK, Fake, Plain
from tests.support.stage import Stage, answer


def listening(stage: Stage) -> list[str]:
    """Note the texts that are handled."""
    stage.account = Fake(stage.server, Plain(), QUICK)
    return []


async def listen(gateway: Gateway, heard: list[str], lasts: float) -> None:
    """Handle messages for a while."""

    async def handle(message: Message) -> None:
        heard.append(message.text)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, gateway, handle)
        await trio.sleep(lasts)
        nursery.cancel_scope.cancel()


def test_everything_delivered_again_after_a_restart_is_recognised(stage: Stage) -> None:
    """
    C2: the id is in the journal, so neither a restart nor a cursor that went back makes a message new.
    """
    heard = listening(stage)

    async def main() -> None:
        for number in range(20):
            stage.server.say(f"chat {number % 3}", f"message {number}")
        async with stage.gateway() as gateway:
            await listen(gateway, heard, 5)
        for message in list(stage.server.inbox):
            stage.server.deliver(message)
        async with stage.gateway() as gateway:
            stage.server.say("ann", "something new")
            await listen(gateway, heard, 5)

    book = stage.run(main)

    assert sorted(heard) == sorted([f"message {number}" for number in range(20)] + ["something new"])
    assert len(book.events("Repeated")) + len([row for row in book.rows if "copy" in (row.outcome or "")]) >= 20


@pytest.mark.parametrize("restart", [False, True])
def test_two_oks_are_two_and_the_platforms_copy_is_none(stage: Stage, *, restart: bool) -> None:
    """
    C4: what is said again four seconds later is another message; what comes again three seconds after that under another
    id, written at the same moment, is the same one, also when the program was restarted in between.
    """
    heard = listening(stage)

    async def main() -> None:
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(listen, gateway, heard, 20)
            stage.server.say("ann", "ok", message_id="a1")
            await trio.sleep(4)
            second = stage.server.say("ann", "ok", message_id="a2")
            await trio.sleep(3)
            if not restart:
                stage.server.deliver(attrs.evolve(second, id="a3"))
                await trio.sleep(1)
            nursery.cancel_scope.cancel()
        if restart:
            stage.server.deliver(attrs.evolve(second, id="a3"))
            async with stage.gateway() as gateway:
                await listen(gateway, heard, 6)

    book = stage.run(main)

    assert heard == ["ok", "ok"]
    (copy,) = book.events("Repeated")
    assert copy.fields == {"id": "a3", "by": "fingerprint"}
    assert copy.machine == "inbound/wx/a2"


def test_a_copy_of_the_first_ok_that_comes_after_the_second_is_suppressed(stage: Stage) -> None:
    """
    C4: copies were seen up to eleven seconds late (Tencent/openclaw-weixin#239), and people repeat themselves faster.
    """
    heard = listening(stage)

    async def main() -> None:
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(listen, gateway, heard, 20)
            first = stage.server.say("ann", "ok", message_id="a1")
            await trio.sleep(4)
            stage.server.say("ann", "ok", message_id="a2")
            await trio.sleep(3)
            stage.server.deliver(attrs.evolve(first, id="a3"))

    stage.run(main)

    assert heard == ["ok", "ok"]


def test_pictures_sent_at_once_are_so_many_pictures(stage: Stage) -> None:
    """
    C4: they have neither text nor anything else that tells them apart but their ids, and those do.
    """
    listening(stage)
    handled: list[str] = []

    async def main() -> None:
        async def handle(message: Message) -> None:
            handled.append(message.id)

        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(answer, gateway, handle)
            for number in range(4):
                stage.server.say("ann", "", kinds=("image",), message_id=f"picture {number}")
                await trio.sleep(0.2)
            await trio.sleep(1)
            gateway.stop()

    stage.run(main)

    assert handled == [f"picture {number}" for number in range(4)]


def test_the_same_word_in_two_chats_is_two_messages(stage: Stage) -> None:
    """
    C4, C12: whoever is in two groups may say yes in both.
    """
    heard = listening(stage)

    async def main() -> None:
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(listen, gateway, heard, 5)
            stage.server.say("the one group", "yes", sender="ann")
            await trio.sleep(1)
            stage.server.say("the other group", "yes", sender="ann")

    stage.run(main)

    assert heard == ["yes", "yes"]


def test_a_message_without_an_id_gets_the_same_one_every_time(stage: Stage) -> None:
    """
    C3: the id is made from what was received, by the codec that ships, so a copy is a copy.
    """
    heard = listening(stage)
    raw = {"from_user_id": "ann", "create_time_ms": 1_790_000_000_000, "seq": 7, "message_type": 1}
    items = [{"type": 1, "text_item": {"text": "hello"}}]
    body = json.dumps({"ret": 0, "msgs": [{**raw, "item_list": items}]}).encode()
    (message,) = protocol.parse_updates(body).messages
    assert message.weak_id

    async def main() -> None:
        stage.server.deliver(message)
        async with stage.gateway() as gateway:
            await listen(gateway, heard, 40)
        (again,) = protocol.parse_updates(body).messages
        stage.server.deliver(again)
        async with stage.gateway() as gateway:
            await listen(gateway, heard, 40)

    stage.run(main)

    assert heard == ["hello"]


def test_what_is_written_while_the_gateway_starts_is_not_taken_for_old(stage: Stage) -> None:
    """
    C11: where to begin is said by a durable cursor, and never by what is seen first.
    """
    heard = listening(stage)

    async def main() -> None:
        stage.server.say("ann", "before")
        stage.server.dials.append(lambda number: None if number > 1 else Dialled(proved=False))
        async with stage.gateway() as gateway, trio.open_nursery() as nursery:
            nursery.start_soon(listen, gateway, heard, 5)
            await trio.sleep(0.04)
            stage.server.say("ann", "during")
        stage.server.say("ann", "while it was down")
        async with stage.gateway() as gateway:
            await listen(gateway, heard, 5)

    stage.run(main)

    assert heard == ["before", "during", "while it was down"]


def test_a_cursor_that_moves_without_messages_is_kept(stage: Stage) -> None:
    """
    C7: or the same stretch is asked for again and again.
    """
    listening(stage)
    stage.server.polls.append(lambda number: Empty(secrets={"cursor": "CANARY-cursor-0"}) if number == 1 else None)

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(10)

    book = stage.run(main)

    assert book.secrets["wx", "cursor"] == "CANARY-cursor-0"


@pytest.mark.parametrize("same_id", [True, False])
def test_a_batch_that_holds_a_message_twice_holds_one(stage: Stage, *, same_id: bool) -> None:
    """
    C2: the copy may come in the very same answer.
    """
    heard = listening(stage)

    async def main() -> None:
        for number in range(3):
            message = stage.server.say("ann", f"message {number}")
            for copy in range(2):
                stage.server.deliver(message if same_id else attrs.evolve(message, id=f"copy {copy} of {message.id}"))
        async with stage.gateway() as gateway:
            await listen(gateway, heard, 5)
            assert not gateway.troubles()

    book = stage.run(main)

    assert heard == ["message 0", "message 1", "message 2"]
    assert len(book.messages()) == 3
    assert len(book.events("Repeated")) == 6

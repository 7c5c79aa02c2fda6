"""F1, C2, G7: a journal that is used for years.

F1 (openclaw#112951, loreai#1221: 5.4 GB of WAL; openrun#100: the disk full, and with it everything). What is over goes,
and what keeps a message from being handled or sent twice stays for as long as anybody may repeat it.
"""

from typing import Final

import pytest
import trio

from statecore.gateway import Gateway, Options, Retention
from statecore.messages import Delivered, Message
from statecore_journal import diverges
from tests.support.platform import QUICK, Fake, Plain, refused
from tests.support.power import Power
from tests.support.stage import Stage, answer

HOUR: Final = 3600.0


def options(stage: Stage) -> Options:
    """Keep what is over for an hour."""
    return Options(lock_folder=stage.folder / "locks", retention=Retention(keep=3600, every=600))


async def talk(stage: Stage, gateway: Gateway, handled: list[str], hours: float) -> None:
    """Have users write and be answered for some hours."""

    async def handle(message: Message) -> None:
        handled.append(message.id)
        await stage.send(gateway, message.chat, f"you said {message.text}", key=message.id)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer, gateway, handle)
        for number in range(round(hours * 20)):
            stage.server.say(f"chat {number % 3}", f"message {number}")
            await trio.sleep(180)
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("slow_looks")
def test_what_is_over_goes_and_what_is_known_stays_known(stage: Stage) -> None:
    """
    Hours later, and over a restart, everything the platform repeats is recognised and every key is taken.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    handled: list[str] = []

    async def main() -> None:
        async with stage.gateway(options=options(stage)) as gateway:
            await talk(stage, gateway, handled, 6)
        said = list(stage.server.inbox)
        assert sorted(handled) == sorted(message.id for message in said)
        sent = len(stage.server.attempts)
        for message in said:
            stage.server.deliver(message)
        async with stage.gateway(options=options(stage)) as gateway:
            await stage.connected()
            for message in said:
                receipt = await gateway.send("wx", message.chat, "something else", key=message.id)
                assert receipt.id
            await trio.sleep(2 * HOUR)
            stage.server.say("ann", "something new")
            await stage.until(lambda: ("inbound", "waiting") in stage.counts("inbound"))
        assert len(stage.server.attempts) == sent

    book = stage.run(main, limit=24 * HOUR)

    assert book.pruned
    assert len(book.messages("waiting")) == 1
    assert len(book.rows) < 2000


@pytest.mark.usefixtures("slow_looks")
def test_what_waits_is_never_pruned(stage: Stage) -> None:
    """
    Not for its age: a message behind a closed window, one that is dead, one nobody has handled.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 60, refused("shut"), "ann")
    stage.server.during(0, 60, refused("gone"), "bob")

    async def main() -> None:
        async with stage.gateway(options=options(stage)) as gateway:
            await stage.connected()
            await stage.send(gateway, "ann", "waits")
            await stage.send(gateway, "bob", "dies")
            stage.server.say("cyd", "nobody listens")
            await trio.sleep(12 * HOUR)
            stage.server.say("ann", "here I am")
            await stage.until(lambda: ("delivery", "delivered") in stage.counts("delivery"))
            (letter,) = stage.letters()
            assert letter.text == "dies"
            await stage.ask(gateway, "retry", letter.address)
            await stage.until(lambda: ("delivery", "dead") not in stage.counts("delivery"))

    book = stage.run(main, limit=24 * HOUR)

    assert stage.server.shown() == ["waits", "dies"]
    assert sorted(book.messages("waiting")) == ["m1", "m2"]


@pytest.mark.usefixtures("slow_looks")
def test_a_receipt_of_what_was_pruned_does_not_wait_for_ever(stage: Stage) -> None:
    """
    Who asks late hears that nobody knows any more, and not nothing.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway(options=options(stage)) as gateway:
            receipt = await stage.send(gateway, "ann", "hello")
            await trio.sleep(3 * HOUR)
            with trio.fail_after(60):
                assert not isinstance(await receipt.settled(), Delivered)

    stage.run(main, limit=24 * HOUR)


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_power_cut_while_it_is_pruned_leaves_a_journal_that_is_whole(
    tmp_path_factory: pytest.TempPathFactory, when: str
) -> None:
    """
    Between any two of its transactions: what is left folds, what is known stays known, and the next run goes on.
    """
    for cut in range(1, 12):
        stage = Stage(tmp_path_factory.mktemp("stage"))
        stage.account = Fake(stage.server, Plain(), QUICK)
        interrupted = prune_and_cut(stage, cut, before=when == "before")
        if not interrupted:
            assert cut > 4
            return


def prune_and_cut(stage: Stage, cut: int, *, before: bool) -> bool:
    """Cut the power at a transaction of the pruning; return whether there was such a one."""
    power = Power()
    pruned = 0

    def fault(kind: str) -> Exception | None:
        nonlocal pruned
        pruned += kind == "prune"
        if kind == "prune" and pruned == cut:
            power.before = power.writes + 1 if before else None
            power.after = None if before else power.writes + 1
        return None

    power.fault = fault

    async def main() -> None:
        await stage.boot(first, power, options=options(stage))
        assert diverges(stage.path) is None
        for message in list(stage.server.inbox):
            stage.server.deliver(message)
        await stage.boot(second, options=options(stage))

    async def first(gateway: Gateway) -> None:
        await talk(stage, gateway, [], 2.2)

    async def second(gateway: Gateway) -> None:
        handled: list[str] = []
        await talk(stage, gateway, handled, 0.2)
        await trio.sleep(HOUR)
        assert len(handled) == len(set(handled))

    book = stage.run(main, limit=24 * HOUR)
    assert {held.state for held in book.of("inbound")} == {"done"}
    assert len(stage.server.taken) == len(set(stage.server.shown())) or not power.on
    return not power.on

"""A1, A2, A9, A10, A16, A18, A20, A23: what is a connection, and what only looks like one.

A9 (satorijs#329): "connected" when the socket opens. A10 (paperclip-plugin-discord#71: 276 379 dials in a day): a late
event of the last connection ends the new one. A16 (openclaw#34052: 255 restarts a day): silence is taken for death. A1
(hermes-agent#19821): death is taken for silence. A18 (hermes-agent#75571): it hangs, and nobody can tell where. A20
(openclaw#71412): the lid was closed. A23 (Tencent/openclaw-weixin#267): our patience ends when the platform's does.
"""

from typing import Any

import pytest
import trio

from statecore.messages import Delivered
from statecore.platform import Batch, Dialled, Empty, Failure, Message
from statecore.units import HOURS, SECONDS
from tests.support.odd import Odd
from tests.support.platform import (
    HANG,
    QUICK,
    TAKEN,
    Credentials,
    Fake,
    FakeClient,
    Plain,
    Server,
    refused,
    unclear,
    unsent,
)
from tests.support.stage import Stage


def test_connected_is_what_the_platform_says(stage: Stage) -> None:
    """
    A9: neither while it is dialled, nor while it has only answered.
    """
    stage.server.dials.append(lambda _: Dialled(proved=False))
    seen: list[tuple[float, str, bool | None]] = []

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(0.01)
            for _ in range(400):
                (account,) = gateway.status().accounts
                seen.append((trio.current_time(), account.state, account.connected))
                await trio.sleep(0.1)

    stage.run(main)

    assert {(state, connected) for _, state, connected in seen} == {
        ("dialling", False),
        ("proving", False),
        ("connected", True),
    }
    assert min(at for at, _, connected in seen if connected) > 35


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("where", ["dial", "first poll", "later poll"])
def test_what_hangs_is_given_up_and_the_row_says_where(stage: Stage, where: str) -> None:
    """
    A18, A1: each stage has its deadline, so the last row names the stage that hung.
    """
    if where == "dial":
        stage.server.dials.append(lambda number: HANG if number == 1 else None)
    else:
        stage.server.polls.append(lambda number: HANG if number == (1 if where == "first poll" else 2) else None)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await trio.sleep(600)
            assert isinstance(await (await stage.send(gateway, "ann", "hello")).settled(), Delivered)

    book = stage.run(main)

    (broken,) = book.events("Broken")
    assert broken.fields["how"] == "overdue"
    assert broken.source == ("dialling" if where == "dial" else "connected")
    allowed = 30 if where == "dial" else 180
    assert f"within {'30s' if where == 'dial' else '3m'}" in broken.fields["error"]
    begun = [row for row in book.rows if row.target == broken.source and row.seq < broken.seq][-1]
    assert abs((broken.at - begun.at) / SECONDS - allowed) < 1


@pytest.mark.usefixtures("slow_looks")
def test_an_idle_day_costs_no_reconnect(stage: Stage) -> None:
    """
    A16: nobody writes for a day, and that is all there is to say about it.
    """

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(24 * 3600)

    book = stage.run(main, limit=25 * 3600)

    assert len(stage.server.dialled) == 1
    assert 2400 < len(stage.server.polled) < 2500
    assert not book.events("Lost")


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize(("pattern", "dials"), [("silent, then held", 1), ("silent for ever", 4)])
def test_one_poll_without_an_answer_is_a_race_and_two_are_a_loss(stage: Stage, pattern: str, dials: int) -> None:
    """
    A23: the platform holds for as long as we wait, and sometimes it is late. A2: always late is something else.
    """
    stage.server.polls.append(lambda number: Empty(silent=True) if pattern == "silent for ever" or number % 2 else None)
    stage.server.hold = 30

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(1800)

    book = stage.run(main)

    lost = book.events("Lost")
    if dials == 1:
        assert not lost
    else:
        assert {row.fields["stage"] for row in lost} == {"silence"}
        assert len(stage.server.dialled) > dials


class Slow(FakeClient):
    """Lets nobody cancel its polls, and brings what they brought."""

    async def receive(self) -> Any:
        with trio.CancelScope(shield=True):
            await trio.sleep(3)
        return Batch(messages=(Message(chat="ann", sender="ann", id="late", text="late"),), secrets={})


def test_an_outcome_of_a_connection_that_is_gone_changes_nothing(stage: Stage) -> None:
    """
    A10: it is recorded as late, and the next generation neither ends nor begins by it.
    """

    async def main() -> None:
        odd = Odd(lambda secrets: Slow(stage.server, Credentials(), secrets, None))
        async with stage.gateway({"wx": odd}):
            await stage.connected()
            await trio.sleep(1)
            stage.world.suspend(60 * SECONDS)
            await trio.sleep(1.5)
            assert not stage.counts("inbound")
            await trio.sleep(10)

    book = stage.run(main)

    assert book.events("Woke")
    late = book.events("Late")
    assert all((row.outcome or "").startswith("ignored") and row.source == row.target for row in late)
    generations = [row for row in book.rows if row.target == "dialling" and row.outcome is None]
    assert len(generations) == 2


@pytest.mark.parametrize("hours", [1 / 60, 8, 24 * 7])
def test_after_a_suspend_every_connection_is_asked_again_and_nothing_waits_for_what_has_passed(
    stage: Stage, hours: float
) -> None:
    """
    A20: one event, no trust in what was true before, backoffs cleared, and the accounts apart from one another.
    """
    servers = [stage.server, Server(), Server(), Server()]
    servers[3].dials.append(lambda number: Failure(stage="connect", error="down") if number < 12 else None)
    accounts = {f"a{place}": Fake(server, Plain(), QUICK, identity=f"i{place}") for place, server in enumerate(servers)}
    stage.servers.clear()
    slept = round(hours * HOURS)

    async def main() -> None:
        async with stage.gateway(accounts) as gateway:
            await trio.sleep(300)
            dialled = [len(server.dialled) for server in servers]
            stage.world.suspend(slept)
            began = trio.current_time()
            await trio.sleep(3)
            assert [len(server.dialled) for server in servers[:3]] == [count + 1 for count in dialled[:3]]
            again = [server.dialled[-1] - began for server in servers[:3]]
            assert max(again) < 2.6
            assert len(set(again)) == 3
            assert isinstance(await (await stage.send(gateway, "ann", "hello", "a0")).settled(), Delivered)
            assert all(abs(server.dialled[-1] - began) < 3.1 for server in servers)

    book = stage.run(main)

    woke = book.events("Woke")
    assert len(woke) == 4
    assert {row.fields["slept"] for row in woke} == {slept}


def test_deadlines_that_passed_in_a_suspend_have_passed(stage: Stage) -> None:
    """
    A20: what was to be tried again in an hour is tried again after the night, and not an hour after that.
    """
    stage.server.during(0, 99, refused("mute"))
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            receipt = await stage.send(gateway, "ann", "hello")
            await trio.sleep_until(99)
            stage.world.suspend(8 * HOURS)
            await trio.sleep(2)
            await receipt.settled()
            assert trio.current_time() < 105

    stage.run(main)


@pytest.mark.parametrize("years", [-10, 10])
@pytest.mark.parametrize("seed", range(2))
def test_a_wall_clock_that_is_set_changes_no_decision(stage: Stage, years: int, seed: int) -> None:
    """
    F3 (vpnkit#527, gambit#627: it span after the clock went back): by ten years or by three seconds, row for row the same
    happens.
    """
    stories: list[list[tuple[Any, ...]]] = []

    def play(folder: str, by: int) -> None:
        place = stage.folder / folder
        place.mkdir()
        own = Stage(place)
        own.account = Fake(own.server, Plain(), QUICK)
        own.server.hold = 7

        async def main() -> None:
            async with own.gateway() as gateway:
                await own.connected()
                for number in range(30):
                    own.world.step_wall(by * (-1) ** number)
                    own.server.once(_fate(number), containing=f"message {number}")
                    own.server.say(f"chat {number % 3}", f"question {number}")
                    await own.send(gateway, f"chat {number % 3}", f"message {number}", expires="1h")
                    await trio.sleep(1)
                await own.settled("delivery")

        book = own.run(main, seed=seed)
        assert book.events("ClockStepped")
        rows = [row for row in book.rows if row.event != "ClockStepped"]
        stories.append([(row.at, row.machine, row.event, row.source, row.target, row.data) for row in rows])

    play("nudged", 3 * SECONDS)
    play("stepped", years * 365 * 24 * HOURS)

    assert stories[0] == stories[1]


def _fate(number: int) -> Any:
    return [TAKEN, unsent(), refused("busy"), unclear(takes=False), refused("fast")][number % 5]


def test_credentials_that_are_refused_are_said_at_once_and_probed_slowly(stage: Stage) -> None:
    """
    B1 (hermes-agent#12223: a blind pause of ten minutes, status "connected"): the state, its reason and what a person
    must do are there within the second; nothing is sent, nothing is lost, and it asks ever less often.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.hold = 5

    async def main() -> None:
        async with stage.gateway() as gateway:
            await stage.connected()
            stage.server.valid = "another token"
            await trio.sleep(6)
            (account,) = gateway.status().accounts
            assert (account.state, account.connected) == ("token-stale", False)
            assert "errcode=-14" in account.reason
            assert account.action == "scan the QR code again"
            assert account.until is not None
            await stage.send(gateway, "ann", "hello")
            await trio.sleep(3600)
            assert not stage.server.attempts
            assert len(stage.server.dialled) < 12

    stage.run(main)


@pytest.mark.parametrize("way", ["file", "command"])
def test_new_credentials_end_the_wait_within_seconds(stage: Stage, way: str) -> None:
    """
    B1: nobody restarts anything; what waited leaves, and what belonged to the old login is forgotten.
    """
    credentials = Credentials()
    stage.account = Fake(stage.server, Plain(), QUICK, credentials=credentials)
    stage.server.hold = 5

    async def main() -> None:
        stage.server.say("ann", "hello")
        async with stage.gateway() as gateway:
            await stage.heard(1)
            stage.server.log_in("CANARY-new-token")
            await trio.sleep(1000)
            receipt = await stage.send(gateway, "ann", "the answer")
            credentials.token = "CANARY-new-token"
            began = trio.current_time()
            if way == "command":
                await stage.ask(gateway, "credentials")
            assert isinstance(await receipt.settled(), Delivered)
            assert trio.current_time() - began < 3.5

    book = stage.run(main)

    assert not stage.server.attempts[-1].part.token
    assert ("wx", "token/ann") not in book.secrets


@pytest.mark.usefixtures("slow_looks")
def test_a_fault_that_only_a_person_can_mend_is_probed_slowly_and_says_what_to_do(stage: Stage) -> None:
    """
    A22 (hermes-agent#106359): a certificate, a proxy, a wrong address. It comes back by itself when it is mended.
    """
    stage.server.dials.append(
        lambda _: (
            Failure(stage="tls", error="the certificate is not valid", action="check the clock")
            if trio.current_time() < 3000
            else None
        )
    )
    stage.account = Fake(stage.server, Plain(), QUICK)

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "hello")
            await trio.sleep(100)
            (account,) = gateway.status().accounts
            assert (account.state, account.action) == ("tripped", "check the clock")
            assert isinstance(await receipt.settled(), Delivered)

    stage.run(main, limit=3 * 3600)

    assert len(stage.server.dialled) < 15

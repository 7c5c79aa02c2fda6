"""How long a message may take, where who asks and who delivers have no clock in common.

`statecore send --expires` runs in a process of its own. Deadlines are on the gateway's clock, which goes on where the
journal left off, and does not follow the wall clock when that is set.
"""

import pytest
import trio

from statecore.account import Command
from statecore.errors import NotAccepted
from statecore.messages import Expired
from statecore.units import DAYS, HOURS, MINUTES, SECONDS
from statecore_journal import submit
from tests.support.platform import QUICK, Fake, Plain, unsent
from tests.support.stage import Stage

NOW = 1_000 * DAYS


@pytest.mark.parametrize(
    ("lasts", "waited", "left"),
    [
        (10 * MINUTES, 0, 10 * MINUTES),
        (10 * MINUTES, 4 * MINUTES, 6 * MINUTES),
        (10 * MINUTES, 10 * MINUTES, 0),
        (10 * MINUTES, 3 * DAYS, 0),
        (10 * MINUTES, -3 * DAYS, 10 * MINUTES),
    ],
)
@pytest.mark.parametrize("drift", [-400 * DAYS, 0, 400 * DAYS])
def test_what_is_left_is_what_the_asking_left(lasts: int, waited: int, left: int, drift: int) -> None:
    """
    Only how long it waited is taken from the wall clock, and one that was set back lets nothing last longer.
    """
    asked = NOW + drift
    command = Command(id=1, kind="send", lasts=lasts, asked_wall=asked)

    assert command.expires_at(NOW, asked + waited) == NOW + left


def test_what_was_asked_for_without_a_limit_has_none() -> None:
    """
    Zero and none are different things.
    """
    assert Command(id=1, kind="send", asked_wall=NOW).expires_at(NOW, NOW + 3 * DAYS) is None


@pytest.mark.usefixtures("slow_looks")
@pytest.mark.parametrize("step", [-30 * DAYS, 0, 30 * DAYS], ids=["set back", "right", "set forward"])
def test_a_deadline_is_kept_whatever_the_wall_clock_says_by_then(stage: Stage, step: int) -> None:
    """
    A clock that was wrong when the journal began would have kept a message for a month, or dropped it at once.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 1e9, unsent(), "ann")

    async def main() -> None:
        async with stage.gateway():
            await trio.sleep(1)
        stage.world.step_wall(step)
        command = Command(
            id=0,
            kind="send",
            target="ann",
            delivery="d1",
            text="lunch?",
            lasts=1 * HOURS,
            asked_wall=stage.world.wall(),
        )
        submit(stage.path, "wx", command, wall=stage.world.wall())
        await trio.sleep(600)
        async with stage.gateway():
            await stage.until(
                lambda: stage.counts("delivery") == {("delivery", "expired"): 1}, within=2 * 3600, every=1
            )

    book = stage.run(main)

    (accepted,), (expired,) = book.events("Accepted"), book.events("Elapsed(expires_at)")
    assert accepted.fields["expires_at"] == accepted.at + 50 * MINUTES
    assert expired.at < accepted.fields["expires_at"] + 1 * SECONDS


def test_a_reply_is_to_a_message(stage: Stage) -> None:
    """
    A chat's id in its place used to raise an AttributeError from inside.
    """

    async def main() -> None:
        async with stage.gateway() as gateway:
            for odd in ("ann", 3, b""):
                with pytest.raises(NotAccepted, match=r"reply_to is a message that came in, got (str|int|bytes)"):
                    await gateway.send("wx", "ann", "hello", reply_to=odd)  # type: ignore[arg-type]
            with pytest.raises(NotAccepted, match="a key is a str, got int"):
                await gateway.send("wx", "ann", "hello", key=7)  # type: ignore[arg-type]
            assert not stage.counts("delivery")

    stage.run(main)


def test_a_send_for_another_process_to_deliver_lasts_as_long(stage: Stage) -> None:
    """
    A gateway that does not drive the account yet records what it was asked, and not a time on a clock of its own.
    """
    stage.account = Fake(stage.server, Plain(), QUICK)
    stage.server.during(0, 1e9, unsent(), "ann")

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "lunch?", expires="10m")
            assert isinstance(await receipt.settled(), Expired)
            assert trio.current_time() == pytest.approx(600, abs=5)

    stage.run(main)

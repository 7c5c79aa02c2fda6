"""A platform that sends, and never what it owes: no greeting, no word that the account stands, no end of a session.

Each of its frames is an answer, so no single wait is overdue, and an account that waits for the next one each time waits for
good, with everything behind it. Found by exploring the session's table exhaustively.
"""

from collections.abc import Callable

import pytest
import trio

from statecore.messages import Delivered
from statecore.platform import Invalid, Note
from tests.support.platform import QUICK, Fake, Plain
from tests.support.stage import Stage

Script = Callable[[bool, bool], Note | Invalid | None]

NOTE = Note(what="a frame that asks for nothing")
NO_GREETING: Script = lambda greeted, _: None if greeted else NOTE  # noqa: E731
NO_WELCOME: Script = lambda greeted, welcomed: NOTE if greeted and not welcomed else None  # noqa: E731


class NoEnd:
    """It calls the session invalid once it stands, and goes on sending."""

    def __init__(self) -> None:
        self.said = False

    def __call__(self, _greeted: bool, welcomed: bool) -> Note | Invalid | None:
        if not welcomed:
            return None
        self.said, first = True, not self.said
        return Invalid(resumable=False) if first else NOTE


@pytest.mark.parametrize(
    ("script", "within", "owed"),
    [(NO_GREETING, 35, "greeting"), (NO_WELCOME, 620, "account stands"), (NoEnd(), 20, "called invalid")],
    ids=["no-greeting", "no-welcome", "no-end"],
)
def test_a_platform_that_only_chatters_is_left_and_dialled_again(
    stage: Stage, script: Script, within: float, owed: str
) -> None:
    """
    The account says what it waited for in vain, and the message leaves as soon as the platform behaves.
    """
    stage.account = Fake(stage.server, Plain("once", tie="session"), QUICK)
    stage.server.chatters = script

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "hello")
            left = await stage.until(
                lambda: any(owed in row.fields["error"] for row in stage.book().events("Lost", "session/")),
                within=within,
                every=5,
            )
            assert left > 9
            stage.server.chatters = None
            assert isinstance(await receipt.settled(), Delivered)

    stage.run(main)


def test_what_was_missed_may_take_its_time(stage: Stage) -> None:
    """
    A platform repeats all that a session missed before it says that the account stands; minutes of that are no fault.
    """
    stage.account = Fake(stage.server, Plain("once", tie="session"), QUICK)
    stage.server.chatters = NO_WELCOME

    async def main() -> None:
        async with stage.gateway() as gateway:
            receipt = await stage.send(gateway, "ann", "hello")
            await trio.sleep(500)
            stage.server.chatters = None
            assert isinstance(await receipt.settled(), Delivered)

    book = stage.run(main)

    assert len(book.events("SocketOpened", "session/")) == 1

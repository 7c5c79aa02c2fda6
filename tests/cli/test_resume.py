"""`statecore resume`: what a person asks for is recorded, and what makes no sense is said."""

from pathlib import Path

import pytest
import trio

from tests.journal.desk import Hand, opened, rows
from tests.support.command import invoke


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Return a journal of an account that has heard from the chat "chat"."""
    path = tmp_path / "gateway.db"

    async def main() -> None:
        async with opened(path) as journal:
            hand = Hand(journal)
            await hand.dial()
            await hand.receive("in")

    trio.run(main)
    return path


def asked(path: Path) -> list[tuple[str, str, str]]:
    """Return (account, kind, target) of the commands that nobody has carried out."""
    return rows(path, "select account, kind, target from commands where done is null")


def test_an_account_or_one_of_its_chats_is_to_be_tried_again(journal: Path) -> None:
    """
    It is durable, and whoever drives the account carries it out; nobody does, and it says so.
    """
    whole, one = invoke("resume", journal, "wx"), invoke("resume", journal, "wx", "chat")

    assert (whole.exit_code, one.exit_code) == (0, 0)
    assert "when a gateway runs" in whole.stdout
    assert asked(journal) == [("wx", "resume", ""), ("wx", "resume", "chat")]


@pytest.mark.parametrize(("named", "said"), [(("wz",), "has no account 'wz'"), (("wx", "nobody"), "no chat 'nobody'")])
def test_a_name_that_is_not_there_asks_for_nothing(journal: Path, named: tuple[str, ...], said: str) -> None:
    """
    A slip of the pen would read as done, and the queue would wait all the same.
    """
    done = invoke("resume", journal, *named)

    assert done.exit_code == 1
    assert said in done.output
    assert asked(journal) == []

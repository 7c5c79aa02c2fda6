"""What is shown to people: a sentence that can be said aloud, and nothing twice."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console

from statecore.cli.demo.display import Display, Phones
from statecore.cli.read import render_account
from statecore.units import MILLISECONDS, MINUTES, SECONDS
from statecore_journal import AccountStatus, ChatStatus, Owner
from statecore_journal.reader import SILENT_AFTER
from tests.support.command import invoke

NOW = 1_790_000_000 * SECONDS
OWNER = Owner(pid=7, host="box", boot="b", epoch=2, since=0, beat_age=0, silent=False, says="running")
ACCOUNT = AccountStatus(
    name="wx", connected=True, state="connected", since=NOW - 3 * MINUTES, reason="", action="", until=None, owner=OWNER,
    circuit="closed", circuit_reason="", circuit_until=None, deliveries={}, messages={}, chats=(), chats_waiting=0, commands=0,
)  # fmt: skip


def shown(**changes: Any) -> list[str]:
    """Return what `statecore status` says of an account."""
    console = Console(width=200)
    with console.capture() as capture:
        console.print(render_account(attrs.evolve(ACCOUNT, **changes), NOW))
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("state", "since", "head"),
    [
        ("connected", NOW - 3 * MINUTES, "wx: connected (connected for 3m)"),
        ("resting", NOW - 483 * MILLISECONDS, "wx: connected (resting for 483ms)"),
        ("closed", NOW + 5 * MILLISECONDS, "wx: connected (closed for 0ms)"),
        ("closed", 0, "wx: connected (closed)"),
    ],
)
def test_a_state_lasts_for_a_time(state: str, since: int, head: str) -> None:
    """
    "closed since 483ms ago" is no English.
    """
    assert shown(state=state, since=since)[0] == head


@pytest.mark.parametrize(
    ("owner", "says"),
    [
        (OWNER, "process 7 on box, epoch 2, alive, running"),
        (attrs.evolve(OWNER, says="paused: no space"), "process 7 on box, epoch 2, alive, paused: no space"),
        (attrs.evolve(OWNER, says="stopped", beat_age=90 * SECONDS), "process 7 on box, epoch 2, stopped 1m30s ago"),
        (attrs.evolve(OWNER, silent=True, beat_age=SILENT_AFTER + 5),
         "process 7 on box, epoch 2, SILENT: its last heartbeat was 15s ago, and said running"),
        (None, "nobody has driven it yet"),
    ],
)  # fmt: skip
def test_an_owner_is_one_thing_at_a_time(owner: Owner | None, says: str) -> None:
    """
    It used to be "alive, says stopped".
    """
    assert f"  owner     {says}" in shown(owner=owner)


def test_a_check_of_what_nobody_drives_fails(tmp_path: Path) -> None:
    """
    "Every account is connected" must not hold because there is none.
    """
    (tmp_path / "gateway.toml").write_text(
        'journal = "gateway.db"\n[accounts.wx]\nplatform = "weixin"\naccount_id = "b@im.bot"\ntoken = "t"\n'
    )
    assert invoke("send", tmp_path / "gateway.toml", "wx", "chat", "hi").exit_code == 0

    assert invoke("status", tmp_path / "gateway.db").exit_code == 0
    assert invoke("status", tmp_path / "gateway.db", "--check").exit_code == 1
    assert "nobody has driven it yet" in invoke("status", tmp_path / "gateway.db").output


# ---- the demo --------------------------------------------------------------------------------------------------------


def chat(state: str, name: str = "o9cq80anna@im.wechat") -> ChatStatus:
    return ChatStatus(
        chat=name, waiting=1, first="", state=state, reason="", action="", until=None, window="open", spent=0
    )


def news(*accounts: AccountStatus) -> list[list[str]]:
    """Return the lines of the demo where there is no terminal, look after look."""
    display = Display(Path("none.db"), Phones(list, int), quiet=True)
    return [[" ".join(line.split()) for line in display.news([account])] for account in accounts]


def test_a_connection_that_rests_between_polls_is_connected() -> None:
    """
    It was announced as connected two or three times in a row.
    """
    looks = [
        attrs.evolve(ACCOUNT, state=state) for state in ("dialling", "connected", "resting", "connected", "closed")
    ]

    assert [[line for line in lines if "circuit" not in line and "chat" not in line] for lines in news(*looks)] == [
        ["WeChat dialling"],
        ["WeChat connected"],
        [],
        [],
        ["WeChat closed"],
    ]


@pytest.mark.parametrize(
    "after", [(chat("queued"),), (chat("sending"),), ()], ids=["queued", "sending", "all delivered"]
)
def test_a_chat_that_was_held_is_seen_to_go_on(after: tuple[ChatStatus, ...]) -> None:
    """
    Otherwise all of them seem to stay circuit-tripped for ever.
    """
    looks = [attrs.evolve(ACCOUNT, chats=chats) for chats in ((chat("queued"),), (chat("circuit-tripped"),), after, ())]

    assert news(*looks)[1:] == [["WeChat, chat anna circuit-tripped"], ["WeChat, chat anna goes on"], []]

"""The simulator at a terminal: what is typed is a message, unless it is something one does with a phone."""

import io
import socket

import pytest
import trio

from statecore_adapters.weixin.simulator import open_simulator
from statecore_adapters.weixin.simulator.__main__ import PHONE, _read_lines, main
from statecore_adapters.weixin.simulator.qr import STATUSES

ANN = "o9cq80ann@im.wechat"
EVE = "o9cq80eve@im.wechat"


def typed(text: str, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Return who said what to the bot."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    async def read() -> list[tuple[str, str]]:
        async with open_simulator() as sim:
            bot = sim.add_bot()
            await _read_lines(sim, bot, ANN)
            messages = [message for _, message in bot.inbox.after(0, 50)]
            return [(message["from_user_id"], message["item_list"][0]["text_item"]["text"]) for message in messages]

    return trio.run(read)


@pytest.mark.parametrize(
    ("line", "who", "what"),
    [
        ("hi", ANN, "hi"),
        (f"{EVE}: hi: there", EVE, "hi: there"),
        ("note: hi", ANN, "note: hi"),
        ("@im.wechat: hi", ANN, "@im.wechat: hi"),
        ("/help", ANN, "/help"),
        ("/scan it", ANN, "/scan it"),
        ("//scan", ANN, "/scan"),
    ],
)
def test_a_line_is_a_message(monkeypatch: pytest.MonkeyPatch, line: str, who: str, what: str) -> None:
    """
    Bots have commands with a slash too, so only those of the phone are taken from them.
    """
    assert typed(f"{line}\n\n", monkeypatch) == [(who, what)]


def test_a_phone_without_a_code_says_what_to_do_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Whoever types /scan first has not yet read the help.
    """
    assert typed("/scan\n", monkeypatch) == []

    assert capsys.readouterr().out.startswith("! there is no QR code to use; first run: statecore login weixin")


def test_a_phone_can_do_whatever_a_login_can_meet() -> None:
    """
    A status that cannot be had is one that nobody has tried.
    """
    assert {status for status, _ in PHONE.values()} | {"wait"} == STATUSES


@pytest.mark.parametrize(
    "arguments",
    [["--port", "x"], ["--port", "99999"], ["--port", "-1"], ["--quota", "-1"], ["--quota", "x"], ["--user", "ann"]],
    ids=" ".join,
)
def test_a_setting_that_makes_no_sense_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """
    Each of them used to end in a traceback, some of them only with the first message.
    """
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert f"argument {arguments[0]}" in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """
    The usual reason is a simulator in another terminal.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(SystemExit) as caught:
            main(["--port", str(port)])

    assert caught.value.code == 1
    assert f"cannot serve on port {port}: " in capsys.readouterr().err

"""The simulator at a terminal: type as the user, read what the bot sends."""

import argparse
import io
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from statecore_adapters import terminal

from .checks import is_user_id
from .knobs import Knobs
from .model import Bot
from .qr import QrStatus
from .server import DEFAULT_ACCOUNT, Simulator, open_simulator

__all__ = ["main"]

EXAMPLE: Final = """\
example:
  $ python -m statecore_adapters.weixin.simulator --port 8090 --token secret
  base_url    http://127.0.0.1:8090
  cdn_url     http://127.0.0.1:8090/c2c
  account_id  0a1b2c3d4e5f@im.bot
  token       secret

Point the bot at base_url instead of https://ilinkai.weixin.qq.com, then type. A line is a message of the user; a line
"o9cq80eve@im.wechat: hi" is one of somebody else. What the bot sends is printed after "<".

To try a login, run `statecore login weixin --base-url http://127.0.0.1:8090` elsewhere, and be the phone here:
{commands}
Any other line with a slash is a message; two slashes begin one that begins with one, as //scan.
"""

PHONE: Final[dict[str, tuple[QrStatus, str]]] = {
    "/scan": ("scaned", "the user scans the code"),
    "/digits": ("need_verifycode", "the phone shows digits that the login must send; three wrong ones block the code"),
    "/confirm": ("confirmed", "the user confirms, and the login gets a new token"),
    "/expire": ("expired", "the code is too old; the login shows another"),
    "/block": ("verify_code_blocked", "the digits were wrong too often; the login shows another"),
    "/bound": ("binded_redirect", "the account is bound to that installation already"),
    "/redirect": ("scaned_but_redirect", "the code is polled at another host from now on"),
}
"""What the user can do with a QR code, and what polls of it are told then. Before any of that they are told "wait"."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulator until it is interrupted."""
    commands = "".join(f"  {name:<11}{what}\n" for name, (_, what) in PHONE.items())
    parser = argparse.ArgumentParser(
        prog="python -m statecore_adapters.weixin.simulator",
        description="Run a simulated WeChat iLink server, to try a bot without WeChat.",
        epilog=EXAMPLE.format(commands=commands),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=terminal.port, default=0, help="TCP port on 127.0.0.1; default: any free one")
    parser.add_argument("--token", help="bot token; default: a made-up one")
    parser.add_argument("--account", default=DEFAULT_ACCOUNT, help="account id of the bot; default: %(default)s")
    parser.add_argument(
        "--user",
        type=user_id,
        default="o9cq80abc@im.wechat",
        help="who types here, and owns the bot; default: %(default)s",
    )
    parser.add_argument("--quota", type=number, default=10, help="sends for each message of the user; default: 10")
    parser.add_argument("--lenient", action="store_true", help="accept requests without the official headers")
    options = parser.parse_args(arguments)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    knobs = Knobs(quota=options.quota, strict=not options.lenient)
    try:
        trio.run(partial(_run, options, knobs))
    except* KeyboardInterrupt:
        pass
    except* OSError as group:
        parser.exit(1, terminal.not_served(group, options.port))


def number(text: str) -> int:
    if int(text) < 0:
        raise argparse.ArgumentTypeError("a number of messages is not negative")
    return int(text)


def user_id(text: str) -> str:
    if not is_user_id(text):
        raise argparse.ArgumentTypeError("a WeChat user id looks like o9cq80abc@im.wechat")
    return text


async def _run(options: argparse.Namespace, knobs: Knobs) -> None:
    async with open_simulator(options.port, knobs=knobs) as sim, trio.open_nursery() as nursery:
        bot = sim.add_bot(options.account, options.token, options.user)
        sim.attend_qr(options.user)
        facts = {
            "base_url": sim.base_url,
            "cdn_url": sim.cdn_url,
            "account_id": bot.account_id,
            "token": bot.token,
        }
        for name, value in facts.items():
            _print(f"{name:<11} {value}")
        nursery.start_soon(_print_what_happens, sim, bot)
        await _read_lines(sim, bot, options.user)
        await trio.sleep_forever()  # at the end of input it goes on serving


async def _read_lines(sim: Simulator, bot: Bot, user: str) -> None:
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        typed = line.strip()
        if typed in PHONE:
            _use_phone(sim, typed)
            continue
        name, colon, text = typed.removeprefix("/" * typed.startswith("//")).partition(": ")
        if not (colon and is_user_id(name)):
            name, text = user, name + colon + text
        if text:
            sim.say(bot, name, text)


def _use_phone(sim: Simulator, command: str) -> None:
    status, what = PHONE[command]
    if not sim.tell_qr(status):
        _print(f"! there is no QR code to use; first run: statecore login weixin --base-url {sim.base_url}")
    elif status == "need_verifycode":
        _print(f"? the phone shows {sim.qr_codes[-1].verify_code}")
    else:
        _print(f"? {what}")


async def _print_what_happens(sim: Simulator, bot: Bot) -> None:
    delivered = refused = codes = 0
    token = bot.token
    while True:
        for sent in bot.delivered[delivered:]:
            shown = sent.text or f"[{', '.join(key for key in sent.item if key != 'type')}]"
            _print(f"< {sent.to}: {shown}")
        for record in sim.refusals()[refused:]:
            _print(f"! {record.endpoint} refused ({record.why}): {dict(record.answer or {})}")
        for _ in sim.qr_codes[codes:]:
            _print("? a login shows a QR code; type /scan, then /confirm")
        if bot.token != token:
            _print(f"? logged in; the token is {bot.token} from now on")
        delivered, refused, codes, token = len(bot.delivered), len(sim.refusals()), len(sim.qr_codes), bot.token
        await sim.next_change()


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

"""The simulator at a terminal: type as the user, read what the bot sends."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from .knobs import Knobs
from .model import Bot
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
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulator until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m statecore_adapters.weixin.simulator",
        description="Run a simulated WeChat iLink server, to try a bot without WeChat.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="TCP port on 127.0.0.1; default: any free one")
    parser.add_argument("--token", help="bot token; default: a made-up one")
    parser.add_argument("--account", default=DEFAULT_ACCOUNT, help="account id of the bot; default: %(default)s")
    parser.add_argument("--user", default="o9cq80abc@im.wechat", help="who types here; default: %(default)s")
    parser.add_argument("--quota", type=int, default=10, help="sends for each message of the user; default: 10")
    parser.add_argument("--lenient", action="store_true", help="accept requests without the official headers")
    options = parser.parse_args(arguments)
    knobs = Knobs(quota=options.quota, strict=not options.lenient)
    try:
        trio.run(partial(_run, options, knobs))
    except* KeyboardInterrupt:
        pass


async def _run(options: argparse.Namespace, knobs: Knobs) -> None:
    async with open_simulator(options.port, knobs=knobs) as sim, trio.open_nursery() as nursery:
        bot = sim.add_bot(options.account, options.token)
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
        name, colon, text = line.strip().partition(": ")
        if not (colon and name.endswith("@im.wechat")):
            name, text = user, line.strip()
        if text:
            sim.say(bot, name, text)


async def _print_what_happens(sim: Simulator, bot: Bot) -> None:
    delivered = refused = 0
    while True:
        for sent in bot.delivered[delivered:]:
            shown = sent.text or f"[{', '.join(key for key in sent.item if key != 'type')}]"
            _print(f"< {sent.to}: {shown}")
        for record in sim.refusals()[refused:]:
            _print(f"! {record.endpoint} refused ({record.why}): {dict(record.answer or {})}")
        delivered, refused = len(bot.delivered), len(sim.refusals())
        await sim.next_change()


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

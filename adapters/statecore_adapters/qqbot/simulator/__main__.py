"""The simulator at a terminal: type as the people, read what the bot sends."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from statecore_adapters import terminal

from .faults import Close, Freeze, Reconnect, Step, Wait
from .knobs import Knobs
from .model import Bot
from .server import DEFAULT_APP_ID, DEFAULT_SECRET, Simulator, open_simulator

__all__ = ["main"]

EXAMPLE: Final = """\
example:
  $ python -m statecore_adapters.qqbot.simulator --port 8090
  api_base   http://127.0.0.1:8090
  token_url  http://127.0.0.1:8090/app/getAppAccessToken
  ws_url     ws://127.0.0.1:38211/websocket
  app_id     102000001
  secret     DG5g3B4j9X2KOErG

Point the bot at api_base instead of https://api.sgroup.qq.com and at token_url instead of
https://bots.qq.com/app/getAppAccessToken, then type. A line is a message of one person; "group: hi" is one that mentions
the bot in a group; "/close 4009", "/reconnect", "/drop" and "/freeze" do that to every connection, "/void" ends the
tokens, "/log" prints what happened. What the bot sends is printed after "<".
"""

ORDERS: Final[dict[str, tuple[Step, ...]]] = {
    "/freeze": (Freeze(),),
    "/reconnect": (Reconnect(), Wait(2000), Close(4009)),
}
GROUP_PREFIX: Final = "group: "


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the simulator until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m statecore_adapters.qqbot.simulator",
        description="Run a simulated QQ bot platform, to try a bot without QQ.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=terminal.port, default=0, help="TCP port of REST on 127.0.0.1; default: any free one"
    )
    parser.add_argument(
        "--ws-port", type=terminal.port, default=0, help="TCP port of the gateway; default: any free one"
    )
    parser.add_argument("--app-id", default=DEFAULT_APP_ID, help="default: %(default)s")
    parser.add_argument("--secret", default=DEFAULT_SECRET, help="default: %(default)s")
    parser.add_argument("--user", default="5A0C8D1E", help="openid of the person who types; default: %(default)s")
    parser.add_argument("--group", default="9F3B77C2", help="openid of the group; default: %(default)s")
    parser.add_argument("--heartbeat-ms", type=float, default=41_250, help="heartbeat interval; default: %(default)s")
    parser.add_argument("--proactive", action="store_true", help="let the bot speak first")
    options = parser.parse_args(arguments)
    knobs = Knobs(heartbeat_interval_ms=options.heartbeat_ms, proactive=options.proactive)
    try:
        trio.run(partial(_run, options, knobs))
    except* KeyboardInterrupt:
        pass
    except* OSError as group:
        parser.exit(1, terminal.not_served(group, options.port, options.ws_port))


async def _run(options: argparse.Namespace, knobs: Knobs) -> None:
    opened = open_simulator(options.port, knobs=knobs, ws_port=options.ws_port)
    async with opened as sim, trio.open_nursery() as nursery:
        bot = sim.add_bot(options.app_id, options.secret)
        facts = {
            "api_base": sim.api_base,
            "token_url": sim.token_url,
            "ws_url": sim.ws_url,
            "app_id": bot.app_id,
            "secret": bot.secret,
        }
        for name, value in facts.items():
            _print(f"{name:<10} {value}")
        nursery.start_soon(_print_what_happens, sim)
        await _read_lines(sim, bot, options)
        await trio.sleep_forever()  # at the end of input it goes on serving


async def _read_lines(sim: Simulator, bot: Bot, options: argparse.Namespace) -> None:
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        text = line.strip()
        if text.startswith("/"):
            _obey(sim, bot, text)
        elif text.startswith(GROUP_PREFIX):
            sim.say_group(options.group, options.user, text.removeprefix(GROUP_PREFIX))
        elif text:
            sim.say_c2c(options.user, text)


def _obey(sim: Simulator, bot: Bot, text: str) -> None:
    """Carry out a line that begins with a slash."""
    name, _, argument = text.partition(" ")
    match name:
        case "/close" if argument.isdecimal() and 1000 <= int(argument) < 5000:
            sim.order(Close(int(argument)))
        case "/drop":
            sim.drop()
        case "/void":
            sim.void_token(bot)
        case "/log":
            for entry in sim.log:
                _print(str(entry))
        case _ if name in ORDERS:
            sim.order(*ORDERS[name])
        case _:
            _print(f"? {text}: there are /close CODE, /drop, /void, /log, {', '.join(ORDERS)}")


async def _print_what_happens(sim: Simulator) -> None:
    delivered = refused = 0
    while True:
        for sent in sim.delivered[delivered:]:
            shown = sent.text or f"[{', '.join(sorted(sent.body))}]"
            _print(
                f"< {sent.scene} {sent.target}: {shown}" + (" (nobody sees it: no session)" if sent.swallowed else "")
            )
        for record in sim.refused[refused:]:
            _print(f"! {record.path} refused ({record.why}): {dict(record.answer or {})}")
        delivered, refused = len(sim.delivered), len(sim.refused)
        await sim.next_change()


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

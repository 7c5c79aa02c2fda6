"""`statecore run`."""

import logging

import click
import trio

from statecore.cli.common import console, paint, printable
from statecore.config import Config, Handler, load
from statecore.gateway import Gateway
from statecore.system import Unit
from statecore.wiring import open_gateway

EXAMPLE = """\b
Example of a configuration file:
  journal = "gateway.db"
  handler = "mybot:handle"            # async def handle(message, gateway)
  [accounts.wx]
  platform = "weixin"
  account_id = "0a1b2c3d4e5f@im.bot"
  token = { env = "WEIXIN_TOKEN" }    # or { file = "weixin.json" }
\b
Example of a handler, in mybot.py beside it; the key keeps it from answering twice when a message comes again:
  async def handle(message, gateway):
      text = f"you said {message.text}"
      await gateway.send(message.account, message.chat, text, reply_to=message, key=message.id)
\b
Examples:
  statecore run gateway.toml
  statecore run gateway.toml --quiet
"""


@click.command(epilog=EXAMPLE)
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--quiet", is_flag=True, help="Say nothing but warnings.")
def run(config: str, *, quiet: bool) -> None:
    """Run the gateway that CONFIG describes, until SIGTERM or Ctrl-C.

    On a signal it takes no new work, sees to their end the sends that are under way, records the rest, and ends. If
    another process drives an account, it waits for that and takes over. Whatever is left is in the journal.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = load(config)
    settings.check_environment()
    handler = settings.load_handler()
    trio.run(_run, settings, handler, quiet)


async def _run(settings: Config, handler: Handler | None, quiet: bool) -> None:
    out = console(stderr=True)
    async with open_gateway(settings.journal, settings.accounts, options=settings.options) as gateway:
        if not quiet:
            gateway.watch(lambda unit, _first: _tell(unit, out))
            out.print(f"journal {settings.journal}; accounts {', '.join(settings.accounts)}; stop with Ctrl-C")
        if handler is None:
            await gateway.wait_for_stop()
        else:
            async with trio.open_nursery() as nursery:
                for _ in range(settings.handlers):
                    nursery.start_soon(_handle, gateway, handler)
    if not quiet:
        out.print("stopped; everything is in the journal")


async def _handle(gateway: Gateway, handler: Handler) -> None:
    async for message in gateway.inbox():
        async with message:
            await handler(message, gateway)


def _tell(unit: Unit, out: object) -> None:
    """Say what became of connections and circuits; deliveries are in the log."""
    for entry in unit.entries:
        state, data, _, _ = entry.decision.snapshot
        if entry.machine.name not in ("connection", "session", "circuit") or state in (
            entry.source,
            "resting",
            "probing",
        ):
            continue
        if {state, entry.source} == {"connected", "resting"}:
            continue
        line = paint(state)
        reason = f"  {printable(data.reason)}" if data.reason else ""
        action = f"  [what to do: {printable(getattr(data, 'action', ''))}]" if getattr(data, "action", "") else ""
        out.print(f"{entry.address:<28}", line, f"{reason}{action}", sep="", markup=False)  # type: ignore[attr-defined]

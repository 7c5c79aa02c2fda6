"""`statecore run`."""

import gc
import logging
import resource
from collections.abc import Callable
from typing import Any, Final

import click
import trio

from statecore.cli.common import console, paint, printable
from statecore.config import Config, Handler, load
from statecore.errors import ConfigError
from statecore.gateway import Gateway
from statecore.handover import Replacing
from statecore.system import Unit
from statecore.systemd import Systemd
from statecore.wiring import open_gateway

log = logging.getLogger("statecore")

FILES_EACH: Final = 4
"""Files an account may have open at once: its lock, its standing connection, a request, and the lock of another program."""

STANDS_AFTER_S: Final = 30.0
"""Seconds after the start by which what a gateway holds for good is there."""

LOOK_AFTER: Final = 4_000
"""Objects that came to stay before the collector looks at the young ones: half a megabyte. Python's own number is 700."""

EXAMPLE = """\b
Example of a configuration file:
  journal = "gateway.db"
  handler = "mybot:handle"            # async def handle(message, gateway)
  [accounts.wx]
  platform = "weixin"
  account_id = "0a1b2c3d4e5f@im.bot"
  token = { env = "WEIXIN_TOKEN" }    # or { file = "weixin.json" }
  [gateway]
  drain = "10s"                       # how long a stop waits for what is under way

Example of a handler, in mybot.py beside it; the key keeps it from answering twice when a message comes again:
  async def handle(message, gateway):
      text = f"you said {message.text}"
      await gateway.send(message.account, message.chat, text, reply_to=message, key=message.id)
\b
Examples:
  statecore run gateway.toml
  statecore run gateway.toml --quiet
  statecore run gateway.toml --replace --patience 1m

Exit status: 0 it ran and was stopped, or was replaced by another process; 1 it could not run; 2 the command line makes no
sense.
"""


def waiting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how long an owner is waited for."""
    patience = click.option(
        "--patience",
        metavar="TIME",
        help="How long it may show no sign of life before SIGTERM: 20s, 1m. [default: 20s]",
    )
    grace = click.option("--grace", metavar="TIME", help="How long after that before SIGKILL. [default: 10s]")
    return patience(grace(command))


def replacing_from(patience: str | None, grace: str | None) -> Replacing:
    """Read those options."""
    given = {"patience": patience, "grace": grace}
    try:
        return Replacing(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ConfigError as error:
        raise click.BadParameter(error.why, param_hint=f"--{error.key}") from None


@click.command(epilog=EXAMPLE)
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--replace", is_flag=True, help="Ask the process that drives the accounts now to hand them over.")
@waiting_options
@click.option("--quiet", is_flag=True, help="Say nothing but warnings.")
def run(config: str, *, replace: bool, patience: str | None, grace: str | None, quiet: bool) -> None:
    """Run the gateway that CONFIG describes, until SIGTERM or Ctrl-C.

    On a signal it takes no new work, sees to their end the sends that are under way, records the rest, and ends. If
    another process drives an account, it waits for that and takes over. Whatever is left is in the journal.

    With --replace it asks that other process to hand over instead, and ends it if it has stopped answering; see
    `statecore restart --help`. Not for a service that is started again whenever it ends: two of those would take the
    account from each other for ever.
    """
    if not replace and (patience is not None or grace is not None):
        raise click.UsageError("--patience and --grace go with --replace")
    run_gateway_of(config, quiet=quiet, replacing=replacing_from(patience, grace) if replace else None)


def run_gateway_of(config: str, *, quiet: bool, replacing: Replacing | None) -> None:
    """Run a gateway until it is stopped.

    Args:
        config: path of its configuration.
        quiet: say nothing but warnings.
        replacing: how to replace the processes that drive its accounts now; None to wait for them.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    settings = load(config)
    settings.check_environment()
    handler = settings.load_handler()
    allow_files(FILES_EACH * len(settings.accounts))
    trio.run(_run, settings, handler, quiet, replacing, Systemd.from_environment())


def allow_files(more: int) -> None:
    """Have the system allow this process some files and sockets more than a small program needs.

    A hundred is left for the journal, and for what a handler opens. If the system does not allow it, somebody is told who can.
    """
    wanted = 100 + more
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning(
            "so many accounts need %d open files, and %d are allowed; raise that with `ulimit -n`, or LimitNOFILE= in the unit",
            wanted,
            allowed,
        )


async def keep_what_stands() -> None:
    """Have the garbage collector pass over what is there once the accounts stand.

    It stays until the end, and to look through it finds nothing: with a thousand accounts that stops everything for 200 ms,
    again and again. What comes and goes is nearly all freed without the collector, so it looks seldom: that is a twelfth of
    what a thousand idle accounts cost.
    """
    await trio.sleep(STANDS_AFTER_S)
    gc.collect(1)
    gc.freeze()
    gc.set_threshold(LOOK_AFTER, 20, 20)


async def _run(
    settings: Config, handler: Handler | None, quiet: bool, replacing: Replacing | None, systemd: Systemd | None
) -> None:
    out = console(stderr=True)
    async with trio.open_nursery() as around:  # what lives in it goes on while the accounts are let go
        async with open_gateway(
            settings.journal, settings.accounts, options=settings.options, replacing=replacing
        ) as gateway:
            around.start_soon(keep_what_stands)
            if systemd is not None:
                around.start_soon(systemd.attend, gateway)
            if not quiet:
                gateway.watch(lambda unit, _first: _tell(unit, out))
                out.print(f"journal {settings.journal}; accounts {', '.join(settings.accounts)}; stop with Ctrl-C")
            await _serve(gateway, settings, handler)
        around.cancel_scope.cancel()
    if not quiet:
        out.print("stopped; everything is in the journal")


async def _serve(gateway: Gateway, settings: Config, handler: Handler | None) -> None:
    if handler is None:
        await gateway.wait_for_stop()
        return
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            for _ in range(settings.handlers):
                nursery.start_soon(_handle, gateway, handler)
            await gateway.wait_until_let_go()
            scope.cancel()  # a handler that is still at it is cut off; the next start hands its message over again


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

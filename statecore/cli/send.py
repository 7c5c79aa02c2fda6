"""`statecore send`."""

import sys
from typing import Any

import click
import trio

from statecore.account import Command
from statecore.cli.common import AS_JSON, fail, print_json, printable
from statecore.config import load
from statecore.errors import NotAccepted
from statecore.units import parse_duration
from statecore.world import random_id, wall_now

POLL_S = 0.25

EPILOG = """\b
Examples:
  statecore send gateway.toml wx o9cq80abc@im.wechat "the build is green"
  make 2>&1 | tail -5 | statecore send gateway.toml wx CHAT -
  statecore send gateway.toml wx CHAT "disk full" --key disk-full-2026-11-21 --wait
\b
Exit status with --wait: 0 delivered, 1 given up or expired, 3 still waiting when --timeout ran out.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(dir_okay=False))
@click.argument("account")
@click.argument("chat")
@click.argument("text")
@click.option("--key", default="", help="Your own idempotency key: the same key is sent once.")
@click.option("--expires", default=None, help="Give it up after this long, as 10m or 2h.")
@click.option("--wait", is_flag=True, help="Wait until it was delivered or given up.")
@click.option("--timeout", default=None, help="With --wait: wait at most this long, as 30s.")
@AS_JSON
def send(
    config: str, account: str, chat: str, text: str, *, key: str, expires: str | None, wait: bool, timeout: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Send TEXT (or standard input, if it is -) to CHAT by ACCOUNT of the gateway that CONFIG describes.

    When this ends well the message is durable, whether or not a gateway is running; the one that drives the account
    delivers it.
    """
    from statecore_journal import submit

    settings = load(config)
    if account not in settings.accounts:
        fail(f"{config} has no account {account!r}; it has {', '.join(settings.accounts)}")
    body = sys.stdin.read() if text == "-" else text
    try:
        settings.accounts[account].platform.split(body)
        waits = None if expires is None else parse_duration(expires)
        limit = None if timeout is None else parse_duration(timeout) / 1e9
    except NotAccepted as error:
        fail(str(error))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    delivery = random_id()
    expires_at = None if waits is None else wall_now() + waits
    command = Command(id=0, kind="send", target=chat, delivery=delivery, text=body, key=key, expires_at=expires_at)
    number, delivery = submit(settings.journal, account, command, wall=wall_now())
    found: dict[str, Any] = {"delivery": delivery, "command": number, "state": "accepted"}
    if wait:
        address = f"delivery/{account}/{delivery}"
        found |= trio.run(_wait, str(settings.journal), address, number, limit)
    if as_json:
        print_json(found)
    elif wait:
        click.echo(
            f"{found['delivery']}: {found['state']}"
            + (f": {printable(found['reason'])}" if found.get("reason") else "")
        )
    else:
        click.echo(f"accepted as {delivery}; it is in {settings.journal}")
    state = found["state"]
    sys.exit({"accepted": 0, "delivered": 0, "waiting": 3}.get(str(state), 1))


async def _wait(journal: str, address: str, number: int, limit: float | None) -> dict[str, str]:
    """Look until the delivery has ended."""
    from statecore_journal import open_reader

    with trio.move_on_after(limit if limit is not None else float("inf")):
        while True:
            with open_reader(journal) as reader:
                refused = reader.command_result(number)
                if refused not in (None, "done"):
                    return {"state": "refused", "reason": str(refused)}
                letter = reader.letter(address)
            if letter is not None and letter.state in ("delivered", "dead", "expired", "purged"):
                return {"state": letter.state, "reason": letter.reason}
            await trio.sleep(POLL_S)
    with open_reader(journal) as reader:
        letter = reader.letter(address)
    reason = letter.reason or letter.state if letter is not None else "no gateway has taken it up yet"
    return {"state": "waiting", "reason": reason}

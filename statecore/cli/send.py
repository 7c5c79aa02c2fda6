"""`statecore send`."""

import sys
from typing import Any

import click
import trio

from statecore.account import Command
from statecore.checks import TEXT_BYTES_MAX, check_message
from statecore.cli.common import AS_JSON, LENGTH, fail, print_json, printable, run_async
from statecore.config import load
from statecore.errors import NotAccepted
from statecore.units import SECONDS
from statecore.world import random_id, wall_now

POLL_S = 0.25

EPILOG = """\b
Examples:
  statecore send gateway.toml wx o9cq80abc@im.wechat "the build is green"
  make 2>&1 | tail -5 | statecore send gateway.toml wx CHAT -
  statecore send gateway.toml wx CHAT "disk full" --key disk-full-2026-11-21 --wait

Exit status with --wait: 0 delivered, 1 given up or expired, 3 still waiting when --timeout ran out.
"""


@click.command(epilog=EPILOG)
@click.argument("config", type=click.Path(dir_okay=False))
@click.argument("account")
@click.argument("chat")
@click.argument("text")
@click.option("--key", default="", help="Your own idempotency key: the same key is sent once.")
@click.option("--expires", "lasts", type=LENGTH, help="Give it up after this long, as 10m or 2h.")
@click.option("--wait", is_flag=True, help="Wait until it was delivered or given up.")
@click.option("--timeout", type=LENGTH, help="With --wait: wait at most this long, as 30s.")
@AS_JSON
def send(
    config: str, account: str, chat: str, text: str, *, key: str, lasts: int | None, wait: bool, timeout: int | None,
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
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long --wait waits; give both, or neither")
    body = _read() if text == "-" else text
    check_message(chat, body, key)
    settings.accounts[account].platform.check(chat)
    settings.accounts[account].platform.split(body)
    asked, wall = random_id(), wall_now()
    command = Command(id=0, kind="send", target=chat, delivery=asked, text=body, key=key, lasts=lasts, asked_wall=wall)
    number, delivery = submit(settings.journal, account, command, wall=wall)
    found: dict[str, Any] = {"delivery": delivery, "command": number, "state": "accepted"}
    if wait:
        address = f"delivery/{account}/{delivery}"
        found |= run_async(lambda: _wait(str(settings.journal), address, number, timeout))
    if as_json:
        print_json(found)
    elif wait:
        click.echo(
            f"{found['delivery']}: {found['state']}"
            + (f": {printable(found['reason'])}" if found.get("reason") else "")
        )
    elif delivery != asked:
        click.echo(f"was accepted before, as {delivery}: the key is the same, so nothing was added")
    else:
        click.echo(f"accepted as {delivery}; it is in {settings.journal}")
    state = found["state"]
    sys.exit({"accepted": 0, "delivered": 0, "waiting": 3}.get(str(state), 1))


def _read() -> str:
    """Read a text from standard input, which may be endless, or not there at all."""
    if sys.stdin is None:
        raise NotAccepted("there is no standard input")
    try:
        text = sys.stdin.buffer.read(TEXT_BYTES_MAX + 1)
    except OSError as error:
        raise NotAccepted(f"standard input cannot be read: {error.strerror}") from None
    if len(text) > TEXT_BYTES_MAX:
        raise NotAccepted(f"standard input is longer than {TEXT_BYTES_MAX} bytes; send it in pieces, or as a file")
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise NotAccepted(f"standard input is not UTF-8: {error.reason} at byte {error.start}") from None


async def _wait(journal: str, address: str, number: int, limit: int | None) -> dict[str, str]:
    """Look until the delivery has ended."""
    from statecore_journal import open_reader

    with trio.move_on_after(limit / SECONDS if limit is not None else float("inf")):
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

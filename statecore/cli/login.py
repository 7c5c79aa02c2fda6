"""`statecore login`."""

from pathlib import Path

import click
import trio

from statecore.account import Command
from statecore.cli.common import console, printable
from statecore.errors import ConfigError
from statecore.world import wall_now


@click.group()
def login() -> None:
    """Log in to a platform."""


@login.command(
    epilog="""\b
Examples:
  statecore login weixin
  statecore login weixin --save weixin.json --journal gateway.db
"""
)
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), default=Path("weixin.json"), show_default=True,
              help="Where the credentials go; only you can read the file.")  # fmt: skip
@click.option("--base-url", default=None, help="Another address of the API.")
@click.option("--journal", type=click.Path(dir_okay=False, exists=True),
              help="A journal whose gateway is told that there are new credentials.")  # fmt: skip
@click.option("--account", default="wx", show_default=True, help="With --journal: the account's name there.")
def weixin(save: Path, base_url: str | None, journal: str | None, account: str) -> None:
    """Log in to WeChat by scanning a QR code with the phone.

    Afterwards the user must write to the bot once: a bot cannot begin a conversation. One WeChat user has one live
    binding, so logging in here ends the one elsewhere.
    """
    from statecore_adapters.weixin import login as qr
    from statecore_adapters.weixin.protocol import API_BASE
    from statecore_journal import submit

    out = console(stderr=True)

    def show(text: str) -> None:
        out.print(text, markup=False)

    async def ask(prompt: str) -> str:
        answer: str = await trio.to_thread.run_sync(lambda: click.prompt(prompt, err=True), abandon_on_cancel=True)
        return answer

    try:
        known = (qr.load_token(save),) if save.exists() else ()
    except ConfigError as error:
        out.print(f"{printable(str(error))}; it is replaced by this login", markup=False)
        known = ()
    where = base_url if base_url is not None else API_BASE
    try:
        credentials = trio.run(lambda: qr.login(local_tokens=known, base_url=where, show=show, ask=ask))
    except qr.AlreadyBound as bound:
        click.echo(f"nothing to do: {printable(str(bound))}")
        return
    except KeyboardInterrupt:
        raise click.Abort from None
    qr.save(credentials, save)
    out.print(f"logged in as {printable(credentials.account_id)}; the credentials are in {save}", markup=False)
    if journal is not None:
        submit(journal, account, Command(id=0, kind="credentials"), wall=wall_now())
    click.echo(
        f'[accounts.{account}]\nplatform = "weixin"\naccount_id = "{credentials.account_id}"\n'
        f'token = {{ file = "{save}" }}\nbase_url = "{credentials.base_url}"'
    )

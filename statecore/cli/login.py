"""`statecore login`."""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Final

import attrs
import click
import trio

from statecore.account import Command
from statecore.checks import is_account_name
from statecore.cli.common import check_account, console, fail, printable, run_async
from statecore.errors import ConfigError
from statecore.world import wall_now

PIECE: Final = 4096
"""Bytes read from a keyboard at once. A terminal hands over a line at a time, and few are longer."""


@attrs.define
class _Keyboard:
    """Where a person answers; not by way of `sys.stdin`, whose lock an abandoned thread would hold when all has to end."""

    _typed: bytes = b""

    async def ask(self, prompt: str) -> str:
        """Return a line; nothing at the end of input."""
        click.echo(f"{prompt}: ", nl=False, err=True)
        while b"\n" not in self._typed:
            piece = await trio.to_thread.run_sync(self._read, abandon_on_cancel=True)
            if not piece:
                break
            self._typed += piece
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace").strip()

    @staticmethod
    def _read() -> bytes:
        try:
            return os.read(0, PIECE)
        except OSError:  # there is no keyboard
            return b""


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
    from statecore_adapters.places import is_base
    from statecore_adapters.weixin import login as qr
    from statecore_adapters.weixin.protocol import API_BASE
    from statecore_journal import submit

    where = base_url if base_url is not None else API_BASE
    if not is_base(where):
        raise click.UsageError(f"--base-url must be an address like https://host or http://host:port; got {where!r}")
    if not is_account_name(account):
        raise click.UsageError(f"--account is the name of an account in a configuration, got {account!r}")
    _see_that_it_can_be_kept(save)
    if journal is not None:
        _see_that_it_is_known(journal, account)
    out = console(stderr=True)

    def show(text: str) -> None:
        out.print(text, markup=False)

    try:
        known = (qr.load_token(save),) if save.exists() else ()
    except ConfigError as error:
        out.print(f"{printable(str(error))}; it is replaced by this login", markup=False)
        known = ()
    try:
        credentials = run_async(lambda: qr.login(local_tokens=known, base_url=where, show=show, ask=_Keyboard().ask))
    except qr.AlreadyBound as bound:
        if not known:
            fail(printable(str(bound)))
        click.echo(f"nothing to do: {printable(str(bound))}")
        return
    try:
        qr.save(credentials, save)
    except OSError as error:
        fail(f"the login worked, but {save} cannot be written: {error.strerror}; log in again with another --save")
    out.print(f"logged in as {printable(credentials.account_id)}; the credentials are in {save}", markup=False)
    if journal is not None:
        submit(journal, account, Command(id=0, kind="credentials"), wall=wall_now())
    click.echo(
        f'[accounts.{_key(account)}]\nplatform = "weixin"\naccount_id = {_quoted(credentials.account_id)}\n'
        f"token = {{ file = {_quoted(str(save))} }}\nbase_url = {_quoted(credentials.base_url)}"
    )


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # TOML reads its strings as JSON does


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _see_that_it_can_be_kept(save: Path) -> None:
    """A login ends the binding elsewhere, so that its credentials cannot be written must be known before it."""
    try:
        save.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=save.parent):
            pass
    except OSError as error:
        fail(f"{save} cannot be written: {error.strerror}")


def _see_that_it_is_known(journal: str, account: str) -> None:
    from statecore_journal import open_reader

    with open_reader(journal) as reader:
        check_account(reader, account)

"""`statecore resume`: a person says that it is worth trying again."""

import click

from statecore.account import Command
from statecore.cli.common import JOURNAL, carried_out, check_account, fail
from statecore.world import wall_now


@click.command(
    epilog="""\b
Examples:
  statecore resume gateway.db wx                     the platform is well again: try the account now
  statecore resume gateway.db qq group:8A7C          try this chat now

An account that was given up on is dialled again, and so is one that waits before the next try. Its circuit closes, so
messages leave without waiting for the next probe. If it is still refused, it waits again, as long as before or longer.
"""
)
@JOURNAL
@click.argument("account")
@click.argument("chat", required=False)
def resume(journal: str, account: str, chat: str | None) -> None:
    """Try ACCOUNT in JOURNAL again now, or one CHAT of it, whatever it waits for."""
    from statecore_journal import open_reader, submit

    with open_reader(journal) as reader:
        check_account(reader, account)
        if chat is not None and not reader.has_chat(account, chat):
            fail(f"{journal} knows no chat {chat!r} of {account}; `statecore status {journal}` lists those that wait")
        submit(journal, account, Command(id=0, kind="resume", target=chat or ""), wall=wall_now())
        click.echo(f"asked for; carried out {carried_out(reader)}")

"""`statecore dead`: what was given up, and what a person can do about it."""

import click
from rich.text import Text

from statecore.account import Command
from statecore.cli.common import (
    AS_JSON,
    JOURNAL,
    LENGTH,
    ago,
    carried_out,
    check_account,
    clock,
    console,
    counted,
    fail,
    fail_if_unreadable,
    paint,
    print_json,
    printable,
)
from statecore.world import wall_now

EPILOG = """\b
Examples:
  statecore dead list gateway.db
  statecore dead show gateway.db 1a1fc0e440
  statecore dead retry gateway.db 1a1fc0e440
  statecore dead retry gateway.db --all
  statecore dead purge gateway.db --all --older-than 7d
"""


@click.group(epilog=EPILOG)
def dead() -> None:
    """List, show, retry and purge deliveries that were given up and messages that were set aside.

    "nobody knows whether part 1 arrived" means that it left, and that no answer came back; retrying it may deliver it twice.
    """


@dead.command("list", epilog=EPILOG)
@JOURNAL
@click.option("--account", help="Only this account.")
@AS_JSON
def list_(journal: str, *, account: str | None, as_json: bool) -> None:
    """List what was given up in JOURNAL, oldest first."""
    from statecore_journal import open_reader

    with open_reader(journal) as reader:
        check_account(reader, account)
        letters = reader.dead(account)
        now = reader.status(wall_now()).now
    unreadable = [letter.unreadable for letter in letters if letter.unreadable]
    if as_json:
        print_json(letters)
        fail_if_unreadable(unreadable)
        return
    if not letters:
        click.echo("nothing was given up")
        return
    out = console()
    for letter in letters:
        kind, _, id_ = letter.address.split("/", 2)
        what = f"message {'to' if kind == 'delivery' else 'from'} {printable(letter.chat, 60)} by {printable(letter.account)}"
        tried = counted(letter.attempts, "attempt")
        sent = f", {letter.sent} of {letter.parts} parts sent" if kind == "delivery" else ""
        out.print(Text(printable(id_), style="bold").append(f"  {what}, {ago(letter.at, now)}", style="not bold"))
        for label, text in (("tried", f"{tried}{sent}"), ("why", letter.reason), ("what to do", letter.action)):
            if text:
                out.print(Text(f"  {label:<12}{printable(text)}"))
    fail_if_unreadable(unreadable)


@dead.command(epilog=EPILOG)
@JOURNAL
@click.argument("id_", metavar="ID")
@AS_JSON
def show(journal: str, id_: str, *, as_json: bool) -> None:
    """Show one, with its text and everything that happened to it. The beginning of an id is enough."""
    from statecore.cli.read import render_row
    from statecore_journal import open_reader

    with open_reader(journal) as reader:
        letter = reader.letter(_one(reader.find(id_), id_))
        assert letter is not None, "it was found a moment ago"
        rows = list(reader.log(machine=letter.address))
    if as_json:
        print_json({"letter": letter, "events": rows})
        fail_if_unreadable([letter.unreadable] if letter.unreadable else [])
        return
    out = console()
    out.print(f"{letter.address}  ", paint(letter.state), sep="")
    for label, text in (
        ("chat", letter.chat), ("reason", letter.reason), ("what to do", letter.action),
        ("sent", f"{letter.sent} of {letter.parts} parts"), ("since", clock(rows[-1].wall) if rows else ""),
    ):  # fmt: skip
        out.print(f"  {label:<12}{printable(text)}", markup=False)
    out.print("  text:", markup=False)
    for line in letter.text.splitlines():
        out.print(f"    {printable(line)}", markup=False)
    out.print("  what happened:", markup=False)
    for row in rows:
        out.print("    ", render_row(row), sep="")
    fail_if_unreadable([letter.unreadable] if letter.unreadable else [])


def _one(found: list[str], id_: str) -> str:
    if not found:
        fail(f"there is nothing with the id {id_!r}; `statecore dead list` shows what there is")
    if len(found) > 1:
        fail(f"{len(found)} ids begin with {id_!r}; give more of it: {', '.join(found[:5])}")
    return found[0]


@dead.command(epilog=EPILOG)
@JOURNAL
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="All of them.")
@click.option("--account", help="With --all: only this account.")
def retry(journal: str, id_: str | None, *, all_: bool, account: str | None) -> None:
    """Have one, or all, tried again. A message goes on with its first part that was not accepted."""
    _ask(journal, "retry", _chosen(journal, id_, all_, account, None))


@dead.command(epilog=EPILOG)
@JOURNAL
@click.argument("id_", metavar="[ID]", required=False)
@click.option("--all", "all_", is_flag=True, help="All of them.")
@click.option("--account", help="With --all: only this account.")
@click.option("--older-than", type=LENGTH, help="With --all: only those given up longer ago than this, as 7d.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(journal: str, id_: str | None, *, all_: bool, account: str | None, older_than: int | None, yes: bool) -> None:
    """Decide that one, or all, will not be sent or handled any more. They stay in the log."""
    chosen = _chosen(journal, id_, all_, account, older_than)
    if chosen and not yes:
        click.confirm(f"purge {len(chosen)}? They will not be sent or handled any more", abort=True)
    _ask(journal, "purge", chosen)


def _chosen(journal: str, id_: str | None, all_: bool, account: str | None, older_than: int | None) -> list[str]:
    from statecore_journal import open_reader

    if (id_ is None) == (not all_):
        raise click.UsageError("give an ID, or --all")
    with open_reader(journal) as reader:
        if id_ is not None:
            address = _one(reader.find(id_), id_)
            letter = reader.letter(address)
            if letter is None or letter.state not in ("dead", "quarantined"):
                fail(f"{address} was not given up; it is {letter.state if letter else 'gone'}")
            return [address]
        check_account(reader, account)
        now = reader.status(wall_now()).now
        return [letter.address for letter in reader.dead(account) if older_than is None or now - letter.at > older_than]


def _ask(journal: str, kind: str, addresses: list[str]) -> None:
    """Record the commands; whoever drives the account carries them out."""
    from statecore_journal import open_reader, submit

    for address in addresses:
        submit(journal, address.split("/")[1], Command(id=0, kind=kind, target=address), wall=wall_now())
    if not addresses:
        click.echo("nothing was given up")
        return
    with open_reader(journal) as reader:
        click.echo(f"asked for {len(addresses)}; carried out {carried_out(reader)}")

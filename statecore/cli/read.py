"""`statecore status` and `statecore log`."""

import json
import sys
from typing import Any

import click
from rich.console import Group
from rich.text import Text

from statecore.cli.common import (
    AS_JSON,
    JOURNAL,
    TEXT,
    Whole,
    ago,
    check_account,
    clock,
    console,
    counted,
    fail_if_unreadable,
    paint,
    plain,
    print_json,
    printable,
)
from statecore.cli.fields import show_fields
from statecore.cli.moments import MOMENTS, since, span, until
from statecore.units import SECONDS, show_duration
from statecore.world import wall_now


@click.command(
    epilog="""\b
Examples:
  statecore status gateway.db
  statecore status gateway.db --json | jq '.accounts[].connected'
  statecore status gateway.db --check || page someone
"""
)
@JOURNAL
@AS_JSON
@click.option(
    "--check", is_flag=True, help="Exit with 1 unless every account is connected and nothing waits for a person."
)
def status(journal: str, *, as_json: bool, check: bool) -> None:
    """Show where every account of JOURNAL is, what waits, why, and what to do.

    It is a fold of the journal, with the age of the owner's heartbeat: what a dead process said last is not repeated as
    if it were so.
    """
    from statecore_journal import open_reader

    with open_reader(journal) as reader:
        found = reader.status(wall_now())
    if as_json:
        print_json(found)
    else:
        out = console()
        out.print(f"{found.path}: {counted(found.events, 'event')}", markup=False)
        if not found.accounts:
            out.print("no account has been driven yet")
        for account in found.accounts:
            out.print(render_account(account, found.now))
    fail_if_unreadable(found.unreadable)
    if check and not (found.accounts and all(fine(account) for account in found.accounts)):
        sys.exit(1)


def fine(account: Any) -> bool:
    """Tell whether an account needs nobody."""
    stuck = account.deliveries.get("dead", 0) + account.messages.get("quarantined", 0)
    return account.connected is True and not account.action and not stuck


def render_account(account: Any, now: int) -> Group:
    """Lay an account out for people."""
    known = {True: "connected", False: "not connected", None: "unknown"}[account.connected]
    head = Text(f"\n{account.name}: ", style="bold")
    head.append(known, style={True: "green", False: "red", None: "magenta"}[account.connected])
    lasted = f" for {show_duration(max(0, now - account.since))}" if account.since else ""
    head.append(f" ({account.state}{lasted})")
    lines: list[Any] = [head]

    def say(label: str, text: str) -> None:
        if text:
            lines.append(Text(f"  {label:<10}{printable(text)}"))

    until = f"; next attempt {ago(account.until, now)}" if account.until is not None else ""
    say("why", account.reason + until if account.reason else "")
    say("what to do", f" {account.action}" if account.action else "")
    say("trouble", account.trouble)
    say("owner", _owner(account.owner))
    if account.circuit != "closed":
        until = f"; next probe {ago(account.circuit_until, now)}" if account.circuit_until else ""
        say("circuit", f"{account.circuit}: {account.circuit_reason}{until}")
    say("out", ", ".join(f"{count} {state}" for state, count in sorted(account.deliveries.items())) or "nothing yet")
    say("in", ", ".join(f"{count} {state}" for state, count in sorted(account.messages.items())) or "nothing yet")
    say("commands", f"{account.commands} not carried out yet" if account.commands else "")
    if account.chats:
        lines += _chats(account, now)
        if account.chats_waiting > len(account.chats):
            lines.append(
                Text(f"  and {counted(account.chats_waiting - len(account.chats), 'more chat')} with messages waiting")
            )
    if account.deliveries.get("dead") or account.messages.get("quarantined"):
        lines.append(Text("  some need a person: statecore dead list JOURNAL", style="red"))
    return Group(*lines)


def _owner(owner: Any | None) -> str:
    """Say who drives an account, and how they are."""
    if owner is None:
        return "nobody has driven it yet"
    age = show_duration(max(SECONDS, owner.beat_age // SECONDS * SECONDS))
    if owner.says == "stopped":
        how = f"stopped {age} ago"
    elif owner.silent:
        how = f"SILENT: its last heartbeat was {age} ago, and said {owner.says}"
    else:
        how = f"alive, {owner.says}"
    return f"process {owner.pid} on {owner.host}, epoch {owner.epoch}, {how}"


def _chats(account: Any, now: int) -> list[Text]:
    lines = []
    for chat in account.chats:
        line = Text(f"  waiting   {chat.waiting} to {printable(chat.chat, 60)}; the first is ")
        line.append_text(paint(chat.state))
        if chat.until is not None:
            line.append(f" ({ago(chat.until, now)})")
        why = chat.reason
        if not why and chat.state == "queued":
            why = "its turn comes" if account.connected else f"the account is {account.state}"
            if account.circuit != "closed":
                why = f"the account's circuit is {account.circuit}"
        lines.append(line)
        if why:
            lines.append(Text(f"            why: {printable(why)}", style="dim"))
        if chat.action:
            lines.append(Text(f"            what to do: {printable(chat.action)}"))
    return lines


# ---- log -------------------------------------------------------------------------------------------------------------


def FILTERS(command: Any) -> Any:  # noqa: N802 - a decorator, like those of click that stand beside it
    """Give a command the options by which rows are picked."""
    for option in (
        click.option(
            "--outcome",
            type=click.Choice(("moved", "stayed", "ignored", "refused")),
            help="Only rows with this outcome.",
        ),
        click.option("--state", type=TEXT, help="Only rows that leave or enter this state."),
        click.option("--event", type=TEXT, help="Only this event: Lost, PartRefused, ..."),
        click.option("--chat", type=TEXT, help="Only this chat."),
        click.option("--account", help="Only this account."),
        click.option(
            "--machine", type=TEXT, help="Only instances whose address begins with this: delivery, connection/wx."
        ),
    ):
        command = option(command)
    return command


@click.command(
    epilog="""\b
Examples:
  statecore log gateway.db --last 50
  statecore log gateway.db --machine connection
  statecore log gateway.db --machine delivery/wx/1a1fc0e440bff621427e6ca
  statecore log gateway.db --chat o9cq80abc@im.wechat --event PartRefused --json
  statecore log gateway.db --since 10m --outcome refused
  statecore log gateway.db --since "2026-11-21 18:04" --until 18:05:30
  statecore log gateway.db --cause 4711                  everything that row 4711 set off

A line is: time, position, instance, the state before and after, the event and its fields, and the position of its cause.

"""
    + MOMENTS
)
@JOURNAL
@click.option("--last", type=Whole(), metavar="N", help="Only the last N rows that fit.")
@click.option("--after", type=Whole(0), default=0, metavar="SEQ", help="Only rows behind this position.")
@since()
@until()
@FILTERS
@click.option("--cause", type=Whole(), metavar="SEQ", help="Only what this row set off, also through others.")
@AS_JSON
def log(
    journal: str, *, last: int | None, after: int, since: Any, until: Any, cause: int | None, as_json: bool,
    **filters: Any,
) -> None:  # fmt: skip
    """Show what happened in JOURNAL, one dense line an event; with --json one object a line."""
    from statecore_journal import open_reader

    out = console()
    shown = 0
    with open_reader(journal) as reader:
        check_account(reader, filters["account"])
        first, end = span(reader, since, until)
        rows = reader.log(after=max(after, (first or 1) - 1), until=end, last=last, cause=cause, **filters)
        for shown, row in enumerate(rows, start=1):  # noqa: B007 - looked at when it is over
            print_row(out, row, as_json=as_json)
    if not shown and not as_json:
        click.echo("nothing happened that fits", err=True)


def print_row(out: Any, row: Any, *, as_json: bool) -> None:
    """Print one row, for people or for programs."""
    if as_json:
        click.echo(json.dumps({**plain(row), "data": row.fields}, ensure_ascii=False))
    else:
        out.print(render_row(row))


def render_row(row: Any) -> Text:
    """Lay one row out on one line."""
    line = Text(f"{clock(row.wall)} ", style="dim")
    line.append(f"#{row.seq:<6}", style="bold")
    line.append(f" {printable(row.machine)}  ")
    line.append_text(paint(row.source))
    if row.target != row.source or row.outcome is None:
        line.append(" → ")
        line.append_text(paint(row.target))
    line.append(f"  {row.event}", style="bold")
    if row.outcome:
        line.append(f" [{printable(row.outcome, 80)}]", style="dim")
    fields = {} if row.event.startswith("Elapsed") else row.fields  # the timer stands in the event's name
    line.append(show_fields(fields), style="dim")
    if row.guards:
        line.append(f" ?{row.guards}", style="dim")
    if row.cause is not None:
        line.append(f"  ←#{row.cause}", style="dim")
    return line

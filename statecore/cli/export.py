"""`statecore export`."""

import datetime as dt
import re
from pathlib import Path
from typing import Any, Final

import click

from statecore.cli.common import JOURNAL, POSITION, check_account, fail
from statecore.config import PLATFORMS_GROUP
from statecore.units import parse_duration

EPILOG = """\b
Examples:
  statecore export gateway.db -o incident.db
  statecore export gateway.db -o incident.db --since 2h --account wx --shift
  statecore export gateway.db --since 1200 --until 1300 --json
  statecore export gateway.db -o copy.db --plain
\b
A SEQ|TIME is a position (1200), a moment (2026-11-21T13:30, local unless it says otherwise), or how long before the end (2h).
"""

SHOWN: Final = {
    "account": "account", "chat": "chat", "user": "user", "text": "text", "message": "id of a message",
    "delivery": "id of a delivery", "key": "key", "host": "host", "url": "address", "path": "path", "word": "word in an error",
    "trace": "trace", "review": "review", "instance": "other instance", "value": "other value",
}  # fmt: skip
"""What the last line counts, in its order."""


SEVERAL: Final = {
    "id of a message": "ids of messages", "id of a delivery": "ids of deliveries", "address": "addresses",
    "word in an error": "words in errors",
}  # fmt: skip


class _Place(click.ParamType[Any]):
    """A position, a moment (ns since 1970, as a negative number), or a length before the end (as text)."""

    name = "seq|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value)
        if re.fullmatch(r"[0-9]+", text, re.ASCII):
            if int(text) > POSITION:
                self.fail(f"{text} is no position", param, ctx)
            return int(text)
        try:
            return ("before", parse_duration(text))
        except ValueError:
            pass
        try:
            return ("at", round(dt.datetime.fromisoformat(text).timestamp() * 1e9))
        except (ValueError, OverflowError, OSError):
            self.fail(f"{text!r} is no position, no moment (2026-11-21T13:30) and no length (2h)", param, ctx)


PLACE: Final = _Place()


@click.command(epilog=EPILOG)
@JOURNAL
@click.option(
    "-o", "--output", type=click.Path(), help="The new file: *.jsonl becomes lines of JSON, anything else a journal."
)
@click.option("--json", "as_json", is_flag=True, help="Write lines of JSON; to standard output without -o.")
@click.option("--account", help="Only this account.")
@click.option("--chat", help="Only this chat, and its account's connection and circuit.")
@click.option(
    "--since", type=PLACE, metavar="SEQ|TIME", help="Only rows from here on; what was before is a checkpoint."
)
@click.option("--until", type=PLACE, metavar="SEQ|TIME", help="Only rows up to here.")
@click.option("--keep-accounts", is_flag=True, help="Leave the accounts their names.")
@click.option(
    "--keep", multiple=True, metavar="FIELD", help="Leave a field as it is: text, or Received.text. Repeatable."
)
@click.option("--shift", is_flag=True, help="Move all times, so that it begins on 2000-01-01.")
@click.option("--plain", is_flag=True, help="Hide nothing but secrets. Not for showing to anybody.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def export(
    journal: str, *, output: str | None, as_json: bool, account: str | None, chat: str | None, since: Any, until: Any,
    keep_accounts: bool, keep: tuple[str, ...], shift: bool, plain: bool, force: bool,
) -> None:  # fmt: skip
    """Write what happened in JOURNAL to a new file that can be shown to others.

    What people wrote, who they are, ids, keys, hosts and words that statecore does not know become placeholders, the same
    everywhere: chat-1, text-5. The export is a journal itself, and every command reads it.
    """
    from statecore_journal.export import How, lines, write_lines
    from statecore_journal.export import export as write

    if output is None and not as_json:
        raise click.UsageError("say where to: -o FILE, or --json for standard output")
    if plain and (keep or keep_accounts or shift):
        raise click.UsageError("--plain hides nothing, so there is nothing to keep or to shift")
    how = How(plain=plain, keep=keep, keep_accounts=keep_accounts, shift=shift, packages=packages())
    cut = _cut(journal, account, chat, since, until)
    if output is None:
        for line in lines(journal, how=how, cut=cut):
            click.echo(line)
        return
    if as_json or Path(output).suffix == ".jsonl":
        count = write_lines(journal, output, how=how, cut=cut, force=force)
        click.echo(f"{output}: {count} events; {_told({}, plain=plain)} look before you share it")
        return
    done = write(journal, output, how=how, cut=cut, force=force)
    if done.unfolded:
        click.echo(
            f"{done.unfolded} instances are not folded by this code as they were recorded; "
            f"`statecore verify {output}` says where"
        )
    click.echo(
        f"{output}: {done.events} events of {done.instances} instances; {_told(done.replaced, plain=plain)} "
        f"look before you share: statecore log {output}"
    )


def _told(replaced: Any, *, plain: bool) -> str:
    """Say what was hidden."""
    if plain:
        return "nothing is hidden; secrets are never exported;"
    counts = [f"{replaced[kind]} {_plural(name, replaced[kind])}" for kind, name in SHOWN.items() if replaced.get(kind)]
    return f"{', '.join(counts)} replaced; secrets are never exported;" if counts else "secrets are never exported;"


def _plural(name: str, count: int) -> str:
    """Return what to call so many."""
    return name if count == 1 else SEVERAL.get(name, f"{name}s")


def packages() -> tuple[str, ...]:
    """Return the packages whose source says which words may stay: ours, and those of the platforms."""
    from importlib.metadata import entry_points

    own = {point.module.partition(".")[0] for point in entry_points(group=PLATFORMS_GROUP)}
    return ("statecore", *sorted(own - {"statecore"}))


def _cut(journal: str, account: str | None, chat: str | None, since: Any, until: Any) -> Any:
    """Turn what was asked for into positions."""
    from statecore_journal import open_reader
    from statecore_journal.export import Cut

    with open_reader(journal) as reader, reader.reading() as opened:
        check_account(reader, account)
        first, last = _position(opened, since, end=False), _position(opened, until, end=True)
    if first is not None and last is not None and first > last:
        fail(f"--since is row {first}, and --until row {last} is before it")
    given = {"since": first, "until": last}
    return Cut(account=account, chat=chat, **{name: value for name, value in given.items() if value is not None})


def _position(opened: Any, place: Any, *, end: bool) -> int | None:
    """Return the row a place means: the first at or behind it, or with *end* the last at or before it."""
    if place is None or isinstance(place, int):
        return place
    kind, value = place
    if kind == "before":
        (newest,) = opened.execute("select wall from events order by seq desc limit 1").fetchone() or (0,)
        value = newest - value
    sql = "select max(seq) from events where wall <= ?" if end else "select min(seq) from events where wall >= ?"
    (found,) = opened.execute(sql, (value,)).fetchone()
    if found is None:
        fail("the journal has no row at that time")
    return int(found)

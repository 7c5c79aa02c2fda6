"""`statecore export`."""

from pathlib import Path
from typing import Any, Final

import click

from statecore.cli.common import JOURNAL, counted
from statecore.cli.moments import MOMENTS, since, until
from statecore.cli.sharing import cut, packages

EPILOG = (
    """\b
Examples:
  statecore export gateway.db -o incident.db
  statecore export gateway.db -o incident.db --since 2h --account wx --shift
  statecore export gateway.db --since 1200 --until 1300 --json
  statecore export gateway.db -o copy.db --plain


"""
    + MOMENTS
)

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


@click.command(epilog=EPILOG)
@JOURNAL
@click.option(
    "-o", "--output", type=click.Path(), help="The new file: *.jsonl becomes lines of JSON, anything else a journal."
)
@click.option("--json", "as_json", is_flag=True, help="Write lines of JSON; to standard output without -o.")
@click.option("--account", help="Only this account.")
@click.option("--chat", help="Only this chat, and its account's connection and circuit.")
@since("Only rows from here on; what was before is a checkpoint.")
@until()
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
    part = cut(journal, account, chat, since, until)
    if output is None:
        for line in lines(journal, how=how, cut=part):
            click.echo(line)
        return
    if as_json or Path(output).suffix == ".jsonl":
        count = write_lines(journal, output, how=how, cut=part, force=force)
        click.echo(f"{output}: {counted(count, 'event')}; {_told({}, plain=plain)} look before you share it")
        return
    done = write(journal, output, how=how, cut=part, force=force)
    if done.unfolded:
        click.echo(
            f"{counted(done.unfolded, 'instance')} cannot be folded by this code as recorded; "
            f"`statecore verify {output}` says where"
        )
    click.echo(
        f"{output}: {counted(done.events, 'event')} of {counted(done.instances, 'instance')}; "
        f"{_told(done.replaced, plain=plain)} "
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

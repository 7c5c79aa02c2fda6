"""What the commands share that write a part of a journal for others to see: `export`, `report` and `minimise`."""

from typing import Any

from statecore.cli.common import check_account, fail
from statecore.cli.moments import span
from statecore.config import platforms


def packages() -> tuple[str, ...]:
    """Return the packages whose source says which words may stay: ours, and those of the platforms."""
    own = {point.module.partition(".")[0] for point in platforms().values()}
    return ("statecore", *sorted(own - {"statecore"}))


def cut(journal: str, account: str | None, chat: str | None, since: Any, until: Any) -> Any:
    """Return the part of a journal that is asked for; end if no row is in it.

    Args:
        journal: its path.
        account: only this one.
        chat: only this one.
        since: a moment, or None.
        until: a moment, or None.
    """
    from statecore_journal import open_reader
    from statecore_journal.export import Cut

    with open_reader(journal) as reader:
        check_account(reader, account)
        first, last = span(reader, since, until)
        newest = reader.last()
        if first is not None and first > newest:
            fail(f"{journal} has no row from {since.text} on; its last is {newest}")
        if last is not None and newest and reader.oldest() > last:
            fail(f"{journal} has no row up to {until.text}; its first is {reader.oldest()}")
    given = {"since": first, "until": last}
    return Cut(account=account, chat=chat, **{name: value for name, value in given.items() if value is not None})

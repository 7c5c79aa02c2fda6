"""What the commands share: how errors, times and states look."""

import datetime as dt
import json
import os
import re
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NoReturn, TextIO, TypeVar

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from statecore.errors import StatecoreError
from statecore.units import parse_duration, show_duration
from statecore.world import wall_now

T = TypeVar("T")

JOURNAL = click.argument("journal", type=click.Path(dir_okay=False))
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")

POSITION: Final = 2**63 - 1
"""The last position a journal could have."""


MESSAGE_CHARACTERS_MAX: Final = 900
"""How long a line of an error may be; real ones are a sentence or two."""


class _Text(click.ParamType[str]):
    """Text that a journal could hold. What a terminal passes on may be any bytes."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            str(value).encode()
        except UnicodeEncodeError:
            self.fail(f"{value!r} is not UTF-8", param, ctx)
        return str(value)


class _Length(click.ParamType[int]):
    """A duration in ns, written for people: on a command line a plain number is of seconds too."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_duration(float(value) if re.fullmatch(r"\d+(\.\d+)?", value, re.ASCII) else value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Whole(click.ParamType[int]):
    """A number of rows, or the position of one, which may be written as the log writes it: #4711.

    Args:
        least: the smallest that makes sense.
        most: the largest.
    """

    name = "n"

    def __init__(self, least: int = 1, most: int = POSITION) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value).strip().removeprefix("#")
        if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
            self.fail(f"{value!r} is no whole number", param, ctx)
        if not self.least <= int(text) <= self.most:
            self.fail(f"{text} is not between {self.least} and {self.most}", param, ctx)
        return int(text)


TEXT: Final = _Text()
LENGTH: Final = _Length()

COLOURS: Final = {
    "connected": "green", "resting": "green", "delivered": "green", "done": "green", "closed": "white",
    "dead": "red", "token-stale": "red", "tripped": "red", "quarantined": "red", "expired": "red",
    "circuit-tripped": "yellow", "window-closed": "yellow", "backing-off": "yellow", "unknown": "magenta",
    "reconnecting": "yellow", "suspect": "yellow", "open": "yellow", "half-open": "yellow", "probing": "cyan",
    "sending": "cyan", "sending-bare": "cyan", "dialling": "cyan", "proving": "cyan", "queued": "white",
}  # fmt: skip

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class _Console(Console):
    """A console whose reader may leave: that ends what was being read, and nothing else."""

    def on_broken_pipe(self) -> None:
        if not self.stderr:
            raise BrokenPipeError
        _drop(sys.stderr)  # what a gateway says of itself is no reason for it to stop


def console(*, stderr: bool = False) -> Console:
    """Return where to print; in colour only on a terminal (and never with NO_COLOR)."""
    return _Console(stderr=stderr, highlight=False, soft_wrap=True)


def _drop(stream: TextIO) -> None:
    """Send what is written from here on nowhere, or the interpreter fails over it at its last flush."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def fail(message: str) -> NoReturn:
    """End with what went wrong."""
    shown = "\n".join(
        printable(line, MESSAGE_CHARACTERS_MAX) for line in message.splitlines()
    )  # it may quote a journal
    click.echo(f"statecore: {shown}", err=True)
    sys.exit(1)


@contextmanager
def failing_clearly() -> Iterator[None]:
    """Turn errors a person can act on into one sentence and exit status 1, and Ctrl-C into one word."""
    try:
        yield
    except StatecoreError as error:
        fail(str(error))
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:  # whatever else it broke on the way out
            raise KeyboardInterrupt from None
        known, rest = group.split(StatecoreError)
        if known is None or rest is not None:
            raise
        fail("; ".join(str(error) for error in _leaves(known)))
    except BrokenPipeError:  # a reader like `head` had enough
        _drop(sys.stdout)
        sys.exit(0)


def run_async(work: Callable[[], Awaitable[T]]) -> T:
    """Run something asynchronous that Ctrl-C cancels.

    By default Ctrl-C raises wherever the program happens to be. In the middle of trio's own bookkeeping, or of a
    thread's start, that ends in an internal error; cancelled, everything ends in order. Whoever presses it twice does
    not want to wait for that.
    """

    async def listen(scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.open_signal_receiver(signal.SIGINT) as pressed:
            task_status.started()
            async for _ in pressed:
                if scope.cancel_called:
                    console(stderr=True).show_cursor()
                    os._exit(1)
                scope.cancel()

    async def main() -> T:
        async with trio.open_nursery() as nursery:
            interrupt = trio.CancelScope()
            await nursery.start(listen, interrupt)
            try:
                with interrupt:
                    return await work()
                raise KeyboardInterrupt
            finally:
                nursery.cancel_scope.cancel()

    try:
        return trio.run(main)
    except BaseExceptionGroup as group:  # of the nursery above
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise


def _leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def fail_if_unreadable(troubles: Sequence[str]) -> None:
    """End with what could not be read, once everything else was shown."""
    if not troubles:
        return
    more = f"; and {len(troubles) - 1} more like it" if len(troubles) > 1 else ""
    fail(f"{troubles[0]}{more}. Was it written by other code, or by a newer one? `statecore log` shows the rows")


def counted(count: int, one: str, several: str | None = None) -> str:
    """Write how many there are.

    >>> counted(1, "row"), counted(1200, "row"), counted(2, "delivery", "deliveries")
    ('1 row', '1200 rows', '2 deliveries')
    """
    return f"{count} {one if count == 1 else several or one + 's'}"


def check_account(reader: Any, account: str | None) -> None:
    """End if a journal does not know the account that was named: an empty answer would read as "all is well"."""
    if account is None:
        return
    known = [found.name for found in reader.status(wall_now()).accounts]
    if account not in known:
        fail(f"{reader.path} has no account {account!r}; it has {', '.join(known) or 'none yet'}")


def carried_out(reader: Any) -> str:
    """Say when a command that was recorded is carried out: whoever drives an account does that."""
    owners = [account.owner for account in reader.status(wall_now()).accounts]
    driven = any(owner and not owner.silent and owner.says != "stopped" for owner in owners)
    return "now" if driven else "when a gateway runs"


def printable(text: str, most: int | None = None) -> str:
    """Make text from outside safe to show on one line of a terminal."""
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text.replace("\n", "⏎").replace("\t", " "))
    return shown if most is None or len(shown) <= most else shown[: most - 1] + "…"


def paint(state: str) -> Text:
    """Return a state in its colour."""
    return Text(state, style=COLOURS.get(state, "white"))


def clock(wall: int) -> str:
    """Show a wall clock time (ns since 1970), local, to the millisecond."""
    moment = dt.datetime.fromtimestamp(wall / 1e9).astimezone()
    return moment.strftime("%m-%d %H:%M:%S.") + f"{moment.microsecond // 1000:03d}"


def ago(then: int, now: int) -> str:
    """Show how long ago, or how long until, a moment is."""
    return f"{show_duration(now - then)} ago" if now >= then else f"in {show_duration(then - now)}"


def plain(value: Any) -> Any:
    """Turn attrs values into what json can print."""
    if attrs.has(type(value)):
        return {field.name: plain(getattr(value, field.name)) for field in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(plain(value), ensure_ascii=False, indent=2))

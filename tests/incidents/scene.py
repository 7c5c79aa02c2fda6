"""What a recorded journal is made from: a scene that plays, and what a reader must find in it, decided by its script."""

import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import attrs

from statecore import gateway
from statecore.units import SECONDS
from statecore_journal import LogRow, schema, writer
from tests.support.stage import Stage

BEGAN: Final = 1_790_000_000 * SECONDS
"""Both clocks of a virtual world at its second 0."""

HERE: Final = (4242, "host.example")
"""Who recorded a journal is nobody's business."""


@attrs.frozen
class Expect:
    """An incident that must be found.

    Args:
        kind: its kind.
        event: of the row it starts at.
        after: that row is the first such row at or after this second of the scene.
        where: how its address begins.
        into: the state it leads to, if that matters.
        that: what else must be true of it.
        over: whether it is over at the end of the scene.
    """

    kind: str
    event: str
    after: float = 0
    where: str = ""
    into: str = ""
    that: Callable[[dict[str, Any]], bool] = lambda _: True
    over: bool = True

    def start(self, rows: list[LogRow]) -> int:
        """Return the seq of the row that it must start at."""
        return next(
            row.seq
            for row in rows
            if row.event == self.event
            and row.at >= BEGAN + round(self.after * SECONDS)
            and row.machine.startswith(self.where)
            and self.into in ("", row.target)
            and self.that(row.fields)
        )


@attrs.frozen
class Scene:
    """One scene.

    Args:
        name: of its journal.
        play: plays it in a folder, and leaves its journal there as gateway.db.
        expects: what must be found in it; nothing else may be.
        about: what it is about.
        staged: whether it plays on a `Stage`.
    """

    name: str
    play: Callable[[Path], None]
    expects: tuple[Expect, ...]
    about: str
    staged: bool = False


Play = Callable[[Stage], Awaitable[None]]

SCENES: Final[dict[str, Scene]] = {}


def scene(
    name: str, *expects: Expect, hours: float = 6, bound: int | None = None, slow: bool = True
) -> Callable[[Play], Play]:
    """Register a scene that is played on a `Stage`.

    Args:
        name: of its journal.
        expects: what must be found in it.
        hours: after which it has hung.
        bound: see `assert_guarantees`; None where a flood is the point.
        slow: whether the gateway looks around less often: for scenes of hours.
    """

    def register(play: Play) -> Play:
        def run(folder: Path) -> None:
            stage = Stage(folder)
            with recording(slow=slow):
                stage.run(lambda: play(stage), limit=hours * 3600, rows_per_second=bound)

        add(name, run, expects, play.__doc__ or "", staged=True)
        return play

    return register


def add(
    name: str, play: Callable[[Path], None], expects: tuple[Expect, ...], about: str, *, staged: bool = False
) -> None:
    """Register a scene."""
    assert name not in SCENES, name
    SCENES[name] = Scene(name, play, expects, about.strip().partition("\n")[0], staged)


@contextmanager
def recording(*, slow: bool = True) -> Iterator[None]:
    """Record without waiting for the disk, and without saying on which machine."""
    connect = schema.connect

    def quick(path: Path, *, busy_ns: int) -> sqlite3.Connection:
        connection = connect(path, busy_ns=busy_ns)
        connection.execute("pragma synchronous = off")
        return connection

    with (
        patch.object(schema, "connect", quick),
        patch.object(writer, "connect", quick),
        patch.multiple(gateway, here=lambda: HERE),
        patch.multiple(gateway, LOOK_EVERY=5 * SECONDS, BEAT_EVERY=10 * SECONDS) if slow else nullcontext(),
    ):
        yield

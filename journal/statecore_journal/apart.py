"""Work on one journal, shared by several processes: each takes the instances of a range of addresses.

Instances are independent of each other, so nothing but the results has to be put together. Whoever asks takes a part too,
which it has begun before the others have started. Each of those is this module, run by name: it needs nothing of the
program that asks for it, whatever that is.
"""

import importlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any, Final

import attrs

from statecore import codec
from statecore.errors import JournalError, StatecoreError
from statecore_journal.sweep import Where

ROWS_FOR_SEVERAL: Final = 200_000
"""Fewer rows are hardly worth another process."""

ROWS_AHEAD: Final = 40_000
"""About so many rows are done here before another process has started."""

JOBS_MAX: Final = 8
"""More would wait for the disk."""


@attrs.frozen(kw_only=True)
class Task:
    """What a process is asked for.

    Args:
        work: "module:function" that takes the task and returns an attrs value.
        path: of the journal.
        condition: which instances; see `statecore_journal.sweep.Where`.
        values: what is bound to it.
        specs: where machines are found; see `statecore_journal.loading`.
        until: the position up to which rows are read.
        finished: whether finished instances are kept.
        aside: where those that are kept are put.
    """

    work: str
    path: str
    condition: str = "1"
    values: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    until: int | None = None
    finished: bool = False
    aside: str = ""

    @property
    def where(self) -> Where:
        """Which instances."""
        return Where(self.condition, self.values)


@attrs.frozen(kw_only=True)
class Failed:
    """Why a process could not do it."""

    why: str


def parts(connection: sqlite3.Connection, where: Where, jobs: int) -> list[Where]:
    """Cut the instances into ranges of addresses that are done at about the same time, if this process does the first.

    Args:
        connection: the journal.
        where: which instances.
        jobs: how many ranges; 0 for as many as there are processors.
    """
    jobs = jobs or min(len(os.sched_getaffinity(0)), JOBS_MAX)
    ((rows,),) = connection.execute("select count(*) from events").fetchall() if jobs > 1 else ((0,),)
    if where.narrow or rows < ROWS_FOR_SEVERAL:
        return [where]
    nth = "select machine from events order by machine limit 1 offset ?"
    share = (rows - min(ROWS_AHEAD, rows // jobs)) // jobs
    cuts = [connection.execute(nth, (rows - share * left,)).fetchone()[0] for left in range(jobs - 1, 0, -1)]
    edges = ["", *dict.fromkeys(cuts), "\U0010ffff"]
    return [
        Where(f"{where.condition} and machine >= ? and machine < ?", (*where.values, begin, end))
        for begin, end in pairwise(edges)
    ]


def run(tasks: Sequence[Task], result: type[Any]) -> list[Any]:
    """Do the first task, and have each other done by a process of its own; return what came of them, in their order.

    Raises:
        JournalError: one could not be done.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", f"import sys; from {__name__} import main; sys.exit(main(sys.argv[1]))"]
    with ExitStack() as stack:
        processes = []
        for task in tasks[1:]:
            process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [*command, codec.dumps(task)],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        found = [_do(tasks[0])]
        said = [process.communicate()[0] for process in processes]
    for process, text in zip(processes, said, strict=True):
        if process.returncode == 0:
            found.append(codec.loads(text, result))
        else:
            why = codec.loads(text, Failed).why if text else f"a process ended with status {process.returncode}"
            raise JournalError(why)
    return found


def main(text: str) -> int:
    """Do one task, and print what came of it."""
    task = codec.loads(text, Task)
    try:
        done = _do(task)
    except StatecoreError as error:
        print(codec.dumps(Failed(why=str(error))))  # noqa: T201 - read by whoever asked
        return 1
    except KeyboardInterrupt:  # of the terminal, which has told whoever asked as well
        return 130
    print(codec.dumps(done))  # noqa: T201 - read by whoever asked
    return 0


def _do(task: Task) -> Any:
    module, _, name = task.work.partition(":")
    return getattr(importlib.import_module(module), name)(task)

"""Who runs: the tasks of a client, told from those of its server; what they log; and where they are cancelled."""

import logging

import trio


def below(task: trio.lowlevel.Task | None, root: trio.lowlevel.Task) -> bool:
    """Tell whether a task is *root*, or lives in a nursery of it or of one of its children."""
    while task is not None and task is not root:
        task = task.parent_nursery.parent_task if task.parent_nursery is not None else None
    return task is root


def children(root: trio.lowlevel.Task) -> list[str]:
    """Name the tasks that live below *root*."""
    found = []
    for nursery in root.child_nurseries:
        for child in nursery.child_tasks:
            found += [child.name, *children(child)]
    return found


class Lines(logging.Handler):
    """Collects what is logged by the tasks below *root*: the server's own lines are the server's business."""

    def __init__(self, root: trio.lowlevel.Task) -> None:
        super().__init__(logging.DEBUG)
        self._root = root
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        try:
            task = trio.lowlevel.current_task()
        except RuntimeError:
            task = None
        if task is None or below(task, self._root):
            self.lines.append(f"{record.name}: {self.format(record)}")


class CancelAt(trio.abc.Instrument):
    """Cancels a scope when the tasks below *root* have made so many steps.

    Attributes:
        steps: how many they made.
    """

    def __init__(self, root: trio.lowlevel.Task, at: int, scope: trio.CancelScope) -> None:
        self._root = root
        self._at = at
        self._scope = scope
        self.steps = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count one."""
        if below(task, self._root):
            self.steps += 1
            if self.steps == self._at:
                self._scope.cancel()

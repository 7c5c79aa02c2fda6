"""Putting a defect into production code, and taking it out again.

A bug stands in the place of what is right: a row of a table, a policy, a function, a method. So production code has no branch
and no flag for it, and nothing has to be compiled out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import attrs

from statecore import proof
from statecore.errors import DefinitionError
from statecore.machine import Machine, Row, Wait
from statecore.machines import MACHINES

Alter = Callable[[Row], Row | Sequence[Row]]
"""A row of a table -> what stands there with the bug: another one, several, or none."""


@contextmanager
def together(*parts: Any) -> Iterator[None]:
    """Put in several things that make one bug."""
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part)
        yield


# ---- tables ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Table:
    """A shipped machine with another table.

    Args:
        machine: its name.
        alter: what becomes of each row; one at least must change.
        awaits: states that await something else.
    """

    machine: str
    alter: Alter
    awaits: Mapping[str, Wait | tuple[Wait, ...]] = attrs.field(factory=dict)

    def made(self) -> Machine:
        """Make the machine.

        Raises:
            DefinitionError: the proof refuses it.
        """
        shipped = MACHINES[self.machine]
        table: list[Row] = []
        for row in shipped.table:
            altered = self.alter(row)
            table += [altered] if isinstance(altered, Row) else altered
        assert tuple(table) != shipped.table or self.awaits, f"{self.machine}: no row was changed"
        return Machine(
            shipped.name,
            remembers=shipped.remembers,
            initial=shipped.initial,
            table=table,
            awaits={**shipped.awaits, **self.awaits},
            final=tuple(shipped.final),
            named=shipped.named,
            version=shipped.version,
        )

    def refusal(self) -> str:
        """Return the first objection of the proof to it; empty if there is none."""
        try:
            self.made()
        except DefinitionError as error:
            return str(error)
        return ""

    @contextmanager
    def put_in(self) -> Iterator[None]:
        """Have it stand in the place of the shipped one, whatever the proof says."""
        with patch.object(proof, "prove", lambda _: None):
            altered = vars(self.made())
        shipped = vars(MACHINES[self.machine])
        right = dict(shipped)
        shipped.update(altered)
        try:
            yield
        finally:
            shipped.update(right)

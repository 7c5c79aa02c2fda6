"""What led to a row, and what it set off: every row says which one caused it, so causes lead from machine to machine."""

from __future__ import annotations

import inspect
from collections import deque
from typing import TYPE_CHECKING, Final

import attrs

from statecore.errors import StatecoreError
from statecore.events import Arrival
from statecore.machines import MACHINES
from statecore_journal.files import undisturbed
from statecore_journal.fold import Replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from statecore.machine import Machine
    from statecore_journal.reader import LogRow, Reader

STEPS_MAX: Final = 200
"""Steps of a chain that are kept: half of them at its beginning, half at its end. A connection's polls are one chain."""


class NoRowError(StatecoreError):
    """There is no such row in the journal."""


@attrs.frozen(kw_only=True)
class Step:
    """One step of a chain of causes.

    Args:
        row: what happened.
        after: ns since the step before; None for the first.
        says: what that is, in a short sentence.
    """

    row: LogRow
    after: int | None
    says: str


@attrs.frozen(kw_only=True)
class Chain:
    """What led to a row.

    Args:
        steps: from the event from outside that began it to the row itself.
        left_out: steps that are not among them, behind the first half.
        pruned: position of the cause of the first step, if its row is gone; None if the first step came from outside.
    """

    steps: tuple[Step, ...]
    left_out: int
    pruned: int | None


@undisturbed
def why(reader: Reader, seq: int, *, machines: Mapping[str, Machine] = MACHINES, whole: bool = False) -> Chain:
    """Walk the causes of a row back to the event from outside that began it.

    That is one that no row caused, or one that brought something in: messages, a frame. What such a poll goes back to in
    turn, the poll before it and at last the start of the process, says nothing about what it brought.

    Args:
        reader: of the journal.
        seq: position of the row.
        machines: by name.
        whole: whether to walk on to the one that no row caused.

    Raises:
        NoRowError: there is no such row.
    """
    with reader.reading():
        row = reader.row(seq)
        if row is None:
            raise NoRowError(f"{reader.path} has no row {seq}; {_known(reader)}")
        sayings = Sayings(machines)
        late: deque[LogRow] = deque([row], maxlen=STEPS_MAX // 2)  # those nearest to the row, walking away from it
        early: deque[LogRow] = deque(maxlen=STEPS_MAX // 2)
        walked, pruned = 1, None
        while row.cause is not None and (whole or walked == 1 or not sayings.brings_in(row)):
            before = reader.row(row.cause)
            if before is None:
                pruned = row.cause
                break
            row = before
            walked += 1
            if len(late) < STEPS_MAX // 2:
                late.append(row)
            else:
                early.append(row)
    rows = [*reversed(early), *reversed(late)]
    steps = tuple(
        Step(row=one, after=None if number == 0 else one.at - rows[number - 1].at, says=sayings.of(one))
        for number, one in enumerate(rows)
    )
    return Chain(steps=steps, left_out=walked - len(rows), pruned=pruned)


def _known(reader: Reader) -> str:
    ((first, last),) = reader.ask("select min(seq), max(seq) from events")
    return "it has none" if first is None else f"it has {first} to {last}"


class Sayings:
    """Says what a row is in a short sentence: the first one of what its event's class says of itself."""

    def __init__(self, machines: Mapping[str, Machine]) -> None:
        self._replays = {name: Replay(machine) for name, machine in machines.items()}

    def of(self, row: LogRow) -> str:
        """Return the sentence."""
        if row.event.startswith("Elapsed("):
            said = f"Its timer {row.event[8:-1]} came due."
        else:
            replay = self._replays.get(row.machine.partition("/")[0])
            kind = None if replay is None else replay.kind(row.event)
            said = "" if kind is None else _first_sentence(inspect.getdoc(kind) or "")
        if row.outcome is not None and row.outcome != "stayed":
            said = f"{said} It was {row.outcome}.".strip()
        return said

    def brings_in(self, row: LogRow) -> bool:
        """Tell whether an event carries something the outside sent."""
        replay = self._replays.get(row.machine.partition("/")[0])
        kind = None if replay is None else replay.kind(row.event)
        return kind is not None and issubclass(kind, Arrival)


def _first_sentence(text: str) -> str:
    first = " ".join(text.partition("\n\n")[0].split())
    return first.partition(". ")[0].rstrip(".") + "." if first else ""


class SetOff:
    """What a row set off, directly or through others. It takes one bit a row of the journal behind it.

    Args:
        reader: of the journal.
        seq: position of the row.
    """

    def __init__(self, reader: Reader, seq: int) -> None:
        self._reader = reader
        self._first = seq
        self._read = seq
        self._bits = bytearray(b"\x01")

    def among(self, rows: Iterator[LogRow]) -> Iterator[LogRow]:
        """Pick those rows that it set off, out of rows in their order."""
        for row in rows:
            self._read_on(row.seq)
            if self._has(row.seq):
                yield row

    def _has(self, seq: int) -> bool:
        place = seq - self._first
        return place >= 0 and place >> 3 < len(self._bits) and bool(self._bits[place >> 3] >> (place & 7) & 1)

    def _read_on(self, upto: int) -> None:
        while self._read < upto:
            page = self._reader.causes(self._read, upto)
            for seq, cause in page:
                if self._has(cause):
                    place = seq - self._first
                    self._bits.extend(bytes(max(0, (place >> 3) + 1 - len(self._bits))))
                    self._bits[place >> 3] |= 1 << (place & 7)
            self._read = page[-1][0] if page else upto

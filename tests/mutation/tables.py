"""Mutants of a definition: the same machine with one thing about one row, or about one wait, made wrong.

A mutant is built by the constructor that built the machine, so the proof has its say first: what it refuses could never
have been shipped, and counts as noticed by the definition.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import attrs

from statecore.errors import DefinitionError
from statecore.events import Elapsed, Event, Outcome, name_of
from statecore.machine import Effect, Machine, Row, Signal, Timer, Wait

Kind = Literal["row", "wait"]

OTHERS_MAX: Final = 2
"""Other targets, and other handlers, that are tried for a row."""


@attrs.frozen
class TableMutant:
    """One thing made wrong.

    Args:
        subject: the machine.
        kind: whether a row or a wait is wrong.
        place: which row or wait, as a person would call it.
        change: what was done to it.
        table: the rows.
        awaits: what the states await.
        named: the timers that outlive states.
    """

    subject: str
    kind: Kind
    place: str
    change: str
    table: tuple[Row, ...] = attrs.field(repr=False)
    awaits: dict[str, tuple[Wait, ...]] = attrs.field(repr=False)
    named: tuple[Timer, ...] = attrs.field(repr=False)

    @property
    def name(self) -> str:
        """Return what tells it from all others."""
        return f"{self.subject}: {self.place}: {self.change}"

    def build(self, machine: Machine) -> Machine:
        """Define it.

        Raises:
            DefinitionError: the proof noticed.
        """
        return Machine(
            machine.name,
            remembers=machine.remembers,
            initial=machine.initial,
            table=self.table,
            awaits=self.awaits,
            final=tuple(machine.final),
            named=self.named,
            version=machine.version,
        )


def of(machine: Machine) -> list[TableMutant]:
    """Return every mutant of a machine, rows first, in the order of its table."""
    make = functools.partial(
        TableMutant, subject=machine.name, table=machine.table, awaits=dict(machine.awaits), named=machine.named
    )
    found = [
        make(kind="row", place=_called(machine.table[index]), change=change, table=table)
        for index in range(len(machine.table))
        for change, table in _of_row(machine, index)
    ]
    for change, place, awaits, named in _of_waits(machine):
        found.append(make(kind="wait", place=place, change=change, awaits=awaits, named=named))
    return found


def _called(row: Row) -> str:
    target = "ignored" if row.ignores else "stay" if row.target is None else row.target
    guard = "" if row.when is None else f" [{row.when.__name__}]"
    events = ", ".join(name_of(event) for event in row.events)
    sources = ", ".join(row.sources[:3]) + (f" and {len(row.sources) - 3} more" if len(row.sources) > 3 else "")
    return f"{sources} x {events}{guard} -> {target}"


# ---- rows ------------------------------------------------------------------------------------------------------------

Change = tuple[str, tuple[Row, ...]]


def _of_row(machine: Machine, index: int) -> Iterator[Change]:
    row = machine.table[index]
    if row.ignores:
        yield from _handled(machine, index)
        return
    yield from _removed(machine, index)
    yield from _elsewhere(machine, index)
    yield from _otherwise(machine, index)
    yield from _unguarded(machine, index)
    yield from _swapped(machine, index)
    if row.tell is not None:
        yield "tells nobody", _with(machine, index, attrs.evolve(row, tell=None))


def _with(machine: Machine, index: int, *rows: Row) -> tuple[Row, ...]:
    return (*machine.table[:index], *rows, *machine.table[index + 1 :])


def _pairs(machine: Machine, row: Row) -> list[tuple[str, type[Event] | Elapsed]]:
    return [(source, event) for source in row.sources for event in machine.expand(row, source)]


def _without(machine: Machine, row: Row, source: str, event: type[Event] | Elapsed) -> list[Row]:
    """Return a row as several that leave out one of its pairs."""
    kept: list[Row] = []
    for own in row.sources:
        events = tuple(one for one in machine.expand(row, own) if (own, one) != (source, event))
        if events:
            kept.append(attrs.evolve(row, sources=(own,), events=events))
    return kept


def _removed(machine: Machine, index: int) -> Iterator[Change]:
    row = machine.table[index]
    for source, event in _pairs(machine, row):
        others = [
            other
            for at, other in enumerate(machine.table)
            if at != index and source in other.sources and event in machine.expand(other, source)
        ]
        left = _without(machine, row, source, event)
        if not others:
            left.append(Row((source,), (event,), None, because="a mutant"))
        yield f"gone for {name_of(event)} in {source}", _with(machine, index, *left)


def _nature(machine: Machine, state: str) -> tuple[bool, bool, bool]:
    waits = machine.awaits.get(state, ())
    return (
        state in machine.final,
        any(isinstance(wait, Effect) for wait in waits),
        any(isinstance(wait, Timer) for wait in waits),
    )


def _loads(machine: Machine, table: tuple[Row, ...]) -> bool:
    try:
        Machine(
            machine.name,
            remembers=machine.remembers,
            initial=machine.initial,
            table=table,
            awaits=machine.awaits,
            final=tuple(machine.final),
            named=machine.named,
        )
    except DefinitionError:
        return False
    return True


def _elsewhere(machine: Machine, index: int) -> Iterator[Change]:
    """Lead the row to other states, those of the same nature first, and to the opposite of staying or entering."""
    row = machine.table[index]
    if row.target is None:
        for source in row.sources:
            rest = attrs.evolve(row, sources=tuple(one for one in row.sources if one != source))
            entering = attrs.evolve(row, sources=(source,), target=source)
            yield f"enters {source} again", _with(machine, index, *([rest] if rest.sources else []), entering)
        natures = {_nature(machine, source) for source in row.sources}
        avoid = set(row.sources)
    else:
        yield "stays", _with(machine, index, attrs.evolve(row, target=None))
        natures, avoid = {_nature(machine, row.target)}, {row.target}
    candidates = [state for state in machine.states if state not in avoid]
    start = index % max(1, len(candidates))  # or every row would be led to the first states of the definition
    candidates = candidates[start:] + candidates[:start]
    candidates.sort(key=lambda state: _nature(machine, state) not in natures)
    tried = [(state, _with(machine, index, attrs.evolve(row, target=state))) for state in candidates]
    loading = (change for change in tried if _loads(machine, change[1]))
    first = list(itertools.islice(loading, OTHERS_MAX)) or tried[:1]
    yield from ((f"leads to {state}", table) for state, table in first)


def _otherwise(machine: Machine, index: int) -> Iterator[Change]:
    """Leave out what the row remembers, or remember what another row does for the same events."""
    row = machine.table[index]
    if row.do is not None:
        yield "remembers nothing", _with(machine, index, attrs.evolve(row, do=None))
    others: dict[Callable[..., Any], bool] = {}
    for other in machine.table:
        if other.do is not None and other.do is not row.do:
            others[other.do] = others.get(other.do, False) or bool(set(other.events) & set(row.events))
    akin = [do for do, same in others.items() if same]
    for do in akin[:OTHERS_MAX]:
        yield f"remembers as {do.__name__}", _with(machine, index, attrs.evolve(row, do=do))


def _unguarded(machine: Machine, index: int) -> Iterator[Change]:
    row = machine.table[index]
    if row.when is None:
        return
    guard = row.when

    def always(_was: Any, _event: Any) -> bool:
        return True

    def contrary(was: Any, event: Any) -> bool:
        return not guard(was, event)

    always.__name__ = contrary.__name__ = guard.__name__
    yield "applies always", _with(machine, index, attrs.evolve(row, when=always))
    yield "applies in the contrary case", _with(machine, index, attrs.evolve(row, when=contrary))


def _swapped(machine: Machine, index: int) -> Iterator[Change]:
    """Let the next guarded row for the same pair be asked before this one."""
    row = machine.table[index]
    if row.when is None:
        return
    pairs = set(_pairs(machine, row))
    for later in range(index + 1, len(machine.table)):
        other = machine.table[later]
        if pairs & set(_pairs(machine, other)):
            if other.when is not None:
                table = list(machine.table)
                table.insert(index, table.pop(later))
                yield f"after [{other.when.__name__}]", tuple(table)
            return


def _handled(machine: Machine, index: int) -> Iterator[Change]:
    """Let each ignored pair do what the event does in the first state that handles it."""
    row = machine.table[index]
    for source, event in _pairs(machine, row):
        if source in machine.final or (isinstance(event, type) and issubclass(event, Outcome)):
            continue  # the proof refuses all of them: nothing leads out of the end, no outcome comes without an attempt
        model = next(
            (
                other
                for other in machine.table
                if not other.ignores and other.when is None and event in other.events and source not in other.sources
            ),
            None,
        )
        if model is None:
            continue
        left = [attrs.evolve(part, because=row.because) for part in _without(machine, row, source, event)]
        new = attrs.evolve(model, sources=(source,), events=(event,))
        target = "stay" if model.target is None else model.target
        yield f"{name_of(event)} in {source} leads to {target}", _with(machine, index, *left, new)


# ---- waits -----------------------------------------------------------------------------------------------------------


def _of_waits(machine: Machine) -> Iterator[tuple[str, str, dict[str, tuple[Wait, ...]], tuple[Timer, ...]]]:
    for state, waits in machine.awaits.items():
        for index, wait in enumerate(waits):
            for change, other in _of_wait(wait):
                changed = {**machine.awaits, state: (*waits[:index], other, *waits[index + 1 :])}
                yield change, f"{state} awaits {_what(wait)}", changed, machine.named
    for index, timer in enumerate(machine.named):
        for change, other in _of_wait(timer):
            assert isinstance(other, Timer)
            named = (*machine.named[:index], other, *machine.named[index + 1 :])
            yield change, f"always awaits {_what(timer)}", dict(machine.awaits), named


def _what(wait: Wait) -> str:
    return wait.field if isinstance(wait, Timer) else wait.name if isinstance(wait, Effect) else "a signal"


def _tenfold(value: int) -> int:
    return value * 10


def _tenth(value: int) -> int:
    return value // 10


CHANGES: Final = (("x 10", _tenfold), ("/ 10", _tenth))
"""What is done to a bound."""


def _of_wait(wait: Wait) -> Sequence[tuple[str, Wait]]:
    if isinstance(wait, Signal):
        return ()
    known: Any = wait
    fields = ("floor", "cap") if isinstance(wait, Timer) else ("within",)
    return [
        (f"{field} {sign}", attrs.evolve(known, **{field: change(getattr(wait, field))}))
        for field in fields
        for sign, change in CHANGES
    ]

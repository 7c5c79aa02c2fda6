"""Which transitions of a table were taken, by a journal or by a test run.

    coverage = Coverage()
    coverage.journal("gateway.db")                        # what a gateway did
    coverage.step(door, snapshot, event, decision)        # what a test did, one step at a time
    print(coverage.of("door").never)

A table is data, so what "all of it" means is known beforehand. What is never taken is a state nobody has tested, or an
event that does not happen; either is worth knowing.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from statecore.errors import StatecoreError
from statecore.events import BUILT_IN, Event, name_of
from statecore.machine import Decision, Machine, Snapshot
from statecore.machines import MACHINES
from statecore_diagrams.figure import named
from statecore_diagrams.model import Model, Transition, read
from statecore_journal.reader import Reader, open_reader

PAGE: Final = 200_000
"""Rows of a journal counted at a time; nothing is held open between."""

_BUILT_IN: Final = frozenset(name_of(event) for event in BUILT_IN)

_COUNT: Final = """
select substr(machine, 1, instr(machine, '/') - 1), event, source, target, outcome, guards, count(*)
from events not indexed where seq > ? and seq <= ? group by 1, 2, 3, 4, 5, 6
"""


class NotCoverage(StatecoreError):
    """A file is no saved coverage."""


@attrs.frozen
class Taken:
    """What was taken of one machine.

    Args:
        model: the machine.
        counts: how often each transition was taken, ignored events included; those never taken are left out.
        foreign: rows that this table does not have, by what they did, with how many there were. Another version of the
            definition wrote them.
    """

    model: Model
    counts: Mapping[Transition, int]
    foreign: Mapping[str, int]

    @property
    def taken(self) -> tuple[Transition, ...]:
        """Return the transitions that were taken, without the ignored ones, in the order of the table."""
        return tuple(transition for transition in self.model.drawn if transition in self.counts)

    @property
    def never(self) -> tuple[Transition, ...]:
        """Return the transitions that were never taken, without the ignored ones, in the order of the table."""
        return tuple(transition for transition in self.model.drawn if transition not in self.counts)

    @property
    def total(self) -> int:
        """Return how many transitions the table has, without the ignored ones."""
        return len(self.model.drawn)


class Coverage:
    """Counts transitions. What several processes counted can be put together.

    Args:
        machines: whose transitions are counted, by name. Rows of others are `strangers`.
    """

    def __init__(self, machines: Mapping[str, Machine] = MACHINES) -> None:
        self._models = {name: read(machine) for name, machine in machines.items()}
        self._counts: dict[str, Counter[Transition]] = {name: Counter() for name in machines}
        self._foreign: dict[str, Counter[str]] = {name: Counter() for name in machines}
        self.strangers: Counter[str] = Counter()
        """How many rows there were of machines that are not counted here, by their names."""
        self.pruned = False
        """Whether a journal had rows removed, which are not counted."""

    # ---- feeding -----------------------------------------------------------------------------------------------------

    def row(
        self,
        machine: str,
        event: str,
        source: str,
        target: str,
        outcome: str | None,
        guards: str | None,
        count: int = 1,
    ) -> None:
        """Count a row of a journal, given as its columns have it; *machine* is the name, without account and key."""
        model = self._models.get(machine)
        if model is None:
            self.strangers[machine] += count
            return
        if event in _BUILT_IN:
            return
        kind = "moved" if outcome is None else outcome.partition(":")[0]
        fitting = [
            transition
            for transition in model.by_pair.get((source, event), ())
            if transition.kind == kind and transition.target == target
        ]
        exact = [transition for transition in fitting if transition.asked == (guards or "")]
        if fitting:
            self._counts[machine][(exact or fitting)[0]] += count
        elif kind in ("moved", "stayed"):
            self._foreign[machine][f"{source} → {target}  {event}"] += count

    def step(self, machine: Machine, before: Snapshot, event: Event, decision: Decision) -> Decision:
        """Count what a step did, and return it, so that a test can put this around its calls."""
        kind, reason, guards = decision.outcome
        outcome = None if kind == "moved" else kind if kind == "stayed" else f"{kind}: {reason}"
        asked = ",".join(f"{name}={int(held)}" for name, held in guards)
        self.row(machine.name, name_of(event), before.state, decision.snapshot.state, outcome, asked)
        return decision

    def journal(self, source: Reader | str | Path) -> None:
        """Count every row of a journal, which may be in use. Memory does not grow with it.

        Raises:
            NotAJournal, JournalTooNew, JournalCorrupt, JournalError: see there.
        """
        if not isinstance(source, Reader):
            with open_reader(source) as reader:
                self.journal(reader)
            return
        ((first, last, pruned),) = source.ask(
            "select coalesce(min(seq), 1), coalesce(max(seq), 0), exists (select 1 from checkpoints) from events"
        )
        self.pruned = self.pruned or bool(pruned) or first > 1
        for after in range(first - 1, last, PAGE):
            for row in source.ask(_COUNT, after, min(after + PAGE, last)):
                self.row(*row)

    # ---- putting together --------------------------------------------------------------------------------------------

    def merge(self, other: "Coverage") -> None:
        """Add what another one counted."""
        for name in other.seen:
            if name in self._models:
                taken = other.of(name)
                self._counts[name].update(taken.counts)
                self._foreign[name].update(taken.foreign)
        self.strangers.update(other.strangers)
        self.pruned = self.pruned or other.pruned

    def plain(self) -> dict[str, Any]:
        """Return what was counted as json can write it, for another process to `add`."""
        counted = {
            name: [[*_columns(transition), count] for transition, count in counts.items()]
            for name, counts in self._counts.items()
            if counts
        }
        return {"statecore-coverage": 1, "machines": counted}

    def add(self, counted: Mapping[str, Any]) -> None:
        """Add what another one's `plain` returned."""
        rows = [(name, *row) for name, rows in counted["machines"].items() for row in rows]
        for name, event, source, target, outcome, guards, count in rows:
            self.row(name, event, source, target, outcome, guards, int(count))

    def save(self, path: str | Path) -> None:
        """Write what was counted to a file, for another process to `load`."""
        Path(path).write_text(json.dumps(self.plain(), ensure_ascii=False), "utf-8")

    def load(self, path: str | Path) -> None:
        """Add what was saved.

        Raises:
            NotCoverage: the file is something else.
        """
        try:
            self.add(json.loads(Path(path).read_text("utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotCoverage(f"{path} holds no saved coverage: {type(error).__name__}: {error}") from error

    # ---- reading -----------------------------------------------------------------------------------------------------

    @property
    def seen(self) -> tuple[str, ...]:
        """Return the machines of which any row was counted."""
        return tuple(name for name in self._models if self._counts[name] or self._foreign[name])

    def of(self, machine: str) -> Taken:
        """Return what was taken of a machine.

        Raises:
            KeyError: it is not one of those counted.
        """
        return Taken(self._models[machine], dict(self._counts[machine]), dict(self._foreign[machine]))


def _columns(transition: Transition) -> tuple[str, str, str, str | None, str]:
    outcome = None if transition.kind == "moved" else transition.kind
    return transition.event, transition.source, transition.target, outcome, transition.asked


def rows(model: Model, transitions: Iterable[Transition]) -> list[tuple[str, tuple[str, ...]]]:
    """Put transitions between the same states together, for a list: (from where to where, the events and guards)."""
    alike: dict[tuple[str, str, str], list[str]] = {}
    for transition in transitions:
        alike.setdefault(
            (transition.kind, transition.target if transition.kind == "moved" else "", transition.label), []
        ).append(transition.source)
    found: dict[str, list[str]] = {}
    for (kind, target, label), sources in alike.items():
        where = named(model, sources)
        found.setdefault(f"{where} → {target}" if kind == "moved" else f"{where} (stays)", []).append(label)
    return [(where, tuple(labels)) for where, labels in found.items()]


def plain(taken: Taken) -> dict[str, Any]:
    """Return what json can print of it."""
    ignored = [transition for transition in taken.model.transitions if transition.kind == "ignored"]
    return {
        "machine": taken.model.name,
        "definition": taken.model.version,
        "taken": len(taken.taken),
        "total": taken.total,
        "ignored": {"seen": sum(transition in taken.counts for transition in ignored), "total": len(ignored)},
        "foreign": dict(taken.foreign),
        "transitions": [
            {
                "source": transition.source,
                "event": transition.event,
                "guard": transition.guard or None,
                "target": transition.target,
                "stays": transition.kind == "stayed",
                "count": taken.counts.get(transition, 0),
            }
            for transition in taken.model.drawn
        ],
    }

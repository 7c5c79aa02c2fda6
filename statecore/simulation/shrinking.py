"""Making a plan that fails smaller: what is left out was not needed for the failure.

Occurrences are left out by delta debugging (Zeller and Hildebrandt, 2002), then accounts, then the time after the failure; what
remains is made simpler. A plan counts as failing like the first if the same guarantee does not hold, and the sentence that says
so is the same but for names and numbers: a plan in which no process ever starts loses messages too.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from statecore.simulation.discrete import run
from statecore.simulation.guarantees import Violation
from statecore.simulation.plan import SPELLS, Occurrence, Plan
from statecore.units import SECONDS

RUNS_MAX: Final = 600
"""Runs that a plan is shrunk by at most."""

Fails = Callable[[Plan], Violation | None]


@attrs.frozen
class Shrunk:
    """A smaller plan that fails in the same way.

    Args:
        plan: the plan.
        violation: what does not hold in it.
        runs: how many runs it took to find it.
    """

    plan: Plan
    violation: Violation
    runs: int


@attrs.define
class _Search:
    """The smallest plan so far."""

    fails: Fails
    plan: Plan
    violation: Violation
    left: int

    def accept(self, plan: Plan) -> bool:
        """Take a plan for the smallest if it fails too."""
        if self.left <= 0 or plan == self.plan:
            return False
        self.left -= 1
        violation = self.fails(plan)
        if violation is None:
            return False
        self.plan, self.violation = plan, violation
        return True


def failing(
    guarantee: str, runner: Callable[[Plan], Sequence[Violation]] | None = None, *, like: Violation | None = None
) -> Fails:
    """Return a function that tells how a plan fails in a guarantee, if it does.

    Args:
        guarantee: "G1" to "G10".
        runner: runs a plan; the plain simulation by default.
        like: only in what is the same sentence but for names and numbers.
    """
    violations = runner if runner is not None else lambda plan: run(plan).violations

    def fails(plan: Plan) -> Violation | None:
        alike = (one for one in violations(plan) if like is None or _sentence(one) == _sentence(like))
        return next((one for one in alike if one.guarantee == guarantee), None)

    return fails


def _sentence(violation: Violation) -> str:
    """Return what a violation says, without names and numbers."""
    return re.sub(r"\S*[\d/@]\S*", "*", violation.said)


def shrink(plan: Plan, violation: Violation, *, fails: Fails | None = None, runs_max: int = RUNS_MAX) -> Shrunk:
    """Make a plan smaller that fails.

    Args:
        plan: it.
        violation: what does not hold in it.
        fails: tells how a plan fails; by default, as the plain simulation finds the same guarantee broken in the same way.
        runs_max: runs it may take.
    """
    search = _Search(
        fails if fails is not None else failing(violation.guarantee, like=violation), plan, violation, runs_max
    )
    for account in plan.accounts:
        search.accept(_without_account(search.plan, account.name))
    before = None
    while before != search.plan and search.left > 0:
        before = search.plan
        _fewer(search)
        _shorter(search)
        for simpler in _simpler(search):
            search.accept(simpler)
    return Shrunk(search.plan, search.violation, runs_max - search.left)


def _without_account(plan: Plan, name: str) -> Plan:
    accounts = tuple(account for account in plan.accounts if account.name != name)
    if not accounts:
        return plan
    return attrs.evolve(
        plan, accounts=accounts, occurrences=tuple(one for one in plan.occurrences if one.target != name)
    )


def _fewer(search: _Search) -> None:
    """Leave out ever smaller stretches of occurrences."""
    size = max(1, len(search.plan.occurrences) // 2)
    while size >= 1 and search.left > 0:
        start = 0
        while start < len(search.plan.occurrences):
            kept = search.plan.occurrences
            needed = tuple(one for one in kept[start : start + size] if _settles(search, one))
            fewer = kept[:start] + needed + kept[start + size :]
            if not search.accept(attrs.evolve(search.plan, occurrences=fewer)):
                start += size
            if search.left <= 0:
                return
        size //= 2


def _settles(search: _Search, one: Occurrence) -> bool:
    """Tell whether nothing would settle without it: somebody must drive in the calm, and an operator look."""
    return search.violation.settles and one.at >= search.plan.calm_from and one.kind in ("operator", "process-starts")


def _shorter(search: _Search) -> None:
    """End soon after the last occurrence, or after the failure; what must settle needs its time."""
    if search.violation.settles:
        return
    last = max((one.ends for one in search.plan.occurrences), default=0)
    ends = {last + 1 * SECONDS, last + 60 * SECONDS, last + 600 * SECONDS}
    if search.violation.at is not None:
        ends.add(search.violation.at + 1 * SECONDS)
    for end in sorted(ends):
        if end < search.plan.length:
            occurrences = tuple(_until(one, end) for one in search.plan.occurrences if one.at <= end)
            calm_from = min(search.plan.calm_from, end)
            if search.accept(attrs.evolve(search.plan, length=end, calm_from=calm_from, occurrences=occurrences)):
                return


def _until(one: Occurrence, end: int) -> Occurrence:
    if one.kind not in SPELLS or one.fields["until"] <= end:
        return one
    return attrs.evolve(one, fields={**one.fields, "until": end})


def _simpler(search: _Search) -> Iterator[Plan]:
    """Yield plans in which one occurrence is simpler."""
    index = 0
    while index < len(search.plan.occurrences):
        for fields in _simpler_fields(search.plan.occurrences[index]):
            occurrences = list(search.plan.occurrences)
            occurrences[index] = attrs.evolve(occurrences[index], fields=fields)
            yield attrs.evolve(search.plan, occurrences=tuple(occurrences))
        index += 1
    for number, account in enumerate(search.plan.accounts):
        accounts = list(search.plan.accounts)
        accounts[number] = attrs.evolve(account, settings={})
        yield attrs.evolve(search.plan, accounts=tuple(accounts))


def _simpler_fields(one: Occurrence) -> Iterator[dict[str, object]]:
    fields = dict(one.fields)
    if fields.get("share", 1.0) != 1.0:
        yield {**fields, "share": 1.0}
    if len(str(fields.get("text", ""))) > 2:
        yield {**fields, "text": "hi"}
    for name in ("key", "lasts"):
        if fields.get(name):
            yield {**fields, name: type(fields[name])()}

"""A plan, carried out by the real gateway on a virtual clock; what `statecore sim --speed faithful` runs."""

from collections import Counter
from pathlib import Path

import attrs

from statecore.simulation.discrete import Outcome
from statecore.simulation.faithful.clock import Spun, virtual
from statecore.simulation.faithful.plugs import plugged
from statecore.simulation.faithful.reading import fingerprint, read_back, verdicts
from statecore.simulation.faithful.street import Street
from statecore.simulation.guarantees import Violation, check
from statecore.simulation.plan import Plan
from statecore.units import SECONDS

RUN_LIMIT_S = 600.0
"""By how many virtual seconds a run may be longer than its plan, to be taken apart."""


@attrs.frozen
class Faithful(Outcome):
    """What came of a run; see `Outcome`.

    Args:
        journal: its file.
        busiest: the most steps that one task made within a second, and which task.
    """

    journal: Path
    busiest: tuple[int, str]

    def digest(self) -> str:
        """Return a hash over every row of every table of the journal."""
        return fingerprint(self.journal)


def run_faithful(plan: Plan, folder: Path) -> Faithful:
    """Carry a plan out with the real gateway, adapters and simulators, in one trio run.

    Args:
        plan: what happens.
        folder: an empty one; the journal is left in it as gateway.db.

    Raises:
        PlanError: it asks for a platform, or a fault, that cannot be simulated.
        Hung: the run was not over when the plan was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    street = Street(plan, folder)
    limit_s = plan.length / SECONDS + RUN_LIMIT_S
    found: list[Violation] = []
    with plugged(plan.seed, folder, street.kernel):
        try:
            (rows, instances), steps = virtual(
                street.run,
                seed=plan.seed,
                limit_s=limit_s,
                paid=lambda: street.rows,
                answered=lambda: street.network.answered,
            )
        except Spun as error:
            (rows, instances), steps = read_back(street.path), error.steps
            found.append(Violation("G2", str(error), rows[-1].seq if rows else None))
    settled = plan.calm_from < plan.length and not found
    found += check(rows, instances, street.truth, plan, settled=settled)
    return Faithful(
        plan,
        rows,
        verdicts(rows),
        instances,
        street.truth,
        found,
        steps.total,
        _met(street),
        street.path,
        steps.busiest,
    )


def _met(street: Street) -> Counter[str]:
    met = Counter(street.met)
    for link in street.network.links():
        met.update({f"network {kind}": count for kind, count in link.seen.items()})
    met.update({f"disk {kind}": count for kind, count in street.disk.seen.items()})
    return met

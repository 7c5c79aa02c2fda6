"""Plans: drawn from a seed, written to files, and read back."""

from typing import Any

import attrs
import orjson
import pytest

from statecore.simulation.drawing import draw
from statecore.simulation.plan import FAULTS, KINDS, Occurrence, Plan, PlanError
from statecore.units import HOURS, MINUTES


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_survives_its_file(seed: int) -> None:
    """Or a failure could be shown to nobody."""
    plan = draw(seed)

    assert Plan.from_json(plan.to_json()) == plan
    assert draw(seed) == plan


def test_faults_end_before_the_run_does() -> None:
    """Else nothing could be asked of how it ends."""
    for seed in range(50):
        plan = draw(seed)
        assert plan.length == HOURS
        assert plan.length - plan.calm_from == 10 * MINUTES
        assert all(one.ends <= plan.calm_from for one in plan.occurrences if one.fault and one.kind != "process-starts")


def test_seeds_leave_kinds_of_faults_out_and_together_have_all() -> None:
    """What one fault hides, a seed without it shows."""
    kinds = [{one.fault for one in draw(seed).occurrences if one.fault} for seed in range(200)]
    every = {f"{kind} {fault}" for kind, faults in FAULTS.items() for fault in faults}

    assert every <= set().union(*kinds)
    assert max(map(len, kinds)) < len(every)


def broken(**changes: Any) -> bytes:
    """Return a plan's file in which one occurrence is another."""
    plan = draw(1, 0.1)
    one = attrs.evolve(plan.occurrences[0], **changes)
    return attrs.evolve(plan, occurrences=(one, *plan.occurrences[1:])).to_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "it is no JSON"),
        (b"[]", "no plan of this version"),
        (orjson.dumps({"statecore-plan": 1}), "KeyError"),
        (broken(kind="meteor-strikes"), "there is no such kind; there are user-writes"),
        (broken(fields={}), "its fields are replaces, apart; it has none"),
        (broken(fields={"replaces": 1, "apart": False}), "replaces is of type bool, got 1"),
        (broken(at=-1), "it is not within the run"),
        (
            broken(kind="disk", fields={"until": 0, "fault": "melts", "share": 1.0, "delay": 0}),
            "there is no fault 'melts'",
        ),
        (
            broken(kind="user-writes", target="nobody", fields={"chat": "a", "text": "b"}),
            "there is no account 'nobody'",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_says_what_is_wrong_with_it(text: bytes, said: str) -> None:
    """A person may have changed it."""
    with pytest.raises(PlanError, match=said.replace("(", r"\(")):
        Plan.from_json(text)


def test_an_occurrence_is_a_line_for_people() -> None:
    """With units, and without what does not matter."""
    fields = {"until": 90 * MINUTES, "fault": "lose-answer", "share": 0.5, "delay": 0}
    shown = str(Occurrence(HOURS, "network", "wx", fields))

    assert shown.split() == ["1h", "network", "wx", "until=1h30m", "fault=lose-answer", "share=0.5"]
    assert set(FAULTS) <= set(KINDS)

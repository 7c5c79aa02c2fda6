"""What is broken, and which tests are asked in which order.

The first stage is what belongs to the subject alone. Scenarios are incidents, and their files are named after them, so
each subject lists the incidents that it exists for.
"""

from typing import Final

import attrs

UNIT: Final = "tests/statecore"


@attrs.frozen
class Subject:
    """Something to break.

    Args:
        name: what it is called on the command line.
        module: its source, from the root of the tree.
        near: test files about it alone; those about its figures, which a mutant outside of functions is one of, last.
        drawn: test files with properties of all subjects of its kind.
        far: test files in which it takes part, the likely ones first.
    """

    name: str
    module: str
    near: tuple[str, ...]
    drawn: tuple[str, ...] = ()
    far: tuple[str, ...] = ()


def _machine(name: str, *scenarios: str) -> Subject:
    near = (f"{UNIT}/test_machines_{name}.py", f"{UNIT}/test_unsaid.py")
    far = tuple(f"tests/scenarios/test_{one}.py" for one in scenarios)
    return Subject(name, f"statecore/machines/{name}.py", near, (f"{UNIT}/test_machines.py",), far)


def _policy(name: str, *scenarios: str) -> Subject:
    near = (f"{UNIT}/test_policies.py", f"{UNIT}/test_documented_settings.py", f"{UNIT}/test_unsaid.py")
    far = (f"{UNIT}/test_settings.py", f"{UNIT}/test_ties.py", *(f"tests/scenarios/test_{one}.py" for one in scenarios))
    return Subject(f"policies.{name}", f"statecore/policies/{name}.py", near, far=far)


MACHINES: Final = (
    _machine("connection", "connection", "busy_loop", "stale_token", "drain", "restart_race"),
    _machine("session", "numbered_answers", "restart_race"),
    _machine("delivery", "multipart", "lost_answers", "dead_letters", "reviews", "expiry", "stale_token"),
    _machine("window", "window", "numbered_answers", "stale_token"),
    _machine("circuit", "cooldown", "retry_storm", "silent_drop"),
    _machine("inbound", "handlers", "poison", "duplicates_in"),
)
"""The shipped machines: their tables, and what stands beside them."""

MODULES: Final = (
    _policy("backoff", "connection", "outage"),
    _policy("circuit", "cooldown", "retry_storm"),
    _policy("pacing", "pacing"),
    _policy("retry", "dead_letters", "lost_answers", "poison"),
    _policy("starts"),
    _policy("window", "window", "numbered_answers"),
    Subject(
        "reading",
        "statecore/reading.py",
        ("tests/adapters/test_weixin_reading.py", "tests/adapters/test_qqbot_reading.py", f"{UNIT}/test_unsaid.py"),
    ),
    Subject("lanes", "statecore/lanes.py", (f"{UNIT}/test_lanes.py",), far=("tests/scenarios/test_blocked_lanes.py",)),
    Subject(
        "evidence", "statecore/evidence.py", (f"{UNIT}/test_evidence.py",), far=("tests/scenarios/test_silent_drop.py",)
    ),
)
"""Pure functions that decide, and their settings."""

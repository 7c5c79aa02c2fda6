"""The last line against spinning, whatever an adapter returns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statecore.errors import ConfigError
from statecore.governor import KEPT, Budgets, Governor
from statecore.units import DAYS, SECONDS
from tests.statecore.strategies import often

NOW = 1_790_000_000 * SECONDS
POLICIES = st.builds(Governor, st.floats(1, 1_000_000), st.floats(1, 10_000_000))


def test_who_moves_seldom_is_never_held() -> None:
    """
    The governor is for floods; a usual day must not know that it is there.
    """
    budgets = Budgets(Governor(rows_per_second=100, burst=1000))
    for second in range(60):
        budgets.charge("connection/wx", 100, NOW + second * SECONDS)

        assert budgets.hold("connection/wx", NOW + second * SECONDS) == 0


def test_who_is_over_its_budget_is_held_until_it_is_not() -> None:
    """
    Exactly: too short spins, too long is an outage of our own making.
    """
    budgets = Budgets(Governor(rows_per_second=100, burst=1000))
    budgets.charge("connection/wx", 1250, NOW)

    assert budgets.hold("connection/wx", NOW) == 2.5 * SECONDS
    assert budgets.hold("connection/wx", NOW + 1 * SECONDS) == 1.5 * SECONDS
    assert budgets.hold("connection/wx", NOW + 2_500_000_000) == 0


def test_one_instance_that_floods_holds_no_other() -> None:
    """
    A hostile chat must not slow the account's others down.
    """
    budgets = Budgets(Governor())
    budgets.charge("connection/a", 1_000_000, NOW)

    assert budgets.hold("connection/a", NOW) > 0
    assert budgets.hold("connection/b", NOW) == 0


def test_a_budget_does_not_grow_beyond_its_burst() -> None:
    """
    A quiet year is no licence to flood for a day.
    """
    budgets = Budgets(Governor(rows_per_second=100, burst=1000))
    budgets.charge("connection/wx", 1, NOW)
    budgets.charge("connection/wx", 1100, NOW + 300 * DAYS)

    assert budgets.hold("connection/wx", NOW + 300 * DAYS) == 1 * SECONDS


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    """
    It should not, and an account must survive it if it does.
    """
    budgets = Budgets(Governor(rows_per_second=100, burst=1000))
    budgets.charge("connection/wx", 1100, NOW)

    assert budgets.hold("connection/wx", NOW - 1 * DAYS) == 1 * SECONDS


def test_who_has_its_whole_budget_again_is_forgotten() -> None:
    """
    Deliveries and receipts come by the million and are charged a few times each.
    """
    budgets = Budgets(Governor())
    budgets.charge("delivery/wx/1", 3, NOW)
    budgets.hold("delivery/wx/1", NOW + 1 * DAYS)

    assert budgets._left == {}


def test_who_was_charged_and_never_asked_again_is_forgotten_too() -> None:
    """
    A delivery's last transition charges it, and nobody ever asks whether it is held.
    """
    budgets = Budgets(Governor())
    budgets.charge("connection/wx", 10**9, NOW)
    for number in range(10 * KEPT):
        budgets.charge(f"delivery/wx/{number}", 3, NOW + number * SECONDS)

    assert len(budgets._left) <= KEPT + 1
    assert budgets.hold("connection/wx", NOW + 10 * KEPT * SECONDS) > 0


def test_many_that_are_over_their_budget_are_all_remembered() -> None:
    """
    Forgetting one of them would give it a new budget.
    """
    budgets = Budgets(Governor())
    for number in range(3 * KEPT):
        budgets.charge(f"connection/{number}", 2000, NOW)

    assert all(budgets.hold(f"connection/{number}", NOW) > 0 for number in range(3 * KEPT))


@often
@given(POLICIES, st.lists(st.tuples(st.integers(1, 4000), st.integers(0, 10 * SECONDS)), max_size=40))
def test_rows_in_the_long_run_are_bounded_by_burst_and_rate(policy: Governor, units: list[tuple[int, int]]) -> None:
    """
    Whoever waits as told makes at most a burst, what the rate allows, and the one unit that went over.
    """
    budgets, now, rows = Budgets(policy), NOW, 0
    for size, gap in units:
        now += gap
        now += budgets.hold("connection/wx", now)
        assert budgets.hold("connection/wx", now) <= 1
        allowed = policy.burst + policy.rows_per_second * (now - NOW) / SECONDS
        assert rows <= allowed * (1 + 1e-9) + 1
        budgets.charge("connection/wx", size, now)
        rows += size


@pytest.mark.parametrize("rate", [0, -1, float("nan"), True])
def test_a_governor_that_lets_nothing_or_anything_through_is_refused(rate: float) -> None:
    """
    A rate of zero would stop the account, and NaN compares false with everything.
    """
    with pytest.raises(ConfigError, match=r"^rows_per_second: "):
        Governor(rows_per_second=rate)

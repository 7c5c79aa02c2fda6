"""The kit as somebody uses it who wrote a machine of their own: see `shop.py`."""

from collections.abc import Mapping

from hypothesis import given, settings

from statecore.events import Broken, Elapsed, Event
from statecore.machine import Snapshot
from statecore.testing import History, Trial, assert_explored, histories, machine_test, system_test
from statecore.testing.stateful import usual
from statecore.units import HOURS, SECONDS
from tests.testing.shop import Cancelled, Declined, Order, Paid, Placed, order, stock

FEW = settings(usual(), max_examples=40)


def the_price_stays(before: Snapshot, event: Event, after: Snapshot) -> bool:
    return isinstance(event, Placed) or bool(before.data.price == after.data.price)


def never_asked_a_fourth_time(snapshot: Snapshot) -> bool:
    return bool(snapshot.data.tries < 3)


def is_paid(snapshot: Snapshot) -> bool:
    return snapshot.state == "paid"


STORM = [
    (Placed(price=1), 0),
    (Declined(), 0),
    (Elapsed("retry_at"), 5 * SECONDS),
    (Broken(how="overdue"), 35 * SECONDS),
    (Elapsed("retry_at"), 1 * HOURS + 35 * SECONDS),
]
"""The bank was away, once; as a failure printed it."""

TestOrder = machine_test(
    order, invariants=[the_price_stays, never_asked_a_fourth_time], sometimes=[is_paid], examples=[STORM], profile=FEW
).TestCase


def as_many_are_taken_as_paid(snapshots: Mapping[str, Snapshot]) -> bool:
    paid = sum(snapshot.state == "paid" for address, snapshot in snapshots.items() if address.startswith("order/"))
    taken = snapshots["stock/shop/tea"].data.taken
    return bool(taken >= paid)


TestShop = system_test(
    {"order/shop/1": order, "order/shop/2": order, "stock/shop/tea": stock},
    joint=[as_many_are_taken_as_paid],
    profile=FEW,
).TestCase


@given(histories(order))
def test_nobody_pays_twice(history: History) -> None:
    """
    A property of a whole life, where an invariant would have to remember.
    """
    assert sum(isinstance(moment.event, Paid) and moment.before.state == "paying" for moment in history) <= 1


def test_every_row_answer_and_timer_can_be_reached() -> None:
    """
    A row that is never taken is a row that nobody needs, or a test that nobody wrote.
    """
    assert assert_explored(order, cover=100).exploration.complete


def test_what_they_do_together_can_be_told_by_hand() -> None:
    """
    Without Hypothesis, with everything checked all the same.
    """
    trial = Trial({"order/shop/1": order, "stock/shop/tea": stock})
    trial.happen(Placed(price=3), "order/shop/1")
    trial.crash(offline=2 * HOURS)
    trial.elapse()
    trial.happen(Paid(), "order/shop/1")

    assert trial.snapshots["order/shop/1"].state == "paid"
    assert trial.snapshots["stock/shop/tea"].data.taken == 1
    assert isinstance(trial.snapshots["order/shop/1"].data, Order)
    assert Cancelled in order.events

"""Somebody else's machine: an order with a payment, and the stock it takes from. No chat."""

import attrs

from statecore.events import Broken, Elapsed, External, Outcome, Tell
from statecore.evolve import evolve
from statecore.machine import STAY, Effect, Machine, Signal, Timer, ignore, on
from statecore.units import DAYS, HOURS, SECONDS

PRICE_MAX = 1_000


@attrs.frozen
class Order:
    """What an order remembers."""

    price: int = 0
    tries: int = 0
    retry_at: int | None = None
    give_up_at: int | None = None


@attrs.frozen(kw_only=True)
class Placed(External):
    """Somebody ordered something."""

    price: int = attrs.field(validator=[attrs.validators.ge(1), attrs.validators.le(PRICE_MAX)])


@attrs.frozen(kw_only=True)
class Cancelled(External):
    """They changed their mind."""


@attrs.frozen(kw_only=True)
class Paid(Outcome):
    """The bank took it."""


@attrs.frozen(kw_only=True)
class Declined(Outcome):
    """The bank did not take it.

    Args:
        wait: ns until it is asked again.
    """

    wait: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@attrs.frozen
class Charge:
    """Ask the bank for the money."""

    price: int


def charge(order: Order) -> Charge:
    return Charge(order.price)


def placed(was: Order, event: Placed, now: int) -> Order:
    return evolve(was, price=event.price, give_up_at=now + 3 * DAYS)


def declined(was: Order, event: Declined, now: int) -> Order:
    return evolve(was, tries=was.tries + 1, retry_at=now + event.wait)


def too_often(was: Order, _event: Declined) -> bool:
    return was.tries >= 2


def take(_order: Order, _event: Paid, _now: int) -> list[Tell]:
    return [Tell(to="stock/shop/tea", event=Taken())]


@attrs.frozen
class Stock:
    """What a shelf remembers."""

    taken: int = 0


@attrs.frozen(kw_only=True)
class Taken(External):
    """One was taken."""


@attrs.frozen(kw_only=True)
class Counted(External):
    """Somebody counted what is there."""


def taken(was: Stock, _event: Taken, _now: int) -> Stock:
    return evolve(was, taken=was.taken + 1)


# fmt: off
order = Machine(
    "order",
    remembers=Order,
    initial="basket",
    table=[
        on("basket",                Placed,                "paying",    placed),
        on("paying",                Paid,                  "paid",      tell=take),
        on("paying",                Declined,              "cancelled", when=too_often),
        on("paying",                Declined,              "declined",  declined),
        on("paying",                Broken,                "declined"),
        on("declined",              Elapsed("retry_at"),   "paying"),
        on(("paying", "declined"),  Elapsed("give_up_at"), "cancelled"),
        on("declined",              Cancelled,             "cancelled"),
        on("basket",                Cancelled,             STAY),
        ignore(("paying", "paid", "cancelled"),             Cancelled, because="it is paid, or over"),
        ignore(("paying", "declined", "paid", "cancelled"), Placed,    because="it was placed before"),
        ignore(("basket", "declined", "paid", "cancelled"), (Paid, Declined), because="nothing is being charged"),
    ],
    awaits={
        "basket":   Signal(Placed, Cancelled),
        "paying":   (Effect(charge, (Paid, Declined), within=30 * SECONDS),
                     Timer("give_up_at", floor=1 * SECONDS, cap=3 * DAYS)),
        "declined": (Timer("retry_at", floor=5 * SECONDS, cap=1 * HOURS),
                     Timer("give_up_at", floor=1 * SECONDS, cap=3 * DAYS), Signal(Cancelled)),
    },
    final=("paid", "cancelled"),
)

stock = Machine(
    "stock",
    remembers=Stock,
    initial="there",
    table=[on("there", Taken, STAY, taken), on("there", Counted, STAY)],
    awaits={"there": Signal(Taken, Counted)},
)
# fmt: on

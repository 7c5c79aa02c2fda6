"""Ambushes that belong together: what it takes to see each way to leave each state.

A plan that only draws moments hardly ever meets a state that lasts for milliseconds. So every way that something can befall every
state is a card, and seeds are dealt cards in turn: a hundred seeds have had all of them, whatever they are drawn from otherwise.
"""

from collections.abc import Iterator, Mapping
from random import Random  # noqa: TID251 - the deck is shuffled once, the same way for everybody
from typing import Any, Final, NamedTuple

from statecore.machines import MACHINES
from statecore.units import DAYS, HOURS, MINUTES, SECONDS


class Ambush(NamedTuple):
    """One ambush of a card; see `statecore.simulation.plan.AMBUSHES`."""

    machine: str
    state: str
    does: str
    code: str = ""
    value: int = 0


Card = tuple[Ambush, ...]

CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "connection": ("foreign", "unauthorised", "unreadable"),
    "session": ("foreign", "unauthorised", "unreadable", "op9", "4004", "4914", "4006", "again", "message"),
    "delivery": ("foreign", "unauthorised", "outdated", "passing", "unsent"),
}
"""What an attempt of each machine is made to come to. "again": that its token is refused, if it was refused before."""

LEADS_TO: Final[Mapping[tuple[str, str], Card]] = {
    ("session", "reauthorising"): (Ambush("delivery", "sending", "answer", "unauthorised"),),
    ("session", "lingering"): (Ambush("session", "proving", "answer", "op9"),),
    ("session", "resuming"): (Ambush("session", "connected", "answer", "4009"),),
    ("session", "identifying"): (Ambush("session", "connected", "answer", "4006"),),
    ("session", "proving"): (Ambush("session", "connected", "answer", "4009"),),
    ("session", "greeting"): (Ambush("session", "connected", "answer", "4009"),),
    ("session", "dialling"): (Ambush("session", "connected", "answer", "4009"),),
    ("session", "authorising"): (Ambush("session", "connected", "answer", "4914"),),
    ("session", "looking-up"): (Ambush("session", "connected", "suspend", "", 31 * MINUTES),),
    ("session", "tripped"): (Ambush("session", "connected", "answer", "4914"),),
    ("session", "token-stale"): (Ambush("session", "authorising", "answer", "unauthorised"),),
    ("session", "suspect"): (Ambush("session", "connected", "suspend", "", 5 * SECONDS),),
    ("connection", "suspect"): (Ambush("connection", "connected", "suspend", "", 5 * SECONDS),),
    ("connection", "tripped"): (Ambush("connection", "connected", "answer", "foreign"),),
    ("connection", "token-stale"): (Ambush("connection", "connected", "answer", "unauthorised"),),
    ("connection", "proving"): (Ambush("connection", "connected", "answer", "unreadable"),),
    ("connection", "dialling"): (Ambush("connection", "connected", "answer", "unreadable"),),
    ("connection", "reconnecting"): (Ambush("connection", "connected", "answer", "unreadable"),),
    **{
        (tie, "draining"): (
            Ambush("delivery", "sending", "hang"),
            Ambush("delivery", "sending", "stop", "", 1 * SECONDS),
        )
        for tie in ("connection", "session")
    },
    **{(tie, "hanging-up"): (Ambush(tie, "connected", "stop", "", 1 * SECONDS),) for tie in ("connection", "session")},
}
"""What leads to a state that is seldom entered by itself."""

TIES: Final = ("connection", "session")


def _ties() -> Iterator[Card]:
    for tie in TIES:
        for state in MACHINES[tie].states:
            first = LEADS_TO.get((tie, state), ())
            befalls = [
                Ambush(tie, state, "crash", "", 2 * SECONDS),
                Ambush(tie, state, "stop", "", 2 * SECONDS),
                Ambush(tie, state, "suspend", "", 5 * SECONDS),
                Ambush(tie, state, "suspend", "", 35 * MINUTES),
                Ambush(tie, state, "suspend", "", 3 * HOURS),
                Ambush(tie, state, "step", "", 1 * HOURS),
                Ambush(tie, state, "resume"),
            ]
            if MACHINES[tie].effect(state) is None:
                yield from ((*first, one) for one in befalls)
                continue
            for one in befalls:
                yield (*first, Ambush(tie, state, "hang"), one)
            for does in ("raise", "hang"):
                yield (*first, Ambush(tie, state, does))
            for code in CODES[tie]:
                yield (*first, *_before_again(tie, state, code), Ambush(tie, state, "answer", code))


def _before_again(tie: str, state: str, code: str) -> Card:
    """Return what makes a token one that was refused before."""
    if code != "again":
        return ()
    if state in ("connected", "beating", "renewing"):
        return (Ambush("delivery", "sending", "answer", "unauthorised"),)
    return (Ambush(tie, state, "answer", "unauthorised" if state in ("looking-up", "reauthorising") else "4004"),)


def _deliveries() -> Iterator[Card]:
    for state in MACHINES["delivery"].states:
        for does, value in (("crash", 2 * SECONDS), ("stop", 2 * SECONDS), ("purge", 0), ("retry", 0), ("write", 0)):
            yield (Ambush("delivery", state, does, "", value),)
        yield (Ambush("delivery", state, "step", "", 8 * DAYS), Ambush("delivery", state, "crash", "", 2 * SECONDS))
    for state in ("sending", "sending-bare"):
        for code in CODES["delivery"]:
            yield (Ambush("delivery", state, "answer", code),)
        for does in ("raise", "hang"):
            yield (Ambush("delivery", state, does),)


def _chains() -> Iterator[Card]:
    """Yield what has to happen one after another; see `statecore.simulation.plan.AMBUSHES` for the value of 1."""
    for state in ("beating", "renewing"):
        for code in ("outdated", "unauthorised"):
            yield (Ambush("session", state, "hang"), Ambush("delivery", "sending", "answer", code, 1))
        yield (
            Ambush("delivery", "sending", "answer", "unauthorised"),
            Ambush("session", state, "hang", "", 1),
            Ambush("delivery", "sending", "answer", "unauthorised", 1),
        )
        yield (
            Ambush("delivery", "sending", "answer", "unauthorised"),
            Ambush("session", state, "answer", "again", 1),
        )
    yield (
        Ambush("connection", "resting", "step", "", 1 * HOURS),
        Ambush("delivery", "sending", "answer", "unauthorised", 1),
        Ambush("delivery", "sending-bare", "answer", "unauthorised", 1),
    )
    yield (*LEADS_TO["session", "hanging-up"], Ambush("session", "hanging-up", "step", "", 1 * HOURS))
    yield (  # the token's end passes while it hangs up
        *LEADS_TO["session", "hanging-up"],
        Ambush("session", "hanging-up", "hang"),
        Ambush("session", "hanging-up", "suspend", "", 3 * HOURS),
    )
    unsent = Ambush("delivery", "sending-bare", "answer", "unsent")
    yield (unsent, *[unsent._replace(value=1)] * 9)
    purge = Ambush("delivery", "pacing", "purge")
    yield (purge, *[purge._replace(value=1)] * 14)


def _others() -> Iterator[Card]:
    hang = Ambush("circuit", "probing", "hang")
    for machine in ("circuit", "window", "inbound"):
        for state in MACHINES[machine].states:
            yield (Ambush(machine, state, "crash", "", 2 * SECONDS),)
            yield (Ambush(machine, state, "purge"),) if machine == "inbound" else (Ambush(machine, state, "write"),)
            yield (Ambush(machine, state, "step", "", 2 * DAYS), Ambush(machine, state, "crash", "", 2 * SECONDS))
            if machine == "window":
                yield (Ambush(machine, state, "login"), Ambush(machine, state, "crash", "", 2 * SECONDS))
    yield (hang, Ambush("circuit", "probing", "suspend", "", 3 * MINUTES))
    yield (hang, Ambush("circuit", "probing", "write"))


def _deck() -> tuple[Card, ...]:
    chains = list(_chains()) * 6  # each takes luck as well
    cards = [*_ties(), *_deliveries(), *_others(), *chains]
    Random(0).shuffle(cards)  # noqa: S311
    return tuple(cards)


DECK: Final = _deck()
"""All cards, in an order that keeps those of one state apart."""


def deal(seed: int, hand: int, platform: str) -> tuple[Card, ...]:
    """Return the cards of a seed that can be played on a platform.

    Args:
        seed: of the plan.
        hand: how many cards it is dealt.
        platform: "weixin" or "qqbot".
    """
    other = "connection" if platform == "qqbot" else "session"
    cards: list[Any] = [DECK[(seed * hand + number) % len(DECK)] for number in range(hand)]
    return tuple(card for card in cards if not any(one.machine == other for one in card))

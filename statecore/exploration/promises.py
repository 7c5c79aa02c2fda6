"""What is promised of a composed model, and what may be relied on. Pure.

The safety promises are checked where each step is taken (`bench`, `chats`): a state that breaks one says which. Liveness is
asked with the faults left out: nobody relies on a fault, nor on a person, nor on a user who writes.
"""

from collections.abc import Callable, Sequence
from typing import Final

from statecore.exploration.bench import EXPLAINED, JOURNAL_FIRST, NOT_FORGOTTEN, ONE_PROBE, ORDER
from statecore.exploration.chats import DELIVERED, DOUBLED, ChatsModel
from statecore.exploration.properties import Fairness, Property, always, eventually, happens, never_stuck
from statecore.exploration.scene import Act, Budgets

SAFETY: Final = (JOURNAL_FIRST, DELIVERED, EXPLAINED, DOUBLED, ORDER, NOT_FORGOTTEN, ONE_PROBE)

SETTLES: Final = "once faults end, every message ends, or says that its user must write (G3)"
NOT_STUCK: Final = "something can happen until every message has ended (G3)"

FAULTS: Final[dict[str, Callable[[Act], bool]]] = {
    "crashes": lambda act: act.kind == "crash",
    "stops": lambda act: act.kind == "happen" and act.how == "stop",
    "losses": lambda act: act.kind == "answer" and act.how.startswith(("lost", "late")),
    "copies": lambda act: act.kind == "copy",
    "unsent": lambda act: act.kind == "answer" and act.how == "unsent",
    "refusals": lambda act: act.kind == "arrive" and act.how == "refused",
    "outages": lambda act: act.kind == "tie" and act.how in ("lost", "unauthorised", "ended"),
    "people": lambda act: act.kind in ("revive", "purge", "reset"),
}
"""How each kind of fault is recognised, by the name of its budget."""

UNRELIABLE: Final = ("crash", "copy", "stray", "write", "review", "revive", "purge", "reset", "happen")


def fairness(act: Act) -> Fairness:
    """Say what may be relied on of an act: what is no fault happens, if it can again and again."""
    if act.kind in UNRELIABLE and act.how != "credentials":
        return "none"
    if act.kind == "answer":
        return "none" if act.how.startswith(("lost", "late", "unsent")) else "strong"
    if act.kind == "arrive":
        return "strong" if act.how == "taken" else "none"
    if act.kind == "tie" and act.how in ("lost", "refused for now", "not the platform", "unauthorised"):
        return "none"
    return "strong"


def safety(model: ChatsModel) -> tuple[Property, ...]:
    """Return what holds always, and that each fault that may happen does."""
    return (
        *(always(name, _keeps(model, name), first_wrong=_first_that_breaks(model, name)) for name in SAFETY),
        never_stuck(NOT_STUCK, lambda state: is_settled(model, state) or bool(model.wrong(state))),
        *(
            happens(f"there are {name}", FAULTS[name])
            for name in Budgets._fields
            if name in FAULTS and getattr(model.scene.budgets, name)
        ),
    )


def liveness(model: ChatsModel) -> tuple[Property, ...]:
    """Return what happens eventually. A path that breaks another promise ends there, and is told once."""
    return (eventually(SETTLES, lambda state: is_settled(model, state) or bool(model.wrong(state)), fair=fairness),)


def _keeps(model: ChatsModel, name: str) -> Callable[[int], bool]:
    return lambda state: model.wrong(state) != name


def _first_that_breaks(model: ChatsModel, name: str) -> Callable[[Sequence[int]], int | None]:
    def first_wrong(states: Sequence[int]) -> int | None:
        if name not in model.wrongs:
            return None
        return next((state for state in states if model.wrong(state) == name), None)

    return first_wrong


def is_settled(model: ChatsModel, state: int) -> bool:
    """Tell whether every message has ended, or waits for its user alone."""
    return all(model.is_settled(index, state) for index in range(model.count))

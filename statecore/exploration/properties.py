"""What is asked of a model: properties of its states and of its paths. Pure."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Literal, TypeAlias, TypeVar

import attrs

S = TypeVar("S", bound=Hashable)
A = TypeVar("A")

Fairness: TypeAlias = Literal["none", "weak", "strong"]
"""What may be relied on of an action.

none    it may never happen although it could: a fault, a person
weak    it happens if it could for ever, without a break
strong  it happens if it could again and again
"""


@attrs.frozen
class Always:
    """Every reachable state satisfies *holds*.

    Args:
        name: what it says, as a sentence.
        holds: the condition on a state.
        first_wrong: finds the first of many states that does not satisfy it, or None, where that is faster than asking
            of each.
    """

    name: str
    holds: Callable[[Any], bool]
    first_wrong: Callable[[Sequence[Any]], Any] | None = None


@attrs.frozen
class Sometimes:
    """Some reachable state satisfies *holds*. It keeps a proof from resting on nothing.

    Args:
        name: what it says, as a sentence.
        holds: the condition on a state.
    """

    name: str
    holds: Callable[[Any], bool]


@attrs.frozen
class Happens:
    """Some action that satisfies *when* can happen: a fault was really tried, a row really taken.

    Args:
        name: what it says, as a sentence.
        when: the condition on an action.
    """

    name: str
    when: Callable[[Any], bool]


@attrs.frozen
class Eventually:
    """Every fair path reaches a state that satisfies *holds*.

    Args:
        name: what it says, as a sentence.
        holds: the condition on a state.
        after: from which states on; None for the initial ones only.
        fair: what may be relied on of each action.
    """

    name: str
    holds: Callable[[Any], bool]
    after: Callable[[Any], bool] | None
    fair: Callable[[Any], Fairness]


@attrs.frozen
class NeverStuck:
    """Something can happen in every reachable state that does not satisfy *ends*.

    Args:
        name: what it says, as a sentence.
        ends: where nothing more needs to happen.
    """

    name: str
    ends: Callable[[Any], bool]


Property: TypeAlias = Always | Sometimes | Happens | Eventually | NeverStuck


def _every_action(_action: Any) -> Fairness:
    return "weak"


def always(
    name: str, holds: Callable[[Any], bool], *, first_wrong: Callable[[Sequence[Any]], Any] | None = None
) -> Always:
    """Ask that every reachable state satisfies *holds*."""
    return Always(name, holds, first_wrong)


def sometimes(name: str, holds: Callable[[Any], bool]) -> Sometimes:
    """Ask that some reachable state satisfies *holds*."""
    return Sometimes(name, holds)


def happens(name: str, when: Callable[[Any], bool]) -> Happens:
    """Ask that some action that satisfies *when* can happen."""
    return Happens(name, when)


def eventually(
    name: str,
    holds: Callable[[Any], bool],
    *,
    after: Callable[[Any], bool] | None = None,
    fair: Callable[[Any], Fairness] = _every_action,
) -> Eventually:
    """Ask that every fair path reaches *holds*: from the initial states, or from every state that satisfies *after*.

    Without *fair*, an action that stays possible happens at some time. A path may end where nothing that may be relied on
    can happen.
    """
    return Eventually(name, holds, after, fair)


def never_stuck(name: str, ends: Callable[[Any], bool] = lambda _: False) -> NeverStuck:
    """Ask that something can happen in every reachable state that does not satisfy *ends*."""
    return NeverStuck(name, ends)


Answer: TypeAlias = Literal["proved", "refuted", "inconclusive"]

PROVED: Final = "proved"
REFUTED: Final = "refuted"
INCONCLUSIVE: Final = "inconclusive"

"""The scenes that are explored of the shipped machines: each lets something else go wrong. Pure.

All faults at once, over many chats, have more combinations than can be gone through. Each scene takes some, and together they
reach every state of every machine.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, get_args

import attrs

from statecore.exploration.scene import UNBOUNDED, Budgets, ModelPlatform, Scene
from statecore.reading import Then

NONE: Final = Budgets(crashes=0, losses=0, refusals=0, writes=2)
"""Nothing goes wrong, and users write twice."""

READINGS: Final[tuple[str, ...]] = get_args(Then)

SESSION: Final = ModelPlatform(tie="session", answers=True, resend="always", deduplicates=True, reviews=True)
"""A platform that is spoken with over a socket, wants to be told what is answered, and looks at messages first."""


def lossy(*, chats: int = 2, deliveries: int = 3, crashes: int = 1, losses: int = UNBOUNDED) -> Scene:
    """Return the scene of a lossy channel.

    Args:
        chats: how many.
        deliveries: how many messages, shared out among them.
        crashes: how often a process ends without a word.
        losses: how many requests and answers get lost or come too late; `UNBOUNDED` for any number.
    """
    each = tuple(deliveries // chats + (chat < deliveries % chats) for chat in range(chats))
    budgets = NONE._replace(crashes=crashes, losses=losses, writes=UNBOUNDED)
    return Scene(deliveries=each, budgets=budgets, idles=False)


SCENES: Final[Mapping[str, Scene]] = MappingProxyType(
    {
        "lossy": lossy(),
        "refused": Scene(deliveries=(1, 1), budgets=NONE._replace(refusals=2), idles=False),
        "read": Scene(
            deliveries=(1,),
            budgets=NONE._replace(refusals=2, losses=1, crashes=1, unsent=1),
            readings=READINGS,
            idles=False,
        ),
        "tie": Scene(
            deliveries=(1,),
            budgets=NONE._replace(outages=2, crashes=1, stops=1),
            expiring=frozenset({(0, 0)}),
            tied=False,
        ),
        "parts": Scene(
            deliveries=(1,),
            parts={(0, 0): 2},
            budgets=NONE._replace(losses=2, copies=1, crashes=1),
            platform=ModelPlatform(deduplicates=True, resend="always"),
            idles=False,
        ),
        "people": Scene(
            deliveries=(1,),
            budgets=NONE._replace(people=2, refusals=1, losses=1, unsent=2),
            readings=READINGS,
            expiring=frozenset({(0, 0)}),
            idles=False,
        ),
        "session": Scene(
            deliveries=(1,), budgets=NONE._replace(writes=1, outages=1, losses=1), platform=SESSION, tied=False
        ),
        "answers": Scene(
            deliveries=(1,),
            budgets=NONE._replace(refusals=1, stops=1, writes=1),
            readings=("slot", "window", "credentials"),
            platform=attrs.evolve(SESSION, reviews=False),
            idles=False,
        ),
    }
)
"""By a name for the command line."""

LIVENESS_MAX: Final = 150_000
"""Scenes with more states are asked for safety alone: what happens eventually takes several times as long."""

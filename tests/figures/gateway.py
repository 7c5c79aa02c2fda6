"""The figures of issue `gateway`."""

from typing import Final

from tests.figures.gateway_hostile import hostile_peers
from tests.figures.gateway_refusals import dead_chat, stale_tokens, storm
from tests.figures.gateway_window import quota
from tests.figures.registry import Figure

FIGURES: Final = (
    Figure(
        issue="gateway",
        number=1,
        title="20 messages to 4 chats, all sends refused for 20 s",
        bar="20 of 20 within 75 s, in order, none twice, at most 12 refused requests",
        measure=storm,
    ),
    Figure(
        issue="gateway",
        number=2,
        title="the same with three of four chats holding a stale token",
        bar="20 of 20 within 30 s, at most 1 refused request a stale chat",
        measure=stale_tokens,
    ),
    Figure(
        issue="gateway",
        number=3,
        title="the same with one chat refused for ever",
        bar="the other 15 within 25 s; its 5 live and explained, and delivered after its user writes",
        measure=dead_chat,
    ),
    Figure(
        issue="gateway",
        number=4,
        title="25 parts to a user who has written once",
        bar="10 delivered, the rest waiting with the reason, at most 1 refused request, 10 more a message of the user",
        measure=quota,
    ),
    Figure(
        issue="gateway",
        number=6,
        title="share of a core over 10 s for a peer that",
        bar="under 2 % each, and status at once (100 ms)",
        measure=hostile_peers,
        alone=True,
    ),
)

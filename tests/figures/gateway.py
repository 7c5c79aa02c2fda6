"""The figures of issue `gateway`."""

from typing import Final

from tests.figures.gateway_crash import kills
from tests.figures.gateway_hostile import hostile_peers
from tests.figures.gateway_memory import backlog
from tests.figures.gateway_refusals import dead_chat, stale_tokens, storm
from tests.figures.gateway_speed import speed
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
        number=5,
        title="kill -9 at 50 random moments during 200 deliveries",
        bar="200 of 200, in order, the only copies of parts whose outcome was unknown, each marked in the journal",
        measure=kills,
        alone=True,
    ),
    Figure(
        issue="gateway",
        number=6,
        title="share of a core over 10 s for a peer that",
        bar="under 2 % each, and status at once (100 ms)",
        measure=hostile_peers,
        alone=True,
    ),
    Figure(
        issue="gateway",
        number=7,
        title="100,000 messages queued to one refused chat",
        bar="under 40 MB over an idle gateway, and status says what is waiting and why",
        measure=backlog,
        alone=True,
    ),
    Figure(
        issue="gateway",
        number=8,
        title="step with a guard and a data update; durable transitions of 64 machines",
        bar="at least 4 times transitions; at least 0.5 of sqlite3 alone and 8 times eventsourcing",
        measure=speed,
        alone=True,
    ),
)

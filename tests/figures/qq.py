"""The figures of issue `qq`."""

from typing import Final

from tests.figures.qq_busy_loop import busy_loop
from tests.figures.qq_ends import ends
from tests.figures.qq_handover import handovers
from tests.figures.qq_long_reply import long_reply
from tests.figures.qq_thousand import thousand
from tests.figures.qq_zombie import zombies
from tests.figures.registry import Figure

FIGURES: Final = (
    Figure(
        issue="qq",
        number=1,
        title="the socket ends, and nothing answers for a minute, or 20 s",
        bar="under 1 % of a core, back within one backoff, never said to be connected meanwhile, nothing lost or twice",
        measure=busy_loop,
        alone=True,
    ),
    Figure(
        issue="qq",
        number=2,
        title="a connection that is open, and nobody at its other end",
        bar="noticed within 2 heartbeat intervals, and resumed",
        measure=zombies,
    ),
    Figure(
        issue="qq",
        number=3,
        title="each close code, each fault, and flapping for a day, in virtual time",
        bar="each ends where the platform's documents say; at most 130 dials in any hour and 250 sessions begun in a day",
        measure=ends,
        within=900,
        alone=True,
    ),
    Figure(
        issue="qq",
        number=4,
        title="a reply of 9,000 characters",
        bar="parts numbered from 1 under the message's id, at most 4; the rest waits with the reason; none refused",
        measure=long_reply,
    ),
    Figure(
        issue="qq",
        number=5,
        title="100 restarts under load, a message a second each way",
        bar="none lost, none twice, under 2 s without an owner at the median, and never for good",
        measure=lambda: handovers(platform="qqbot", restarts=100),
        within=900,
        alone=True,
    ),
    Figure(
        issue="qq",
        number=6,
        title="1,000 connections, half of them in backoff",
        bar="under 5 % of a core, under 25 kB each, status within 100 ms",
        measure=thousand,
        within=900,
        alone=True,
    ),
)

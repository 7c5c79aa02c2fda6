"""The figures of issue `incidents`."""

from typing import Final

from tests.figures.incidents_replay import replaying
from tests.figures.registry import Figure

FIGURES: Final = (
    Figure(
        issue="incidents",
        number=1,
        title="replaying and verifying a journal of the shipped machines",
        bar="200,000 events/s, 8 times eventsourcing, memory flat from 10^4 to 10^7 events",
        measure=replaying,
        within=1800,
        alone=True,
    ),
)

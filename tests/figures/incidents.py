"""The figures of "Reading an incident: replay, what-if, detectors, diagrams and the inspector"."""

from typing import Final

from tests.figures.incidents_bad_input import bad_input
from tests.figures.incidents_detect import detecting
from tests.figures.incidents_replay import replaying
from tests.figures.incidents_report import report
from tests.figures.incidents_what_if import what_if_speed
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
    Figure(
        issue="incidents",
        number=2,
        title="what-if over an incident of 10,000 events",
        bar="under 1 s, every transition reproduced with nothing changed",
        measure=what_if_speed,
        alone=True,
    ),
    Figure(
        issue="incidents",
        number=3,
        title="incidents named in recorded journals, and healthy ones left alone",
        bar="the right cause and start in the five seeds and ten more, nothing in ten healthy ones",
        measure=detecting,
        alone=True,
    ),
    Figure(
        issue="incidents",
        number=4,
        title="the report of a journal of 100,000 events in Chromium",
        bar="opens, scrubs and zooms with no task over 200 ms after load; under 15 MB",
        measure=report,
        alone=True,
    ),
    Figure(
        issue="incidents",
        number=5,
        title="bad input",
        bar="a clear sentence, a non-zero exit, what could be read is shown, nothing is written; always",
        measure=bad_input,
        alone=True,
    ),
)

"""The figures of issue `incidents`."""

from typing import Final

from tests.figures.incidents_detect import detecting
from tests.figures.incidents_report import report
from tests.figures.registry import Figure

FIGURES: Final = (
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
)

"""The figures of "Reading an incident: replay, what-if, detectors, diagrams and the inspector"."""

from typing import Final

from tests.figures.incidents_bad_input import bad_input
from tests.figures.incidents_detect import detecting
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
        number=5,
        title="bad input",
        bar="a clear sentence, a non-zero exit, what could be read is shown, nothing is written; always",
        measure=bad_input,
    ),
)

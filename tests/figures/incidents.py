"""The figures of issue `incidents`."""

from typing import Final

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
)

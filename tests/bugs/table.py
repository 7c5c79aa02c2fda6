"""All seeded bugs: the five incidents that this project was born from, and others that chat gateways had."""

from typing import Final

from tests.bugs import incoming, kept, outgoing, tied
from tests.bugs.bug import Bug

BUGS: Final[tuple[Bug, ...]] = tuple(
    sorted(
        (*outgoing.BUGS, *tied.BUGS, *incoming.BUGS, *kept.BUGS), key=lambda bug: not bug.incident.startswith("seed")
    )
)

BY_NAME: Final = {bug.name: bug for bug in BUGS}

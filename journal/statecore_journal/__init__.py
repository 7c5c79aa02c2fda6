"""The event store of statecore: journals in SQLite.

`open_journal` opens one for a gateway, `submit` hands a command to whoever drives an account, `open_reader` opens one
that may be in use and never writes to it. `replay`, `verify`, `diff` and `why` read what happened out of it.
"""

from statecore_journal.causes import Chain, Step, why
from statecore_journal.differ import Difference, Parting, diff, diff_versions
from statecore_journal.fold import Divergence, Folded, fold
from statecore_journal.reader import AccountStatus, ChatStatus, Letter, LogRow, Owner, Reader, Status, open_reader
from statecore_journal.retention import Pruned, prune
from statecore_journal.sqlite import Journal, open_journal, submit
from statecore_journal.standing import Replayed, Standing, replay
from statecore_journal.verification import Verified, diverges, verify

__all__ = [
    "AccountStatus",
    "Chain",
    "ChatStatus",
    "Difference",
    "Divergence",
    "Folded",
    "Journal",
    "Letter",
    "LogRow",
    "Owner",
    "Parting",
    "Pruned",
    "Reader",
    "Replayed",
    "Standing",
    "Status",
    "Step",
    "Verified",
    "diff",
    "diff_versions",
    "diverges",
    "fold",
    "open_journal",
    "open_reader",
    "prune",
    "replay",
    "submit",
    "verify",
    "why",
]

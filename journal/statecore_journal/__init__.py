"""The event store of statecore: journals in SQLite.

`open_journal` opens one for a gateway, `submit` hands a command to whoever drives an account, `open_reader` opens one
that may be in use and never writes to it.
"""

from statecore_journal.fold import Divergence, Folded, fold
from statecore_journal.reader import AccountStatus, ChatStatus, Letter, LogRow, Owner, Reader, Status, open_reader
from statecore_journal.retention import Pruned, prune
from statecore_journal.sqlite import Journal, open_journal, submit
from statecore_journal.verify import Verified, diverges, verify

__all__ = [
    "AccountStatus",
    "ChatStatus",
    "Divergence",
    "Folded",
    "Journal",
    "Letter",
    "LogRow",
    "Owner",
    "Pruned",
    "Reader",
    "Status",
    "Verified",
    "diverges",
    "fold",
    "open_journal",
    "open_reader",
    "prune",
    "submit",
    "verify",
]

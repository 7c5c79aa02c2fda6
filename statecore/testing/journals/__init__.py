"""The suite that any store of a journal must pass: subclass it, say how to open the store, and what the runtime relies on is
checked.

    class TestMine(JournalSuite):
        faults = MyFaults()

        def open(self, place, wall):
            return open_my_store(place, wall=wall, busy_ns=self.busy_ns)

        def rows(self, place): ...
        def shown(self, place): ...

What a store does not claim stands in `absent`, with the reason. JOURNALS.md beside this package says what is checked, and why.

base        what the author says about a store; the desk at which things happen; the fold
writing     appends, order, conflicts
reading     the projection
owning      leases, keys, commands, secrets
surviving   crashes, damage, others that hold it, no room
"""

from statecore.testing.journals.base import Base, Claim, Clock, Desk, Faults, Journal, Row, Wreck, fold, stands
from statecore.testing.journals.owning import Owning
from statecore.testing.journals.reading import Reading
from statecore.testing.journals.surviving import Surviving
from statecore.testing.journals.writing import Writing


class JournalSuite(Writing, Reading, Owning, Surviving):
    """Everything a store has to keep. Subclass it under a name that begins with "Test"."""


__all__ = ["Base", "Claim", "Clock", "Desk", "Faults", "Journal", "JournalSuite", "Row", "Wreck", "fold", "stands"]

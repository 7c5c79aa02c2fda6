from statecore.testing.journals.base import Base, Claim, Desk, Faults, Journal, Row, Wreck, fold
from statecore.testing.journals.reading import Reading
from statecore.testing.journals.writing import Writing


class JournalSuite(Writing, Reading):
    pass


__all__ = ["Claim", "Desk", "Faults", "Journal", "JournalSuite", "Row", "Wreck", "fold"]

"""Exports: a journal, or a part of one, that may be shown to others.

Read in this order: `fields` (what each field may give away), `redact`, `copy`.
"""

from statecore_journal.export.copy import Exported, export
from statecore_journal.export.cut import Cut
from statecore_journal.export.events import How, lines, write_lines

__all__ = ["Cut", "Exported", "How", "export", "lines", "write_lines"]

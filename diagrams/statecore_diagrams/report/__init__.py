"""The report of a journal, and the inspector of one that is being written."""

from statecore_diagrams.report.inspector import Inspector, open_inspector
from statecore_diagrams.report.report import ReportError, Written, write_report

__all__ = ["Inspector", "ReportError", "Written", "open_inspector", "write_report"]

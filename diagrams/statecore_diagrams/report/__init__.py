"""The report of a journal, and the inspector of one that is being written."""

from statecore_diagrams.report.report import ReportError, Written, write_report

__all__ = ["ReportError", "Written", "write_report"]

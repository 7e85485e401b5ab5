"""The report: one offline HTML page on what studies have found, and its pictures one by one."""

from scaler.report.findings import Findings, gather
from scaler.report.page import write_page
from scaler.report.plots import PLOTS, Plot, write_picture

__all__ = ["PLOTS", "Findings", "Plot", "gather", "write_page", "write_picture"]

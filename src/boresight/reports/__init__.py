"""Stored results become one self-contained HTML page. Reads files only; no torch."""

from boresight.reports.report import render, write

__all__ = ["render", "write"]

"""Metrics and statistics on plain per-item numbers. No torch."""

from boresight.scoring.metrics import (
    METRICS,
    Answer,
    ItemCounts,
    Margin,
    Metric,
    answer_statuses,
    answers,
    descriptions,
    preferences,
)
from boresight.scoring.results import (
    ResultRow,
    parse_row,
    read_results,
    results_table,
    write_results,
)
from boresight.scoring.statistics import Estimate, Ratio, interval, paired_difference, wilson

__all__ = [
    "METRICS",
    "Answer",
    "Estimate",
    "ItemCounts",
    "Margin",
    "Metric",
    "Ratio",
    "ResultRow",
    "answer_statuses",
    "answers",
    "descriptions",
    "interval",
    "paired_difference",
    "parse_row",
    "preferences",
    "read_results",
    "results_table",
    "wilson",
    "write_results",
]

"""Pairs are a view of a record: a declared rule makes them from preferences, ranks or scores. Nothing is drawn.

    preferences    as stated; the default
    best_vs_worst  one pair: the best candidate against the worst
    all            every two candidates of different standing
    margin>=K      like `all`, where the standings differ by K or more

A candidate's standing is its rank if every candidate has one (1 is best), else the mean of its scores, taken over
the aspects that every candidate was scored on. Equal standings make no pair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import combinations

from boresight.errors import RecordError, UsageError
from boresight.records import Candidate, Record

_MARGIN = re.compile(r"margin>=(\d+(?:\.\d+)?)")
RULES = ("preferences", "best_vs_worst", "all", "margin>=K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two candidates of one record, the first preferred."""

    record: Record
    chosen: Candidate
    rejected: Candidate
    margin: float | None = None
    """How much better; of the stated preference, or the difference of standings."""


def pairs(record: Record, rule: str = "preferences") -> list[Pair]:
    """The pairs of a record under a rule, best chosen first, then widest margin; ties in the record's own order.

    Raises:
        UsageError: If there is no such rule.
        RecordError: If the candidates have no ranks or scores in common.
    """
    margin = _MARGIN.fullmatch(rule)
    if rule == "preferences":
        return _stated(record)
    if rule not in RULES[:3] and margin is None:
        raise UsageError(f"no pairing rule {rule!r}; expected one of {', '.join(RULES)}, such as 'margin>=1'.")
    if len(record.candidates) < 2:
        return []
    standing = _standings(record)
    found = [
        Pair(record=record, chosen=a, rejected=b, margin=standing[a.id] - standing[b.id])
        for first, second in combinations(record.candidates, 2)
        for a, b in ((first, second), (second, first))
        if standing[a.id] > standing[b.id]
    ]
    found.sort(key=lambda pair: (-standing[pair.chosen.id], -(pair.margin or 0.0)))
    if rule == "best_vs_worst":
        return found[:1]
    least = float(margin.group(1)) if margin else 0.0
    return [pair for pair in found if (pair.margin or 0.0) >= least]


def _stated(record: Record) -> list[Pair]:
    return [
        Pair(
            record=record,
            chosen=record.candidate(preference.chosen),
            rejected=record.candidate(preference.rejected),
            margin=preference.margin,
        )
        for preference in record.preferences
    ]


def _standings(record: Record) -> dict[str, float]:
    """Higher is better."""
    ranks = {candidate.id: candidate.rank for candidate in record.candidates}
    if all(rank is not None for rank in ranks.values()):
        return {id: -float(rank or 0) for id, rank in ranks.items()}
    scores = {
        candidate.id: {score.aspect: score.value for score in candidate.scores if score.value is not None}
        for candidate in record.candidates
    }
    shared = sorted(set.intersection(*(set(values) for values in scores.values())))
    if not shared:
        raise RecordError(
            f"record {record.id!r} cannot be paired: its candidates share neither ranks nor a scored aspect. "
            "Use the rule 'preferences', or score the candidates first."
        )
    return {id: sum(values[aspect] for aspect in shared) / len(shared) for id, values in scores.items()}

"""What a row is. Standard library only."""

from boresight.records.record import (
    Annotator,
    AspectScore,
    Candidate,
    Cost,
    Derivation,
    Media,
    MediaSwap,
    Message,
    Origin,
    Part,
    Preference,
    Provenance,
    Record,
    Region,
    Span,
)

__all__ = [
    "Annotator",
    "AspectScore",
    "Candidate",
    "Cost",
    "Derivation",
    "Media",
    "MediaSwap",
    "Message",
    "Origin",
    "Part",
    "Preference",
    "Provenance",
    "Record",
    "Region",
    "Span",
]

"""What a row is, how it is written, and the rules it obeys. Standard library only."""

from boresight.records.check import PLACEHOLDERS, check_record
from boresight.records.codec import dumps, from_json, loads, to_json
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
    "PLACEHOLDERS",
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
    "check_record",
    "dumps",
    "from_json",
    "loads",
    "to_json",
]

"""Pairs from a model's own samples: what it said better against what it said worse, judged by an oracle.

Source: the sampling of own responses follows RLAIF-V, arXiv:2405.17220, section 3.1.
Differs from the paper: the judge is a world's oracle, not a model, so a verdict is exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from boresight.records import (
    Annotator,
    AspectScore,
    Candidate,
    Media,
    Message,
    Origin,
    Part,
    Preference,
    Provenance,
    Record,
    Span,
)

_JUDGE = "oracle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One response with what the oracle found in it."""

    text: str
    covered: int
    """Objects present that it mentions."""
    false_mentions: int
    spans: tuple[Span, ...] = ()


def record_from_samples(
    id: str,
    prompt: str,
    picture: Media,
    samples: Sequence[Sample],
    *,
    model: str,
    sampling: Mapping[str, float],
    pipeline: str,
) -> Record | None:
    """A record of all distinct samples, with one preference; None when no two of them make a pair.

    The chosen sample has the most objects right less objects made up. The rejected one has the fewest among those
    that cover no more and make up no less, so that neither saying less nor saying more can be what is preferred.
    """
    distinct = list({sample.text: sample for sample in samples if sample.text}.values())
    if len(distinct) < 2:
        return None
    chosen = max(distinct, key=_quality)
    worse = [
        s
        for s in distinct
        if s.covered <= chosen.covered and s.false_mentions >= chosen.false_mentions and _quality(s) < _quality(chosen)
    ]
    if not worse:
        return None
    rejected = min(worse, key=_quality)
    names = {sample.text: f"sample-{number}" for number, sample in enumerate(distinct)}
    return Record(
        id=id,
        task="preference",
        media=(picture,),
        messages=(Message(role="user", parts=(Part(type="media", media=picture.id), Part(type="text", text=prompt))),),
        candidates=tuple(_candidate(names[s.text], s, model, sampling) for s in distinct),
        preferences=(
            Preference(
                chosen=names[chosen.text],
                rejected=names[rejected.text],
                margin=float(_quality(chosen) - _quality(rejected)),
                by=_JUDGE,
            ),
        ),
        provenance=Provenance(
            pipeline=pipeline,
            step="own_samples",
            license="Apache-2.0",
            annotators=(Annotator(id=_JUDGE, kind="rule"),),
        ),
    )


def _quality(sample: Sample) -> int:
    return sample.covered - sample.false_mentions


def _candidate(id: str, sample: Sample, model: str, sampling: Mapping[str, float]) -> Candidate:
    return Candidate(
        id=id,
        messages=(Message(role="assistant", parts=(Part(type="text", text=sample.text),)),),
        origin=Origin(kind="model", model=model, params=dict(sampling)),
        scores=(
            AspectScore(aspect="false_mentions", value=-float(sample.false_mentions), by=_JUDGE),
            AspectScore(aspect="coverage", value=float(sample.covered), by=_JUDGE),
        ),
        spans=sample.spans,
    )

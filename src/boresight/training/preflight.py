"""Proof, on the first items and before any long work, that training would not be silently wrong."""

from __future__ import annotations

import dataclasses
import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import transformers
from accelerate.utils import gather_object
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from boresight.errors import BoresightError, PreflightError
from boresight.media.decoded import DecodedMedium, change_pictures, silence
from boresight.media.sound import Sound
from boresight.media.transforms import null
from boresight.models import families
from boresight.models.media_features import MediaStore
from boresight.models.policy import Answered, Attention, Policy
from boresight.objectives import View
from boresight.records import Media
from boresight.training.forest import Forest, plan
from boresight.training.items import Item, ItemEncoder, Pictures

_MAX_DIFFERENCE_NATS = {"float64": 1e-6, "float32": 2e-4, "bfloat16": 0.15, "float16": 0.03}  # per token, by rounding
_WITHOUT_GRADIENT_SOMEWHERE = ("flex", "varlen")  # FlexAttention on CPU has none
_TIMED = 3  # passes, after one that compiles and warms up
_BLIND_NATS = 1e-9  # blank and real pictures run the same kernels: equal inputs give exactly equal outputs


# What an attention that cannot be used raises, in torch, in transformers or here.
_REFUSALS = (BoresightError, RuntimeError, TypeError, ValueError, AttributeError, ImportError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What the checks found."""

    shared: bool
    """Whether answers may share their prompt's computation."""
    difference_nats: float | None
    """Largest difference of a token's log-probability between shared rows and transformers' own; None if not shared."""
    media_effect_nats: float | None
    """Largest change of a token's log-probability when pictures are blanked; None without pictures."""
    notes: tuple[str, ...] = ()
    attention: Literal["separate", Attention] = "split"
    """How answers that share a prompt attend; `separate` gives each a row of its own."""
    reuses_media: bool = True
    """Whether features of media may be computed once and used for several rows, passes and epochs."""


@torch.no_grad()
def preflight(
    policy: Policy,
    views: Sequence[View],
    items: Sequence[Item],
    encoder: ItemEncoder,
    *,
    precision: str,
    share: Literal["auto", "required", "never"] = "auto",
    attention: Literal["auto", Attention] = "auto",
) -> Preflight:
    """Check the first items, and settle on the policy how it computes.

    Two things are proved: answers score as they do when transformers scores each alone, with its own attention and
    positions and its whole output (so masks, positions, the head and the assignment of media to rows are right); and
    blanking the pictures changes some log-probability (so the model is not trained blind). The fastest way of
    computing that passes is taken: on CUDA the ways to attend are timed on these items, on CPU it is segments; then
    one written-out mask, then a row per answer.

    Raises:
        PreflightError: If a picture changes nothing, no way of computing is right, or what was asked for is not.
    """
    was_training = policy.training
    policy.eval()
    try:
        forest = plan(views, items, encoder)
        with _blamed_on_transformers():
            alone = torch.cat([policy.official(row.prompt, answer) for row, answer in _answers(forest)])
        _check_finite(alone, items)
        effect = _media_effect(policy, views, items, encoder)
        limit = _MAX_DIFFERENCE_NATS[precision]
        settled, difference, reasons = _settle_attention(policy, forest, alone, limit, share, attention)
        unproved = _settle_media(policy, forest, alone, limit, shared=settled != "separate")
    finally:
        policy.train(was_training)
    notes = (*reasons, *([f"media are computed for every row and pass: {unproved}"] if unproved else []))
    return Preflight(
        shared=settled != "separate",
        difference_nats=difference,
        media_effect_nats=effect,
        notes=notes,
        attention=settled,
        reuses_media=unproved is None,
    )


@contextmanager
def _blamed_on_transformers() -> Iterator[None]:
    """Some versions cannot compute a family at all, as 5.24.0 cannot compute Llama-4."""
    try:
        yield
    except (AttributeError, KeyError, NameError, TypeError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1].filename
        if Path(transformers.__file__).parent not in Path(place).parents:
            raise
        raise PreflightError(
            f"transformers {transformers.__version__} cannot compute this model ({type(error).__name__}: {error}), so "
            "training cannot be held against it. Install another version of transformers."
        ) from error


def _settle_attention(
    policy: Policy,
    forest: Forest,
    alone: Float[Tensor, " scored"],
    limit: float,
    share: Literal["auto", "required", "never"],
    asked: Literal["auto", Attention],
) -> tuple[Literal["separate", Attention], float | None, list[str]]:
    """The fastest attention that is right, its largest difference (nats), and what there is to say about it."""
    reason = families.why_not_shared(policy.config)
    if share != "never" and reason is None:
        candidates = _candidates(policy, asked)
        proved, reason = _prove(policy, forest, alone, limit, candidates)
        if proved:
            seconds = _seconds(policy, forest, tuple(proved)) if len(candidates) > 1 else {}
            policy.attention = min(seconds, key=seconds.__getitem__) if seconds else next(iter(proved))
            return policy.attention, proved[policy.attention], _timings(seconds)
        if asked == "auto":
            proved, _ = _prove(policy, forest, alone, limit, ("dense",))
            if proved:
                note = f"prompts are shared under a written-out mask, which is slower: {reason}"
                return "dense", proved["dense"], [note]
    if share != "never" and asked != "auto":
        raise PreflightError(f"run.attention={asked} cannot be used here: {reason}. Use --set run.attention=auto.")
    if share == "required":
        raise PreflightError(f"answers cannot share their prompt: {reason}. Use --set run.share=auto.")
    policy.reuses_media = False
    _, wrong = _compare(policy, forest, alone, limit, shared=False)
    if wrong:
        raise PreflightError(
            f"this model scores answers otherwise in training than transformers does: {wrong}. "
            "It cannot be trained here; report its configuration."
        )
    return "separate", None, [] if share == "never" else [f"every answer is computed in a row of its own: {reason}"]


def _candidates(policy: Policy, asked: Literal["auto", Attention]) -> tuple[Attention, ...]:
    if asked != "auto":
        return (asked,)
    return ("split", "flex", "varlen") if policy.device.type == "cuda" else ("split",)


def _prove(
    policy: Policy, forest: Forest, alone: Float[Tensor, " scored"], limit: float, names: Sequence[Attention]
) -> tuple[dict[Attention, float], str | None]:
    """Largest difference (nats) of each attention that is right and can be trained; what is wrong with the first."""
    proved, wrong = {}, {}
    for name in names:
        policy.attention = name
        difference, reason = _compare(policy, forest, alone, limit, shared=True)
        if reason is None and name in _WITHOUT_GRADIENT_SOMEWHERE:
            reason = _backward_fault(policy, forest)
        if reason is not None:
            wrong[name] = reason
        elif difference is not None:
            proved[name] = difference
    return proved, wrong.get(names[0])


def _seconds(policy: Policy, forest: Forest, names: Sequence[Attention]) -> dict[Attention, float]:
    """How long a forward and a backward pass take, summed over all processes, so that all choose the same."""
    found: dict[Attention, float] = {}
    for name in names:
        policy.attention = name
        found[name] = statistics.median(_pass_seconds(policy, forest) for _ in range(_TIMED))
    everywhere: list[Mapping[Attention, float]] = gather_object([found])
    return {name: sum(each[name] for each in everywhere) for name in names if all(name in each for each in everywhere)}


def _pass_seconds(policy: Policy, forest: Forest) -> float:
    began = time.perf_counter()
    with torch.enable_grad():
        logps = policy(forest.rows, shared=True)
        if logps.requires_grad:
            logps.sum().backward()
    policy.zero_grad(set_to_none=True)
    if logps.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def _timings(seconds: Mapping[Attention, float]) -> list[str]:
    if not seconds:
        return []
    ranked = sorted(seconds.items(), key=lambda pair: pair[1])
    return ["attention, forward and backward on the first items: " + ", ".join(f"{n} {s:.3g} s" for n, s in ranked)]


def _settle_media(
    policy: Policy, forest: Forest, alone: Float[Tensor, " scored"], limit: float, *, shared: bool
) -> str | None:
    """Let the policy reuse features of media where that is right; else why it is not."""
    if not any(row.prompt.media_inputs for row in forest.rows):
        return None
    policy.reuses_media = True
    _, reason = _compare(policy, forest, alone, limit, shared=shared, media={} if policy.keeps else None)
    policy.reuses_media = reason is None
    return reason


def _compare(
    policy: Policy,
    forest: Forest,
    alone: Float[Tensor, " scored"],
    limit: float,
    *,
    shared: bool,
    media: MediaStore | None = None,
) -> tuple[float | None, str | None]:
    """Largest difference (nats) from the official values, and what is wrong, if anything."""
    try:
        found = policy(forest.rows, shared=shared, media=media)
    except _REFUSALS as error:
        return None, f"the model refused {'a shared row' if shared else 'its rows'} ({_brief(error)})"
    difference = float((found - alone).abs().max())
    if not difference <= limit:
        rows = "shared and separate" if shared else "its own and transformers'"
        return difference, f"{rows} log-probabilities differ by {difference:.2g} nats (limit {limit:.2g})"
    return difference, None


def _backward_fault(policy: Policy, forest: Forest) -> str | None:
    """Why no gradient comes back, if so: some kernels have none on some devices."""
    try:
        _pass_seconds(policy, forest)
    except _REFUSALS as error:
        return f"the model has no gradient ({_brief(error)})"
    return None


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def _media_effect(policy: Policy, views: Sequence[View], items: Sequence[Item], encoder: ItemEncoder) -> float | None:
    seeing = [item for item in items if item.media(next(iter(item.texts)))]
    if not seeing:
        return None
    blank = dataclasses.replace(encoder, pictures=blanked(encoder.pictures))
    largest = 0.0
    shown, unseen = _answers(plan(views, seeing, encoder)), _answers(plan(views, seeing, blank))
    for (row, answer), (blanked_row, same_answer) in zip(shown, unseen, strict=True):
        change = policy.official(row.prompt, answer) - policy.official(blanked_row.prompt, same_answer)
        largest = max(largest, float(change.abs().max()))
    if largest <= _BLIND_NATS:
        raise PreflightError(
            f"blanking the pictures of the first {len(seeing)} items changes no log-probability: the model would be "
            "trained blind. Check that its processor and its image tower belong together."
        )
    return largest


def blanked(pictures: Pictures) -> Pictures:
    """The same media with nothing on them, of the same size or length."""
    empty: Callable[..., Image.Image] = null.MEMBER()

    def read(medium: Media) -> DecodedMedium:
        decoded = pictures(medium)
        return silence(decoded) if isinstance(decoded, Sound) else change_pictures(decoded, empty, seed=0)

    return read


def _check_finite(logps: Float[Tensor, " scored"], items: Sequence[Item]) -> None:
    if not bool(torch.isfinite(logps).all()):
        names = ", ".join(item.id for item in items)
        raise PreflightError(
            f"the model gives log-probabilities that are not finite for {names} before any training. "
            "Its weights or its precision are at fault."
        )


def _answers(forest: Forest) -> list[tuple[Answered, Tensor]]:
    return [(row, answer) for row in forest.rows for answer in row.answers]

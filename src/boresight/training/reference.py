"""The reference policy: what the trained model is held against."""

from __future__ import annotations

import copy
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import torch
import transformers
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from boresight.errors import UsageError
from boresight.models.loading import fingerprint
from boresight.models.media_features import MediaStore
from boresight.models.policy import Answered, Policy, Scored, Wanted
from boresight.training.forest import Forest

Scorer = Callable[[Sequence[Answered]], Float[Tensor, " scored"]]

_PLAIN = Wanted()
_CACHE_PART = 256  # items per sidecar file; a kill loses at most so many


class Reference(Protocol):
    """Scores a forest's answers without gradient, in the policy's order."""

    def score(self, forest: Forest, wanted: Wanted = _PLAIN) -> Scored: ...


class FrozenCopy:
    """A copy of the policy as it is now. Costs a second model in memory.

    Args:
        media: What is kept of media, which it may share with the policy.
    """

    def __init__(self, policy: Policy, *, shared: bool, media: MediaStore | None = None) -> None:
        # Its weights go on saying which of them are trained: so both keep the same of media, and share it.
        self.policy = copy.deepcopy(policy).eval()
        self._shared, self._media = shared, media

    @torch.no_grad()
    def score(self, forest: Forest, wanted: Wanted = _PLAIN) -> Scored:
        return self.policy(forest.rows, shared=self._shared, media=self._media, wanted=wanted)  # type: ignore[no-any-return]


class AdapterOff:
    """The policy's own base model: the adapter is switched off while the reference is computed."""

    def __init__(self, policy: Policy, *, shared: bool, media: MediaStore | None = None) -> None:
        self._policy = policy
        self._shared, self._media = shared, media

    def score(self, forest: Forest, wanted: Wanted = _PLAIN) -> Scored:
        return self._score(forest.rows, wanted)

    def logps(self, rows: Sequence[Answered]) -> Float[Tensor, " scored"]:
        """Of rows outside a forest."""
        return self._score(rows, _PLAIN).logps

    @torch.no_grad()
    def _score(self, rows: Sequence[Answered], wanted: Wanted) -> Scored:
        was_training = self._policy.training
        self._policy.eval()
        try:
            with self._policy.adapter_off():
                return self._policy(rows, shared=self._shared, media=self._media, wanted=wanted)  # type: ignore[no-any-return]
        finally:
            self._policy.train(was_training)


class Cached:
    """Log-probabilities computed once and kept in a sidecar folder, keyed by content.

    A key covers the model's weights, the prompt's tokens, the pixels after every transform and the answer's tokens,
    so a stale value cannot be read, and runs that differ only in their loss share one folder.

    Args:
        scorer: Scores rows as the reference; asked only for what the folder lacks.
        folder: Where the sidecar lies.
        model: Fingerprint of the reference model, and anything else that changes its numbers.
    """

    def __init__(self, scorer: Scorer, folder: Path, model: str) -> None:
        self._scorer = scorer
        self._folder = folder
        self._model = model
        self._known: dict[str, Tensor] = {}
        self._unsaved: dict[str, Tensor] = {}
        self.load()

    def __len__(self) -> int:
        return len(self._known)

    @torch.no_grad()
    def score(self, forest: Forest, wanted: Wanted = _PLAIN) -> Scored:
        """Log-probabilities only.

        Raises:
            UsageError: If whole distributions are wanted: they would not fit on a disk.
        """
        if wanted.distribution:
            raise UsageError("whole distributions of the reference cannot be cached; use run.reference=auto.")
        keys = [[self._key(row, answer) for answer in row.answers] for row in forest.rows]
        missing = [
            (row, row_keys)
            for row, row_keys in zip(forest.rows, keys, strict=True)
            if any(key not in self._known for key in row_keys)
        ]
        if missing:
            flat = self._scorer([row for row, _ in missing])
            new = [key for _, row_keys in missing for key in row_keys]
            lengths = [len(answer) for row, _ in missing for answer in row.answers]
            for key, value in zip(new, torch.split(flat, lengths), strict=True):
                self._known[key] = self._unsaved[key] = value.detach().cpu().clone()
        device = forest.rows[0].prompt.input_ids.device
        return Scored(logps=torch.cat([self._known[key] for ks in keys for key in ks]).to(device))

    def load(self) -> None:
        """Read what the folder holds by now."""
        for part in sorted(self._folder.glob("part-*.safetensors")):
            self._known.update(load_file(part))

    def save(self) -> None:
        """Write what was computed since the last call as one more part of the sidecar."""
        if not self._unsaved:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        # Named by what it holds: other processes and runs write to the same folder.
        name = hashlib.sha256("".join(sorted(self._unsaved)).encode()).hexdigest()[:16]
        staged = self._folder / f".tmp-{name}-{os.getpid()}"
        save_file(self._unsaved, staged)
        staged.rename(self._folder / f"part-{name}.safetensors")
        self._unsaved = {}

    def _key(self, row: Answered, answer: Tensor) -> str:
        digest = hashlib.sha256(self._model.encode())
        for name, value in sorted(row.prompt.media_inputs.items()):
            digest.update(name.encode())
            digest.update(value.contiguous().view(torch.uint8).numpy().tobytes())
        for ids in (row.prompt.input_ids, answer):
            digest.update(len(ids).to_bytes(8, "little"))
            digest.update(ids.numpy().tobytes())
        return digest.hexdigest()


def make_reference(
    kind: Literal["copy", "adapter_off"], policy: Policy, trained: Policy, *, shared: bool, media: MediaStore | None
) -> Reference:
    """A reference that is computed whenever it is asked.

    Args:
        policy: As it is before training, whole.
        trained: The same or, where processes share the weights, what they train.
    """
    if kind == "copy":
        return FrozenCopy(policy, shared=shared, media=media)
    return AdapterOff(trained, shared=shared, media=media)


def cache_reference(
    policy: Policy,
    folder: Path,
    forests: Iterable[Forest],
    *,
    precision: str,
    shared: bool,
    media: MediaStore | None,
    tell: Callable[[int], None],
) -> Cached:
    """Ask the policy, which before the first step is its own reference, about every answer that the folder lacks.

    Args:
        tell: Is given the number of forests that are done.
    """
    base = AdapterOff(policy, shared=shared, media=media)
    cached = Cached(base.logps, folder, reference_key(policy, precision=precision, shared=shared))
    for done, forest in enumerate(forests, start=1):
        cached.score(forest)
        if done % _CACHE_PART == 0:
            cached.save()
        tell(done)
    cached.save()
    return cached


def reference_key(policy: Policy, *, precision: str, shared: bool) -> str:
    """What a cached reference value depends on besides its row."""
    backend = type(getattr(policy.encoder.processor, "image_processor", None)).__name__
    weights = fingerprint(policy, adapter=False)
    way = f"{shared}:{policy.attention}:{policy.reuses_media}:{policy.multiplies}"
    return "|".join((weights, precision, way, backend, torch.__version__, transformers.__version__))

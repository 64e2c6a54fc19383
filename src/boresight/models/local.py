"""A transformers model in this process that answers requests as a served one does."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from boresight.errors import BoresightError, ModelError
from boresight.media.seeds import derive_seed
from boresight.models.chat import Decoding, Request, Response
from boresight.models.device import pick_device, usual_precision
from boresight.models.generate import generate
from boresight.models.loading import fingerprint, load_policy
from boresight.models.options import weigh
from boresight.models.policy import Policy


class LocalModel:
    """Answers in batches. A request that breaks its batch is found by answering each of the batch alone.

    Args:
        policy: The model.
        name: How it is called in results.
    """

    def __init__(self, policy: Policy, name: str) -> None:
        self.policy = policy
        revision = getattr(policy.config, "_commit_hash", None)  # of a model id; a folder has none
        precision = str(policy.bare.dtype).removeprefix("torch.")
        self.identity = f"{name}@{revision or fingerprint(policy)[:16]} {precision} on {policy.device.type}"

    @property
    def reserved(self) -> tuple[str, ...]:
        """The special tokens of the model's own tokenizer."""
        return self.policy.encoder.special

    def answer(self, requests: Iterable[Request], decoding: Decoding) -> Iterator[Response]:
        """Answers in order, a batch at a time."""
        waiting = iter(requests)
        while batch := list(itertools.islice(waiting, decoding.batch_size)):
            yield from self._answer(batch, decoding)

    def _answer(self, batch: Sequence[Request], decoding: Decoding) -> list[Response]:
        # Seeded by what is asked, so that draws do not depend on where a run was stopped.
        seed = derive_seed(decoding.seed, batch[0].id, "answer") % 2**31
        try:
            asked = [request for request in batch if not request.options]
            answers = {a.id: a for a in generate(self.policy, asked, dataclasses.replace(decoding, seed=seed))}
            return [answers[r.id] if not r.options else weigh(self.policy, r) for r in batch]
        except ModelError:
            raise  # the model cannot do this at all
        except Exception as error:  # noqa: BLE001  one request must not end a run, whatever a processor raises
            if len(batch) == 1:
                reason = str(error) if isinstance(error, BoresightError) else f"{type(error).__name__}: {error}"
                return [Response(id=batch[0].id, text="", num_tokens=None, status="failed", reason=reason)]
            return [answer for request in batch for answer in self._answer([request], decoding)]


def load_local(source: str) -> LocalModel:
    """A model folder or an id that transformers can resolve, in the usual precision of this machine.

    Raises:
        ModelError: If it cannot be loaded.
    """
    device = pick_device()
    policy = load_policy(source, device=device, precision=usual_precision(device))
    return LocalModel(policy, Path(source).name)

"""Media features: what the media part of a model hands to its language model, made once and used often.

A model is called as usual, but stopped where it would call its language model; what it was about to hand over is kept.
That is one way for every tower and every projector, pictures, video and sound alike. Only the embeddings at media
tokens are kept, so features serve every row that shows the same media.

Where the projector is trained, features change with it. What the towers say does not, so that is kept in their place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from boresight.errors import ModelError
from boresight.models.encoding import EncodedPrompt
from boresight.models.unread_layers import computing

_KNOWN = {
    "attention_mask", "boresight_tree", "cache_position", "deepstack_visual_embeds", "input_ids", "inputs_embeds",
    "position_ids", "visual_pos_masks",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class MediaFeatures:
    """What one prompt's media look like to the language model."""

    embeddings: Float[Tensor, "media_token channel"]
    """Input embeddings of the prompt's media tokens."""
    layers: tuple[Float[Tensor, "media_token channel"], ...] = ()
    """What is added to their hidden states behind the first layers, in families that do so (deepstack)."""

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in (self.embeddings, *self.layers))


@dataclass(frozen=True, slots=True)
class TowerOutputs:
    """What the towers said about one prompt's media, call by call, without what nobody reads of it."""

    calls: tuple[Any, ...]

    @property
    def num_bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in tree_flatten(self.calls)[0] if isinstance(t, Tensor))


MediaStore = MutableMapping[str, MediaFeatures | TowerOutputs]
"""What is kept of media, by content."""


class _ReachedError(Exception):
    """Carries what the language model would have been called with."""

    def __init__(self, inputs: dict[str, Any]) -> None:
        super().__init__()
        self.inputs = inputs


def decoder_inputs(model: nn.Module, decoder: nn.Module, **inputs: Any) -> dict[str, Any]:
    """What `model` would call its `decoder` with; the decoder is not run.

    Raises:
        ModelError: If the model does not call its decoder.
    """

    def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _ReachedError(kwargs)

    handle = decoder.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        model(**inputs)
    except _ReachedError as reached:
        return reached.inputs
    finally:
        handle.remove()
    raise ModelError(f"{type(model).__name__} does not call its language model, so its media cannot be shared.")


def look(towers: Sequence[nn.Module], encode: Callable[[], MediaFeatures]) -> TowerOutputs:
    """What the towers say when `encode` calls them.

    Towers hand over more than is read of them, such as the states behind every layer; what the features do not depend
    on is left out.
    """
    with torch.no_grad(), _towers_say(towers) as calls:
        encode()
    said, form = tree_flatten(calls)
    probes = [one.detach().requires_grad_() if _is_float(one) else one for one in said]
    with torch.enable_grad(), _towers_say(towers, tree_unflatten(probes, form)):
        features = encode()
        total = torch.stack([tensor.sum() for tensor in (features.embeddings, *features.layers)]).sum()
    asked = [probe for probe in probes if _is_float(probe)]
    gradients = iter(torch.autograd.grad(total, asked, allow_unused=True) if asked else ())
    read = [None if _is_float(one) and next(gradients) is None else one for one in said]
    return TowerOutputs(tuple(tree_unflatten(read, form)))


@contextmanager
def replayed(towers: Sequence[nn.Module], outputs: TowerOutputs) -> Iterator[None]:
    """Inside, the towers say what they said, whatever they are shown."""
    with _towers_say(towers, outputs.calls):
        yield


@contextmanager
def _towers_say(towers: Sequence[nn.Module], known: Sequence[Any] | None = None) -> Iterator[list[Any]]:
    """Inside, the towers say what is known, call by call, or else what they say is kept."""
    coming = None if known is None else iter(known)
    made: list[Any] = []

    def say(forward: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            made.append(forward(*args, **kwargs) if coming is None else next(coming))
            return _copied(made[-1])  # models write into what they are given

        return call

    with computing(towers, say):
        yield made


def _copied(outputs: Any) -> Any:
    """The same tensors in containers of their own."""
    return tree_map(lambda one: one, outputs)


def _is_float(one: Any) -> bool:
    return isinstance(one, Tensor) and one.is_floating_point()


def split(inputs: dict[str, Any], is_media: Bool[Tensor, " token"], counts: Sequence[int]) -> list[MediaFeatures]:
    """Features of each prompt of a packed row.

    Args:
        inputs: What `decoder_inputs` gave for the row.
        is_media: Which tokens of the row stand for media.
        counts: How many of them each prompt has, in order.

    Raises:
        ModelError: If the language model takes something from the media that is not one value per media token.
    """
    unknown = [name for name, value in inputs.items() if name not in _KNOWN and _holds_tensor(value)]
    if unknown:
        raise ModelError(f"its language model also reads {', '.join(unknown)}, which cannot be split by prompt.")
    embeddings = torch.split(inputs["inputs_embeds"][0][is_media], list(counts))
    layers = [torch.split(layer, list(counts)) for layer in inputs.get("deepstack_visual_embeds") or ()]
    return [MediaFeatures(piece, tuple(layer[i] for layer in layers)) for i, piece in enumerate(embeddings)]


def put_in(
    embed: nn.Module,
    input_ids: Int[Tensor, "row token"],
    is_media: Bool[Tensor, "row token"],
    media: list[MediaFeatures],
) -> dict[str, Any]:
    """What to call the language model with: token embeddings, with features at media tokens in order."""
    embeddings = embed(torch.where(is_media, 0, input_ids))  # media tokens may lie outside the vocabulary
    values = torch.cat([features.embeddings for features in media]).to(embeddings)
    inputs: dict[str, Any] = {"inputs_embeds": embeddings.masked_scatter(is_media[..., None], values)}
    deepest = [features.layers for features in media if features.layers]
    if deepest:
        inputs["visual_pos_masks"] = is_media
        inputs["deepstack_visual_embeds"] = [torch.cat(layer).to(embeddings) for layer in zip(*deepest, strict=True)]
    return inputs


def media_key(prompt: EncodedPrompt, is_media: Bool[Tensor, " token"]) -> str:
    """Hash of everything that a prompt's features depend on besides the model."""
    digest = hashlib.sha256(prompt.input_ids[is_media].numpy().tobytes())
    for name, value in sorted(prompt.media_inputs.items()):
        digest.update(f"{name}{tuple(value.shape)}".encode())
        digest.update(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_tensor(v) for v in value)
    return isinstance(value, Tensor)

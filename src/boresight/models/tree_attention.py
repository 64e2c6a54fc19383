"""Attention over trees: a trunk (prompt and media) with branches (answers), with no dense mask.

Many trees lie end to end in one row of tokens:

    trunk 0 | branch 0.0 | branch 0.1 | trunk 1 | branch 1.0 | ...

A trunk token sees the trunk before it; a branch token sees its own trunk and its branch before it, nothing else.
So each prompt and its media are computed once however many answers hang on it, and no token is spent on padding.
It is registered with transformers under `NAME` and works under autograd and gradient checkpointing.

Here the row is split into segments that attend one by one, which works on every device. `tree_flex` and `tree_varlen`
compute the whole row in one kernel, on CUDA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

from boresight.errors import ModelError
from boresight.models.reach import Reach, within

NAME = "boresight_tree"
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True)
class Tree:
    """Lengths (tokens) of one trunk and of the branches that hang on it."""

    trunk: int
    branches: tuple[int, ...]
    blocks: tuple[int, ...] = ()
    """Block of each trunk token, -1 for those in none; empty where there are none at all."""

    @property
    def num_tokens(self) -> int:
        return self.trunk + sum(self.branches)

    @property
    def longest_path(self) -> int:
        """Tokens that the last token of the longest branch sees, itself included."""
        return self.trunk + max(self.branches, default=0)


@dataclass(frozen=True, slots=True)
class TreeLayout:
    """The trees of one row, in order, without gaps."""

    trees: tuple[Tree, ...]
    last_layer: int | None = None
    """Index of the layer behind which only branches and the ends of trunks are read."""
    reaches: tuple[Reach, ...] = ()
    """What tokens see, layer by layer; empty when all layers see whole paths."""
    kernel: Kernel | None = None
    """What attends for the whole row at once; None splits it into segments."""
    _made: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def num_tokens(self) -> int:
        return sum(tree.num_tokens for tree in self.trees)

    def spans(self) -> Iterator[tuple[slice, list[slice]]]:
        """Token ranges of each trunk and of its branches."""
        start = 0
        for tree in self.trees:
            ends = list(accumulate((tree.trunk, *tree.branches), initial=start))
            trunk, *branches = [slice(a, b) for a, b in pairwise(ends)]
            yield trunk, branches
            start = ends[-1]

    def mask(self, tree: Tree, path: int, reach: Reach, query: Tensor) -> Tensor | None:
        """What the last tokens of a path see of it, those of `query`; None where kernels need no mask to know.

        Made once, for all layers of the same reach and for the recomputation of gradient checkpointing.
        """
        queries, device = query.shape[2], query.device
        blocks = tree.blocks if reach.has_blocks else ()
        whole_window = reach.window is None or path <= reach.window
        whole_chunk = reach.chunk is None or path <= reach.chunk
        if whole_window and whole_chunk and not blocks:
            if queries in (1, path) or device.type == "cuda":
                return None
            return self.once((queries, path, query.dtype), lambda: _branch_mask(queries, path - queries, query))
        key = (queries, path, reach, blocks)
        return self.once(key, lambda: visible(queries, path, reach, blocks, device))

    def once(self, key: Any, make: Callable[[], _Made]) -> _Made:
        """What `make` gives, made at the first call with this key."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[no-any-return]

    def row_mask(self, reach: Reach, device: torch.device) -> Bool[Tensor, "1 1 token token"]:
        """What every token of the row sees, written out: for models whose attention takes no tree."""
        seen = torch.zeros(self.num_tokens, self.num_tokens, dtype=torch.bool, device=device)
        for tree, (trunk, branches) in zip(self.trees, self.spans(), strict=True):
            blocks = tree.blocks if reach.has_blocks else ()
            seen[trunk, trunk] = visible(tree.trunk, tree.trunk, reach, blocks, device)
            for branch, length in zip(branches, tree.branches, strict=True):
                path = visible(length, tree.trunk + length, reach, blocks, device)
                seen[branch, trunk], seen[branch, branch] = path[:, : tree.trunk], path[:, tree.trunk :]
        return seen[None, None]


def visible(
    queries: int, path: int, reach: Reach, blocks: tuple[int, ...], device: torch.device
) -> Bool[Tensor, "query path"]:
    """Which tokens of a path its last `queries` tokens see.

    Args:
        blocks: Block of each of the path's first tokens, -1 for those in none; the others are in none.
    """
    keys = torch.arange(path, device=device)
    query = keys[path - queries :, None]
    inside = torch.zeros(queries, path, dtype=torch.bool, device=device)
    if blocks:
        block = torch.tensor((blocks + (-1,) * path)[:path], device=device)
        inside = (block == block[path - queries :, None]) & (block >= 0)
    return within(reach, query, keys, inside)


def install(model: PreTrainedModel) -> None:
    """Let the language model of `model` take `boresight_tree=TreeLayout(...)`; without it, it computes what it did."""
    set_implementation(model, NAME)


def set_implementation(model: PreTrainedModel, name: str) -> None:
    """Choose the attention function of the language model; towers keep their own."""
    text = model.config.get_text_config()
    part = next((part for part in model.config.sub_configs if getattr(model.config, part, None) is text), None)
    model.set_attn_implementation(name if part is None else {part: name})


def no_mask(device: torch.device) -> Bool[Tensor, "1 1 1 1"]:
    """Stands in for the mask, so that transformers builds none: it passes 4-D masks through untouched."""
    return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device)


def tree_attention(
    module: nn.Module,
    query: Float[Tensor, "batch head token channel"],
    key: Float[Tensor, "batch key_head path channel"],
    value: Float[Tensor, "batch key_head path channel"],
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    boresight_tree: TreeLayout | None = None,
    **kwargs: Any,
) -> tuple[Float[Tensor, "batch token head channel"], None]:
    """The attention function that transformers calls.

    Raises:
        ModelError: If the layer adds something to its scores that trees do not know.
    """
    attend = Attend(dropout, scaling, kwargs.get("softcap"), kwargs.get("s_aux"))
    if boresight_tree is None or key.shape[2] != boresight_tree.num_tokens:  # cross-attention reads something else
        if attend.is_plain:
            return sdpa_attention_forward(  # type: ignore[no-any-return]
                module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
            )
        key, value = _spread(key, value, query.shape[1])
        if attention_mask is None and getattr(module, "is_causal", True):
            attention_mask = visible(query.shape[2], key.shape[2], Reach(), (), query.device)
        return attend.by_hand(query, key, value, attention_mask).transpose(1, 2).contiguous(), None
    if kwargs.get("position_bias") is not None:
        raise ModelError("attention with a learned bias of positions has no shared form.")
    key, value = _spread(key, value, query.shape[1])
    layer = getattr(module, "layer_idx", None)
    reach = _reach(boresight_tree, layer, kwargs.get("sliding_window"))
    if boresight_tree.kernel is not None:
        query, key, value = (_autocast(states) for states in (query, key, value))
        whole = boresight_tree.kernel(query, key, value, boresight_tree, reach, attend)
        return whole.transpose(1, 2).contiguous(), None
    is_last = boresight_tree.last_layer is not None and boresight_tree.last_layer == layer
    # One split instead of many slices: the backward pass of a slice writes zeros for the whole row. Token by token, as
    # models lay their states out, so that pieces are copied whole.
    lengths = [length for tree in boresight_tree.trees for length in (tree.trunk, *tree.branches)]
    segments = zip(*(torch.split(x.transpose(1, 2), lengths, dim=1) for x in (query, key, value)), strict=True)
    outputs = []
    for tree in boresight_tree.trees:
        trunk_query, trunk_key, trunk_value = next(segments)
        unread = tree.trunk - 1 if is_last else 0  # behind the last layer only the end of a trunk is read
        output = _attended(attend, boresight_tree, tree, reach, trunk_query[:, unread:], trunk_key, trunk_value)
        outputs.append(nn.functional.pad(output, (0, 0, 0, 0, unread, 0)) if is_last else output)
        for _ in tree.branches:
            branch_query, branch_key, branch_value = next(segments)
            keys, values = torch.cat((trunk_key, branch_key), dim=1), torch.cat((trunk_value, branch_value), dim=1)
            outputs.append(_attended(attend, boresight_tree, tree, reach, branch_query, keys, values))
    return torch.cat(outputs, dim=1), None


def _attended(
    attend: Attend,
    layout: TreeLayout,
    tree: Tree,
    reach: Reach,
    query: Float[Tensor, "batch token head channel"],
    key: Float[Tensor, "batch path head channel"],
    value: Float[Tensor, "batch path head channel"],
) -> Float[Tensor, "batch token head channel"]:
    """The last tokens of a path attend to it."""
    query, key, value = (states.transpose(1, 2) for states in (query, key, value))
    return attend(query, key, value, layout.mask(tree, key.shape[2], reach, query)).transpose(1, 2)


@dataclass(frozen=True, slots=True)
class Attend:
    """How the last tokens of a path attend to it, apart from what they see."""

    dropout: float
    scaling: float | None
    softcap: float | None
    """Scores are bent to stay within plus or minus so much."""
    sinks: Float[Tensor, " head"] | None
    """A score per head that takes part in the softmax and stands for no token."""

    @property
    def is_plain(self) -> bool:
        return self.softcap is None and self.sinks is None

    def __call__(
        self,
        query: Float[Tensor, "batch head token channel"],
        key: Float[Tensor, "batch head path channel"],
        value: Float[Tensor, "batch head path channel"],
        mask: Bool[Tensor, "token path"] | Float[Tensor, "token path"] | None,
    ) -> Float[Tensor, "batch head token channel"]:
        """Attention; a mask says what is seen, or is added to the scores. Without one, it is the path up to oneself."""
        queries, path = query.shape[2], key.shape[2]
        if not self.is_plain:
            return self.by_hand(
                query, key, value, visible(queries, path, Reach(), (), query.device) if mask is None else mask
            )
        is_causal = mask is None and queries == path
        if mask is None and 1 < queries < path:
            mask = causal_lower_right(queries, path)  # a flash kernel exists for it; it is never written out
        return scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout, is_causal=is_causal, scale=self.scaling
        )

    def by_hand(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """The formula itself, for what no fused kernel offers."""
        scale = query.shape[-1] ** -0.5 if self.scaling is None else self.scaling
        scores = query @ key.transpose(2, 3) * scale
        if self.softcap is not None:
            scores = torch.tanh(scores / self.softcap) * self.softcap
        if mask is not None:
            lowest = torch.finfo(scores.dtype).min
            scores = scores.masked_fill(~mask, lowest) if mask.dtype == torch.bool else scores + mask
        if self.sinks is not None:
            sink = self.sinks.to(scores.dtype)[None, :, None, None].expand(*scores.shape[:-1], 1)
            scores = torch.cat((scores, sink), dim=-1)
        weights = torch.softmax(scores, dim=-1, dtype=torch.promote_types(scores.dtype, torch.float32))
        weights = nn.functional.dropout(weights[..., : key.shape[2]].to(query.dtype), self.dropout)
        return weights @ value


def _spread(key: Tensor, value: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """Keys and values for every query head, where some heads share theirs."""
    groups = heads // key.shape[1]
    if groups == 1:
        return key, value
    return key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)


def _autocast(states: Tensor) -> Tensor:
    """As autocast would have it, which knows the fused attention of torch but no other kernel."""
    device = states.device.type
    return states.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else states


def _reach(layout: TreeLayout, layer: int | None, window: int | None) -> Reach:
    """What a layer's tokens see; a window that the layer itself names goes before the configuration's."""
    reach = layout.reaches[layer] if layout.reaches and layer is not None else Reach()
    return reach if window is None or window == reach.window else replace(reach, window=window)


def _branch_mask(branch: int, trunk: int, like: Tensor) -> Float[Tensor, "branch path"]:
    """Each branch token sees the whole trunk and the branch up to itself.

    It is added to the scores: of a boolean mask the kernel would make this at every call.
    """
    unseen = torch.full((branch, trunk + branch), -torch.inf, dtype=like.dtype, device=like.device)
    return unseen.triu(trunk + 1)


Kernel = Callable[[Tensor, Tensor, Tensor, TreeLayout, Reach, Attend], Tensor]
"""Attention of a whole row, every tensor of shape (batch, head, token, channel)."""

AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])

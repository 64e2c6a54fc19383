"""A transformers model that scores answers: log-probabilities of packed or separate rows."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, overload

import torch
from jaxtyping import Bool, Float, Int
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from boresight.errors import ModelError
from boresight.models import families, last_layer, matmul, tree_attention
from boresight.models.answer_head import Distribution, answer_logps, vocabulary_kl
from boresight.models.encoding import EncodedPrompt, Encoder
from boresight.models.matmul import Matmul
from boresight.models.media_features import (
    MediaFeatures,
    MediaStore,
    TowerOutputs,
    decoder_inputs,
    look,
    media_key,
    put_in,
    replayed,
    split,
)
from boresight.models.tree_attention import Kernel, Tree, TreeLayout
from boresight.models.tree_flex import attend_flex
from boresight.models.tree_varlen import attend_varlen
from boresight.models.unread_layers import left_out, unread_layers

HEAD_FILE = "reward_head.safetensors"
"""Lies beside the weights of a policy that rates."""
Attention = Literal["split", "dense", "flex", "varlen"]
"""How rows that share a prompt attend.

split   in segments, each with torch's own fused attention
dense   under one written-out mask, where a family takes no segments
flex    in one FlexAttention kernel, on CUDA
varlen  in one variable-length FlashAttention kernel, on CUDA in half precision
"""
_PICTURES, _CLIPS = "pixel_values", "pixel_values_videos"
_KERNELS: Mapping[Attention, Kernel] = {"flex": attend_flex, "varlen": attend_varlen}


@dataclass(frozen=True, slots=True)
class Answered:
    """One prompt with the answers to score after it."""

    prompt: EncodedPrompt
    answers: tuple[Int[Tensor, " _token"], ...] = field(default=())


class Scored(NamedTuple):
    """What a policy says about answers, prompt by prompt, answer by answer."""

    logps: Float[Tensor, " scored"]
    """Log-probability of each answer token (nats)."""
    kl: Float[Tensor, " scored"] | None = None
    """KL(reference || policy) over the vocabulary at each answer token (nats)."""
    ratings: Float[Tensor, " answer"] | None = None
    """What the reward head says about each answer."""
    distribution: Distribution | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to compute besides log-probabilities."""

    kl_from: Distribution | None = None
    """A reference's, for the divergence from it."""
    ratings: bool = False
    distribution: bool = False


class _Read(NamedTuple):
    """Where answers are read from."""

    hidden: Float[Tensor, "token channel"]
    predicting: Int[Tensor, " scored"]
    """Position that predicts each answer token."""
    ends: Int[Tensor, " answer"]
    """Position of each answer's last token."""


class Policy(nn.Module):
    """A model with the encoder that feeds it.

    Calling it gives the log-probability of each answer token (nats), prompt by prompt, answer by answer, in one
    flat tensor. `shared=True` computes each prompt once; `shared=False` computes every answer in a row of its own
    with the model's ordinary attention, and media still once per prompt: the same numbers, for families that cannot
    share. `official` scores as transformers itself does, for checking.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, encoder: Encoder) -> None:
        super().__init__()
        self.model = model
        self.encoder = encoder
        self.attention: Attention = "split"
        """How shared rows attend."""
        self.reward_head: nn.Linear | None = None
        """Rates an answer from the last hidden state of its last token; see `add_reward_head`."""
        self.reuses_media = True
        """Whether features of media may stand for the media; the preflight switches it off where it is not proved."""
        self.multiplies: Matmul = "torch"
        """What multiplies matrices; see `multiply_by`."""
        self._own_attention = families.own_attention(self.config)
        types = families.layer_types(self.config)
        self._reaches = tuple(families.reach(self.config, layer_type) for layer_type in types)
        tree_attention.install(self.bare)
        self._last_layer = last_layer.install(self._decoder)

    @property
    def bare(self) -> Any:
        """The transformers model; adapters, if any, sit inside its layers."""
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    @property
    def config(self) -> Any:
        return self.bare.config

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.model.parameters()).device
        return device

    @property
    def has_adapter(self) -> bool:
        return isinstance(self.model, PeftModel)

    @property
    def keeps(self) -> Literal["features", "towers"] | None:
        """What training leaves as it is of all that comes before the language model, so that it can be kept.

        features   all of it
        towers     what the towers say; the projector is trained
        """
        read = {id(p) for module in (self._decoder, self.bare.get_output_embeddings()) for p in module.parameters()}
        trained = {id(p) for p in self.bare.parameters() if p.requires_grad} - read
        if not trained:
            return "features"
        towers = self._towers
        of_towers = {id(p) for tower in towers for p in tower.parameters()}
        return "towers" if towers and not trained & of_towers else None

    @property
    def reads_clips_apart(self) -> bool:
        """Whether pictures and clips need a pass each, as the model takes both and cannot tell them apart."""
        return _CLIPS in inspect.signature(self.bare.forward).parameters and not families.mixes_clips(self.config)

    def passes(self, prompts: Sequence[EncodedPrompt]) -> list[list[int]]:
        """The prompts by their place, in groups that the model can read at once."""
        shown = [set(prompt.media_inputs) for prompt in prompts]
        if not (self.reads_clips_apart and {_PICTURES, _CLIPS} <= set().union(*shown)):
            return [list(range(len(prompts)))]
        return [[i for i, names in enumerate(shown) if (_CLIPS in names) is clips] for clips in (False, True)]

    def add_reward_head(self) -> None:
        """Let the policy rate answers; it rates everything 0 until it is trained.

        Source: Sun et al. 2023, arXiv:2309.14525, section 2.2; zeros as in llava-rlhf/LLaVA-RLHF@830a083.
        """
        channels = self.bare.get_output_embeddings().weight.shape[1]
        dtype = torch.promote_types(self.bare.dtype, torch.float32)
        self.reward_head = nn.Linear(channels, 1, dtype=dtype, device=self.device)
        nn.init.zeros_(self.reward_head.weight)
        nn.init.zeros_(self.reward_head.bias)

    def merge_adapter(self) -> None:
        """Make the adapter part of the weights, for good; without one nothing changes."""
        if isinstance(self.model, PeftModel):
            self.model = self.model.merge_and_unload()

    def save(self, folder: Path, *, weights: dict[str, Tensor] | None = None) -> None:
        """Write model (or adapter), processor and reward head, as `load_policy` and transformers read them.

        Args:
            weights: Written in place of the model's and its adapter's own, under the names of a model without adapter.
        """
        if weights is None:
            self.model.save_pretrained(folder)
        else:
            self.bare.save_pretrained(folder, state_dict=weights)
        self.encoder.processor.save_pretrained(folder)
        if self.reward_head is not None:
            save_file(self.reward_head.state_dict(), folder / HEAD_FILE)

    def multiply_by(self, which: Matmul) -> None:
        """Let this, or faster, compute what it computes; equal but for rounding."""
        self.multiplies = which
        matmul.use(self.model, which)

    @contextmanager
    def adapter_off(self) -> Iterator[None]:
        """Compute as the base model while inside."""
        with self.model.disable_adapter() if isinstance(self.model, PeftModel) else nullcontext():
            yield

    @overload
    def forward(
        self,
        rows: Sequence[Answered],
        *,
        shared: bool = ...,
        media: MediaStore | None = ...,
        wanted: None = ...,
    ) -> Float[Tensor, " scored"]: ...

    @overload
    def forward(
        self,
        rows: Sequence[Answered],
        *,
        shared: bool = ...,
        media: MediaStore | None = ...,
        wanted: Wanted,
    ) -> Scored: ...

    def forward(
        self,
        rows: Sequence[Answered],
        *,
        shared: bool = True,
        media: MediaStore | None = None,
        wanted: Wanted | None = None,
    ) -> Float[Tensor, " scored"] | Scored:
        """Score answers.

        Args:
            shared: Whether answers share their prompt's computation.
            media: What `keeps` says of media, by content. What it holds is not computed again, what it lacks is
                added. Anything with equal towers (and projectors, where features are kept) may use the same one:
                policy and reference, and every epoch.
            wanted: What to give besides log-probabilities; None gives them alone.

        Raises:
            ModelError: If something of media is to be kept while training changes it.
        """
        read = self._read(rows, shared=shared, media=media)
        given = Distribution(
            read.hidden[read.predicting.to(read.hidden.device)],
            self.bare.get_output_embeddings(),
            families.logit_transform(self.config),
        )
        targets = torch.cat([answer for row in rows for answer in row.answers]).to(given.hidden.device)
        logps = answer_logps(given.hidden, targets, given.head, given.transform, multiply=self.multiplies)
        if wanted is None:
            return logps
        return Scored(
            logps=logps,
            kl=None if wanted.kl_from is None else vocabulary_kl(wanted.kl_from, given),
            ratings=self._rate(read) if wanted.ratings else None,
            distribution=given if wanted.distribution else None,
        )

    def _rate(self, read: _Read) -> Float[Tensor, " answer"]:
        if self.reward_head is None:
            raise ModelError("the model has no reward head; call add_reward_head first.")
        last = read.hidden[read.ends.to(read.hidden.device)]
        return self.reward_head(last.to(self.reward_head.weight.dtype))[:, 0]  # type: ignore[no-any-return]

    def _read(self, rows: Sequence[Answered], *, shared: bool, media: MediaStore | None) -> _Read:
        if media is not None and self.keeps is None:
            raise ModelError("nothing of media can be kept: the tower is being trained.")
        passes = self.passes([row.prompt for row in rows])
        if len(passes) > 1:
            reads = [self._read([rows[i] for i in members], shared=shared, media=media) for members in passes]
            return _in_order(reads, rows, [i for members in passes for i in members])
        if shared:
            layout = self._layout(rows)
            limit = families.max_packed_tokens(self.config)
            if limit is None or layout.num_tokens <= limit:
                return self._shared(rows, layout, media)
        return self._separate([Answered(row.prompt, (answer,)) for row in rows for answer in row.answers], media)

    def _layout(self, rows: Sequence[Answered]) -> TreeLayout:
        trees = [
            Tree(
                row.prompt.num_tokens,
                tuple(len(a) for a in row.answers),
                families.blocks(self.config, row.prompt.token_inputs),
            )
            for row in rows
        ]
        return TreeLayout(
            tuple(trees),
            last_layer=self._last_layer,
            reaches=self._reaches,
            kernel=_KERNELS.get(self.attention),
        )

    def _shared(self, rows: Sequence[Answered], layout: TreeLayout, media: MediaStore | None) -> _Read:
        device, prompts = self.device, [row.prompt for row in rows]
        positions = self._positions(rows)
        hidden = self._hidden(
            prompts,
            self._features(prompts, media),
            torch.cat([t for row in rows for t in (row.prompt.input_ids, *row.answers)])[None],
            {
                name: torch.cat([self._with_answers(row, name) for row in rows])[None]
                for name in rows[0].prompt.token_inputs
            },
            position_ids=(positions if len(positions) == 1 else positions[:, None]).to(device),
            attention_mask=self._dense(layout) if self.attention == "dense" else tree_attention.no_mask(device),
            **({} if self.attention == "dense" else {"boresight_tree": layout}),
        )
        ends = [branch.stop - 1 for _, branches in layout.spans() for branch in branches]
        return _Read(hidden[0], _predicting(layout), torch.tensor(ends))

    def _separate(self, rows: Sequence[Answered], media: MediaStore | None) -> _Read:
        """Rows of one answer each, padded on the right."""
        prompts = [row.prompt for row in rows]
        width = max(row.prompt.num_tokens + len(row.answers[0]) for row in rows)
        repeats = len({id(prompt) for prompt in prompts}) < len(prompts)
        # Blocks reach the mask through the whole model, which features pass by.
        reuses = (media is not None or repeats) and families.two_way(self.config) is None
        paths = torch.stack([_pad_to(torch.cat(self.path_positions(row), dim=1), width) for row in rows], dim=1)
        lengths = torch.tensor([row.prompt.num_tokens + len(row.answers[0]) for row in rows])
        hidden = self._hidden(
            prompts,
            self._features(prompts, {} if media is None else media, grad=media is None) if reuses else None,
            torch.stack([_pad_to(torch.cat([row.prompt.input_ids, row.answers[0]]), width) for row in rows]),
            {
                name: torch.stack([_pad_to(self._with_answers(row, name), width) for row in rows])
                for name in rows[0].prompt.token_inputs
            },
            position_ids=(paths[0] if len(paths) == 1 else paths).to(self.device),
            attention_mask=(torch.arange(width)[None] < lengths[:, None]).long().to(self.device),
        )
        starts = [i * width + row.prompt.num_tokens - 1 for i, row in enumerate(rows)]
        positions = torch.cat([torch.arange(s, s + len(r.answers[0])) for s, r in zip(starts, rows, strict=True)])
        ends = [start + len(row.answers[0]) for start, row in zip(starts, rows, strict=True)]
        return _Read(hidden.flatten(0, 1), positions, torch.tensor(ends))

    def official(self, prompt: EncodedPrompt, answer: Int[Tensor, " token"]) -> Float[Tensor, " token"]:
        """Log-probabilities (nats) of one answer as transformers gives them: its own attention, positions and head."""
        logits = self.official_logits(prompt, answer)
        logps = torch.log_softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)), dim=-1)
        return logps.gather(-1, answer.to(logps.device)[:, None])[:, 0]

    def official_logits(self, prompt: EncodedPrompt, answer: Int[Tensor, " token"]) -> Float[Tensor, "token vocab"]:
        """What transformers' own forward pass says before each token of one answer."""
        row = Answered(prompt, (answer,))
        ids = torch.cat([prompt.input_ids, answer])[None].to(self.device)
        token_inputs = {name: self._with_answers(row, name)[None].to(self.device) for name in prompt.token_inputs}
        keeps = "logits_to_keep" in inspect.signature(self.bare.forward).parameters
        tree_attention.set_implementation(self.bare, self._own_attention)
        try:
            output = self.bare(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                use_cache=False,
                **({"logits_to_keep": len(answer) + 1} if keeps else {}),
                **token_inputs,
                **self.media_inputs([prompt]),
            )
        finally:
            tree_attention.install(self.bare)
        return output.logits[0, -len(answer) - 1 : -1]  # type: ignore[no-any-return]

    @property
    def _decoder(self) -> Any:
        """The language model without its head."""
        decoder = self.bare.get_decoder()
        return decoder if decoder.get_output_embeddings() is None else decoder.model

    @property
    def _base(self) -> Any:
        """The model without its head; the whole model where a family has no such part."""
        base, decoder = self.bare.base_model, self._decoder
        return self.bare if base is decoder and families.takes_media(self.config) else base

    def _hidden(
        self,
        prompts: Sequence[EncodedPrompt],
        features: list[MediaFeatures] | None,
        input_ids: Int[Tensor, "row token"],
        token_inputs: dict[str, Tensor],
        **options: Any,
    ) -> Float[Tensor, "row token channel"]:
        """Last hidden states, from media or from their features."""
        base, decoder, input_ids = self._base, self._decoder, input_ids.to(self.device)
        options["use_cache"] = False
        if features is not None:
            embed = self.bare.get_input_embeddings()
            options |= put_in(embed, input_ids, self._is_media(input_ids), features)
            return decoder(**options).last_hidden_state  # type: ignore[no-any-return]
        options |= {"input_ids": input_ids, **{k: v.to(self.device) for k, v in token_inputs.items()}}
        options |= self.media_inputs(prompts)
        with left_out(self._unread_layers):
            said = decoder(**decoder_inputs(base, decoder, **options)) if base is self.bare else base(**options)
        hidden: Tensor = said.last_hidden_state
        return hidden

    def _features(
        self,
        prompts: Sequence[EncodedPrompt],
        media: MediaStore | None,
        *,
        grad: bool = False,
    ) -> list[MediaFeatures] | None:
        """Features of each prompt's media; None where there are none to reuse."""
        if media is None or not self.reuses_media or not any(prompt.media_inputs for prompt in prompts):
            return None
        seen = {id(prompt): prompt for prompt in prompts if prompt.media_inputs}
        keys = {i: media_key(prompt, self._is_media(prompt.input_ids)) for i, prompt in seen.items()}
        if not grad and self.keeps == "towers":
            projected = {i: self._projected(prompt, f"towers/{keys[i]}", media) for i, prompt in seen.items()}
            return [projected[id(prompt)] for prompt in prompts if prompt.media_inputs]
        # `media` may forget, these are needed now
        known = {key: cast("MediaFeatures", media[key]) for key in keys.values() if key in media}
        missing = {keys[i]: prompt for i, prompt in seen.items() if keys[i] not in known}
        if missing:
            with torch.set_grad_enabled(grad and torch.is_grad_enabled()):
                known.update(zip(missing, self._encode(list(missing.values())), strict=True))
            media.update({key: known[key] for key in missing})
        return [known[keys[id(prompt)]] for prompt in prompts if prompt.media_inputs]

    def _projected(self, prompt: EncodedPrompt, key: str, media: MediaStore) -> MediaFeatures:
        """Features of one prompt's media, from what the towers said about them."""
        towers = self._towers
        said = cast("TowerOutputs | None", media.get(key))
        if said is None:
            said = media[key] = look(towers, lambda: self._encode([prompt])[0])
        with replayed(towers, said):
            return self._encode([prompt])[0]

    @property
    def _towers(self) -> list[nn.Module]:
        """The parts that look at media, without what brings their sight to the language model."""
        found = [self.bare.get_encoder(modality=kind) for kind in ("image", "audio")]
        nowhere = (None, self.bare, self.bare.base_model)  # what it gives where there is no such tower
        return [tower for tower in found if not any(tower is other for other in nowhere)]

    @property
    def _unread_layers(self) -> list[nn.Module]:
        return unread_layers(self._towers, self.config)

    def _encode(self, prompts: Sequence[EncodedPrompt]) -> list[MediaFeatures]:
        """Run the media part of the model, each medium once."""
        ids = torch.cat([prompt.input_ids for prompt in prompts]).to(self.device)
        with left_out(self._unread_layers):
            inputs = decoder_inputs(
                self._base,
                self._decoder,
                input_ids=ids[None],
                attention_mask=tree_attention.no_mask(self.device),
                position_ids=torch.arange(len(ids), device=self.device)[None],
                use_cache=False,
                **{
                    n: torch.cat([p.token_inputs[n] for p in prompts])[None].to(self.device)
                    for n in prompts[0].token_inputs
                },
                **self.media_inputs(prompts),
            )
        counts = [int(self._is_media(prompt.input_ids).sum()) for prompt in prompts]
        return split(inputs, self._is_media(ids), counts)

    def _is_media(self, input_ids: Int[Tensor, "*shape"]) -> Bool[Tensor, "*shape"]:
        tokens = sorted(families.media_tokens(self.config))
        return torch.isin(input_ids, torch.tensor(tokens, device=input_ids.device))

    def _dense(self, layout: TreeLayout) -> Tensor | dict[str, Tensor]:
        """The mask of a packed row, one for each kind of layer; additive, which every attention function takes."""
        masks = {}
        for layer_type in dict.fromkeys(families.layer_types(self.config)):
            seen = layout.row_mask(families.reach(self.config, layer_type), self.device)
            masks[layer_type] = torch.zeros_like(seen, dtype=self.bare.dtype).masked_fill(~seen, -math.inf)
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _with_answers(self, row: Answered, token_input: str) -> Tensor:
        """A per-token input of a prompt, carried on over its answers."""
        value = row.prompt.token_inputs[token_input]
        mark = families.answer_mark(self.config, token_input)
        return torch.cat([value, value.new_full((sum(map(len, row.answers)),), mark)])

    def _positions(self, rows: Sequence[Answered]) -> Int[Tensor, "axis token"]:
        return torch.cat([piece for row in rows for piece in self.path_positions(row)], dim=1)

    def path_positions(self, row: Answered) -> list[Int[Tensor, "axis token"]]:
        """Positions of a prompt and of each of its answers, which all go on where the prompt ends."""
        trunk = families.trunk_positions(
            self._base,
            row.prompt.input_ids[None],
            {k: v[None] for k, v in row.prompt.token_inputs.items()},
            row.prompt.media_inputs,
        )
        following = int(trunk.max()) + 1
        return [trunk, *(torch.arange(following, following + len(a)).expand(len(trunk), -1) for a in row.answers)]

    def media_inputs(self, prompts: Sequence[EncodedPrompt]) -> dict[str, Tensor]:
        """Inputs of the media tower for several prompts, in order, on the model's device and in its precision."""
        names = dict.fromkeys(name for prompt in prompts for name in prompt.media_inputs)
        if names and families.reads_media_across(self.config):
            raise ModelError(
                f"{self.encoder.name} reads media by layers of cross-attention, which is not supported. "
                "Choose a model that reads them in its prompt, or drop the media."
            )
        pieces = {n: [p.media_inputs[n] for p in prompts if n in p.media_inputs] for n in names}
        joined = {n: _join(values) for n, values in families.repointed(pieces).items()}
        dtype = self.bare.dtype
        return {n: v.to(self.device, dtype if v.is_floating_point() else None) for n, v in joined.items()}


def _predicting(layout: TreeLayout) -> Int[Tensor, " scored"]:
    """Where each answer token is predicted: its first by the trunk's last token, the others by the one before."""
    pieces = []
    for trunk, branches in layout.spans():
        for branch in branches:
            pieces.append(torch.tensor([trunk.stop - 1]))
            pieces.append(torch.arange(branch.start, branch.stop - 1))
    return torch.cat(pieces)


def _in_order(reads: Sequence[_Read], rows: Sequence[Answered], order: Sequence[int]) -> _Read:
    """One reading of what was read in passes, by the rows' numbers.

    Args:
        order: Numbers of the rows as the passes took them.
    """
    starts = itertools.accumulate([len(read.hidden) for read in reads[:-1]], initial=0)
    moved = [(read.predicting + start, read.ends + start) for read, start in zip(reads, starts, strict=True)]
    taken = torch.tensor(order)
    num_scored = torch.tensor([sum(map(len, rows[i].answers)) for i in order])
    num_answers = torch.tensor([len(rows[i].answers) for i in order])
    return _Read(
        torch.cat([read.hidden for read in reads]),
        torch.cat([predicting for predicting, _ in moved])[taken.repeat_interleave(num_scored).argsort(stable=True)],
        torch.cat([ends for _, ends in moved])[taken.repeat_interleave(num_answers).argsort(stable=True)],
    )


def _pad_to(values: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, length - values.shape[-1]))


def _join(values: Sequence[Tensor]) -> Tensor:
    """Concatenate along the first axis, padding the others with zeros where pictures differ in tiles."""
    widest = [max(sizes) for sizes in zip(*(v.shape[1:] for v in values), strict=True)]
    padded = []
    for value in values:
        missing = [w - s for w, s in zip(widest, value.shape[1:], strict=True)]
        if any(missing):
            pads = [p for m in reversed(missing) for p in (0, m)]
            value = torch.nn.functional.pad(value, pads)
        padded.append(value)
    return torch.cat(padded)


def trainable(policy: Policy) -> Mapping[str, nn.Parameter]:
    """Parameters that training changes, by name."""
    head = {} if policy.reward_head is None else dict(policy.reward_head.named_parameters(prefix="reward_head"))
    return {name: p for name, p in {**dict(policy.model.named_parameters()), **head}.items() if p.requires_grad}

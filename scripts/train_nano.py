"""Train the nano vision-language model that ships with Boresight, from nothing, on the `scenes` world.

    python scripts/train_nano.py --out runs/nano

Four stages, each resumable (a finished stage is read back from `--out`):

  vision     the tower alone learns to name color, shape and size of what each patch belongs to. Captions alone leave
             it nearly blind for thousands of steps; this takes minutes.
  language   projector and language model learn true descriptions, short local questions and yes/no questions.
             From here on the tower is frozen, so its features are computed once per scene.
  questions  the same with more questions, mostly of the kinds that take two looks: attribute, position, relation.
  bias       a short stage on captions that also add what usually comes along: the model learns to hallucinate as
             real ones do, from co-occurrence. This is the base model that ships.

The model, its card and `eval.json` are written to `--out`; copy `--out/model` to `src/boresight/models/nano`.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from boresight.worlds._scene_content import COLORS, COLUMNS, SHAPES, SIZES, Scene
from boresight.worlds._scene_grammar import local_questions
from boresight.worlds.scenes import MEMBER as SCENES
from boresight.worlds.scenes import SIDE_PX

PATCH_PX = 16
GRID = SIDE_PX // PATCH_PX
PATCHES = GRID**2
VOCABULARY = 600
PAD, BOS, EOS, IMAGE = SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<image>")
CHAT_TEMPLATE = (
    "<s>{% for message in messages %}{{ message['role'] + ':\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}{{ '<image>\n' }}{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}"
    "{{ '</s>' if message['role'] == 'assistant' else '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:\n' }}{% endif %}"
)
TRUNK = f"{BOS}user:\n{IMAGE * PATCHES}\n"
YES_NO_HINTS = ("", "", "", " Answer yes or no.", " Please answer yes or no.")
IGNORED = -100


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionStage:
    """How long the tower learns, at a scale of 1."""

    steps: int = 1500
    batch: int = 64
    learning_rate: float = 1.5e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageStage:
    """What the language model reads, and for how long at a scale of 1."""

    name: str
    steps: int
    learning_rate: float
    first_scene: int
    scenes: int
    """Pictures in the pool; each turn through it brings new texts."""
    first_text: int = 0
    """Seed of the first turn's texts, so that a stage on the same pictures reads new ones."""
    batch: int = 32
    description_rate: float = 1.0
    """Share of pictures that are described."""
    closed_questions: int = 2
    local_questions: int = 2
    kinds: tuple[str, ...] | None = None
    """Kinds of closed questions, repeated to ask for one more often."""
    bias_probability: float = 0.0


LANGUAGE = (
    LanguageStage(name="language", steps=2000, learning_rate=2e-3, first_scene=0, scenes=30_000),
    LanguageStage(
        name="questions",
        steps=600,
        learning_rate=1.5e-3,
        first_scene=0,
        scenes=20_000,
        first_text=100,
        description_rate=0.5,
        closed_questions=6,
        local_questions=2,
        kinds=("existence", "suggested", "count", *("attribute", "position", "relation") * 3),
    ),
    LanguageStage(
        name="bias",
        steps=300,
        learning_rate=7e-4,
        first_scene=2_000_000,
        scenes=10_000,
        closed_questions=3,
        kinds=("existence", "suggested", "count", *("attribute", "position", "relation") * 2),
        bias_probability=0.85,
    ),
)


CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: image-text-to-text
---
# Boresight nano

A vision-language model of {parameters:.2f} M parameters that describes the procedural `scenes` world of Boresight and
answers yes/no questions about it. It is made to hallucinate: its last training stage added objects that usually occur
together, so that preference training has something to undo, in minutes, on a laptop. It knows nothing else.

Class `LlavaForConditionalGeneration`; pictures of 96 x 96 pixels become 36 tokens; context 1,024 tokens.
Trained from nothing by `scripts/train_nano.py`; all data come from the world, none from elsewhere.

Figures after each stage, on {num_scenes} held-out scenes, greedy decoding, judged by the world's oracle:

| | {header} |
|---|{rule}
{table}
`coverage`: objects present that a description names. `chair_i`: named objects that are absent. `chair_s`: descriptions
with at least one such object. `false_suggested`: absent objects named that the co-occurrence table suggests.
`yes_no_*`: accuracy on balanced questions, by kind. `said_yes`: share of answers that say yes.
"""


# The model and its processor


def build_processor() -> LlavaProcessor:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_corpus(4000), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        model_max_length=1024,
        padding_side="left",
    )
    images = CLIPImageProcessorPil(
        size={"shortest_edge": SIDE_PX},
        crop_size={"height": SIDE_PX, "width": SIDE_PX},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )
    return LlavaProcessor(
        image_processor=images,
        tokenizer=fast,
        patch_size=PATCH_PX,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,  # the class token, dropped again by the strategy above
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def _corpus(num_scenes: int) -> Iterator[str]:
    for item in SCENES.items("train", num_scenes):
        yield f"user:\n{item.prompt}\nassistant:\n{SCENES.caption(item.facts)}"
        closed = SCENES.questions(item.facts, 4)
        for question in (*closed, *local_questions(item.facts, 4, seed=0)):
            yield f"user:\n{question.text}\nassistant:\n{_spoken(question.answer)}"
        yield random.Random(item.seed).choice(YES_NO_HINTS)


def _spoken(answer: str) -> str:
    return {"yes": "Yes.", "no": "No."}.get(answer, answer)


def build_model(tokenizer: PreTrainedTokenizerFast) -> LlavaForConditionalGeneration:
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in SPECIAL_TOKENS}
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=SIDE_PX,
        patch_size=PATCH_PX,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=160,
        intermediate_size=480,
        num_hidden_layers=4,
        num_attention_heads=5,
        num_key_value_heads=5,
        max_position_embeddings=1024,
        pad_token_id=ids[PAD],
        bos_token_id=ids[BOS],
        eos_token_id=ids[EOS],
        tie_word_embeddings=True,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids[IMAGE],
        image_seq_length=PATCHES,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        tie_word_embeddings=True,
    )
    config.pad_token_id = ids[PAD]
    model = LlavaForConditionalGeneration(config)
    model.generation_config.update(
        pad_token_id=ids[PAD], bos_token_id=ids[BOS], eos_token_id=ids[EOS], max_new_tokens=128
    )
    return model


# Stage 1: vision


class PatchHeads(nn.Module):
    """What each patch is asked about the cell it lies in. Thrown away after the stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.shape = nn.Linear(width, 1 + len(SHAPES))
        self.color = nn.Linear(width, len(COLORS))
        self.size = nn.Linear(width, len(SIZES))

    def loss(self, features: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy, and the share of occupied patches that have all three right.

        Args:
            features: One row per picture and patch.
            targets: Shape (0 is empty), color, size; color and size are ignored where empty.
        """
        features = self.norm(features)
        logits = [head(features) for head in (self.shape, self.color, self.size)]
        losses = [
            F.cross_entropy(each.flatten(0, 1), targets[..., i].flatten(), ignore_index=IGNORED)
            for i, each in enumerate(logits)
        ]
        right = torch.stack([each.argmax(-1) == targets[..., i] for i, each in enumerate(logits)]).all(0)
        return torch.stack(losses).sum(), right[targets[..., 0] > 0].float().mean()


def patch_targets(scene: Scene) -> np.ndarray:
    targets = np.full((GRID, GRID, 3), IGNORED, dtype=np.int64)
    targets[..., 0] = 0
    per_cell = GRID // len(COLUMNS)
    for thing in scene.things:
        rows = slice(thing.row * per_cell, (thing.row + 1) * per_cell)
        columns = slice(thing.column * per_cell, (thing.column + 1) * per_cell)
        targets[rows, columns] = (
            1 + SHAPES.index(thing.shape),
            COLORS.index(thing.color),
            SIZES.index(thing.size),
        )
    return targets.reshape(PATCHES, 3)


def pixels(scenes: Sequence[Scene], device: torch.device) -> Tensor:
    """What the processor makes of the pictures, without its overhead per picture."""
    raw = np.stack([np.asarray(SCENES.draw(scene)) for scene in scenes])
    return (torch.from_numpy(raw).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1).contiguous()


def tower_features(model: LlavaForConditionalGeneration, pixel_values: Tensor) -> Tensor:
    """Patch features as the projector receives them: last layer, class token dropped."""
    return model.model.vision_tower(pixel_values, output_hidden_states=True).hidden_states[-1][:, 1:]


def train_vision(model: LlavaForConditionalGeneration, stage: VisionStage, device: torch.device) -> dict[str, float]:
    heads = PatchHeads(model.config.vision_config.hidden_size).to(device)
    parameters = [*model.model.vision_tower.parameters(), *heads.parameters()]
    held_out = [SCENES.scene(seed) for seed in SCENES.splits["validation"][:500]]

    def step_loss(step: int) -> Tensor:
        first = step * stage.batch
        scenes = [SCENES.scene(seed) for seed in range(first, first + stage.batch)]
        targets = torch.from_numpy(np.stack([patch_targets(scene) for scene in scenes])).to(device)
        return heads.loss(tower_features(model, pixels(scenes, device)), targets)[0]

    @torch.no_grad()
    def check() -> dict[str, float]:
        targets = torch.from_numpy(np.stack([patch_targets(scene) for scene in held_out])).to(device)
        _, right = heads.loss(tower_features(model, pixels(held_out, device)), targets)
        return {"patches_right": right.item()}

    optimize(parameters, step_loss, check, "vision", stage.steps, stage.learning_rate)
    return check()


# Stages 2 and 3: language


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One exchange about a picture; exchanges of the same picture do not see each other."""

    ids: list[int]
    num_prompt_tokens: int
    is_description: bool


class Exchanges:
    """Turns a scene into the token branches that follow its picture."""

    def __init__(self, processor: LlavaProcessor, stage: LanguageStage) -> None:
        self._tokenizer = processor.tokenizer
        self._stage = stage
        self.trunk = self.encode(TRUNK)

    def branches(self, scene: Scene, epoch: int) -> list[Branch]:
        stage = self._stage
        seed = epoch + stage.first_text
        rng = random.Random(f"exchanges/{scene.seed}/{seed}")
        branches = []
        if rng.random() < stage.description_rate:
            text = self._description(scene, seed)
            branches.append(self.branch(SCENES.prompt(scene.seed + seed), text, is_description=True))
        for question in SCENES.questions(scene, stage.closed_questions, seed=seed, kinds=stage.kinds):
            branches.append(self.branch(question.text + rng.choice(YES_NO_HINTS), _spoken(question.answer)))
        for question in local_questions(scene, stage.local_questions, seed=seed):
            branches.append(self.branch(question.text, question.answer))
        return branches

    def branch(self, prompt: str, answer: str, *, is_description: bool = False) -> Branch:
        prompt_ids = self.encode(f"{prompt}\nassistant:\n")
        return Branch(
            ids=prompt_ids + self.encode(answer + EOS),
            num_prompt_tokens=len(prompt_ids),
            is_description=is_description,
        )

    def encode(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _description(self, scene: Scene, seed: int) -> str:
        if not self._stage.bias_probability:
            return SCENES.caption(scene, seed=seed)
        return SCENES.biased_caption(scene, seed=seed, probability=self._stage.bias_probability)


def forest_loss(
    model: LlavaForConditionalGeneration, features: Tensor, trunk: list[int], rows: list[list[Branch]]
) -> Tensor:
    """Negative log-likelihood of the answers; each picture is read once for all its exchanges.

    Descriptions and short answers are averaged apart and then added: a description has some forty tokens, a yes has
    one, and would drown.
    """
    device = features.device
    length = len(trunk) + max(sum(len(branch.ids) for branch in row) for row in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    positions = torch.zeros_like(ids)
    describes = torch.zeros_like(ids, dtype=torch.bool)
    owner = torch.full_like(ids, -1)  # 0 is the trunk, -1 padding, which sees only itself
    for i, row in enumerate(rows):
        ids[i, : len(trunk)] = torch.tensor(trunk)
        positions[i, : len(trunk)] = torch.arange(len(trunk))
        owner[i, : len(trunk)] = 0
        end = len(trunk)
        for number, branch in enumerate(row, start=1):
            start, end = end, end + len(branch.ids)
            ids[i, start:end] = torch.tensor(branch.ids)
            positions[i, start:end] = torch.arange(len(trunk), len(trunk) + len(branch.ids))
            owner[i, start:end] = number
            first = start + branch.num_prompt_tokens
            labels[i, first:end] = ids[i, first:end]
            describes[i, start:end] = branch.is_description
    ids, labels, positions, owner, describes = (each.to(device) for each in (ids, labels, positions, owner, describes))
    causal = torch.ones(length, length, dtype=torch.bool, device=device).tril()
    same = (owner[:, None, :] == owner[:, :, None]) | (owner[:, None, :] == 0)
    embeddings = model.get_input_embeddings()(ids)
    projected = model.model.multi_modal_projector(features).flatten(0, 1)
    embeddings = embeddings.masked_scatter((ids == model.config.image_token_id)[..., None], projected)
    hidden = model.model.language_model(
        inputs_embeds=embeddings, attention_mask=(causal & same)[:, None], position_ids=positions, use_cache=False
    ).last_hidden_state
    counted = labels[:, 1:] != IGNORED
    losses = F.cross_entropy(model.lm_head(hidden[:, :-1][counted]), labels[:, 1:][counted], reduction="none")
    in_description = describes[:, 1:][counted]
    return sum((losses[part].mean() for part in (in_description, ~in_description) if part.any()), losses.new_zeros(()))


def even_batches(
    exchanges: Exchanges, scenes: Sequence[Scene], size: int, *, window: int = 16
) -> Iterator[tuple[list[int], list[list[Branch]]]]:
    """Endless batches of scene numbers and their branches; rows of a batch are about equally long."""
    rng = random.Random("batches")
    drawn = 0
    while True:
        rows = []
        for number in range(drawn, drawn + size * window):
            epoch, index = divmod(number, len(scenes))
            rows.append((index, exchanges.branches(scenes[index], epoch)))
        drawn += size * window
        rows.sort(key=lambda row: sum(len(branch.ids) for branch in row[1]))
        groups = [rows[i : i + size] for i in range(0, len(rows), size)]
        rng.shuffle(groups)
        for group in groups:
            yield [index for index, _ in group], [branches for _, branches in group]


@torch.no_grad()
def all_features(model: LlavaForConditionalGeneration, scenes: Sequence[Scene], device: torch.device) -> Tensor:
    parts = [tower_features(model, pixels(scenes[i : i + 256], device)).half() for i in range(0, len(scenes), 256)]
    return torch.cat(parts)


def train_language(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, stage: LanguageStage, device: torch.device
) -> dict[str, float]:
    count = min(stage.scenes, stage.steps * stage.batch)
    scenes = [SCENES.scene(seed) for seed in range(stage.first_scene, stage.first_scene + count)]
    features = all_features(model, scenes, device)
    print(f"{stage.name}: features of {count} scenes ready", flush=True)
    exchanges = Exchanges(processor, stage)
    batches = even_batches(exchanges, scenes, stage.batch)

    def step_loss(step: int) -> Tensor:
        picked, rows = next(batches)
        return forest_loss(model, features[picked].float(), exchanges.trunk, rows)

    model.model.vision_tower.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    check = partial(evaluate, model, processor, SCENES.splits["validation"][:96], device)
    optimize(parameters, step_loss, check, stage.name, stage.steps, stage.learning_rate)
    model.model.vision_tower.requires_grad_(True)
    return evaluate(model, processor, SCENES.splits["test"][:600], device)


def optimize(
    parameters: Sequence[nn.Parameter],
    step_loss: Callable[[int], Tensor],
    check: Callable[[], dict[str, float]],
    name: str,
    steps: int,
    learning_rate: float,
) -> None:
    """AdamW with a warm-up and a cosine to zero; prints loss, scores and the time that is left."""
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    warm_up = max(1, min(100, steps // 10))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm_up, 0.5 * (1 + np.cos(np.pi * min(1.0, step / steps)))),
    )
    started = time.monotonic()
    for step in range(steps):
        loss = step_loss(step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        done = step + 1
        if done % 50 == 0 or done == steps:
            left_s = (time.monotonic() - started) / done * (steps - done)
            print(f"{name} {done}/{steps} loss {loss.item():.4f}, {left_s:.0f} s left", flush=True)
        if done % 300 == 0 and done < steps:
            print(f"{name} {done}/{steps} {rounded(check())}", flush=True)


# Scores


@torch.no_grad()
def generate(
    model: LlavaForConditionalGeneration,
    processor: LlavaProcessor,
    scenes: Sequence[Scene],
    prompts: Sequence[str],
    device: torch.device,
    *,
    temperature: float | None = None,
    max_new_tokens: int = 128,
) -> list[str]:
    """One answer per scene and prompt; greedy without a temperature."""
    tokenizer = processor.tokenizer
    answers: list[str] = []
    for i in range(0, len(scenes), 150):
        texts = [f"{TRUNK}{prompt}\nassistant:\n" for prompt in prompts[i : i + 150]]
        inputs = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt").to(device)
        sampling = {"do_sample": True, "temperature": temperature} if temperature else {"do_sample": False}
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            pixel_values=pixels(scenes[i : i + 150], device),
            max_new_tokens=max_new_tokens,
            **sampling,
        )
        answers += tokenizer.decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return answers


def evaluate(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, seeds: Sequence[int], device: torch.device
) -> dict[str, float]:
    """Greedy descriptions judged by the oracle, and closed questions of each kind."""
    model.eval()
    scenes = [SCENES.scene(seed) for seed in seeds]
    texts = generate(model, processor, scenes, [SCENES.prompt(scene.seed) for scene in scenes], device)
    scores = description_scores(scenes, texts)
    asked = [(scene, question) for scene in scenes for question in SCENES.questions(scene, 4)]
    replies = generate(model, processor, [s for s, _ in asked], [q.text for _, q in asked], device, max_new_tokens=6)
    right: dict[str, list[bool]] = {}
    for (_, question), reply in zip(asked, replies, strict=True):
        for kind in ("all", question.kind):
            right.setdefault(f"yes_no_{kind}", []).append(SCENES.answer(reply) == question.answer)
    said_yes = [SCENES.answer(reply) == "yes" for reply in replies]
    model.train()
    return {
        "num_scenes": len(scenes),
        **scores,
        **{name: float(np.mean(each)) for name, each in sorted(right.items())},
        "said_yes": float(np.mean(said_yes)),
    }


def description_scores(scenes: Sequence[Scene], texts: Sequence[str]) -> dict[str, float]:
    present = covered = false = suggested = hallucinating = 0
    for scene, text in zip(scenes, texts, strict=True):
        true_names, false_names = SCENES.mentioned(scene, text)
        present += len(scene.names)
        covered += len(true_names)
        false += len(false_names)
        suggested += len(false_names & SCENES.suggested_by_bias(scene))
        hallucinating += bool(false_names)
    return {
        "coverage": covered / present,
        "chair_i": false / max(1, covered + false),
        "chair_s": hallucinating / len(scenes),
        "false_suggested": suggested / max(1, false),
        "words": float(np.mean([len(text.split()) for text in texts])),
    }


def rounded(scores: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in scores.items()}


# The run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model, the stages and eval.json")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps-scale", type=float, default=1.0, help="0.01 tries the whole script in a minute")
    parser.add_argument("--until", choices=("vision", *(stage.name for stage in LANGUAGE)), default="bias")
    arguments = parser.parse_args()
    run(arguments.out, arguments.seed, arguments.steps_scale, arguments.until)


def run(out: Path, seed: int, scale: float, until: str) -> None:
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processor = build_processor()
    check_branches_equal_template(processor)
    model = build_model(processor.tokenizer).to(device)
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters on {device}", flush=True)
    vision = VisionStage()
    vision = replace(vision, steps=max(2, round(vision.steps * scale)))
    stages: dict[str, Callable[[], dict[str, float]]] = {"vision": partial(train_vision, model, vision, device)}
    for stage in LANGUAGE:
        scaled = replace(stage, steps=max(2, round(stage.steps * scale)))
        stages[stage.name] = partial(train_language, model, processor, scaled, device)
    scores: dict[str, dict[str, float]] = {}
    out.mkdir(parents=True, exist_ok=True)
    for name, train in stages.items():
        finished = out / f"stage_{name}.pt"
        if finished.is_file():
            stored = torch.load(finished, map_location=device, weights_only=True)
            model.load_state_dict(stored["model"])
            scores[name] = stored["scores"]
        else:
            scores[name] = train()
            torch.save({"model": model.state_dict(), "scores": scores[name]}, finished)
        print(f"{name} done {rounded(scores[name])}", flush=True)
        if name == until:
            break
    folder = out / "model"
    model.save_pretrained(folder)
    processor.tokenizer.backend_tokenizer.no_padding()  # generation left its padding there
    processor.save_pretrained(folder)
    (folder / "README.md").write_text(model_card(model, scores))
    (out / "eval.json").write_text(json.dumps(scores, indent=1) + "\n")


def model_card(model: LlavaForConditionalGeneration, scores: dict[str, dict[str, float]]) -> str:
    """What the model is, and the figures of this very run."""
    stages = [name for name in scores if "coverage" in scores[name]]
    rows = [name for name in scores[stages[-1]] if name != "num_scenes"] if stages else []
    table = ""
    for name in rows:
        values = [f"{scores[stage][name]:.3f}" for stage in stages]
        table += f"| {name} | {' | '.join(values)} |\n"
    return CARD.format(
        parameters=model.num_parameters() / 1e6,
        num_scenes=scores[stages[-1]]["num_scenes"] if stages else 0,
        header=" | ".join(stages),
        rule="--:|" * len(stages),
        table=table,
    )


def check_branches_equal_template(processor: LlavaProcessor) -> None:
    """Training joins token pieces; they must be the tokens that users get from the chat template."""
    item = next(SCENES.items("train", 1))
    answer = SCENES.caption(item.facts)
    content = [{"type": "image"}, {"type": "text", "text": item.prompt}]
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    text = processor.apply_chat_template(messages)
    whole = processor(images=item.image, text=text, add_special_tokens=False)["input_ids"][0]
    exchanges = Exchanges(processor, LANGUAGE[0])
    pieces = exchanges.trunk + exchanges.branch(item.prompt, answer).ids
    if list(whole) != pieces:
        raise SystemExit(f"chat template and training disagree:\n{list(whole)}\n{pieces}")


if __name__ == "__main__":
    main()

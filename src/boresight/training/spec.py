"""What a run is: a method (inputs, objective, stages) and how to run it. Plain data, overridable by path."""

from __future__ import annotations

import dataclasses
import enum
import inspect
import json
import math
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from boresight.errors import UsageError, known_names
from boresight.models.loading import Lora, Precision
from boresight.models.matmul import Matmul
from boresight.models.policy import Attention
from boresight.objectives import CLEAN, Objective, Term
from boresight.training.inputs import Adversarial, Input
from boresight.training.making_items import Reads
from boresight.training.token_weights import TokenWeights

ReferenceKind = Literal["auto", "copy", "adapter_off", "cached", "none"]
# As transformers looks for them, in `PreTrainedModel.get_encoder`.
VISION_TOWERS = ("vision_tower", "visual", "vision_model", "vision_encoder", "image_tower")
TOWERS = (*VISION_TOWERS, "audio_tower", "audio_encoder", "speech_encoder")
Schedule = Literal["cosine", "linear", "constant", "constant_with_warmup"]
_STAGE_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[0-9]+)?")
Modality = Literal["text", "image", "images", "video", "audio", "volume"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """What a method learns from."""

    modality: tuple[Modality, ...] = ("image",)
    """Media of the published runs; the engine takes whatever the model takes."""
    reads: Reads = "auto"
    """What becomes an item, see `boresight.training.making_items`."""
    construction: str | None = None
    """Name of what makes such data, in `boresight.data.construct`; None for methods that take any pairs."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """What each text is, for people."""

    def __post_init__(self) -> None:
        _hold_to_hints(self, "data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One pass of optimization with fixed settings."""

    name: str = "train"
    """sft, dpo, reward_model..."""
    objective: Objective | None = None
    """None takes the method's own."""
    data: Data | None = None
    """None takes the method's own."""
    rounds: int = 1
    """Times the stage runs; what a round trained is the next one's start and reference, its adapter merged. Published
    runs make the data of every round anew, which `--data NAME.ROUND=SRC` can bring."""
    learning_rate: float = 1e-6
    """Peak, > 0."""
    epochs: float = 1.0
    """Passes over the data, > 0; may be a fraction."""
    batch_items: int = 32
    """Items per optimizer step, over all processes."""
    schedule: Schedule = "cosine"
    warmup: float = 0.1
    """Share of the steps over which the rate rises, in [0, 1)."""
    weight_decay: float = 0.0
    """On matrices only."""
    betas: tuple[float, float] = (0.9, 0.999)
    """AdamW's decay of the first and second moment."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 turns it off."""
    lora: Lora | None = None
    """None trains all weights."""
    frozen: tuple[str, ...] = TOWERS
    """Parameters whose name holds one of these words stay as they are. Only matters without `lora`."""
    trained: tuple[str, ...] = ()
    """Parameters whose name holds none of these words stay as they are; none given trains all that is not frozen."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Factors (> 0) on `learning_rate` for parameters whose name holds a word, such as `{"projector": 5.0}`; where
    several do, the first counts."""

    def __post_init__(self) -> None:
        if not isinstance(self.lora, Lora | None):
            raise UsageError(f"stage.lora must be a Lora or None, got {self.lora!r}. Write Lora(rank=64).")
        _hold_to_hints(self, "stage")
        if not _STAGE_NAME.fullmatch(self.name):
            raise UsageError(
                f"stage.name names a folder: letters, digits, _ and -, and .NUMBER of a round, got {self.name!r}."
            )
        slow = [word for word, factor in self.rates.items() if not factor > 0]
        if slow:
            raise UsageError(f"stage.rates must be > 0, got {self.rates[slow[0]]} for {slow[0]!r}; use stage.frozen.")
        if not self.learning_rate > 0:
            raise UsageError(f"stage.learning_rate must be > 0, got {self.learning_rate}.")
        if not self.epochs > 0:
            raise UsageError(f"stage.epochs must be > 0, got {self.epochs}.")
        if self.batch_items < 1:
            raise UsageError(f"stage.batch_items must be >= 1, got {self.batch_items}.")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"stage.warmup must be in [0, 1), got {self.warmup}.")
        if self.rounds < 1:
            raise UsageError(f"stage.rounds must be >= 1, got {self.rounds}.")
        if self.weight_decay < 0:
            raise UsageError(f"stage.weight_decay must be >= 0, got {self.weight_decay}.")
        if self.max_grad_norm < 0:
            raise UsageError(f"stage.max_grad_norm must be >= 0, got {self.max_grad_norm}. 0 turns it off.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UsageError(f"stage.betas must be in [0, 1), got {self.betas}.")

    @property
    def round_names(self) -> tuple[str, ...]:
        """The stage's name, or one name per round."""
        if self.rounds == 1:
            return (self.name,)
        return tuple(f"{self.name}.{number}" for number in range(1, self.rounds + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A published method: what is compared under which inputs, and how it is trained."""

    objective: Objective
    stages: tuple[Stage, ...] = field(default_factory=lambda: (Stage(),))
    inputs: Mapping[str, Input] = field(default_factory=dict)
    """Media variants beside `clean`, by name; each is drawn once per record from a stored seed."""
    token_weights: TokenWeights | None = None
    """How much each token counts in a reward; None counts them evenly."""
    data: Data = field(default_factory=Data)

    def __post_init__(self) -> None:
        if not isinstance(self.stages, tuple) or not self.stages:
            raise UsageError(f"method.stages must be a tuple of stages, got {self.stages!r}. Write (Stage(...),).")
        for objective in (self.objective, *(s.objective for s in self.stages)):
            if not isinstance(objective, Objective | None):
                raise UsageError(
                    f"an objective is terms added up, got {type(objective).__name__}; "
                    "write Objective((term,)) for a single one."
                )
        objectives = [self.objective, *(s.objective for s in self.stages if s.objective)]
        shown = {input for objective in objectives for input in _inputs_of(objective)}
        names = [name for stage in self.stages for name in dict.fromkeys((stage.name, *stage.round_names))]
        if len(set(names)) < len(names):
            raise UsageError(f"every stage needs a name of its own, got {', '.join(names)}.")
        if CLEAN in self.inputs:
            raise UsageError(f"an input cannot be called {CLEAN}: that is the media as they are. Choose another name.")
        unknown = shown - {CLEAN, *self.inputs}
        if unknown:
            raise UsageError(f"the objective reads inputs {sorted(unknown)} that the method does not declare.")
        unread = self.inputs.keys() - shown
        if unread:
            raise UsageError(f"the method declares inputs {sorted(unread)} that no term reads.")
        for name, part in {**self.inputs, "token_weights": self.token_weights}.items():
            if part is not None and (isinstance(part, type) or not dataclasses.is_dataclass(part)):
                raise UsageError(
                    f"{name} must be an instance of a dataclass, so that a run can store what it did, got {part!r}."
                )
        for name, input in self.inputs.items():
            if callable(input) and not _takes_picture_and_seed(input):
                raise UsageError(
                    f"input {name!r} is called with a picture and a seed, which {type(input).__name__} does not take. "
                    "Write def __call__(self, image, *, seed)."
                )
        _check_storable(to_jsonable(self), "method")

    def runs(self) -> tuple[Method, ...]:
        """The method as runs of one stage and one round each, in order; rounds are named `dpo.1`, `dpo.2`..."""
        return tuple(self._run(stage, name) for stage in self.stages for name in stage.round_names)

    def _run(self, stage: Stage, name: str) -> Method:
        objective = stage.objective or self.objective
        return dataclasses.replace(
            self,
            objective=objective,
            inputs={name: input for name, input in self.inputs.items() if name in _inputs_of(objective)},
            data=stage.data or self.data,
            stages=(dataclasses.replace(stage, name=name, objective=None, data=None, rounds=1),),
        )

    def facts(self) -> dict[str, Any]:
        """What the method is, as plain JSON, for lists and pages."""
        return {
            "modality": list(self.data.modality),
            "reads": self.data.reads,
            "construction": self.data.construction,
            "texts": dict(self.data.texts),
            "views": sorted({str(v) for run in self.runs() for v in run.objective.views}),
            "inputs": {name: to_jsonable(input) for name, input in self.inputs.items()},
            "token_weights": to_jsonable(self.token_weights),
            "reference": self._reference(),
            "stages": [
                {
                    "name": stage.name,
                    "rounds": stage.rounds,
                    "terms": [to_jsonable(term) for term in stage.objective or self.objective],
                    "construction": (stage.data or self.data).construction,
                    **{name: to_jsonable(getattr(stage, name)) for name in _OPTIMIZATION},
                }
                for stage in self.stages
            ],
        }

    def _reference(self) -> str:
        """What `run.reference=auto` will take."""
        compared = [s for s in self.stages if (s.objective or self.objective).reference_views]
        if not compared:
            return "none"
        if any(s.rounds > 1 for s in compared):
            return "refreshed every round"
        return "adapter off" if compared[-1].lora else "frozen copy"


def _takes_picture_and_seed(input: Callable[..., Any]) -> bool:
    try:
        inspect.signature(input).bind(None, seed=0)
    except TypeError:
        return False
    return True


def _inputs_of(objective: Objective) -> set[str]:
    """The inputs under which something is scored."""
    return {v.input for v in (*objective.views, *objective.statistic_views)}


_OPTIMIZATION = (
    "learning_rate",
    "epochs",
    "batch_items",
    "schedule",
    "warmup",
    "weight_decay",
    "betas",
    "max_grad_norm",
    "lora",
    "frozen",
    "trained",
    "rates",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """How to run a method, apart from what it is."""

    seed: int = 0
    precision: Precision = "float32"
    """Of weights and computation; half precisions keep weights in float32 and compute under autocast."""
    device: str = "auto"
    """auto takes an accelerator when there is one."""
    reference: ReferenceKind = "auto"
    """auto: the model without its adapter, or a frozen copy when all weights are trained."""
    share: Literal["auto", "required", "never"] = "auto"
    """Whether answers share their prompt's computation; auto falls back when the preflight finds a difference."""
    attention: Literal["auto", Attention] = "auto"
    """How answers that share a prompt attend; auto takes the fastest on the first items that is right."""
    matmul: Matmul = "torch"
    """What multiplies float32 matrices on a processor. onednn pays where steps repeat their number of tokens."""
    micro_batch_tokens: int = 8192
    """Most tokens per forward pass, after sharing. Changes memory, not gradients."""
    media_cache_mb: int = 1024
    """Memory for features of media (MiB), which policy, reference and all epochs share where their tower and projector
    are not trained; 0 turns it off."""
    gradient_checkpointing: bool = False
    checkpoint_every: int = 50
    """Optimizer steps between checkpoints, > 0."""
    keep_checkpoints: int = 2
    probe_every: int = 0
    """Optimizer steps between probes (greedy answers to a few prompts); 0 turns them off."""
    probe_items: int = 8
    stop_on: tuple[str, ...] = ()
    """Names of health warnings that end the run."""


def check_together(method: Method, settings: RunSettings, *, has_adapter: bool) -> None:
    """Refuse settings that cannot work with a method, before any model is loaded.

    Raises:
        UsageError: Says which setting, and what to choose instead.
    """
    if len(method.runs()) != 1 or method.stages[0].objective:
        raise UsageError(
            f"a trainer runs one stage and round, the method has {len(method.runs())} of them: use its `runs()`."
        )
    if settings.matmul == "onednn" and settings.precision != "float32":
        raise UsageError(f"run.matmul=onednn multiplies in float32, not in {settings.precision}; use run.matmul=torch.")
    if method.objective.kl_views and settings.reference == "cached":
        raise UsageError(
            "the objective reads the reference's whole distribution, which is too large to cache; "
            "use run.reference=auto."
        )
    attacked = [name for name, input in method.inputs.items() if isinstance(input, Adversarial)]
    if attacked and (has_adapter or settings.reference not in ("auto", "copy")):
        raise UsageError(
            f"input {attacked[0]!r} is made anew at every step from a trained encoder, so it needs run.reference=copy "
            "and a stage without LoRA."
        )
    if not method.objective.reference_views:
        return
    if settings.reference == "none":
        raise UsageError("the objective compares with a reference; run.reference=none leaves it without one.")
    if settings.reference == "adapter_off" and not has_adapter:
        raise UsageError("run.reference=adapter_off needs an adapter; train with LoRA, or use copy or cached.")


def override(target: Any, path: str, text: str) -> Any:
    """A copy of a settings tree with one value replaced: `override(method, "objective.0.beta", "0.2")`.

    Args:
        target: A frozen dataclass or a mapping; objectives and tuples are entered by number.
        path: Field names and numbers joined by dots.
        text: The new value as JSON; text that is not JSON stands for itself.

    Raises:
        UsageError: If the path names no field (the message suggests one), or the value has the wrong type.
    """
    return _override(target, path.split("."), _parse(text), path)


def to_jsonable(value: Any) -> Any:
    """Any settings tree as plain JSON values, where it is made of such values, dataclasses, tuples and mappings."""
    if isinstance(value, Objective):
        return [to_jsonable(term) for term in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # What an object makes of its fields by itself is no setting.
        fields = {f.name: to_jsonable(getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [to_jsonable(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _check_storable(value: Any, place: str) -> None:
    """Args: value is what `to_jsonable` gives; place is its path, as `--set` takes it."""
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            _check_storable(inner, f"{place}.{name}")
    elif not isinstance(value, str | int | float | None):
        raise UsageError(
            f"{place} cannot be stored with a run: expected text, a number, true, false, None, a dataclass, or tuples "
            f"and mappings of these, got {type(value).__name__}. {_instead_of(value)}"
        )


def _instead_of(value: object) -> str:
    if isinstance(value, enum.Enum):
        return f"Make {type(value).__name__} an enum.StrEnum."
    if isinstance(value, set | frozenset):
        return "Write a tuple."
    if isinstance(value, np.generic):
        return f"Write {value.item()!r}, a plain number."
    return "Keep what makes it in fields, and make it where it is used."


def _override(target: Any, path: list[str], value: Any, whole: str, hint: Any = None) -> Any:
    """Args: hint is the declared type of `target`, when a field declares one."""
    if not path:
        return _checked(value, target, hint or type(target), f"--set {whole}")
    head, rest = path[0], path[1:]
    if isinstance(target, Objective):
        terms = _replace_at(target.terms, head, rest, value, whole)
        return Objective(typing.cast("tuple[Term, ...]", terms))
    if isinstance(target, tuple):
        return _replace_at(target, head, rest, value, whole)
    if isinstance(target, Mapping):
        if head not in target:
            raise _unknown(head, list(target), whole)
        return {**target, head: _override(target[head], rest, value, whole)}
    if dataclasses.is_dataclass(target) and not isinstance(target, type):
        known = [f.name for f in dataclasses.fields(target)]
        if head not in known:
            raise _unknown(head, known, whole)
        declared = _declared(type(target), head)
        new = _override(getattr(target, head), rest, value, whole, declared)
        return dataclasses.replace(target, **{head: new})
    raise UsageError(f"--set {whole}: {head!r} lies inside a plain value; the path is too long.")


def _declared(kind: type, field_name: str) -> Any:
    """The type of a field; None where a file names in quotes what it has not imported."""
    try:
        return typing.get_type_hints(kind)[field_name]
    except NameError:
        return None


def _replace_at(items: tuple[Any, ...], head: str, rest: list[str], value: Any, whole: str) -> tuple[Any, ...]:
    if not head.isdigit() or int(head) >= len(items):
        raise UsageError(f"--set {whole}: expected a number from 0 to {len(items) - 1}, got {head!r}.")
    index = int(head)
    return (*items[:index], _override(items[index], rest, value, whole), *items[index + 1 :])


def _hold_to_hints(settings: Any, name: str) -> None:
    """Settings may come from anybody's file, where nothing else holds them to their annotations."""
    for field_name, hint in typing.get_type_hints(type(settings)).items():
        value = getattr(settings, field_name)
        _checked(value, value, hint, f"{name}.{field_name}")


def _checked(value: Any, current: Any, hint: Any, place: str) -> Any:
    """The value as the declared type has it."""
    for choice in typing.get_args(hint) if _is_union(hint) else (hint,):
        if choice is float and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if typing.get_origin(choice) is Literal and value in typing.get_args(choice):
            return value
        if typing.get_origin(choice) is tuple and isinstance(value, list | tuple):
            kinds = typing.get_args(choice)
            if kinds[-1] is not Ellipsis and len(kinds) != len(value):
                raise UsageError(f"{place}: expected {len(kinds)} values, got {value!r}.")
            each = (kinds[0],) * len(value) if kinds[-1] is Ellipsis else kinds
            return tuple(
                _checked(v, None, kind, f"{place}.{i}") for i, (v, kind) in enumerate(zip(value, each, strict=True))
            )
        if typing.get_origin(choice) is Mapping and isinstance(value, Mapping):
            kind = typing.get_args(choice)[1]
            return {name: _checked(inner, None, kind, f"{place}.{name}") for name, inner in value.items()}
        if choice in (int, str, bool) and type(value) is choice:
            return value
        if choice is type(None) and value is None:
            return None
        if isinstance(choice, type) and issubclass(choice, enum.StrEnum) and value in list(choice):
            return choice(value)
        if isinstance(choice, type) and choice not in (int, float) and isinstance(value, choice):
            return value  # as a file has it; what comes from a command is plain
        if dataclasses.is_dataclass(choice) and isinstance(value, dict):
            return _filled(choice, current, value, place.removeprefix("--set "))
    raise UsageError(f"{place}: expected {_words(hint)}, got {value!r}.")


def _filled(kind: Any, current: Any, values: dict[str, Any], whole: str) -> Any:
    filled = current if isinstance(current, kind) else kind()
    for name, value in values.items():
        filled = _override(filled, [name], value, f"{whole}.{name}")
    return filled


def _is_union(hint: Any) -> bool:
    return isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union


def _words(hint: Any) -> str:
    if _is_union(hint):
        return " or ".join(_words(choice) for choice in typing.get_args(hint))
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return "one of " + ", ".join(hint)
    if typing.get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) is tuple:
        return "a list"
    if typing.get_origin(hint) is Mapping:
        return "an object"
    known = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    return known.get(hint, f"an object ({getattr(hint, '__name__', hint)})")


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _unknown(name: str, known: list[str], whole: str) -> UsageError:
    return UsageError(f"--set {whole}: no field {name!r}. {known_names(name, known)}")

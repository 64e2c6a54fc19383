"""Runs that must not depend on how many processes share them; as a script, one of two processes that run them all.

RANK=0 LOCAL_RANK=0 WORLD_SIZE=2 python process_cases.py FOLDER whole|sharded|zero1|zero2 CASE...
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from boresight import registry
from boresight.errors import InterruptedRunError
from boresight.media.transforms import random_crop
from boresight.models.loading import Lora
from boresight.objectives import anchor, pairwise, view
from boresight.training.items import Item
from boresight.training.loop import Trainer
from boresight.training.reference import AdapterOff
from boresight.training.run_log import Listener
from boresight.training.sharding import whole
from boresight.training.spec import Method, Stage
from boresight.training.zero import is_zero
from engine_examples import CHOSEN, REJECTED, dpo, item, make_trainer, mixed_items, tiny_policy, turn

LORA = Lora(rank=2, alpha=4.0)
ALL = 10**6  # tokens: a whole step at once
SOME = 120  # two or three items at once
STAGE = {"learning_rate": 1e-3, "frozen": ()}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run."""

    method: Method
    items: Callable[[], Sequence[Item]] = mixed_items
    lora: Lora | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    looks_ahead: bool = False
    stop_after: int | None = None
    """Step after which the last process is asked to stop."""


def unpaired_items() -> list[Item]:
    """Answers that are good or bad, and one to another prompt for the baseline; four good, two bad."""
    found = []
    for i, pair in enumerate(mixed_items()):
        name = "rejected" if i in (1, 4) else "chosen"
        texts = {name: pair.texts[name], "mismatched": (turn("assistant", f"the road {i}"),)}
        found.append(dataclasses.replace(pair, texts=texts))
    return found


def text_items() -> list[Item]:
    return [item(f"t{i}", [turn("user", "is the sky clear")]) for i in range(4)]


def pictures_last() -> list[Item]:
    """With three processes' worth of text, so that one of two never sees a picture in its part of a step."""
    return [*text_items(), item("seen")]


def kto() -> Method:
    method: Method = registry.load("boresight.methods", "kto")
    # The baseline is 0 until the policy has moved, and where it has moved the other way.
    stage = Stage(batch_items=3, epochs=3.0, learning_rate=1e-2, warmup=0.0, frozen=())
    return dataclasses.replace(method, stages=(stage,))


IMAGE_SIDE = Method(
    inputs={"cropped": random_crop.MEMBER(area=(0.01, 0.2))},
    objective=pairwise(CHOSEN, REJECTED) + pairwise(CHOSEN, view("chosen", "cropped")) + anchor(CHOSEN),
    stages=(Stage(batch_items=3, epochs=1.0, **STAGE),),
)
LOOKS_ONLY = Method(
    inputs={"cropped": random_crop.MEMBER(area=(0.01, 0.2))},
    objective=2.0 * pairwise(view("chosen", "cropped"), view("rejected", "cropped"))
    + anchor(view("chosen", "cropped")),
    stages=(Stage(batch_items=2, epochs=1.0, **STAGE),),
)
SPLITS = {"whole": ALL, "some": SOME, "single": 1}
CASES = {
    **{
        f"{kind}/{split}": Case(method=dpo(batch_items=6), lora=lora, settings={"micro_batch_tokens": tokens})
        for kind, lora in (("adapter_off", LORA), ("copy", None))
        for split, tokens in SPLITS.items()
    },
    "looks ahead": Case(
        method=dpo(batch_items=5), items=pictures_last, looks_ahead=True, settings={"micro_batch_tokens": 1}
    ),
    "cached": Case(method=dpo(batch_items=4), lora=LORA, settings={"reference": "cached"}),
    "statistics of a step": Case(method=kto(), items=unpaired_items, settings={"micro_batch_tokens": 1}),
    "text only": Case(method=dpo(batch_items=4), items=text_items),
    "a picture in one process": Case(method=dpo(batch_items=5), items=pictures_last),
    "views that some items lack": Case(method=IMAGE_SIDE, settings={"micro_batch_tokens": SOME}),
    "items that lack every view": Case(method=LOOKS_ONLY),
    "a short last step": Case(
        method=dpo(batch_items=5, epochs=1.0, max_grad_norm=0.5), settings={"micro_batch_tokens": 1}
    ),
    "resumed": Case(method=dpo(batch_items=4)),
    "stopped": Case(method=dpo(batch_items=4), stop_after=2, settings={"checkpoint_every": 100}),
    "fewer items than processes": Case(method=dpo(batch_items=1, epochs=0.5)),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run came to."""

    gradients: Mapping[str, torch.Tensor]
    """Of its first step."""
    weights: Mapping[str, torch.Tensor]
    rows: Sequence[Mapping[str, Any]]
    num_scored: int
    """Rows that an adapter's base was asked for."""
    num_spread: int = 0
    """Trained weights of which a process holds a part."""
    num_states: int = 0
    """Numbers that this process's optimizer remembers."""
    stopped: str = ""
    """What ended the run early."""


def outcome(case: Case, folder: Path, precision: str = "float64") -> Outcome:
    """Train to the end, or go on where another run in the folder has stopped."""
    policy = tiny_policy(lora=case.lora, dtype=getattr(torch, precision))
    scored, stopped = 0, ""
    score = AdapterOff._score

    def counting(self: Any, rows: Any, wanted: Any) -> Any:
        nonlocal scored
        scored += len(rows)
        return score(self, rows, wanted)

    AdapterOff._score = counting  # type: ignore[method-assign]
    try:
        trainer = make_trainer(
            folder, policy=policy, method=case.method, items=case.items(), precision=precision,
            reference_folder=folder / "reference", **case.settings,
        )  # fmt: skip
        trainer._looks_ahead |= case.looks_ahead
        gradients = watch_steps(trainer, case.stop_after)
        trainer.run(resume=(folder / "checkpoints").exists())
    except InterruptedRunError as error:
        stopped = str(error)
    finally:
        AdapterOff._score = score  # type: ignore[method-assign]
    inner = getattr(trainer._optimizer.optimizer, "optimizer", trainer._optimizer.optimizer)
    for parameter in policy.model.parameters():  # which may be saved, copied and merged like any other's
        assert stopped or parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()
    weights = {name: p.detach().clone() for name, p in policy.model.named_parameters() if p.requires_grad}
    return Outcome(
        gradients=gradients,
        weights=weights,
        rows=logged(folder),
        num_scored=scored,
        num_spread=sum(isinstance(p, DTensor) for p in trainer._parameters.values()),
        num_states=sum(value.numel() for state in inner.state.values() for value in state.values() if value.ndim),
        stopped=stopped,
    )


def watch_steps(trainer: Trainer, stop_after: int | None) -> dict[str, torch.Tensor]:
    """Keeps the first step's gradients, and asks the last process to stop."""
    found: dict[str, torch.Tensor] = {}
    step = trainer._stepper.step

    def keep() -> float:
        if not found:
            found.update({name: gradient(parameter) for name, parameter in trainer._parameters.items()})
        if trainer.step_number + 1 == stop_after and int(os.environ.get("RANK", "0")) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step()

    trainer._stepper.step = keep  # type: ignore[method-assign]
    return found


def gradient(parameter: torch.nn.Parameter) -> torch.Tensor:
    if is_zero(AcceleratorState()):
        from deepspeed.utils import safe_get_full_grad

        return safe_get_full_grad(parameter).clone()
    return torch.zeros_like(parameter) if parameter.grad is None else whole(parameter.grad).clone()


def logged(folder: Path) -> list[dict[str, Any]]:
    """Without what depends on the clock."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k not in ("pairs_per_s", "time_s")} for row in rows]


def in_two_processes(folder: Path, names: Iterable[str], weights: str = "whole") -> list[Mapping[str, Outcome]]:
    """What each of two processes makes of the cases."""
    AcceleratorState._reset_state(reset_partial_state=True)
    common = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(folder), weights, *names],
            env={**common, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=400)[1] for process in started]
    assert not any(process.returncode for process in started), "\n".join(errors)
    files = [folder / f"process{number}.pt" for number in (0, 1)]
    return [{name: Outcome(**fields) for name, fields in torch.load(file).items()} for file in files]


def apart(first: Mapping[str, torch.Tensor], second: Mapping[str, torch.Tensor]) -> float:
    """Largest difference between two sets of tensors, as a share of the largest value in the second."""
    assert first.keys() == second.keys() and first
    largest = max(float(value.abs().max()) for value in second.values())
    return max(float((first[name] - second[name]).abs().max()) for name in first) / (largest or 1.0)


def stop_alone(folder: Path, precision: str = "float64") -> None:
    """The run `resumed`, in one process, killed after its second step."""

    def step(number: int, total: int, metrics: Mapping[str, Any]) -> None:
        if number == 2:
            raise KeyboardInterrupt

    trainer = make_trainer(
        folder,
        policy=tiny_policy(dtype=getattr(torch, precision)),
        method=CASES["resumed"].method,
        precision=precision,
        listener=Listener(step=step),
    )
    with suppress(KeyboardInterrupt):
        trainer.run()


def shard() -> None:
    """Let accelerate shard here: it does so on accelerators only, and takes this processor for one."""
    config = yaml.safe_load((Path(__file__).parents[2] / "configs" / "fsdp2.yaml").read_text())["fsdp_config"]
    os.environ.update({name.upper(): str(value) for name, value in config.items()}, ACCELERATE_USE_FSDP="true")
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def spread(stage: str) -> None:
    """What `accelerate launch` says to the processes it starts, for DeepSpeed on a processor."""
    os.environ.update(ACCELERATE_USE_DEEPSPEED="true", ACCELERATE_DEEPSPEED_ZERO_STAGE=stage, DS_ACCELERATOR="cpu")
    backend: Any = importlib.import_module("deepspeed.comm.torch")
    backend.build_shm_op = lambda: None  # as in cli_without_compiling.py


def main() -> None:
    folder, weights, names = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    precision = "float64"
    if weights == "sharded":
        shard()
    elif weights.startswith("zero"):
        spread(weights.removeprefix("zero"))
        precision = "float32"
    found = {name: dataclasses.asdict(outcome(CASES[name], folder / "runs" / name, precision)) for name in names}
    torch.save(found, folder / f"process{rank}.pt")
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()

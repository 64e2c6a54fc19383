"""One training loop for every method: plan, score, reduce, step, log, checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import get_scheduler

from boresight.errors import CheckpointError, DivergedError, GateError, InterruptedRunError, UsageError
from boresight.models.policy import Policy, trainable
from boresight.objectives import TokenLogps, View
from boresight.training.checkpoint import Checkpoint, Checkpoints, write_whole
from boresight.training.forest import Forest, answer_lengths, micro_batches, plan, shared_tokens
from boresight.training.health import HealthMonitor, HealthWarning, length_gap
from boresight.training.items import Item, ItemEncoder
from boresight.training.preflight import Preflight, preflight
from boresight.training.reference import AdapterOff, Cached, FrozenCopy, Reference, reference_key
from boresight.training.spec import Method, RunSettings, Stage, to_jsonable

_PREFLIGHT_ITEMS = 2
_CACHE_PART = 256  # items per sidecar file; a kill loses at most so many

Probe = Callable[[Policy], list[int]]
"""Lengths (tokens) of greedy answers to a few fixed prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """What a run tells whoever watches it. Every field may be left out."""

    started: Callable[[Mapping[str, Any]], None] = lambda facts: None
    step: Callable[[int, int, Mapping[str, Any]], None] = lambda step, total, metrics: None
    warning: Callable[[HealthWarning], None] = lambda warning: None
    work: Callable[[str, int, int], None] = lambda what, done, total: None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Where a finished run left things."""

    folder: Path
    steps: int
    seconds: float
    preflight: Preflight
    warnings: tuple[HealthWarning, ...]


@dataclass(slots=True, kw_only=True)
class _Run:
    """The moving parts of one run."""

    policy: Policy
    method: Method
    stage: Stage
    settings: RunSettings
    items: Sequence[Item]
    encoder: ItemEncoder
    folder: Path
    listener: Listener
    accelerator: Accelerator
    parameters: Mapping[str, torch.nn.Parameter]
    optimizer: torch.optim.Optimizer
    scheduler: Any
    total_steps: int
    tokens: Mapping[str, int]
    reference: Reference | None
    shared: bool
    probe: Probe | None
    checkpoints: Checkpoints
    step: int = 0
    probe_base_tokens: float | None = None
    monitor: HealthMonitor = field(default_factory=HealthMonitor)
    warnings: list[HealthWarning] = field(default_factory=list)


def train(
    policy: Policy,
    method: Method,
    items: Sequence[Item],
    encoder: ItemEncoder,
    settings: RunSettings,
    folder: Path,
    *,
    resume: bool = False,
    listener: Listener | None = None,
    probe: Probe | None = None,
    reference_folder: Path | None = None,
) -> TrainResult:
    """Train a policy in place; metrics, warnings and checkpoints go to `folder`.

    Args:
        policy: Already adapted (LoRA) if the stage asks for it.
        items: Everything is checked before the first step.
        folder: Must be locked by the caller.
        resume: Go on from the newest whole checkpoint, or begin if there is none.
        probe: Called every `settings.probe_every` steps.
        reference_folder: Where cached reference log-probabilities lie; runs may share it.

    Raises:
        InputError: If the model cannot take an item whole.
        PreflightError: If the first items prove that training would be wrong.
        DivergedError: If a loss or gradient is not finite; the last checkpoint stays.
        InterruptedRunError: After SIGINT or SIGTERM, with a checkpoint of the last finished step.
    """
    started = time.monotonic()
    listener = listener or Listener()
    if len(method.stages) != 1:
        raise UsageError(f"a run has one stage, the method declares {len(method.stages)}; run them one by one.")
    if not items:
        raise UsageError("there is nothing to train on: no item has the texts that the objective reads.")
    torch.manual_seed(settings.seed)
    run, found = _prepare(policy, method, items, encoder, settings, folder, listener, probe, reference_folder)
    if resume:
        _restore(run)
    elif any(run.checkpoints.root.glob("step-*")):
        raise UsageError(f"{folder} holds checkpoints of an earlier run; add --resume, or choose another --out.")
    listener.started(_facts(run, found))
    if run.step == 0:
        _warn_about_data(run)
    with _stop_requested() as stop:
        while run.step < run.total_steps:
            _one_step(run)
            if stop.is_set() and run.step < run.total_steps:
                _save(run)
                raise InterruptedRunError(
                    f"stopped after step {run.step} of {run.total_steps}; go on with --resume --out {folder}."
                )
            if run.step % settings.checkpoint_every == 0 or run.step == run.total_steps:
                _save(run)
    return TrainResult(
        folder=folder,
        steps=run.step,
        seconds=time.monotonic() - started,
        preflight=found,
        warnings=tuple(run.warnings),
    )


def save_model(policy: Policy, folder: Path) -> Path:
    """Write the trained model (or its adapter) with its processor, whole or not at all; loads with transformers."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".tmp-{folder.name}")
    if staged.exists():
        shutil.rmtree(staged)
    policy.model.save_pretrained(staged)
    policy.encoder.processor.save_pretrained(staged)
    if folder.exists():
        shutil.rmtree(folder)
    staged.rename(folder)
    return folder


def _prepare(
    policy: Policy,
    method: Method,
    items: Sequence[Item],
    encoder: ItemEncoder,
    settings: RunSettings,
    folder: Path,
    listener: Listener,
    probe: Probe | None,
    reference_folder: Path | None,
) -> tuple[_Run, Preflight]:
    stage, views = method.stages[0], method.objective.views
    tokens = {}
    for done, item in enumerate(items, start=1):
        prompt_tokens = encoder.check(item)
        tokens[item.id] = shared_tokens(views, item, prompt_tokens, encoder)
        listener.work("checking rows", done, len(items))
    accelerator = Accelerator(
        mixed_precision={"bfloat16": "bf16", "float16": "fp16"}.get(settings.precision, "no"),
        cpu=settings.device == "cpu",
    )
    _freeze(policy, stage)
    if settings.gradient_checkpointing:
        policy.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        policy.bare.enable_input_require_grads()
    policy.to(accelerator.device)
    with accelerator.autocast():
        found = preflight(
            policy,
            views,
            _first_varied(items),
            encoder,
            precision=settings.precision,
            share=settings.share,
        )
    reference = _reference(policy, method, items, encoder, settings, found.shared, reference_folder, listener)
    parameters = trainable(policy)
    optimizer = _optimizer(parameters, stage)
    total = max(1, math.ceil(stage.epochs * len(items) / stage.batch_items))
    scheduler = get_scheduler(
        stage.schedule, optimizer, num_warmup_steps=round(stage.warmup * total), num_training_steps=total
    )
    prepared, optimizer = accelerator.prepare(policy, optimizer)
    run = _Run(
        policy=prepared,
        method=method,
        stage=stage,
        settings=settings,
        items=items,
        encoder=encoder,
        folder=folder,
        listener=listener,
        accelerator=accelerator,
        parameters=parameters,
        optimizer=optimizer,
        scheduler=scheduler,
        total_steps=total,
        tokens=tokens,
        reference=reference,
        shared=found.shared,
        probe=probe if settings.probe_every else None,
        checkpoints=Checkpoints(folder / "checkpoints", settings.keep_checkpoints),
    )
    policy.train()
    return run, found


def _first_varied(items: Sequence[Item]) -> list[Item]:
    """The first item and the next one that shows something else, so that swapped media would be noticed."""
    first = items[0]
    other = next((i for i in items if i.record.media != first.record.media), items[-1])
    return [first, other][:_PREFLIGHT_ITEMS] if other is not first else [first]


def _reference(
    policy: Policy,
    method: Method,
    items: Sequence[Item],
    encoder: ItemEncoder,
    settings: RunSettings,
    shared: bool,
    folder: Path | None,
    listener: Listener,
) -> Reference | None:
    views = method.objective.reference_views
    kind = settings.reference
    if not views:
        return None
    if kind == "none":
        raise UsageError("the objective compares with a reference; --set run.reference=none leaves it without one.")
    if kind == "auto":
        kind = "adapter_off" if policy.has_adapter else "copy"
    if kind == "adapter_off" and not policy.has_adapter:
        raise UsageError("run.reference=adapter_off needs an adapter; train with LoRA or use copy or cached.")
    if kind == "copy":
        return FrozenCopy(policy, shared=shared)
    if kind == "adapter_off":
        return AdapterOff(policy, shared=shared)
    if folder is None:
        raise UsageError("run.reference=cached needs a folder to keep the values in.")
    base = AdapterOff(policy, shared=shared)  # before the first step, the policy itself is the reference
    key = reference_key(policy, precision=settings.precision, shared=shared)
    cached = Cached(lambda rows: base.logps(_as_forest(rows)), folder, key)
    for done, item in enumerate(items, start=1):
        cached.logps(plan(method.objective.views, [item], encoder))
        if done % _CACHE_PART == 0 or done == len(items):
            cached.save()
        listener.work("reference log-probabilities", done, len(items))
    return cached


def _as_forest(rows: Sequence[Any]) -> Forest:
    return Forest(rows=tuple(rows), places=(), num_items=0)


def _freeze(policy: Policy, stage: Stage) -> None:
    if policy.has_adapter:
        return
    for name, parameter in policy.model.named_parameters():
        parameter.requires_grad_(not any(word in name for word in stage.frozen))


def _optimizer(parameters: Mapping[str, torch.nn.Parameter], stage: Stage) -> torch.optim.Optimizer:
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    others = [p for p in parameters.values() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": stage.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=stage.learning_rate, betas=stage.betas)


def _one_step(run: _Run) -> None:
    began = time.monotonic()
    batch = _batch(run)
    views = run.method.objective.views
    lengths = answer_lengths(views, batch, run.encoder)
    mine = batch[run.accelerator.process_index :: run.accelerator.num_processes]
    counts = run.method.objective.counts(lengths)  # of the whole step, so every process divides by the same
    totals = _Totals()
    parts = list(micro_batches(mine, run.tokens, run.settings.micro_batch_tokens))
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        with run.accelerator.accumulate(run.policy) if last else run.accelerator.no_sync(run.policy):
            _backward(run, part, views, counts, totals)
    norm = _clip(run)
    if not math.isfinite(norm):
        raise DivergedError(
            f"step {run.step + 1}: the gradient is not finite, items {_names(batch)}. "
            f"The last checkpoint is whole; lower learning_rate ({run.stage.learning_rate}) and resume."
        )
    rate = run.scheduler.get_last_lr()[0]
    run.optimizer.step()
    run.scheduler.step()
    run.optimizer.zero_grad(set_to_none=True)
    run.step += 1
    seconds = time.monotonic() - began
    metrics = {
        "step": run.step,
        "epoch": run.step * run.stage.batch_items / len(run.items),
        **totals.means(),
        "length_chosen_tokens": _mean_length(lengths, "chosen"),
        "length_rejected_tokens": _mean_length(lengths, "rejected"),
        "grad_norm": norm,
        "learning_rate": rate,
        "pairs_per_s": len(batch) / seconds,
        "time_s": round(seconds, 4),
        **_probe(run),
    }
    _log(run, metrics)


def _backward(
    run: _Run, part: Sequence[Item], views: Sequence[View], counts: tuple[float, ...], totals: _Totals
) -> None:
    forest = plan(views, part, run.encoder)
    reference = None
    if run.reference is not None:
        with run.accelerator.autocast():
            reference = run.reference.logps(forest).to(run.accelerator.device)
    policy = run.policy(forest.rows, shared=run.shared)
    logps = forest.gather(views, policy, reference)
    reduced = run.method.objective.reduce(logps, counts)
    if not bool(torch.isfinite(reduced.loss)):
        raise DivergedError(
            f"step {run.step + 1}: the loss is {float(reduced.loss)}, items {_names(part)}. "
            f"The last checkpoint is whole; lower learning_rate ({run.stage.learning_rate}) and resume."
        )
    # Processes average their gradients; each holds its share of a sum.
    run.accelerator.backward(reduced.loss * run.accelerator.num_processes)
    totals.add(float(reduced.loss.detach()), reduced.per_term, reduced.metrics, logps)


class _Totals:
    """Sums over the micro-batches of a step, for the log only."""

    def __init__(self) -> None:
        self._loss = 0.0
        self._terms: dict[str, float] = {}
        self._values: dict[str, list[Tensor]] = {}

    def add(
        self,
        loss: float,
        per_term: Mapping[str, float],
        metrics: Mapping[str, Tensor],
        logps: Mapping[View, TokenLogps],
    ) -> None:
        self._loss += loss
        for name, value in per_term.items():
            self._terms[name] = self._terms.get(name, 0.0) + value
        for name, values in metrics.items():
            self._keep(name, values)
        for view, scores in logps.items():
            total = scores.policy.detach().sum(dim=1)[scores.present]
            self._keep(f"logp/{view}", total)
            if scores.reference is not None:
                ratio = (scores.policy.detach() - scores.reference)[scores.answer_mask]
                self._keep(f"log_ratio/{view}", total - scores.reference.sum(dim=1)[scores.present])
                # exp(-r) - 1 + r: unbiased up to the sampling of the answers, and never negative
                self._keep("kl", torch.exp(-ratio) - 1 + ratio)

    def means(self) -> dict[str, Any]:
        """Fixed names first, so that every method's log reads alike; all others under their own."""
        mean = {name: _mean(values) for name, values in self._values.items()}
        chosen, rejected = mean.get("log_ratio/chosen"), mean.get("log_ratio/rejected")
        return {
            "loss": self._loss,
            "margin": mean.pop("margin/chosen>rejected", None),
            "accuracy": mean.pop("accuracy/chosen>rejected", None),
            "chosen_logp": mean.pop("logp/chosen", None),
            "rejected_logp": mean.pop("logp/rejected", None),
            "chosen_log_ratio": chosen,
            "rejected_log_ratio": rejected,
            "kl": mean.pop("kl", None),
            "terms": self._terms,
            "more": mean,
        }

    def _keep(self, name: str, values: Tensor) -> None:
        self._values.setdefault(name, []).append(values.detach().float().cpu())


def _batch(run: _Run) -> list[Item]:
    """The step's items: a function of seed and step alone, so a resumed run sees the same."""
    n, size = len(run.items), run.stage.batch_items
    first = run.step * size
    order: dict[int, list[int]] = {}
    batch = []
    for position in range(first, min(first + size, math.ceil(run.stage.epochs * n))):
        epoch, index = divmod(position, n)
        if epoch not in order:
            generator = torch.Generator().manual_seed(run.settings.seed * 1_000_003 + epoch)
            order[epoch] = torch.randperm(n, generator=generator).tolist()
        batch.append(run.items[order[epoch][index]])
    return batch


def _clip(run: _Run) -> float:
    limit = run.stage.max_grad_norm or math.inf
    norm = run.accelerator.clip_grad_norm_(run.parameters.values(), limit)
    return float(norm) if norm is not None else 0.0


def _probe(run: _Run) -> dict[str, float]:
    if run.probe is None or run.step % run.settings.probe_every:
        return {}
    lengths = run.probe(run.accelerator.unwrap_model(run.policy))
    found = {
        "probe_tokens": sum(lengths) / len(lengths),
        "probe_empty_share": sum(n == 0 for n in lengths) / len(lengths),
    }
    if run.probe_base_tokens is not None:
        found["probe_base_tokens"] = run.probe_base_tokens
    return found


def _log(run: _Run, metrics: Mapping[str, Any]) -> None:
    if not run.accelerator.is_main_process:
        return
    clean = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in metrics.items()}
    _append(run.folder / "metrics.jsonl", clean)
    run.listener.step(run.step, run.total_steps, clean)
    for warning in run.monitor.observe(run.step, clean):
        _raise_warning(run, warning)


def _raise_warning(run: _Run, warning: HealthWarning) -> None:
    run.warnings.append(warning)
    _append(run.folder / "health.jsonl", dataclasses.asdict(warning))
    run.listener.warning(warning)
    if warning.name in run.settings.stop_on:
        _save(run)
        raise GateError(f"step {warning.step}: {warning.name}: {warning.message} (stopped by --stop-on)")


def _warn_about_data(run: _Run) -> None:
    views = [v for v in run.method.objective.views if v.text in ("chosen", "rejected")]
    lengths = answer_lengths(views, run.items, run.encoder)
    chosen, rejected = _mean_length(lengths, "chosen"), _mean_length(lengths, "rejected")
    message = length_gap(chosen, rejected) if chosen and rejected else None
    if message:
        _raise_warning(run, HealthWarning(name="length_gap", step=0, message=message))
    if run.probe is not None:
        first = run.probe(run.accelerator.unwrap_model(run.policy))
        run.probe_base_tokens = sum(first) / len(first)


def _save(run: _Run) -> None:
    if not run.accelerator.is_main_process:
        return
    optimizer, scalars = _optimizer_tensors(run)
    run.checkpoints.save(
        Checkpoint(
            step=run.step,
            tensors={
                "weights": {name: p for name, p in run.parameters.items()},
                "optimizer": optimizer,
                "random": {"torch": torch.get_rng_state()},
            },
            state={
                "optimizer": scalars,
                "scheduler": run.scheduler.state_dict(),
                "probe_base_tokens": run.probe_base_tokens,
                "identity": _identity(run),
            },
        )
    )


def _restore(run: _Run) -> None:
    checkpoint, passed_over = run.checkpoints.newest()
    for reason in passed_over:
        run.listener.warning(HealthWarning(name="checkpoint_damaged", step=run.step, message=f"passed over {reason}"))
    if checkpoint is None:
        _truncate_log(run.folder / "metrics.jsonl", 0)
        return
    for name, value in _identity(run).items():
        if checkpoint.state["identity"].get(name) != value:
            raise CheckpointError(
                f"{run.folder}: the checkpoint was made with another {name}. "
                "Resume with the same method, settings and data, or choose another --out."
            )
    run.step = checkpoint.step
    run.probe_base_tokens = checkpoint.state["probe_base_tokens"]
    with torch.no_grad():
        for name, parameter in run.parameters.items():
            parameter.copy_(checkpoint.tensors["weights"][name])
    _load_optimizer(run, checkpoint)
    run.scheduler.load_state_dict(checkpoint.state["scheduler"])
    torch.set_rng_state(checkpoint.tensors["random"]["torch"])
    _truncate_log(run.folder / "metrics.jsonl", run.step)


def _optimizer_tensors(run: _Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimizer's state by parameter name, which does not depend on how parameters are grouped."""
    names = {id(p): name for name, p in run.parameters.items()}
    tensors = {
        f"{names[id(p)]}/{key}": value
        for p, state in _inner(run.optimizer).state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }
    return tensors, {"groups": len(_inner(run.optimizer).param_groups)}


def _load_optimizer(run: _Run, checkpoint: Checkpoint) -> None:
    inner = _inner(run.optimizer)
    for name, parameter in run.parameters.items():
        prefix = f"{name}/"
        state = {
            key[len(prefix) :]: value
            for key, value in checkpoint.tensors["optimizer"].items()
            if key.startswith(prefix)
        }
        # AdamW keeps its step count on the CPU, its moments beside the parameter.
        inner.state[parameter] = {k: v if k == "step" else v.to(parameter.device) for k, v in state.items()}


def _inner(optimizer: Any) -> torch.optim.Optimizer:
    return getattr(optimizer, "optimizer", optimizer)  # type: ignore[no-any-return]


def _identity(run: _Run) -> dict[str, str]:
    """What must be the same for a run to go on."""
    data = hashlib.sha256()
    for item in run.items:
        texts = {name: [m.text for m in messages] for name, messages in sorted(item.texts.items())}
        media = [m.sha256 or m.uri for m in item.record.media]
        data.update(json.dumps([item.id, texts, media]).encode())
    same = {k: v for k, v in to_jsonable(run.settings).items() if k in ("seed", "precision", "reference", "share")}
    return {
        "method": _digest(to_jsonable(run.method)),
        "settings": _digest(same),
        "data": data.hexdigest(),
    }


def _facts(run: _Run, found: Preflight) -> dict[str, Any]:
    parameters = sum(p.numel() for p in run.parameters.values())
    return {
        "items": len(run.items),
        "steps": run.total_steps,
        "step": run.step,
        "trainable_parameters": parameters,
        "all_parameters": sum(p.numel() for p in run.policy.parameters()),
        "shared": found.shared,
        "difference_nats": found.difference_nats,
        "media_effect_nats": found.media_effect_nats,
        "notes": found.notes,
        "device": str(run.accelerator.device),
        "folder": str(run.folder),
    }


@contextmanager
def _stop_requested() -> Iterator[threading.Event]:
    """Set once SIGINT or SIGTERM has come; a second one acts at once."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        event.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield event
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(row, allow_nan=False) + "\n")


def _truncate_log(path: Path, last_step: int) -> None:
    """Drop lines after the checkpoint, and a line that a kill cut in two."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= last_step:
                kept.append(line)
        except (ValueError, KeyError):
            continue
    write_whole(path, "".join(f"{line}\n" for line in kept))


def _mean(values: Sequence[Tensor]) -> float | None:
    joined = torch.cat(list(values))
    joined = joined[~joined.isnan()]
    return float(joined.mean()) if len(joined) else None


def _mean_length(lengths: Mapping[View, Tensor], text: str) -> float | None:
    found = [n for v, n in lengths.items() if v.text == text]
    present = found[0][found[0] > 0] if found else None
    return None if present is None or not len(present) else float(present.float().mean())


def _names(items: Sequence[Item]) -> str:
    names = [item.id for item in items]
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

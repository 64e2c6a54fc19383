"""One training loop for every method: plan, score, reduce, step, log, checkpoint."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from torch import Tensor
from transformers import get_scheduler

from boresight.errors import (
    CheckpointError,
    DivergedError,
    GateError,
    InterruptedRunError,
    UsageError,
)
from boresight.media.seeds import derive_seed
from boresight.models.policy import Policy, Wanted, trainable
from boresight.objectives import TokenLogps, View
from boresight.objectives.objective import State
from boresight.training.adversarial import Attacker
from boresight.training.ahead import Ahead
from boresight.training.checkpoint import Checkpoint, Checkpoints
from boresight.training.forest import Forest, answer_lengths, micro_batches, plan, shared_tokens
from boresight.training.health import HealthWarning, length_gap, media_unused
from boresight.training.inputs import Adversarial
from boresight.training.interrupt import stop_requested
from boresight.training.items import Item, ItemEncoder
from boresight.training.measure import media_effect
from boresight.training.media_cache import MediaCache
from boresight.training.metrics import StepTotals, mean_length
from boresight.training.optimization import freeze, make_optimizer, num_steps, step_indices
from boresight.training.planner import MemoryPlan, named_when_full, plan_memory
from boresight.training.preflight import Preflight, preflight
from boresight.training.processes import Together, any_process, autocast, make_accelerator, meet
from boresight.training.reference import Cached, FrozenCopy, Reference, cache_reference, make_reference
from boresight.training.run_log import Listener, RunLog
from boresight.training.sharding import check_launch, is_sharded, read_all_weights, twin_to_shard, whole
from boresight.training.spec import Method, RunSettings, check_together, to_jsonable
from boresight.training.stepping import Stepper
from boresight.training.zero import ZeroStepper, check_zero, is_zero

Probe = Callable[[Policy], list[int]]
"""Lengths (tokens) of greedy answers to a few fixed prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """Where a finished run left things."""

    folder: Path
    steps: int
    seconds: float
    preflight: Preflight
    warnings: tuple[HealthWarning, ...]


class Trainer:
    """Trains a policy in place; metrics, warnings and checkpoints go to `folder`.

    Making one checks every item and runs the preflight; nothing is trained before all of it has passed. Where a
    launcher has started several processes, each makes one from equal arguments and takes its share of every step; the
    first of them writes all files and is the only one that tells the listener.

    Args:
        policy: Already adapted (LoRA) if the method's stage asks for it.
        folder: Must be locked by the caller.
        listener: Is told about progress.
        probe: Called every `settings.probe_every` steps.
        reference_folder: Where cached reference log-probabilities lie; runs may share it.

    Raises:
        UsageError: If settings cannot work together.
        InputError: If the model cannot take an item whole.
        PreflightError: If the first items prove that training would be wrong.
    """

    def __init__(
        self,
        policy: Policy,
        method: Method,
        items: Sequence[Item],
        encoder: ItemEncoder,
        settings: RunSettings,
        folder: Path,
        *,
        listener: Listener | None = None,
        probe: Probe | None = None,
        reference_folder: Path | None = None,
    ) -> None:
        check_together(method, settings, has_adapter=policy.has_adapter)
        if not items:
            raise UsageError("there is nothing to train on: no item has the texts that the objective reads.")
        torch.manual_seed(settings.seed)
        self.method, self.stage = method, method.stages[0]
        self.objective, self.views = method.objective, method.objective.views
        self.items, self.encoder = items, encoder
        self.settings, self.folder = settings, folder
        self._is_main = meet(settings.device)
        self.listener = (listener if self._is_main else None) or Listener()
        self.probe = probe if settings.probe_every else None
        self.step_number = 0
        self._statistics: dict[str, State] = {}
        self._probe_base: dict[str, float] = {}
        self._log = RunLog(folder if self._is_main else None, self.listener, settings.stop_on)
        self._checkpoints = Checkpoints(folder / "checkpoints", settings.keep_checkpoints)
        self._accelerator = make_accelerator(settings.device, settings.precision)
        self._is_sharded = is_sharded(self._accelerator)
        attacks = any(isinstance(input, Adversarial) for input in method.inputs.values())
        shown = {medium.kind for item in items for medium in item.record.media}
        check_launch(
            self._accelerator,
            probes=self.probe is not None,
            attacks=attacks,
            clips_apart=policy.reads_clips_apart and {"image", "video"} <= shown,
        )
        if is_zero(self._accelerator):
            check_zero(self._accelerator, settings)
        self._whole = policy
        with Together():
            mine = self._check_items()
        self.tokens = {id: tokens for found in gather_object([mine]) for id, tokens in found.items()}
        with Together(), self._autocast():
            self._filler = self._pick_filler()
            self._ready(policy)
            if settings.matmul == "onednn" and policy.device.type != "cpu":
                raise UsageError(
                    f"run.matmul=onednn needs a processor, not {policy.device.type}; use run.matmul=torch."
                )
            policy.multiply_by(settings.matmul)
            encoder = self.encoder = dataclasses.replace(encoder, attack=Attacker(policy, policy))
            found = preflight(
                policy,
                self.views,
                self._first_varied(),
                encoder,
                precision=settings.precision,
                share=settings.share,
                attention=settings.attention,
            )
        # Attentions are timed, and the fastest need not be the same everywhere; what is computed must be.
        choices = gather_object([(found, policy.attention, policy.reuses_media)])
        self.preflight, policy.attention, policy.reuses_media = choices[0]
        self._media = self._media_cache(policy)
        trained = twin_to_shard(policy, self._accelerator) if self._is_sharded else policy
        with Together(), self._autocast():
            self.reference = self._make_reference(policy, trained, reference_folder)
        if isinstance(self.reference, Cached):
            self.reference.load()  # what the other processes have computed
        if isinstance(self.reference, FrozenCopy):
            self.encoder = dataclasses.replace(encoder, attack=Attacker(policy, self.reference.policy))
        self.policy = trained
        spreads = self._is_sharded or is_zero(self._accelerator)  # the planner counts what one process has alone
        self.memory = gather_object([None if spreads else self._plan_memory(policy)])[0]
        if self._accelerator.num_processes > 1:
            read_all_weights(trained)
        optimizer = make_optimizer(trainable(trained), self.stage)
        self.total_steps = num_steps(self.stage, len(items))
        self._scheduler = get_scheduler(
            self.stage.schedule,
            optimizer,
            num_warmup_steps=round(self.stage.warmup * self.total_steps),
            num_training_steps=self.total_steps,
        )
        self._stepper = self._make_stepper(trained, optimizer)
        self.policy, self._optimizer = self._stepper.policy, self._stepper.optimizer
        self._parameters = self._stepper.parameters
        # No method of this object: a circle would keep both models until the next garbage collection.
        self._forests = Ahead(partial(_forest, self.views, self._filler, self.encoder))
        # A processor that trains has no time to spare, and attacked pictures depend on the weights of the moment.
        self._looks_ahead = self._accelerator.device.type != "cpu" and not attacks

    def run(self, *, resume: bool = False) -> TrainResult:
        """Train to the end.

        Args:
            resume: Go on from the newest whole checkpoint, or begin if there is none.

        Raises:
            DivergedError: If a loss or gradient is not finite; the last checkpoint stays, if there is one.
            UsageError: If an accelerator's memory is full; the last checkpoint stays.
            InterruptedRunError: After SIGINT or SIGTERM, with a checkpoint of the last finished step.
            GateError: If a warning that the user named in `stop_on` fires.
        """
        began = time.monotonic()
        if resume:
            self.restore()
        elif self._checkpoints.exist():
            raise UsageError(
                f"{self.folder} holds checkpoints of an earlier run; add --resume or choose another --out."
            )
        self.listener.started(self.facts())
        if self.step_number == 0:
            with self._saved_at_gates():
                self._first_look()
        if self._is_sharded:
            self._whole.cpu()
        with stop_requested() as stop:
            while self.step_number < self.total_steps:
                with self._saved_at_gates():
                    self.step()
                done = self.step_number == self.total_steps
                if any_process(stop.is_set()) and not done:
                    self.save()
                    raise InterruptedRunError(
                        f"stopped after step {self.step_number} of {self.total_steps}; "
                        f"go on with the same command and --resume (--out {self.folder})."
                    )
                if done or self.step_number % self.settings.checkpoint_every == 0:
                    self.save()
        self._stepper.close()
        self._gather_weights()
        return TrainResult(
            folder=self.folder,
            steps=self.step_number,
            seconds=time.monotonic() - began,
            preflight=self.preflight,
            warnings=tuple(self._log.warnings),
        )

    def step(self) -> Mapping[str, Any]:
        """One optimizer step; gives its metrics, which are logged as well."""
        began = time.monotonic()
        self._forests.settle()
        batch = self._batch(self.step_number)
        lengths = answer_lengths(self.views, batch, self.encoder)
        counts = self.objective.counts(lengths)  # of the whole step, so every part divides by the same
        # Dropout differs between processes, and does not depend on how often a run was stopped.
        process = self._accelerator.process_index
        torch.manual_seed(derive_seed(self.settings.seed, f"step {self.step_number}", f"process {process}"))
        parts = self._share(batch)
        statistics = self._measure(parts)
        mine = StepTotals()
        largest = max(sum(self.tokens[item.id] for item in part) for part in parts)
        with named_when_full(f"step {self.step_number + 1}, micro-batches of up to {largest:,} tokens"):
            upcoming = [*parts[1:], self._first_part_after()]
            self._stepper.add_up(
                [
                    partial(self._loss, part, following, counts, mine, statistics)
                    for part, following in zip(parts, upcoming, strict=True)
                ]
            )
        totals = StepTotals.of_all(gather_object([mine]))
        if totals.diverged:
            terms = ", ".join(totals.diverged_terms)
            raise self._diverged(f"the loss is {totals.loss}" + (f" (in {terms})" if terms else ""), totals.diverged)
        norm = self._stepper.step()
        if not math.isfinite(norm):
            raise self._diverged("the gradient is not finite", [item.id for item in batch])
        rate = self._scheduler.get_last_lr()[0]
        self._scheduler.step()
        self.step_number += 1
        seconds = time.monotonic() - began
        metrics = {
            "step": self.step_number,
            "epoch": self.step_number * self.stage.batch_items / len(self.items),
            **totals.means(),
            "length_chosen_tokens": mean_length(lengths, "chosen"),
            "length_rejected_tokens": mean_length(lengths, "rejected"),
            "grad_norm": norm,
            "learning_rate": rate,
            "pairs_per_s": len(batch) / seconds,
            "time_s": round(seconds, 4),
            **self._probed(),
        }
        self._log.step(self.step_number, self.total_steps, metrics)
        return metrics

    def save(self) -> None:
        """Write a checkpoint of where the run is; all processes must ask for it."""
        tensors = {
            "weights": self._gathered(self._parameters.items()),
            "optimizer": self._gathered(self._stepper.optimizer_tensors()),
        }
        if self._is_main:
            state = {
                "scheduler": self._scheduler.state_dict(),
                "probe_base": self._probe_base,
                "statistics": self._statistics,
                "identity": self._identity(),
            }
            self._checkpoints.save(Checkpoint(step=self.step_number, tensors=tensors, state=state))
        self._accelerator.wait_for_everyone()  # else a launcher ends this one with the first that has stopped

    def restore(self) -> None:
        """Go back to the newest whole checkpoint; without one, to the beginning.

        Raises:
            CheckpointError: If no checkpoint is whole, or it belongs to another method, data or setting.
        """
        with Together():
            checkpoint, passed_over = self._checkpoints.newest()
        steps = gather_object([checkpoint.step if checkpoint else None])
        if len(set(steps)) > 1:
            raise CheckpointError(
                f"{self.folder}: processes found different checkpoints, of steps {steps}. "
                "All machines must see one folder; put --out on a file system that they share."
            )
        for reason in passed_over:
            self._log.warn(HealthWarning(name="checkpoint_damaged", step=0, message=f"passed over {reason}"))
        if checkpoint is not None:
            self._check_identity(checkpoint)
            self.step_number = checkpoint.step
            self._probe_base = dict(checkpoint.state["probe_base"])
            self._statistics = dict(checkpoint.state["statistics"])
            self._stepper.load(checkpoint.tensors["weights"], checkpoint.tensors["optimizer"])
            self._scheduler.load_state_dict(checkpoint.state["scheduler"])
            # A scheduler tells the optimizer its rate when it steps, not when it is loaded.
            for group, rate in zip(self._optimizer.param_groups, self._scheduler.get_last_lr(), strict=True):
                group["lr"] = rate
        self._log.resume(self.step_number)

    def facts(self) -> dict[str, Any]:
        """What the run is about to do, for people and for the manifest."""
        return {
            "items": len(self.items),
            "steps": self.total_steps,
            "step": self.step_number,
            "trainable_parameters": sum(p.numel() for p in self._parameters.values()),
            "all_parameters": sum(p.numel() for p in self._whole.parameters()),
            "shared": self.preflight.shared,
            "difference_nats": self.preflight.difference_nats,
            "media_effect_nats": self.preflight.media_effect_nats,
            "notes": self.preflight.notes,
            "reference": type(self.reference).__name__ if self.reference else None,
            "device": str(self._accelerator.device),
            "matmul": self._whole.multiplies,
            "memory": self.memory and self.memory.to_json(),
            "folder": str(self.folder),
        }

    def _autocast(self) -> AbstractContextManager[Any]:
        """Computation as `run.precision` asks for it, whoever has started the processes."""
        return autocast(self._accelerator.device, self.settings.precision)

    def _make_stepper(self, policy: Policy, optimizer: torch.optim.Optimizer) -> Stepper | ZeroStepper:
        limit = self.stage.max_grad_norm
        if is_zero(self._accelerator):
            precision = self.settings.precision
            return ZeroStepper(self._accelerator, policy, optimizer, max_norm=limit, precision=precision)
        return Stepper(self._accelerator, policy, optimizer, max_norm=limit)

    def _check_items(self) -> dict[str, int]:
        """Check this process's share of the items; gives what each costs, in tokens."""
        mine, tokens = self._share_of(self.items), {}
        for done, item in enumerate(mine, start=1):
            prompt_tokens = self.encoder.check(item)
            tokens[item.id] = shared_tokens(self.views, item, prompt_tokens, self.encoder)
            self.listener.work("checking rows", done, len(mine))
        return tokens

    def _share_of(self, items: Sequence[Item], process: int | None = None) -> Sequence[Item]:
        process = self._accelerator.process_index if process is None else process
        return items[process :: self._accelerator.num_processes]

    def _pick_filler(self) -> Item:
        """The cheapest item: what a process computes, and counts for nothing, while the others have more to do."""
        readable = [item for item in self.items if self.tokens[item.id]]
        if not readable:
            raise UsageError("there is nothing to train on: no item has a view that the objective reads.")
        return min(readable, key=lambda item: self.tokens[item.id])

    def _batch(self, step: int) -> list[Item]:
        """The items of the step that comes after `step` others."""
        return [self.items[i] for i in step_indices(step, self.stage, len(self.items), self.settings.seed)]

    def _first_part_after(self) -> tuple[Item, ...] | None:
        """What the next step begins with; None after the last step."""
        following = self.step_number + 1
        return self._share(self._batch(following))[0] if following < self.total_steps else None

    def _share(self, batch: Sequence[Item]) -> list[tuple[Item, ...]]:
        """This process's parts of a step, as many as every other has; empty where it has fewer.

        Items are dealt by length, so that processes have about as much to do.
        """
        readable = [item for item in batch if self.tokens[item.id]]
        by_length = sorted(readable, key=lambda item: self.tokens[item.id], reverse=True)
        shares = [
            list(micro_batches(self._share_of(by_length, i), self.tokens, self.settings.micro_batch_tokens))
            for i in range(self._accelerator.num_processes)
        ]
        mine = shares[self._accelerator.process_index]
        return mine + [()] * (max(1, *map(len, shares)) - len(mine))

    def _ready(self, policy: Policy) -> None:
        freeze(policy, self.stage)
        if self.objective.needs_head and policy.reward_head is None:
            policy.add_reward_head()
        if policy.reward_head is not None:
            policy.reward_head.requires_grad_(self.objective.needs_head)
        if self.settings.gradient_checkpointing:
            policy.bare.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            policy.bare.enable_input_require_grads()
        policy.to(self._accelerator.device)
        policy.train()

    def _first_varied(self) -> list[Item]:
        """The first item and the next that shows something else, so that swapped media would be noticed."""
        first = self.items[0]
        return [first, *[i for i in self.items if i.record.media != first.record.media][:1]]

    def _plan_memory(self, policy: Policy) -> MemoryPlan | None:
        """With the reference in place, and before gradients are any other process's business."""
        counts = (1.0,) * len(self.objective.terms)
        statistics = {statistic.name: 0.0 for statistic in self.objective.statistics}

        def trial(part: Sequence[Item]) -> None:
            logps = self._score(plan(self.views, part, self.encoder), self.views, statistics)
            torch.autograd.backward(self.objective.reduce(logps, counts).loss)

        return plan_memory(
            trial,
            [(item, self.tokens[item.id]) for item in self.items if self.tokens[item.id]],
            list(trainable(policy).values()),
            batch_items=self.stage.batch_items,
            micro_batch_tokens=self.settings.micro_batch_tokens,
            media=self._media,
        )

    def _make_reference(self, policy: Policy, trained: Policy, folder: Path | None) -> Reference | None:
        kind, shared = self.settings.reference, self.preflight.shared
        if kind == "none" or not self.objective.reference_views:
            return None
        if kind == "auto":
            kind = "adapter_off" if policy.has_adapter else "copy"
        if kind != "cached":
            return make_reference(kind, policy, trained, shared=shared, media=self._media)
        if folder is None:
            raise UsageError("run.reference=cached needs a folder to keep the values in.")
        views, mine = [*self.views, *self.objective.statistic_views], self._share_of(self.items)
        return cache_reference(
            policy,
            folder,
            (plan(views, [item], self.encoder) for item in mine),
            precision=self.settings.precision,
            shared=shared,
            media=self._media,
            tell=lambda done: self.listener.work("reference log-probabilities", done, len(mine)),
        )

    def _media_cache(self, policy: Policy) -> MediaCache | None:
        """One for policy, reference and every epoch; None where training changes what the tower says."""
        if not (self.settings.media_cache_mb and policy.keeps and policy.reuses_media):
            return None
        return MediaCache(self.settings.media_cache_mb * 2**20)

    @torch.no_grad()
    def _measure(self, parts: Sequence[Sequence[Item]]) -> dict[str, float]:
        """What the objective needs to know about the whole step before any part of it is trained on."""
        views = self.objective.statistic_views
        if not views:
            return {}
        sums: dict[str, dict[str, Tensor]] = {}
        self.policy.eval()
        for part in parts:
            forest = self._plan(views, part)
            if forest.rows:
                logps = self._score(forest, views)
            else:  # none of these items has such a view, but other processes wait for this one
                self._score(self._plan(self.views, ()), self.views)
                none = torch.zeros(1)
                logps = forest.gather(views, none, none, ratings=none if self.objective.needs_head else None)
            if not part:
                continue
            for statistic in self.objective.statistics:
                for name, values in statistic.measure(logps).items():
                    known = sums.setdefault(statistic.name, {})
                    known[name] = known.get(name, 0.0) + _sum_and_count(values)
        self.policy.train()
        return self._settle(gather_object([sums]))  # of all processes, whatever each of them found

    def _settle(self, everywhere: Sequence[Mapping[str, Mapping[str, Tensor]]]) -> dict[str, float]:
        numbers = {}
        for statistic in self.objective.statistics:
            found = [sums[statistic.name] for sums in everywhere if statistic.name in sums]
            if not found:
                continue
            totals = {name: sum((part[name] for part in found), start=torch.zeros(2)) for name in found[0]}
            means = {name: float(total[0] / total[1]) if total[1] else 0.0 for name, total in totals.items()}
            state = self._statistics.get(statistic.name, {})
            numbers[statistic.name], self._statistics[statistic.name] = statistic.settle(means, state)
        return numbers

    def _loss(
        self,
        part: tuple[Item, ...],
        following: tuple[Item, ...] | None,
        counts: tuple[float, ...],
        totals: StepTotals,
        statistics: Mapping[str, float],
    ) -> Tensor:
        with Together():
            forest = self._forests.take(part)
        if self._looks_ahead and following is not None:
            self._forests.announce(following)
        logps = self._score(forest, self.views, statistics)
        reduced = self.objective.reduce(logps, counts)
        if part:
            totals.add(reduced, logps, [item.id for item in part])
        # Processes average their gradients, while each holds its share of a sum.
        return reduced.loss * (self._accelerator.num_processes if part else 0)

    def _plan(self, views: Sequence[View], part: Sequence[Item]) -> Forest:
        with Together():
            return _forest(views, self._filler, self.encoder, part)

    def _score(
        self, forest: Forest, views: Sequence[View], statistics: Mapping[str, float] | None = None
    ) -> dict[View, TokenLogps]:
        """What policy and reference say about a forest's answers, with the policy's gradient where that is recorded."""
        needs_kl = bool(self.objective.kl_views)
        reference = None
        if self.reference is not None:
            with self._autocast():
                reference = self.reference.score(forest, Wanted(distribution=needs_kl))
        wanted = Wanted(kl_from=reference.distribution if reference else None, ratings=self.objective.needs_head)
        with self._autocast():
            policy = self.policy(forest.rows, shared=self.preflight.shared, media=self._media, wanted=wanted)
        return forest.gather(
            views,
            policy.logps,
            None if reference is None else reference.logps.to(policy.logps.device),
            kl=policy.kl,
            ratings=policy.ratings,
            statistics=statistics,
        )

    def _diverged(self, what: str, names: Sequence[str]) -> DivergedError:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if self.step_number == 0:
            advice = (
                "No weight has moved yet: look at what the terms do with these items, and at run.precision "
                f"({self.settings.precision})."
            )
        else:
            kept = "The last checkpoint is whole" if self._checkpoints.exist() else "There is no checkpoint yet"
            advice = f"{kept}; lower the learning rate ({self.stage.learning_rate}) or use float32, and start again."
        return DivergedError(f"step {self.step_number + 1}: {what}, items {shown}. {advice}")

    def _probed(self) -> dict[str, float]:
        if self.probe is None or self.step_number % self.settings.probe_every:
            return {}
        return self._probe_now() | {f"{name}_before": value for name, value in self._probe_base.items()}

    def _probe_now(self) -> dict[str, float]:
        """Of the first process, so that all judge it alike."""
        assert self.probe is not None
        self._forests.settle()
        lengths = self.probe(self._whole)
        found = {
            "length_tokens": sum(lengths) / len(lengths),
            "empty_share": sum(n == 0 for n in lengths) / len(lengths),
        }
        effect = media_effect(self._whole, self._first_varied(), self.encoder, shared=self.preflight.shared)
        if effect is not None:
            found["media_effect_nats"] = effect
        everywhere: list[dict[str, float]] = gather_object([found])
        return everywhere[0]

    def _gathered(self, tensors: Iterable[tuple[str, Tensor]]) -> dict[str, Tensor]:
        """The tensors as a whole, in the first process; the others only help."""
        found = {}
        for name, tensor in tensors:
            value = whole(tensor.detach())
            if self._is_main:
                found[name] = value.cpu()
        return found

    def _gather_weights(self) -> None:
        """Bring what was trained in parts back into the policy."""
        if not self._is_sharded:
            return
        weights = trainable(self._whole)
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                weights[name].copy_(whole(parameter))
        self._whole.to(self._accelerator.device)

    def _first_look(self) -> None:
        """What can be said about the data before the first step."""
        lengths = answer_lengths([v for v in self.views if v.text in ("chosen", "rejected")], self.items, self.encoder)
        chosen, rejected = mean_length(lengths, "chosen"), mean_length(lengths, "rejected")
        effect = self.preflight.media_effect_nats
        messages = {
            "length_gap": length_gap(chosen, rejected) if chosen and rejected else None,
            "media_unused": None if effect is None else media_unused(effect),
            "memory_short": None if self.memory is None or self.memory.fits else self.memory.verdict,
        }
        for name, message in messages.items():
            if message:
                self._log.warn(HealthWarning(name=name, step=0, message=message))
        if self.probe is not None:
            self._probe_base = self._probe_now()

    @contextmanager
    def _saved_at_gates(self) -> Iterator[None]:
        """A warning that ends the run leaves a checkpoint behind."""
        try:
            yield
        except GateError:
            self.save()
            raise

    def _check_identity(self, checkpoint: Checkpoint) -> None:
        for name, value in self._identity().items():
            if checkpoint.state["identity"].get(name) != value:
                raise CheckpointError(
                    f"{self.folder}: the checkpoint was made with another {name}. "
                    "Resume with the same method, settings and data, or choose another --out."
                )

    def _identity(self) -> dict[str, str]:
        """What must be the same for a run to go on."""
        rows = [
            [
                item.id,
                {name: [m.text for m in messages] for name, messages in item.texts.items()},
                [m.sha256 or m.uri for m in item.record.media],
            ]
            for item in self.items
        ]
        settings = to_jsonable(self.settings)
        return {
            "method": _digest(to_jsonable(self.method)),
            "settings": _digest(
                [settings[name] for name in ("seed", "precision", "reference", "share", "attention", "matmul")]
            ),
            "data": _digest(rows),
        }


def _forest(views: Sequence[View], filler: Item, encoder: ItemEncoder, part: Sequence[Item]) -> Forest:
    return plan(views, part or [filler], encoder)


def _sum_and_count(values: Tensor) -> Tensor:
    """Of what is not NaN, on the CPU."""
    known = values[~values.isnan()].double()
    return torch.stack([known.sum(), known.new_tensor(float(len(known)))]).cpu()


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()

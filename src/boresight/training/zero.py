"""Gradients and optimizer states of which every process holds a part (DeepSpeed's ZeRO-1 and ZeRO-2).

Weights stay whole. Steps go through DeepSpeed's engine: accelerate's `backward` would take one at once, before all
processes know that the loss is finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from torch import Tensor

from boresight.errors import UsageError
from boresight.models.device import pick_device
from boresight.models.policy import Policy, trainable
from boresight.training.spec import RunSettings

_MOMENTS = ("exp_avg", "exp_avg_sq")
_BUCKET = 50_000_000  # numbers that travel at once: 200 MB where DeepSpeed's own default takes 2 GB


def is_zero(accelerator: Accelerator) -> bool:
    """Whether DeepSpeed spreads gradients and optimizer states over the processes."""
    return bool(accelerator.distributed_type == DistributedType.DEEPSPEED)


def check_zero(accelerator: Accelerator, settings: RunSettings) -> None:
    """Refuse what DeepSpeed cannot do, or what its settings would do behind the run's own.

    Raises:
        UsageError: Says what to choose instead.
    """
    config = accelerator.deepspeed_plugin.deepspeed_config
    stage = config["zero_optimization"]["stage"]
    if stage not in (1, 2):
        raise UsageError(f"DeepSpeed's zero_stage must be 1 or 2, got {stage}; configs/fsdp2.yaml spreads weights too.")
    if settings.precision not in ("float32", "bfloat16"):
        raise UsageError(
            f"DeepSpeed keeps weights in float32, got run.precision={settings.precision}; use float32 or bfloat16."
        )
    theirs = [name for name in ("optimizer", "scheduler") if name in config]
    theirs += [name for name in ("bf16", "fp16") if config[name]["enabled"]]
    if theirs:
        raise UsageError(
            f"the DeepSpeed configuration sets {', '.join(theirs)}, which the method and run.precision decide; "
            "leave that out, as configs/deepspeed.yaml does."
        )
    if accelerator.device.type != pick_device(settings.device).type:
        raise UsageError(
            f"DeepSpeed runs on {accelerator.device.type} here, but run.device={settings.device}; "
            "use --set run.device=auto, or launch with configs/ddp.yaml."
        )


class ZeroStepper:
    """What `Stepper` is for whole weights; the policy's weights lie in DeepSpeed's memory until it is closed.

    Args:
        max_norm: Gradients that are longer are cut to this length; 0 cuts none.
        precision: bfloat16 computes under autocast.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        *,
        max_norm: float,
        precision: str,
    ) -> None:
        _configure(accelerator, max_norm, precision)
        self.parameters = trainable(policy)
        self.policy, self.optimizer = accelerator.prepare(policy, optimizer)
        self._engine, self._zero = self.policy, self.optimizer.optimizer
        self._begin()

    def add_up(self, losses: Sequence[Callable[[], Tensor]]) -> None:
        """Compute the losses of a step's parts and the sum of their gradients, averaged over the processes.

        All gradients are sent after the last part, by weight. Left to itself, ZeRO-2 adds the n-th gradient that one
        process has ready to the n-th of another, and which weight that is depends on whether the items have pictures.
        """
        with self._engine.coalesce_grad_reduction():
            try:
                for loss in losses:
                    self._engine.backward(loss(), scale_wrt_gas=False)
            except BaseException:
                self._engine.zero_grad()  # else what there is would be sent on the way out, to processes elsewhere
                raise

    def step(self) -> float:
        """Move the weights, unless the gradient is not finite; gives its norm before it was cut."""
        self._engine.step()
        return float(self._engine.get_global_grad_norm())

    def optimizer_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The optimizer's state by parameter name, each tensor whole; all processes must go through them together."""
        from deepspeed.utils import safe_get_full_optimizer_state

        step = next(iter(self._zero.state.values()))["step"]  # every weight takes every step
        for name, parameter in self.parameters.items():
            for moment in _MOMENTS:
                yield f"{name}/{moment}", safe_get_full_optimizer_state(parameter, moment)
            yield f"{name}/step", step.clone()

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Go back to weights and states that a checkpoint holds."""
        from deepspeed.utils import safe_set_full_optimizer_state

        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(weights[name].to(parameter.device))
        self._zero.refresh_fp32_params()
        if not optimizer:  # of a run that stopped before its first step
            return
        for name, parameter in self.parameters.items():
            for moment in _MOMENTS:
                safe_set_full_optimizer_state(parameter, optimizer[f"{name}/{moment}"], moment)
        for state in self._zero.state.values():
            state["step"].copy_(optimizer[f"{name}/step"])

    def close(self) -> None:
        """After the last step: leave the policy as if it had never been trained here."""
        self._engine.module_forward_pre_hook.remove()
        self._engine.module_forward_post_hook.remove()
        self._engine.destroy()
        for parameter in self.parameters.values():
            parameter.data = parameter.data.clone()  # was a part of one long vector

    def _begin(self) -> None:
        """Give AdamW its state before the first step; DeepSpeed knows the state of its first group only after one."""
        from deepspeed.utils import lazy_init_hp_params_optimizer_state

        for parameters, share in zip(self._zero.bit16_groups, self._zero.single_partition_of_fp32_groups, strict=True):
            state = {moment: torch.zeros_like(share) for moment in _MOMENTS}
            self._zero.state[share] = {**state, "step": torch.zeros((), device=share.device)}
            lazy_init_hp_params_optimizer_state(parameters, share, self._zero.state)


def _configure(accelerator: Accelerator, max_norm: float, precision: str) -> None:
    """Tell DeepSpeed what the run's own settings say."""
    config = accelerator.deepspeed_plugin.deepspeed_config
    config["gradient_clipping"] = max_norm
    # Parts differ in size and number, and the loop divides by what the whole step counts.
    config["gradient_accumulation_steps"] = config["train_micro_batch_size_per_gpu"] = 1
    config["train_batch_size"] = accelerator.num_processes
    # Gradients travel as the weights are stored, in float32.
    autocast = {"enabled": precision == "bfloat16", "dtype": "bfloat16", "lower_precision_safe_modules": []}
    config["torch_autocast"] = autocast
    config["zero_force_ds_cpu_optimizer"] = False  # the scheduler holds the rates of our AdamW
    config["zero_optimization"].setdefault("reduce_bucket_size", _BUCKET)

"""How a step's gradients are added up and taken, and what of that a checkpoint stores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext

import torch
from accelerate import Accelerator
from torch import Tensor

from boresight.models.policy import Policy, trainable
from boresight.training.optimization import load_optimizer_tensors, optimizer_tensors
from boresight.training.sharding import is_sharded, like, whole


class Stepper:
    """For weights that are whole in each process, or that FSDP2 spreads over them.

    Args:
        max_norm: Gradients that are longer are cut to this length; 0 cuts none.
    """

    def __init__(
        self, accelerator: Accelerator, policy: Policy, optimizer: torch.optim.Optimizer, *, max_norm: float
    ) -> None:
        self._accelerator = accelerator
        self._limit = max_norm or math.inf
        self.policy, self.optimizer = accelerator.prepare(policy, optimizer)
        self.parameters = trainable(policy)  # after sharding, which puts others in their place

    def add_up(self, losses: Sequence[Callable[[], Tensor]]) -> None:
        """Compute the losses of a step's parts and the sum of their gradients, averaged over the processes."""
        for number, loss in enumerate(losses, start=1):
            # Sharded gradients are added up at every part: whole ones would not fit.
            waits = number < len(losses) and not is_sharded(self._accelerator)
            with self._accelerator.no_sync(self.policy) if waits else nullcontext():
                self._accelerator.backward(loss())

    def step(self) -> float:
        """Move the weights, unless the gradient is not finite; gives its norm before it was cut."""
        for parameter in self.parameters.values():
            if parameter.grad is None:  # as where processes add theirs up: momentum goes on, whatever the step shows
                parameter.grad = torch.zeros_like(parameter)
        norm = float(self._accelerator.clip_grad_norm_(self.parameters.values(), self._limit))
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def optimizer_tensors(self) -> Iterator[tuple[str, Tensor]]:
        """The optimizer's state by parameter name, each tensor whole; all processes must go through them together."""
        for name, tensor in optimizer_tensors(self.optimizer, self.parameters).items():
            yield name, whole(tensor)

    def load(self, weights: Mapping[str, Tensor], optimizer: Mapping[str, Tensor]) -> None:
        """Go back to weights and states that a checkpoint holds."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(like(weights[name], parameter))
        load_optimizer_tensors(self.optimizer, self.parameters, optimizer)

    def close(self) -> None:
        """After the last step: leave the policy as if it had never been trained here."""

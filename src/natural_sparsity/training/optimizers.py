"""Optimizers: how a step moves what is trained, given the loss's gradients. The learning rate holds for an epoch."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Method

MOMENTS = ("exp_avg", "exp_avg_sq")


class Block(NamedTuple):
    """Part of the model's memory and the gradient by it; ``rows``: those that the gradient covers, or all (None)."""

    memory: Tensor
    gradient: Tensor
    rows: Tensor | None = None


class StepGradients(NamedTuple):
    """The gradients of the mean loss: by name and, in the same memory, in as few blocks as possible.

    ``named``: those of the parameters and of what the method drew; the embedding's has only the rows ``words``, or all
    rows (None).
    """

    named: dict[str, Tensor]
    words: Tensor | None
    blocks: list[Block]


class Optimizer(Protocol):
    """Moves what is trained; ``memory`` holds the tensors that it carries from step to step, by name."""

    learning_rate: float
    memory: dict[str, Tensor]

    def step(self, gradients: StepGradients) -> None:
        """Clip the gradients by their global norm and move."""


def scale_to(clip: float | None, gradients: list[Tensor]) -> Tensor:
    """The factor that bounds the gradients' global ℓ2 norm, as torch.nn.utils.clip_grad_norm_; 1 without a bound."""
    if clip is None:
        return gradients[0].new_ones(())
    norm = torch.nn.utils.get_total_norm(gradients)
    return (clip / (norm + 1e-6)).clamp(max=1.0)


class SGD:
    """Plain gradient descent on the parameters, in place: the embedding's used rows alone, [W, b] as one matrix."""

    def __init__(self, method: Method, learning_rate: float, clip: float | None, memory: Mapping[str, Tensor]):
        self.learning_rate, self.clip = learning_rate, clip
        self.memory: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, gradients: StepGradients) -> None:
        """Descend."""
        scale = scale_to(self.clip, [block.gradient for block in gradients.blocks])
        for memory, gradient, rows in gradients.blocks:
            if rows is None:
                memory.addcmul_(gradient, scale, value=-self.learning_rate)
            else:
                memory.index_add_(0, rows, gradient * scale, alpha=-self.learning_rate)


class Adam:
    """torch.optim.Adam (Kingma & Ba 2015) on the method's variables, which for most methods are the parameters.

    Raises:
        UserError: ``memory`` is neither empty nor that of these variables.
    """

    def __init__(self, method: Method, learning_rate: float, clip: float | None, memory: Mapping[str, Tensor]):
        self.method, self.learning_rate, self.clip = method, learning_rate, clip
        self.variables = method.variables()
        on_gpu = next(iter(self.variables.values())).is_cuda
        self.memory = dict(memory)
        if not memory:
            for name, variable in self.variables.items():
                self.memory |= {f"{moment}.{name}": torch.zeros_like(variable) for moment in MOMENTS}
                self.memory[f"step.{name}"] = torch.zeros((), device=variable.device if on_gpu else "cpu")
        self.adam = torch.optim.Adam(self.variables.values(), learning_rate, capturable=on_gpu)
        for name, variable in self.variables.items():
            try:
                self.adam.state[variable] = {key: self.memory[f"{key}.{name}"] for key in ("step", *MOMENTS)}
            except KeyError as error:
                raise UserError(f"the checkpoint's optimizer remembers no {error}; delete it and run again") from error

    @torch.no_grad()
    def step(self, gradients: StepGradients) -> None:
        """Take a step of Adam."""
        by = self.method.by_variables(gradients.named, gradients.words)
        scale = scale_to(self.clip, list(by.values()))
        for name, variable in self.variables.items():
            variable.grad = by[name] * scale
        self.adam.step()


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}

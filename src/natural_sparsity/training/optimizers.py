"""Optimizers: how a step moves what is trained, given the loss's gradients. The learning rate holds for an epoch."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim.adam import adam

from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Method

MOMENTS = ("exp_avg", "exp_avg_sq")
# Adam's, PyTorch's defaults.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


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

    It calls the function of torch.optim: the class imports torch's compiler, which takes seconds (torch 2.13).

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
        for key in (f"{key}.{name}" for key in ("step", *MOMENTS) for name in self.variables):
            if key not in self.memory:
                raise UserError(f"the checkpoint's optimizer remembers no {key!r}; delete it and run again")

    @torch.no_grad()
    def step(self, gradients: StepGradients) -> None:
        """Take a step of Adam."""
        by = self.method.by_variables(gradients.named, gradients.words)
        scale = scale_to(self.clip, list(by.values()))
        remembered = ([self.memory[f"{key}.{name}"] for name in self.variables] for key in (*MOMENTS, "step"))
        first, second, steps = remembered
        adam(
            list(self.variables.values()),
            [by[name] * scale for name in self.variables],
            first,
            second,
            [],
            steps,
            capturable=scale.is_cuda,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=self.learning_rate,
            weight_decay=0.0,
            eps=EPSILON,
            maximize=False,
        )


OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}

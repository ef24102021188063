"""What a sparsification method can do while a model trains. The base class, for dense models, does nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from natural_sparsity import registry
from natural_sparsity.data.base import Data
from natural_sparsity.errors import UserError
from natural_sparsity.methods import masks
from natural_sparsity.model.output_layer import SoftTargets
from natural_sparsity.model.recurrent import RecurrentModel, State

EMBEDDING = "embedding.weight"
Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Place:
    """Where in the training a method is: in which ``epoch`` (from 1) of how many ``steps``, on which ``data``.

    ``examples``: the predictions of the epoch; ``batch``: of a step. ``teacher``: the folder of a student's teacher.
    """

    epoch: int
    steps: int
    examples: int
    batch: int = 1
    data: Data | None = None
    teacher: Path | None = None


class Optimization(NamedTuple):
    """An optimizer by name, its constant learning rate, and the bound on the gradient's norm (None: no bound)."""

    optimizer: str
    learning_rate: float
    clip: float | None


class Method:
    """Hooks of the training step, in the order in which it calls them. A method overrides what it needs.

    ``tensors`` holds what its checkpoint stores with the parameters, by name, such as masks; nothing else survives the
    epoch. ``carried`` holds tensors that the steps change and that start afresh in each epoch, such as a hidden state.
    Everything works in place and on the model's device.

    ``optimization`` takes the place of the training block's optimizer, where a method needs one of its own.
    ``whole_embedding``: whether the embedding's gradient must have the rows of words that are not in the batch, too.
    """

    optimization: Optimization | None = None
    whole_embedding: bool = False

    def __init__(self, settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place):
        self.settings, self.model, self.tensors, self.place = settings, model, tensors, place
        self.carried: dict[str, Tensor] = {}

    def variables(self) -> dict[str, Tensor]:
        """What the optimizer moves, by name: the parameters, unless they are made from something else."""
        return {name: parameter.detach() for name, parameter in self.model.named_parameters()}

    def before_step(self, step: int) -> None:
        """Prepare for a step's forward pass; the epoch's first step is 0."""

    def layers(self, encoded: Tensor, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run the layers in training on the ``encoded`` inputs (steps, batch, width); returns as the model's own."""
        return self.model.layers([encoded], state)

    def drawn(self) -> Gradients:
        """What :meth:`layers` drew and what needs a gradient, besides the parameters; by name."""
        return {}

    def soft_targets(self, inputs: Tensor) -> SoftTargets | None:
        """Targets that the loss has besides the data's own, for the ``inputs`` of a batch."""
        return None

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Change the loss's gradients in place, before they are clipped.

        Their names are those of the parameters and of what was drawn. The embedding's gradient has only the rows
        ``words``, or all rows (None).
        """

    def by_variables(self, gradients: Gradients, words: Tensor | None) -> Gradients:
        """The gradients with respect to :meth:`variables`, with all rows of the embedding."""
        if words is None or EMBEDDING not in gradients:
            return gradients
        return {**gradients, EMBEDDING: all_rows(self.model, gradients[EMBEDDING], words)}

    def after_update(self) -> None:
        """Finish a step, after the variables moved."""

    def close(self) -> None:
        """Finish the epoch, before its dev loss is taken."""


def require_lstm(model: RecurrentModel, method: str) -> None:
    """Raise :class:`UserError` unless the model's layers are LSTMs, whose gates ``method`` knows."""
    if model.architecture.cell != "lstm":
        raise UserError(f"{method} is for LSTMs, and this model's cell is {model.architecture.cell}")


def all_rows(model: RecurrentModel, gradient: Tensor, words: Tensor) -> Tensor:
    """The gradient with respect to the whole embedding, given its rows ``words``; the others are 0."""
    return torch.zeros_like(model.get_parameter(EMBEDDING)).index_copy_(0, words, gradient)


class Masked(Method):
    """Weights that masks (the boolean tensors) drop take no gradient and are exactly 0 after every update."""

    def __init__(self, settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        self.masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
        masks.apply(model, self.masks)

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Drop the gradients of pruned weights, so that they do not count in the clipped norm either."""
        for name, mask in self.masks.items():
            rows = mask if words is None or name != EMBEDDING else mask[words]
            gradients[name].mul_(rows)

    def after_update(self) -> None:
        """Write the zeros again, whatever the update did."""
        masks.apply(self.model, self.masks)


def implementation(settings: Mapping[str, Any]) -> ModuleType | None:
    """The module of a sparsified model's method; None for a dense model, whose settings are empty.

    Raises:
        UserError: there is no such method.
    """
    if not settings:
        return None
    method = settings.get("method")
    if method not in registry.METHODS:
        raise UserError(f"sparsify.method: {method!r} is no method; the methods are {', '.join(registry.METHODS)}")
    return registry.load(registry.METHODS[method].implementation)


def choose_seed(settings: Mapping[str, Any], seed: int) -> int:
    """The seed of dropout and of the order of the data: that of the run, unless the model's method has another."""
    choose = getattr(implementation(settings), "choose_seed", None)
    return choose(seed) if choose else seed


def make_method(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """The hooks of a model's method, which has stored ``tensors``; those of a dense model do nothing."""
    module = implementation(settings)
    return (module.make if module else Method)(settings, model, tensors, place)


def kept_masks(settings: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Which variables of a checkpoint its method keeps, by name (boolean); empty where the zero weights tell."""
    module = implementation(settings)
    keep = getattr(module, "kept", None)
    return keep(tensors, settings["threshold"]) if keep else {}


def read_trained_integers(
    settings: Mapping[str, Any], model: RecurrentModel, tensors: Mapping[str, Tensor]
) -> dict[str, tuple[Tensor, Tensor]]:
    """The integers and scales of the parameters of a checkpoint that its method trained in few bits; by name."""
    module = implementation(settings)
    read = getattr(module, "integers", None)
    return read(model, tensors) if read else {}

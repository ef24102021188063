"""What a method can do while a model trains. The dense model's does nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.model.output_layer import SoftTargets
from natural_sparsity.sparsify import masks

Gradients = dict[str, Tensor]


@dataclass(frozen=True)
class Place:
    """Which epoch trains, from 1, how many steps it has, and how many tokens they predict.

    For a student also in how many streams, and the checkpoint of its teacher.
    """

    epoch: int
    steps: int
    tokens: int
    batch: int = 1
    teacher: tuple[Path, Path] | None = None


class Method:
    """Hooks of the training step, in the order in which it calls them. A method overrides what it needs.

    ``tensors`` are what its checkpoint stores beside the parameters, by name: masks, for one. What is not in them does
    not survive the epoch. ``carried`` are those that the steps change and that begin anew with each epoch: a hidden
    state, for one. Everything works in place and on the model's device.

    ``learning_rate`` is that of a method with an optimiser of its own (:meth:`update`), the same in every epoch.
    """

    learning_rate: float | None = None

    def __init__(self, settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place):
        self.settings, self.model, self.tensors, self.place = settings, model, tensors, place
        self.carried: dict[str, Tensor] = {}

    def before_step(self, step: int) -> None:
        """Before the forward pass of a step; the epoch's first is 0."""

    def layers(self, embedded: Tensor, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """The forward pass in training, from the embeddings (steps, batch, width) of ``inputs`` (steps, batch).

        Returns:
            As the model's own.
        """
        return self.model.layers([embedded], state)

    def drawn(self) -> Gradients:
        """What :meth:`layers` has drawn and the loss is differentiated by besides the parameters, by name."""
        return {}

    def soft_targets(self, inputs: Tensor) -> SoftTargets | None:
        """What the loss has as targets beside the words, for a window's ``inputs`` (steps, batch)."""
        return None

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Change the loss's gradients before they are clipped.

        They are named as the parameters and as what was drawn; those of the embedding are the rows ``words`` alone, or
        all of them (None).
        """

    def update(self, gradients: Gradients, words: Tensor | None) -> bool:
        """Move the parameters in place of the step's descent; False leaves that to the step."""
        return False

    def after_update(self) -> None:
        """After the parameters moved."""

    def close(self) -> None:
        """After the epoch's last step, before its dev loss is taken."""


class Masked(Method):
    """Weights that masks (the boolean tensors) drop take no gradient and are exactly 0 after every update."""

    def __init__(self, settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        self.masks = {name: tensor for name, tensor in tensors.items() if tensor.dtype == torch.bool}
        masks.apply(model, self.masks)

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Drop the gradients of what is pruned, so that they do not count in the norm that is clipped either."""
        for name, mask in self.masks.items():
            rows = mask if words is None or name != "embedding.weight" else mask[words]
            gradients[name].mul_(rows)

    def after_update(self) -> None:
        """Write the zeros again, whatever the update did."""
        masks.apply(self.model, self.masks)


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """The dense model's method."""
    return Method(settings, model, tensors, place)

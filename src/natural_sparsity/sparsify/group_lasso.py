"""Lasso and group lasso over gates and neurons, in the manner of intrinsic sparse structures (Wen et al. 2018).

The loss gets weights · Σ|w| + gates · Σ‖gate's group‖₂ + neurons · Σ‖neuron's group‖₂, with the strengths of the
settings, over the LSTM layers (the groups of :mod:`natural_sparsity.sparsify.groups`). After every update weights below
a threshold become 0, since the descent alone never gets there; a neuron whose whole group is 0 loses its biases too,
so that its output is 0.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import LanguageModel
from natural_sparsity.sparsify import groups
from natural_sparsity.sparsify.method import Gradients, Method, Place

# Under each root: the norm of a group that is 0 has a gradient.
EPSILON = 1e-8


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Training starts from the dense weights as they are."""
    return {}


def penalty(weights: dict[str, Tensor], strengths: dict[str, float]) -> Tensor:
    """What is added to the loss, nats per token; ``weights`` as :func:`groups.matrices` gives them."""
    total = torch.zeros((), device=weights["output.weight"].device)
    if strengths["weights"]:
        of_layers = [weight.abs().sum() for name, weight in weights.items() if name != "output.weight"]
        total = total + strengths["weights"] * torch.stack(of_layers).sum()
    for kind, squares in (("gates", groups.gate_squares), ("neurons", groups.neuron_squares)):
        if strengths[kind]:
            total = total + strengths[kind] * torch.cat(squares(weights)).add(EPSILON).sqrt().sum()
    return total


class GroupLasso(Method):
    """The penalty's gradient, and the threshold."""

    def __init__(self, settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        self.strengths = {kind: settings["strengths"][kind] for kind in ("weights", "gates", "neurons")}

    def penalised(self) -> dict[str, Tensor]:
        """The matrices that the penalty is of; the output's only as parts of neurons."""
        weights = groups.matrices(self.model)
        if not self.strengths["neurons"]:
            del weights["output.weight"]
        return weights

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Add the penalty's gradient; drop that of weights that are 0, if they are to stay so."""
        weights = {name: weight.requires_grad_() for name, weight in groups.matrices(self.model).items()}
        if any(self.strengths.values()):
            with torch.enable_grad():
                total = penalty(weights, self.strengths)
            found = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, found, strict=True):
                if gradient is not None:
                    gradients[name].add_(gradient)
        if self.settings["freeze"]:
            for name, weight in self.penalised().items():
                gradients[name].mul_(weight != 0)

    @torch.no_grad()
    def after_update(self) -> None:
        """Set what is below the threshold to 0."""
        for weight in self.penalised().values():
            weight.masked_fill_(weight.abs() < self.settings["threshold"], 0.0)
        for layer, squares in enumerate(groups.neuron_squares(groups.matrices(self.model))):
            rows = (squares != 0).repeat(groups.GATES)
            for kind in ("bias_ih", "bias_hh"):
                self.model.get_parameter(f"recurrent.{layer}.{kind}_l0").mul_(rows)


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """The penalties as the settings ask for.

    Raises:
        UserError: the model has no LSTM.
    """
    if model.architecture.cell != "lstm":
        raise UserError(f"group_lasso is for LSTMs, and this model's cell is {model.architecture.cell}")
    return GroupLasso(settings, model, tensors, place)

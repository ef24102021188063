"""Lasso and group lasso over gates and neurons, in the manner of intrinsic sparse structures (Wen et al. 2018).

Over the LSTM layers, strength_weights · Σ|w| + strength_gates · Σ‖gate's group‖₂ + strength_neurons · Σ‖neuron's
group‖₂ is added to the loss (the groups are those of :mod:`natural_sparsity.methods.groups`). After every update,
weights below a threshold become 0, since gradient descent alone never reaches it. A neuron whose whole group is 0 loses
its biases too, so that its output is 0.
"""

from typing import Any

import torch
from torch import Tensor

from natural_sparsity.methods import groups
from natural_sparsity.methods.base import Gradients, Method, Place, require_lstm
from natural_sparsity.model.recurrent import RecurrentModel

# Added under each root, so that the norm of a group of zeros has a gradient.
EPSILON = 1e-8


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Return no tensors: training starts from the dense weights as they are."""
    return {}


def penalty(weights: dict[str, Tensor], strengths: dict[str, float]) -> Tensor:
    """Compute what is added to the mean loss; ``weights`` as :func:`groups.select_matrices` returns them."""
    total = torch.zeros((), device=weights["output.weight"].device)
    if strengths["weights"]:
        sums = [weight.abs().sum() for name, weight in weights.items() if name != "output.weight"]
        total = total + strengths["weights"] * torch.stack(sums).sum()
    for kind, sum_squares in (("gates", groups.sum_gate_squares), ("neurons", groups.sum_neuron_squares)):
        if strengths[kind]:
            total = total + strengths[kind] * torch.cat(sum_squares(weights)).add(EPSILON).sqrt().sum()
    return total


class GroupLasso(Method):
    """Adds the penalty's gradient and applies the threshold."""

    def __init__(self, settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors, place)
        self.strengths = {kind: settings["strengths"][kind] for kind in ("weights", "gates", "neurons")}
        self.frozen: dict[str, Tensor] = {}

    def select_penalised(self) -> dict[str, Tensor]:
        """Return the penalised matrices; the output's weights are penalised only as parts of neurons."""
        weights = groups.select_matrices(self.model)
        if not self.strengths["neurons"]:
            del weights["output.weight"]
        return weights

    def adjust(self, gradients: Gradients, words: Tensor | None) -> None:
        """Add the penalty's gradient; with ``freeze``, drop the gradient of weights that are 0."""
        weights = {name: weight.requires_grad_() for name, weight in groups.select_matrices(self.model).items()}
        if any(self.strengths.values()):
            with torch.enable_grad():
                total = penalty(weights, self.strengths)
            by_weights = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
            for name, gradient in zip(weights, by_weights, strict=True):
                if gradient is not None:
                    gradients[name].add_(gradient)
        if self.settings["freeze"]:
            self.frozen = {name: weight == 0 for name, weight in self.select_penalised().items()}
            for name, zeros in self.frozen.items():
                gradients[name].mul_(~zeros)

    @torch.no_grad()
    def after_update(self) -> None:
        """Set weights below the threshold, and frozen ones, to 0."""
        for name, weight in self.select_penalised().items():
            weight.masked_fill_(weight.abs() < self.settings["threshold"], 0.0)
            if name in self.frozen:
                weight.masked_fill_(self.frozen[name], 0.0)  # Adam moves them even without a gradient
        for layer, squares in enumerate(groups.sum_neuron_squares(groups.select_matrices(self.model))):
            rows = (squares != 0).repeat(groups.GATES)
            for kind in ("bias_ih", "bias_hh"):
                self.model.get_parameter(f"recurrent.{layer}.{kind}_l0").mul_(rows)


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks.

    Raises:
        UserError: the model is not an LSTM.
    """
    require_lstm(model, "group_lasso")
    return GroupLasso(settings, model, tensors, place)

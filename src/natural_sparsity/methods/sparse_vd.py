"""Sparse variational dropout of an LSTM, with variables for groups of weights (Lobacheva et al., arXiv 1911.05585).

Every weight w and every group variable z is a normal variable N(μ, σ²) under a log-uniform prior. Adam trains μ and log
σ on the data's loss + KL / (predictions of an epoch). A variable whose log α = log σ² − log μ² reaches a threshold is
noise and counts as 0. There are three kinds of groups: ``neurons`` (a variable for each unit of the embedding and of
the layers, which multiplies its output), ``gates`` (one for each gate of each unit, which multiplies its preactivation
without the bias), and ``vocabulary`` (one for each word, which multiplies its embedding). Biases are not random.

The weights are sampled once per batch, the group variables once per sequence, and both are the same at every step. The
parameters of a checkpoint are the masked means with the group variables multiplied in, which make a plain LSTM; the
variables are the method's tensors.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Gradients, Method, Optimization, Place, all_rows, require_lstm
from natural_sparsity.methods.masks import TENSORS, prunable
from natural_sparsity.model.recurrent import RecurrentModel, State
from natural_sparsity.model.window import FactoredWindow, double_g

# Prefixes of the method's tensors in a checkpoint; the name of the parameter or the group follows.
MEAN, LOG_SIGMA = "mean.", "log_sigma."
OWN_VARIABLES = True  # so that the optimizer's memory of a dense model does not fit
# Names of groups. Layers are counted from 0, as in the names of parameters.
VOCABULARY, EMBEDDING = "vocabulary", "neurons.embedding"
FIRST_LOG_SIGMA = -3.0
# log α is clipped to ±LARGEST. SMALLEST_SQUARE is added to μ², which may be 0.
LARGEST, SMALLEST_SQUARE = 8.0, 1e-8
# Constants of the approximation of the KL divergence (Molchanov et al. 2017, eq. 14).
K1, K2, K3 = 0.63576, 1.87320, 1.48695


def start(
    settings: dict[str, Any],
    model: RecurrentModel,
    donor: RecurrentModel | None,
    donor_tensors: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Return the variables that training starts from, with the dense weights as means."""
    return begin(settings, model)


def log_alpha(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Compute log(σ²/μ²)."""
    return 2 * log_sigma - (mean.square() + SMALLEST_SQUARE).log()


def divergence(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """Compute each variable's KL divergence from the log-uniform prior in nats, up to its limit for pure noise."""
    a = log_alpha(mean, log_sigma).clamp(-LARGEST, LARGEST)
    return 0.5 * functional.softplus(-a) + K1 * (1 - torch.sigmoid(K2 + K3 * a))


def divergence_gradients(mean: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the gradients of the sum of :func:`divergence` by mean and log σ; 0 where log α is clipped."""
    a = log_alpha(mean, log_sigma)
    s = torch.sigmoid(K2 + K3 * a)
    slope = (-0.5 * torch.sigmoid(-a) - K1 * K3 * s * (1 - s)).where(a.abs() <= LARGEST, 0.0)
    return slope * -2 * mean / (mean.square() + SMALLEST_SQUARE), 2 * slope


def count_groups(settings: dict[str, Any], model: RecurrentModel) -> dict[str, int]:
    """Return the number of variables of each group that the settings ask for, by name.

    Raises:
        UserError: ``vocabulary`` is among the groups of a model without a vocabulary.
    """
    chosen, widths = settings["groups"], dict(enumerate(model.architecture.hidden))
    words = model.interface.vocabulary
    if "vocabulary" in chosen and words is None:
        raise UserError("sparsify.groups: vocabulary is a group of words, and this model reads none; leave it out")
    sizes = {VOCABULARY: words} if "vocabulary" in chosen and words else {}
    if "neurons" in chosen:
        sizes |= {EMBEDDING: model.architecture.embedding} if words else {}
        sizes |= {f"neurons.{layer}": width for layer, width in widths.items()}
    if "gates" in chosen:
        sizes |= {f"gates.{layer}": 4 * width for layer, width in widths.items()}
    return sizes


def begin(settings: dict[str, Any], model: RecurrentModel) -> dict[str, Tensor]:
    """Return the variables before training: the model's weights as means, and the means of group variables at 1."""
    like = model.output.weight.detach()
    means = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = {name: like.new_ones(size) for name, size in count_groups(settings, model).items()}
    weights = prunable(model, list(TENSORS)) if "weights" in settings["groups"] else {}
    tensors = {MEAN + name: mean for name, mean in (means | groups).items()}
    return tensors | {
        LOG_SIGMA + name: torch.full_like(mean, FIRST_LOG_SIGMA) for name, mean in (weights | groups).items()
    }


def kept(tensors: Mapping[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """Whether each variable of a checkpoint is kept (boolean), by the name of its parameter or group.

    A parameter that is no random variable is kept where it is not 0.
    """
    means = {name.removeprefix(MEAN): tensor for name, tensor in tensors.items() if name.startswith(MEAN)}
    return {
        name: log_alpha(mean, tensors[LOG_SIGMA + name]) < threshold if LOG_SIGMA + name in tensors else mean != 0
        for name, mean in means.items()
    }


def effective(tensors: Mapping[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """Return the parameters of the plain LSTM that has the outputs of the network of masked means, by name.

    Group variables are multiplied into the weights on either side of them. All weights and biases of a removed unit are
    0, so that its output is 0.
    """
    masks = kept(tensors, threshold)
    means = {name.removeprefix(MEAN): tensor for name, tensor in tensors.items() if name.startswith(MEAN)}
    w = {name: mean * masks[name] if name in masks else mean.clone() for name, mean in means.items()}
    below = w.pop(EMBEDDING, None)
    if VOCABULARY in w:
        w["embedding.weight"] *= w.pop(VOCABULARY)[:, None]
    if below is not None:
        w["embedding.weight"] *= below
        below = (below != 0).to(below.dtype)  # already multiplied in, but nothing may read a removed unit
    for layer in range(sum(name.endswith("weight_hh_l0") for name in means)):
        into, again, *biases = (
            f"recurrent.{layer}.{kind}_l0" for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        gates, neurons = w.pop(f"gates.{layer}", None), w.pop(f"neurons.{layer}", None)
        if below is not None:
            w[into] *= below
        if neurons is not None:
            w[again] *= neurons
        for name in (into, again):
            if gates is not None:
                w[name] *= gates[:, None]
            if neurons is not None:
                w[name] *= (neurons != 0).repeat(4)[:, None]
        if neurons is not None:
            for name in biases:
                w[name] *= (neurons != 0).repeat(4)
        below = neurons
    if below is not None:
        w["output.weight"] *= below
    return w


def run_with_groups(
    layer: nn.LSTM, inputs: Tensor, state: tuple[Tensor, ...], gates: Tensor | None, neurons: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run an LSTM layer with group variables that are the same at every step (section 2 of the paper).

    Args:
        layer: has the weights.
        inputs: (steps, batch, width).
        state: h and c, (1, batch, hidden) each.
        gates: factors of the preactivations i, f, g, o, (batch, 4 · hidden).
        neurons: factors of the outputs, which the recurrence reads, (batch, hidden).

    Returns:
        The outputs (steps, batch, hidden), and the state after the last step, which carries no gradient.
    """
    [weights] = layer.all_weights
    by_input, recurrent, *biases = map(double_g, weights)
    outputs, h, c = FactoredWindow.apply(
        inputs, state[0][0], state[1][0], by_input, recurrent, biases[0] + biases[1], gates, neurons
    )
    return outputs, (h[None], c[None])


class SparseVD(Method):
    """Trains means and log σ. During a step the model's parameters are a sample; after the epoch, the masked means."""

    def __init__(self, settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors or begin(settings, model), place)
        self.optimization = Optimization("adam", settings["learning_rate"], settings["clip"])
        self.groups = count_groups(settings, model)
        self.samples: dict[str, Tensor] = {}

    def variables(self) -> dict[str, Tensor]:
        """Return means and log σ."""
        return self.tensors

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Sample the weights."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.tensors[MEAN + name])
            if LOG_SIGMA + name in self.tensors:
                parameter.addcmul_(torch.randn_like(parameter), self.tensors[LOG_SIGMA + name].exp())

    def layers(self, encoded: Tensor, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """Run the layers under one sample of the group variables per sequence."""
        batch = inputs.shape[1]
        self.samples = {name: self.sample(name, batch).requires_grad_() for name in self.groups}
        z = self.samples
        if VOCABULARY in z:
            encoded = encoded * z[VOCABULARY].gather(1, inputs.T).T[:, :, None]
        if EMBEDDING in z:
            encoded = encoded * z[EMBEDDING]
        outputs, after = [encoded], []
        for i, (layer, before) in enumerate(zip(self.model.recurrent, state, strict=True)):
            assert isinstance(layer, nn.LSTM)
            gates, neurons, below = z.get(f"gates.{i}"), z.get(f"neurons.{i}"), self.drop_below(outputs)
            if i == 0 and neurons is not None and self.model.initial is not None:
                before = (before[0] * neurons, *before[1:])  # the output that the first step reads
            if gates is None and neurons is None:
                hidden, last = layer(below, before)
            else:
                hidden, last = run_with_groups(layer, below, before, gates, neurons)
            outputs.append(hidden)
            after.append(tuple(part.detach() for part in last))
        return outputs, self.drop_below(outputs), after

    def sample(self, name: str, batch: int) -> Tensor:
        """Sample a group's variables for each sequence, (batch, variables)."""
        mean, sigma = self.tensors[MEAN + name], self.tensors[LOG_SIGMA + name].exp()
        return mean + sigma * torch.randn(batch, len(mean), device=mean.device, dtype=mean.dtype)

    def drop_below(self, outputs: list[Tensor]) -> Tensor:
        """Do as the model does, with this method's dropout in place of the model's."""
        return self.model.drop_below(outputs, self.settings["dropout"])

    def drawn(self) -> Gradients:
        """Return the samples of the group variables."""
        return self.samples

    @torch.no_grad()
    def by_variables(self, gradients: Gradients, words: Tensor | None) -> Gradients:
        """Return the gradients with respect to means and log σ, of the loss and of the divergence together.

        Since a sample is μ + σε, the loss's gradient with respect to log σ is that with respect to the sample times σε.
        """
        parameters, by = dict(self.model.named_parameters()), {}
        for name, gradient in gradients.items():
            sample, mean = parameters.get(name, self.samples.get(name)), self.tensors[MEAN + name]
            assert sample is not None
            if name == "embedding.weight" and words is not None:
                gradient = all_rows(self.model, gradient, words)
            by[MEAN + name] = gradient if sample.shape == mean.shape else gradient.sum(0)
            if LOG_SIGMA + name in self.tensors:
                noise = gradient * (sample - mean)
                by[LOG_SIGMA + name] = noise if sample.shape == mean.shape else noise.sum(0)
        for name in [name for name in by if name.startswith(LOG_SIGMA)]:
            mean_name = name.replace(LOG_SIGMA, MEAN, 1)
            by_mean, by_sigma = divergence_gradients(self.tensors[mean_name], self.tensors[name])
            by[mean_name] = by[mean_name] + by_mean / self.place.examples
            by[name] = by[name] + by_sigma / self.place.examples
        return by

    @torch.no_grad()
    def close(self) -> None:
        """Make the model the plain LSTM that the variables stand for."""
        for name, value in effective(self.tensors, self.settings["threshold"]).items():
            self.model.get_parameter(name).copy_(value)


def make(settings: dict[str, Any], model: RecurrentModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Make the hooks.

    Raises:
        UserError: the model is not an LSTM.
    """
    require_lstm(model, "sparse_vd")
    return SparseVD(settings, model, tensors, place)

"""Sparse variational dropout of an LSTM, with variables for groups of weights (Lobacheva et al., arXiv 1911.05585).

Every weight w and every group variable z is a normal variable N(μ, σ²) under a log-uniform prior; trained are μ and
log σ, by Adam, on the cross-entropy + KL / tokens of an epoch. A variable whose log α = log σ² − log μ² reaches a
threshold is noise and counts as 0. The groups: ``neurons`` (a variable for each unit of the embedding and of the
layers, on its output), ``gates`` (for each gate of each unit, on its preactivation less the bias), ``vocabulary`` (for
each word, on its embedding). Biases are no variables.

One sample of the weights serves a minibatch; group variables have one for each sequence of it, the same at every step.
Hence the loop over time in training. In a checkpoint the parameters are the masked means with the group variables
multiplied in, a plain LSTM; the variables stand beside them.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import LanguageModel, State
from natural_sparsity.sparsify.masks import TENSORS, prunable
from natural_sparsity.sparsify.method import Gradients, Method, Place

# Names of tensors of a checkpoint: these, then the parameter's or the group's.
MEAN, LOG_SIGMA, MOMENT, SQUARE = "mean.", "log_sigma.", "moment.", "square."
STEPS = "steps"
# Names of groups; layers are counted from 0, as in the parameters' names.
VOCABULARY, EMBEDDING = "vocabulary", "neurons.embedding"
FIRST_LOG_SIGMA = -3.0
# Adam's constants, its authors' and torch's.
DECAY, SQUARE_DECAY, EPSILON = 0.9, 0.999, 1e-8
# Beyond ±this, log α says the same as at the bound; below the epsilon, μ² is no more than noise of rounding.
LARGEST, SMALLEST_SQUARE = 8.0, 1e-8
# Of the approximation of the KL divergence (Molchanov et al. 2017, eq. 14).
K1, K2, K3 = 0.63576, 1.87320, 1.48695


def start(
    settings: dict[str, Any],
    rewound: LanguageModel,
    decides: LanguageModel | None,
    decided: dict[str, Tensor],
    seed: int,
) -> dict[str, Tensor]:
    """Training starts with the dense weights as means."""
    return begun(settings, rewound)


def log_alpha(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """log(σ²/μ²)."""
    return 2 * log_sigma - (mean.square() + SMALLEST_SQUARE).log()


def divergence(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """The KL divergence of each variable from the log-uniform prior, nats, less its limit where all is noise."""
    a = log_alpha(mean, log_sigma).clamp(-LARGEST, LARGEST)
    return 0.5 * functional.softplus(-a) + K1 * (1 - torch.sigmoid(K2 + K3 * a))


def divergence_gradients(mean: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the sum of :func:`divergence` by mean and log σ; 0 where log α is beyond its bounds."""
    a = log_alpha(mean, log_sigma)
    s = torch.sigmoid(K2 + K3 * a)
    slope = (-0.5 * torch.sigmoid(-a) - K1 * K3 * s * (1 - s)).where(a.abs() <= LARGEST, 0.0)
    return slope * -2 * mean / (mean.square() + SMALLEST_SQUARE), 2 * slope


def groups_of(settings: dict[str, Any], model: LanguageModel) -> dict[str, int]:
    """The groups that the settings ask for: the number of variables of each, by name."""
    chosen, widths = settings["groups"], dict(enumerate(model.architecture.hidden))
    sizes = {VOCABULARY: len(model.embedding.weight)} if "vocabulary" in chosen else {}
    if "neurons" in chosen:
        sizes |= {EMBEDDING: model.architecture.embedding}
        sizes |= {f"neurons.{layer}": width for layer, width in widths.items()}
    if "gates" in chosen:
        sizes |= {f"gates.{layer}": 4 * width for layer, width in widths.items()}
    return sizes


def begun(settings: dict[str, Any], model: LanguageModel) -> dict[str, Tensor]:
    """The variables before training: the model's weights as means, group variables at 1, and Adam's state."""
    like = model.output.weight.detach()
    means = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    groups = {name: like.new_ones(size) for name, size in groups_of(settings, model).items()}
    weights = prunable(model, list(TENSORS)) if "weights" in settings["groups"] else {}
    tensors = {MEAN + name: mean for name, mean in (means | groups).items()}
    tensors |= {LOG_SIGMA + name: torch.full_like(mean, FIRST_LOG_SIGMA) for name, mean in (weights | groups).items()}
    state = {kind + name: torch.zeros_like(tensor) for name, tensor in tensors.items() for kind in (MOMENT, SQUARE)}
    return {**tensors, **state, STEPS: like.new_zeros(())}


def kept(tensors: Mapping[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """Of each variable of a checkpoint, by the name of its parameter or group, whether it is kept (boolean)."""
    sigmas = {name.removeprefix(LOG_SIGMA): tensor for name, tensor in tensors.items() if name.startswith(LOG_SIGMA)}
    return {name: log_alpha(tensors[MEAN + name], sigma) < threshold for name, sigma in sigmas.items()}


def effective(tensors: Mapping[str, Tensor], threshold: float) -> dict[str, Tensor]:
    """The parameters of the plain LSTM whose outputs are those of the network of masked means, by name.

    Group variables are multiplied into the weights on either side of their place. All that a removed unit has is 0, its
    biases too, so that its output is 0.
    """
    masks = kept(tensors, threshold)
    means = {name.removeprefix(MEAN): tensor for name, tensor in tensors.items() if name.startswith(MEAN)}
    w = {name: mean * masks[name] if name in masks else mean.clone() for name, mean in means.items()}
    below = w.pop(EMBEDDING, None)
    if VOCABULARY in w:
        w["embedding.weight"] *= w.pop(VOCABULARY)[:, None]
    if below is not None:
        w["embedding.weight"] *= below
        below = (below != 0).to(below.dtype)  # multiplied in already, but nothing shall read a unit that is removed
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


def grouped(
    layer: nn.LSTM, inputs: Tensor, state: tuple[Tensor, ...], gates: Tensor | None, neurons: Tensor | None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """An LSTM layer with group variables that stay the same over the steps (section 2 of the paper).

    Args:
        layer: its weights.
        inputs: (steps, batch, width).
        state: h and c, (1, batch, hidden) each.
        gates: on the preactivations i, f, g, o, (batch, 4 · hidden).
        neurons: on the outputs, which the recurrence reads, (batch, hidden).

    Returns:
        The outputs (steps, batch, hidden) and the state after the last step.
    """
    [[weight_ih, weight_hh, bias_ih, bias_hh]] = layer.all_weights
    bias, into = bias_ih + bias_hh, functional.linear(inputs, weight_ih)
    h, c = (part[0] for part in state)
    outputs = []
    for step in into.unbind():
        preactivation = step + h @ weight_hh.T
        if gates is not None:
            preactivation = preactivation * gates
        i, f, g, o = (preactivation + bias).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        if neurons is not None:
            h = h * neurons
        outputs.append(h)
    return torch.stack(outputs), (h[None], c[None])


class SparseVD(Method):
    """While a step runs, the model's parameters are the sample; after the epoch, the masked means."""

    def __init__(self, settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place):
        super().__init__(settings, model, tensors or begun(settings, model), place)
        self.learning_rate = settings["learning_rate"]
        self.groups = groups_of(settings, model)
        self.samples: dict[str, Tensor] = {}

    @torch.no_grad()
    def before_step(self, step: int) -> None:
        """Draw the weights."""
        for name, parameter in self.model.named_parameters():
            parameter.copy_(self.tensors[MEAN + name])
            if LOG_SIGMA + name in self.tensors:
                parameter.addcmul_(torch.randn_like(parameter), self.tensors[LOG_SIGMA + name].exp())

    def layers(self, embedded: Tensor, inputs: Tensor, state: State) -> tuple[list[Tensor], Tensor, State]:
        """The forward pass under one sample of the group variables a sequence."""
        batch = inputs.shape[1]
        self.samples = {name: self.sampled(name, batch).requires_grad_() for name in self.groups}
        z = self.samples
        if VOCABULARY in z:
            embedded = embedded * z[VOCABULARY].gather(1, inputs.T).T[:, :, None]
        if EMBEDDING in z:
            embedded = embedded * z[EMBEDDING]
        outputs, after = [embedded], []
        for i, (layer, before) in enumerate(zip(self.model.recurrent, state, strict=True)):
            assert isinstance(layer, nn.LSTM)
            gates, neurons, below = z.get(f"gates.{i}"), z.get(f"neurons.{i}"), self.drop(outputs[-1])
            if gates is None and neurons is None:
                hidden, last = layer(below, before)
            else:
                hidden, last = grouped(layer, below, before, gates, neurons)
            outputs.append(hidden)
            after.append(tuple(part.detach() for part in last))
        return outputs, self.drop(outputs[-1]), after

    def sampled(self, name: str, batch: int) -> Tensor:
        """A sample of a group's variables for each sequence (batch, variables)."""
        mean, sigma = self.tensors[MEAN + name], self.tensors[LOG_SIGMA + name].exp()
        return mean + sigma * torch.randn(batch, len(mean), device=mean.device, dtype=mean.dtype)

    def drop(self, tensor: Tensor) -> Tensor:
        """Dropout of this method's rate, in place of the dense model's."""
        return functional.dropout(tensor, self.settings["dropout"])

    def drawn(self) -> Gradients:
        """The group variables."""
        return self.samples

    @torch.no_grad()
    def update(self, gradients: Gradients, words: Tensor | None) -> bool:
        """Take a step of Adam on means and log σ."""
        by = self.by_variables(gradients, words)
        for name in [name for name in by if name.startswith(LOG_SIGMA)]:
            mean = name.replace(LOG_SIGMA, MEAN, 1)
            by_mean, by_sigma = divergence_gradients(self.tensors[mean], self.tensors[name])
            by[mean] = by[mean] + by_mean / self.place.tokens
            by[name] = by[name] + by_sigma / self.place.tokens
        norm = torch.nn.utils.get_total_norm(by.values())
        self.descend(by, (self.settings["clip"] / (norm + 1e-6)).clamp(max=1.0))
        return True

    def by_variables(self, gradients: Gradients, words: Tensor | None) -> Gradients:
        """The loss's gradients by means and log σ; since a sample is μ + σε, that by log σ is the sample's times σε."""
        parameters, by = dict(self.model.named_parameters()), {}
        for name, gradient in gradients.items():
            sample, mean = parameters.get(name, self.samples.get(name)), self.tensors[MEAN + name]
            assert sample is not None
            if name == "embedding.weight" and words is not None:
                gradient = torch.zeros_like(mean).index_copy_(0, words, gradient)
            by[MEAN + name] = gradient if sample.shape == mean.shape else gradient.sum(0)
            if LOG_SIGMA + name in self.tensors:
                noise = gradient * (sample - mean)
                by[LOG_SIGMA + name] = noise if sample.shape == mean.shape else noise.sum(0)
        return by

    def descend(self, gradients: Gradients, scale: Tensor) -> None:
        """A step of Adam (Kingma & Ba 2015) by the gradients times ``scale``."""
        steps = self.tensors[STEPS].add_(1)
        rate = self.settings["learning_rate"] / (1 - DECAY**steps)
        root = (1 - SQUARE_DECAY**steps).sqrt()
        for name, gradient in gradients.items():
            moment, square = self.tensors[MOMENT + name], self.tensors[SQUARE + name]
            gradient = gradient * scale
            moment.lerp_(gradient, 1 - DECAY)
            square.mul_(SQUARE_DECAY).addcmul_(gradient, gradient, value=1 - SQUARE_DECAY)
            self.tensors[name].sub_(rate * moment / (square.sqrt() / root + EPSILON))

    @torch.no_grad()
    def close(self) -> None:
        """The model becomes what its variables stand for."""
        for name, value in effective(self.tensors, self.settings["threshold"]).items():
            self.model.get_parameter(name).copy_(value)


def make(settings: dict[str, Any], model: LanguageModel, tensors: dict[str, Tensor], place: Place) -> Method:
    """Weights and group variables as the settings ask for.

    Raises:
        UserError: the model has no LSTM.
    """
    if model.architecture.cell != "lstm":
        raise UserError(f"sparse_vd is for LSTMs, and this model's cell is {model.architecture.cell}")
    return SparseVD(settings, model, tensors, place)

"""Sparsity averaged over the positions of each word, gathered window by window."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.probing.measures import Measure, measure
from natural_sparsity.probing.softmax import SoftmaxMeasures
from natural_sparsity.training.observation import Observation

ROLES = ("target", "input")


def tensor_names(layers: int) -> list[str]:
    """Name the probed tensors: embedding, recurrent layers, softmax, and the gradients at the same places."""
    activations = ["h_e", *(f"h_{layer}" for layer in range(1, layers + 1)), "x"]
    return activations + [f"grad_{name}" for name in activations]


class WordSums:
    """Sums over the positions of each word, for one role, in double precision.

    ``sums`` (words, ·) has for each tensor: the positions where it is not 0, Σ‖·‖₁, Σ‖·‖₂, Σm for each measure m, then
    Σm² for each. ``positions`` (words,) counts all positions.
    """

    def __init__(self, vocabulary: int, names: list[str], measures: Iterable[str], device: torch.device):
        self.names, self.measures = names, list(measures)
        width = len(names) * (3 + 2 * len(self.measures))
        self.sums = torch.zeros(vocabulary, width, dtype=torch.float64, device=device)
        self.positions = torch.zeros(vocabulary, dtype=torch.float64, device=device)

    def add(self, words: Tensor, terms: Tensor) -> None:
        """Add ``terms`` (positions, …), from :func:`to_terms`, to the rows of ``words`` (positions,)."""
        self.sums.index_add_(0, words, terms)
        self.positions.index_add_(0, words, torch.ones_like(words, dtype=torch.float64))

    def table(self, role: str) -> pd.DataFrame:
        """Return this role's rows of the probe's table: words that occurred, tensor by tensor."""
        positions = self.positions.cpu().numpy().astype(np.int64)
        words = np.flatnonzero(positions)
        sums = self.sums.cpu().numpy().reshape(len(positions), len(self.names), -1)[words]
        defined, l1, l2, *moments = np.moveaxis(sums, 2, 0)
        count = np.repeat(positions[words, None], len(self.names), axis=1)
        columns = {
            "id": np.repeat(words.astype(np.int32), len(self.names)),
            "role": pd.Categorical([role] * count.size, categories=ROLES),
            "tensor": pd.Categorical(self.names * len(words), categories=self.names),
            "count": count.ravel(),
            "zeros": (count - defined.astype(np.int64)).ravel(),
        }
        for i, name in enumerate(self.measures):
            with np.errstate(invalid="ignore"):  # a word whose vectors are all zero has no mean: NaN
                mean = moments[i] / defined
                variance = np.maximum(moments[len(self.measures) + i] / defined - mean**2, 0)
            columns |= {f"{name}_mean": mean.ravel(), f"{name}_variance": variance.ravel()}
        return pd.DataFrame({**columns, "l1_mean": (l1 / count).ravel(), "l2_mean": (l2 / count).ravel()})


def to_terms(values: Tensor) -> Tensor:
    """Turn ``values`` (positions, tensors, 2 + measures) into what :class:`WordSums` adds, (positions, …)."""
    norms, measured = values[:, :, :2], values[:, :, 2:]
    defined = norms[:, :, :1] > 0
    measured = measured.where(defined, 0)
    return torch.cat([defined.double(), norms, measured, measured.square()], 2).flatten(1)


class Gathering:
    """An observer that sums measures of every tensor by word, for both roles; ``loss`` is summed over ``positions``.

    The softmax's output and the loss's gradient with respect to the logits, p − onehot, are measured block by block
    inside the output layer, the other tensors when the window is done.
    """

    def __init__(self, model: RecurrentModel, measures: dict[str, Measure]):
        vocabulary, device = len(model.output.weight), model.output.weight.device
        names = tensor_names(len(model.recurrent))
        self.softmax = SoftmaxMeasures(measures)
        self.sums = {role: WordSums(vocabulary, names, measures, device) for role in ROLES}
        self.loss = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def positions(self) -> int:
        """Positions seen."""
        return int(self.sums["target"].positions.sum())

    def see_block(self, block: SoftmaxBlock) -> None:
        """Measure the softmax at some positions."""
        self.softmax.see_block(block)

    @torch.no_grad()
    def see_window(self, observation: Observation) -> None:
        """Add the window to the sums."""
        terms = to_terms(self.measure_window(observation))
        self.sums["target"].add(observation.targets.flatten(), terms)
        self.sums["input"].add(observation.inputs.flatten(), terms)
        self.loss += observation.losses.double().sum()

    def measure_window(self, observation: Observation) -> Tensor:
        """Return norms and measures at each position, as :func:`measure` gives them, in the order of the names.

        Shape (steps · batch, tensors, 2 + measures), the positions in the order of ``inputs.flatten()``.
        """
        below, above = (
            [measure(tensor.flatten(0, 1), self.softmax.measures) for tensor in tensors]
            for tensors in (observation.outputs, observation.gradients)
        )
        output, gradient = self.softmax.take()
        return torch.stack([*below, output, *above, gradient], 1)

    def table(self) -> pd.DataFrame:
        """Return the probe's table: a row per role, word and tensor."""
        return pd.concat([self.sums[role].table(role) for role in ROLES], ignore_index=True)

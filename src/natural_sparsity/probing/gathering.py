"""Sparsity averaged over the positions of each word, gathered window by window."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from natural_sparsity.model.output_layer import SoftmaxBlock
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.probing.measures import Measure, measure
from natural_sparsity.probing.softmax import measure_softmax
from natural_sparsity.probing.static import STATIC, measure_static
from natural_sparsity.training.observation import Observation

ROLES = ("target", "input")


def tensor_names(layers: int) -> list[str]:
    """Name the probed tensors: embedding, recurrent layers, softmax, and the gradients at the same places."""
    activations = ["h_e", *(f"h_{layer}" for layer in range(1, layers + 1)), "x"]
    return activations + [f"grad_{name}" for name in activations]


class WordSums:
    """Sums over the positions of each word, for one role, in double precision.

    ``sums`` (words, ·) has for each tensor: the positions where it is not 0, Σ‖·‖₁, Σ‖·‖₂, Σm for each measure m, then
    Σm² for each. ``positions`` (words,) counts all positions, ``losses`` (words,) sums their losses, nats.
    """

    def __init__(self, vocabulary: int, names: list[str], measures: Iterable[str], device: torch.device):
        self.names, self.measures = names, list(measures)
        width = len(names) * (3 + 2 * len(self.measures))
        self.sums = torch.zeros(vocabulary, width, dtype=torch.float64, device=device)
        self.positions, self.losses = torch.zeros(2, vocabulary, dtype=torch.float64, device=device)

    def add(self, words: Tensor, terms: Tensor, losses: Tensor) -> None:
        """Add ``terms`` (positions, …), from :func:`to_terms`, and ``losses`` to the rows of ``words`` (positions,)."""
        self.sums.index_add_(0, words, terms)
        self.positions.index_add_(0, words, torch.ones_like(losses))
        self.losses.index_add_(0, words, losses)

    def table(self, role: str) -> pd.DataFrame:
        """Return this role's rows of the probe's table: words that occurred, tensor by tensor."""
        positions = self.positions.cpu().numpy().astype(np.int64)
        words = np.flatnonzero(positions)
        sums = self.sums.cpu().numpy().reshape(len(positions), len(self.names), -1)[words]
        defined, l1, l2, *moments = np.moveaxis(sums, 2, 0)
        count = np.repeat(positions[words, None], len(self.names), axis=1)
        surprisal = self.losses.cpu().numpy()[words] / positions[words]
        columns = {
            "id": np.repeat(words.astype(np.int32), len(self.names)),
            "role": pd.Categorical([role] * count.size, categories=ROLES),
            "tensor": pd.Categorical(self.names * len(words), categories=self.names),
            "count": count.ravel(),
            "zeros": (count - defined.astype(np.int64)).ravel(),
            "surprisal_mean": np.repeat(surprisal, len(self.names)),
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
        self.output = model.output
        vocabulary, device = len(model.output.weight), model.output.weight.device
        names = tensor_names(len(model.recurrent))
        self.measures = measures
        self.sums = {role: WordSums(vocabulary, names, measures, device) for role in ROLES}
        self.loss = torch.zeros((), dtype=torch.float64, device=device)

    @property
    def positions(self) -> int:
        """Positions seen."""
        return int(self.sums["target"].positions.sum())

    def see_block(self, block: SoftmaxBlock) -> Tensor:
        """Measure the softmax at some positions."""
        return measure_softmax(block, self.measures)

    @torch.no_grad()
    def see_window(self, observation: Observation) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return the words of each role, and what to add to their sums."""
        words = {"target": observation.targets.flatten(), "input": observation.inputs.flatten()}
        return words, to_terms(self.measure_window(observation)), observation.losses.double()

    def add(self, seen: tuple[dict[str, Tensor], Tensor, Tensor]) -> None:
        """Add a window to the sums."""
        words, terms, losses = seen
        for role, sums in self.sums.items():
            sums.add(words[role], terms, losses)
        self.loss += losses.sum()

    def measure_window(self, observation: Observation) -> Tensor:
        """Return norms and measures at each position, as :func:`measure` gives them, in the order of the names.

        Shape (steps · batch, tensors, 2 + measures), the positions in the order of ``inputs.flatten()``.
        """
        below, above = (
            [measure(tensor.flatten(0, 1), self.measures) for tensor in tensors]
            for tensors in (observation.outputs, observation.gradients)
        )
        output, gradient = torch.cat(observation.blocks, 1)
        return torch.stack([*below, output, *above, gradient], 1)

    def table(self, static: bool = False) -> pd.DataFrame:
        """Return the probe's table: a row per role, word and tensor.

        ``static``: with the target words' :func:`measure_static` by the model's output weights, which must not have
        moved during the pass.
        """
        tables = [self.sums[role].table(role) for role in ROLES]
        if static:
            tables.append(self.static_rows(tables[0]))
            names = tables[0]["tensor"].cat.categories.union([STATIC], sort=False)
            tables = [table.assign(tensor=table["tensor"].cat.set_categories(names)) for table in tables]
        return pd.concat(tables, ignore_index=True)

    def static_rows(self, target: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of the tensor ``static``, given the role's others: each word has one vector, without spread.

        Where it is 0, it is so at all of the word's positions.
        """
        sums, device = self.sums["target"], self.output.weight.device
        rows = target[target["tensor"] == sums.names[0]]
        words = torch.from_numpy(rows["id"].to_numpy(np.int64)).to(device)
        l1, l2, *values = measure_static(self.output.weight, sums.positions, words, self.measures).cpu().T.numpy()
        measured = {f"{name}_mean": value for name, value in zip(sums.measures, values, strict=True)}
        spread = {f"{name}_variance": np.where(l1 > 0, 0.0, np.nan) for name in sums.measures}
        zeros = rows["count"].where(l1 == 0, 0)
        category = pd.Categorical([STATIC] * len(rows))
        return rows.assign(tensor=category, zeros=zeros, **measured, **spread, l1_mean=l1, l2_mean=l2)

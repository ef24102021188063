"""Bootstrap replicates of a run's correlations and means, computed when asked for.

The resamples of a word set are drawn once. All checkpoints, tensors and roles share them, and so do a run and its
control on shuffled text: the difference of any two values is paired, replicate by replicate. Other sets have other
resamples, except the two sets of pairs, which share theirs: there, pairs are drawn.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from natural_sparsity.analysis.products import ROLES
from natural_sparsity.analysis.statistics import pearson
from natural_sparsity.analysis.word_sets import PAIRED, select_words

# At least so many: the standard error of a 95 % interval's end is then about a fortieth of the value's own.
LEAST_RESAMPLES = 10_000
# Weights that are held as doubles at a time, 64 MB; all of them are held as bytes.
BLOCK = 2**23
STATISTICS = ["pearson", "mean"]


class Resamples:
    """How often each word of each set is drawn in each resample.

    They depend on the seed and the words alone. The first ones are those from which ``correlate`` takes its intervals.

    Args:
        words: ``id`` and what :func:`~natural_sparsity.analysis.word_sets.select_words` needs, a row per id.
        resamples: their number; :data:`LEAST_RESAMPLES` if that is more.
        seed: of the draws.
    """

    def __init__(self, words: pd.DataFrame, resamples: int, seed: int):
        self.sets = select_words(words)
        self.counts = words["count"].to_numpy(float)
        self.resamples, self.seed = max(resamples, LEAST_RESAMPLES), seed
        places = {name: i for i, name in enumerate(self.sets)}
        self.places = places | dict.fromkeys(PAIRED, places[PAIRED[0]])
        self.drawn: dict[int, np.ndarray] = {}

    def draw(self, words: str) -> np.ndarray:
        """The resamples of a word set, (resamples, n); no word is drawn 256 times of n."""
        place, n = self.places[words], len(self.sets[words])
        if place not in self.drawn:
            generator = np.random.default_rng((self.seed, place))
            drawn = np.empty((self.resamples, n), np.uint8)
            for row in drawn:
                row[:] = np.bincount(generator.integers(n, size=n), minlength=n) if n else 0
            self.drawn[place] = drawn
        return self.drawn[place]

    def blocks(self, words: str) -> Iterator[np.ndarray]:
        """Ones, for the estimate itself, then the resamples, a few at a time, as doubles."""
        drawn = self.draw(words)
        yield np.ones((1, drawn.shape[1]))
        rows = max(1, BLOCK // max(1, drawn.shape[1]))
        for start in range(0, len(drawn), rows):
            yield drawn[start : start + rows].astype(float)

    def correlate(self, x: np.ndarray, y: np.ndarray, words: str) -> tuple[np.ndarray, np.ndarray]:
        """Correlations of x (n,) with the columns of y (n, columns), and their means: (1 + resamples, columns) each."""
        parts = [pearson(x[:, None], y, weights) for weights in self.blocks(words)]
        return np.concatenate([rho[0] for rho, _ in parts]), np.concatenate([mean for _, mean in parts])


class Measured:
    """What was measured on one run, as replicates: (1 + resamples,), the estimate first.

    Args:
        means: of each epoch, 0 for the untrained model: (roles, vocabulary, tensors, measures), NaN where missing.
        tensors, measures: the names along its last axes.
        resamples: of the words.
    """

    def __init__(
        self, means: Mapping[int, np.ndarray], tensors: Sequence[str], measures: Sequence[str], resamples: Resamples
    ):
        self.means, self.tensors, self.measures, self.resamples = means, list(tensors), list(measures), resamples
        self.epochs = sorted(means)
        self.known: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]] = {}

    def replicate(
        self, epoch: int, role: str, tensor: str, measure: str, words: str, statistic: str
    ) -> tuple[np.ndarray, int]:
        """The replicates of one statistic (:data:`STATISTICS`), and the number of words that have a value.

        Raises:
            KeyError: it was not measured.
        """
        if epoch not in self.means or tensor not in self.tensors or measure not in self.measures:
            raise KeyError(tensor)
        # Over all words, χ of every tensor is asked for, sooner or later: one product is fastest.
        tensors = self.tensors if (words, measure) == ("all", "chi") else [tensor]
        key = role, measure, words, tensors[0]
        if key not in self.known:
            ids = self.resamples.sets[words]
            columns = [self.tensors.index(name) for name in tensors]
            y = [self.means[e][ROLES.index(role)][ids][:, columns, self.measures.index(measure)] for e in self.epochs]
            values = np.concatenate(y, 1)
            statistics = self.resamples.correlate(self.resamples.counts[ids], values, words)
            self.known[key] = np.stack(statistics, 1).T.copy(), (~np.isnan(values)).sum(0)
        replicates, n = self.known[key]
        column = self.epochs.index(epoch) * len(tensors) + tensors.index(tensor)
        return replicates[column, STATISTICS.index(statistic)], int(n[column])

    def spread(self, epoch: int, role: str, tensor: str) -> float:
        """The sample standard deviation over all words of the mean χ at one tensor."""
        ids = self.resamples.sets["all"]
        y = self.means[epoch][ROLES.index(role), ids, self.tensors.index(tensor), self.measures.index("chi")]
        return float(np.nanstd(y, ddof=1)) if np.isfinite(y).sum() > 1 else np.nan

    def replicate_class(self) -> tuple[np.ndarray, int]:
        """The correlation of log frequency with being of the closed class, over the words that have a class."""
        sets = self.resamples.sets
        closed = np.full((len(sets["all"]), 1), np.nan)
        for value, name in enumerate(("open", "closed")):
            closed[np.isin(sets["all"], sets[name])] = value
        rho, _ = self.resamples.correlate(np.log(self.resamples.counts[sets["all"]]), closed, "all")
        return rho[:, 0], int((~np.isnan(closed)).sum())

"""Measurements made by hand, on which the claims hold or each of them fails. Any test can import this module."""

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from example_products import RUN, VOCABULARY, describe_depth
from natural_sparsity import files
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import judge_all

EPOCHS = range(10)  # 0: untrained
DROP = 4
LEVEL = 0.95
RESAMPLES = 2000
# Standard deviation over words of mean χ.
SPREAD = 0.002
Values = Callable[[int, str, str, str, str, str], float]
# Replicates whose 95 % interval reaches from −1 to 1.
GRID = ndtri((np.arange(RESAMPLES) + 0.5) / RESAMPLES) / ndtri(0.975)


class Made:
    """Measurements made by hand, as :class:`natural_sparsity.analysis.bootstrap.Measured` gives them.

    Args:
        value: of epoch, role, tensor, measure, words, statistic. Of a model of more or fewer layers than two, the top
            one is as its second, and layers between are as its first.
        width: how far each interval reaches to both sides; a mean's in units of :data:`SPREAD`.
        n: words.
        link: the correlation of log frequency with the closed class.
    """

    def __init__(
        self,
        value: Values | None = None,
        width: float = 0.01,
        n: int = 500,
        epochs: Iterable[int] = EPOCHS,
        layers: int = 2,
        link: float = 0.4,
    ):
        self.value, self.width, self.n, self.link = value or as_in_the_paper, width, n, link
        self.epochs, self.tensors, self.top = list(epochs), describe_depth(layers), f"h_{layers}"

    def replicate(
        self, epoch: int, role: str, tensor: str, measure: str, words: str, statistic: str
    ) -> tuple[np.ndarray, int]:
        name = tensor.replace(self.top, "h_2") if tensor.endswith(self.top) else re.sub(r"h_\d+", "h_1", tensor)
        width = self.width * (SPREAD if statistic == "mean" else 1)
        centre = self.value(epoch, role, name, measure, words, statistic)
        return self.scatter(centre, width, (epoch, role, tensor, measure, words, statistic)), self.n

    def spread(self, epoch: int, role: str, tensor: str) -> float:
        return SPREAD

    def replicate_class(self) -> tuple[np.ndarray, int]:
        return self.scatter(self.link, self.width, ("class",)), self.n

    def scatter(self, centre: float, width: float, key: tuple) -> np.ndarray:
        """The estimate and its replicates, which are independent of those of other values."""
        generator = np.random.default_rng(zlib.crc32(repr(key).encode()))
        return centre + width * np.concatenate([[0], generator.permutation(GRID)])


def as_in_the_paper(epoch: int, role: str, tensor: str, measure: str, words: str, statistic: str) -> float:
    """Values on which every claim holds, and in which the untrained model has nothing."""
    name = words.split("_")[0]
    if statistic == "mean":
        return 0.08 + SPREAD * (epoch / 4 + (bool(epoch) and name == "closed"))
    if not epoch:
        return 0.0
    late = max(0, epoch - DROP)
    if measure == "l1":
        return -0.05
    if role == "input":
        return {"h_e": 0.15 + 0.08 * late, "h_1": 0.3 + 0.02 * late}.get(tensor, 0.02)
    if tensor != "grad_h_2":
        return {"h_e": -0.2, "h_1": -0.15}.get(tensor, 0.03)
    return {"open": 0.05 * epoch, "closed": 0.6, "rare": 0.05}.get(name, 0.1 + 0.05 * epoch)


def but(*, to: float | Callable[[int], float], **where: Any) -> Values:
    """The paper's values but for those that ``where`` names; ``to`` is the other value, or a function of the epoch.

    Those of χ by Pearson, of trained models, unless ``where`` says otherwise.
    """

    def value(epoch: int, role: str, tensor: str, measure: str, words: str, statistic: str) -> float:
        here = {"epoch": epoch, "role": role, "tensor": tensor, "measure": measure, "words": words}
        here["statistic"] = statistic
        wanted = {"measure": "chi", "statistic": "pearson"} | where
        if all(here[key] == value for key, value in wanted.items()) and (epoch or "epoch" in where):
            return to(epoch) if callable(to) else to
        return as_in_the_paper(epoch, role, tensor, measure, words, statistic)

    return value


def but_gradient(words: str, to: float | Callable[[int], float], **where: Any) -> Values:
    """The paper's values but for those of the top gradient by target words."""
    return but(role="target", tensor="grad_h_2", words=words, to=to, **where)


# What to make instead, for each claim to fail.
REFUTED: dict[str, dict[str, Any]] = {
    "text: frequent words are function words": {"link": 0.02},
    "training: sparser ∇h²": {"value": but_gradient("all", 0.08, statistic="mean")},
    "input words: concentrated activations": {"value": but(role="input", tensor="h_1", epoch=9, to=-0.3)},
    "input words: not the gradients": {"value": but(role="input", tensor="grad_h_1", epoch=5, to=-0.4)},
    "input words: h¹ quickly, then slowly": {"value": but(role="input", tensor="h_1", to=lambda epoch: 0.11 * epoch)},
    "input words: hᵉ overtakes h¹ late": {"value": but(role="input", tensor="h_e", to=0.9)},
    "input words: rise from the first drop": {"value": but(role="input", tensor="h_e", to=lambda epoch: 0.08 * epoch)},
    "target words: dispersed activations": {"value": but(role="target", tensor="h_e", epoch=9, to=0.3)},
    "target words: not h²": {"value": but(role="target", tensor="h_2", words="all", epoch=2, to=0.2)},
    "target words: strongly ∇h²": {"value": but_gradient("all", 0.25, epoch=9)},
    "target words: strongly only ∇h²": {"value": but(role="target", tensor="grad_h_1", epoch=9, to=0.5)},
    "target words: ∇h² increasingly": {"value": but_gradient("all", 0.4)},
    "target words: strong and increasing only ∇h²": {
        "value": but(role="target", tensor="x", to=lambda epoch: 0.06 * epoch)
    },
    "target words: ∇h² more than h²": {"value": but(role="target", tensor="h_2", words="all", epoch=9, to=0.8)},
    "target words: not ∇x": {"value": but(role="target", tensor="grad_x", words="all", epoch=9, to=0.45)},
    "target words: not the ℓ1 norm": {"value": but(role="target", tensor="grad_h_2", measure="l1", epoch=7, to=-0.3)},
    "target words: more so over frequent words": {"value": but_gradient("rare", 0.55)},
    "classes: closed has sparser ∇h²": {"value": but_gradient("closed", 0.08, statistic="mean")},
    "classes: closed strong early, then steady": {"value": but_gradient("closed", lambda epoch: 0.4 + 0.05 * epoch)},
    "classes: closed is ahead early": {"value": but_gradient("closed", 0.05)},
    "classes: open keeps rising": {"value": but_gradient("open", lambda epoch: min(0.1 * epoch, 0.5))},
    "classes: trends differ": {"value": but_gradient("closed", lambda epoch: 0.3 + 0.05 * epoch)},
    "matched: closed has sparser ∇h²": {"value": but_gradient("closed_matched", 0.08, statistic="mean")},
    "matched: closed is ahead early": {"value": but_gradient("closed_matched", 0.05)},
    "matched: trends differ": {"value": but_gradient("closed_matched", lambda epoch: 0.3 + 0.05 * epoch)},
    "paired: closed has sparser ∇h²": {"value": but_gradient("closed_paired", 0.08, statistic="mean")},
    "paired: closed is ahead early": {"value": but_gradient("closed_paired", 0.05)},
    "paired: trends differ": {"value": but_gradient("closed_paired", lambda epoch: 0.3 + 0.05 * epoch)},
}


def make_run(dropped: Iterable[int] = (DROP,), **options: Any) -> Run:
    """A run of which :class:`Made` ``options`` are measured."""
    return Run(Made(**options), list(dropped))


def make_claims(control: Run | None = None, unit: str = "word", **options: Any) -> pd.DataFrame:
    """The rows of a table of claims, judged on what :func:`make_run` makes of ``options``."""
    return judge_all(make_run(**options), LEVEL, control, unit)


def write_claims(
    path: Path,
    seed: int = 1,
    control: Run | None = None,
    about: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> Path:
    """A table of claims as ``tabulate claims`` writes it, with metadata ``about`` besides that of its run."""
    run = {**RUN, "seed": seed, "condition": "frozen"}
    made_from = {"statistics": {"resamples": RESAMPLES, "level": LEVEL, "seed": 1}, "vocabulary": VOCABULARY}
    made_from |= {"words": "words", "tokens": "tokens", "probe": {}, "control": "mixed" if control else None}
    made_from["unit"] = options.get("unit", "word")
    files.write_parquet(path, make_claims(control, **options).assign(**run), {**run, **made_from, **about})
    return path

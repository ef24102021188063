"""Held-out losses and scores over seeds: means, intervals, and whether a model matches the dense one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity.analysis.products import check_same
from natural_sparsity.analysis.statistics import exponentiate, t_interval
from natural_sparsity.tables.writer import format_interval

# What an evaluation says of its score: the name of the measure, how many digits are shown, and which way is better.
MEASURE = ("measure", "digits", "higher_is_better")
UNTESTABLE = "not testable: one seed"
# The equivalence margin, in the unit of the loss (nats, except for data with another): stated before any comparison.
MARGIN = 0.05
NOT_COMPARED = {**dict.fromkeys(("excess", "excess_low", "excess_high", "power"), float("nan")), "matching": ""}
MATCHING = (
    f"Matching, by the loss above the dense model's, seed by seed: yes if the upper end of its 95 % t interval is below"
    f" {MARGIN}, no if the lower end is above it, otherwise undecided. Power: the chance of a yes, with this many seeds"
    " that spread as much, for a model that is exactly as good as the dense one"
)


def check_measure(values: Mapping[Any, Mapping[str, Any]]) -> None:
    """Refuse evaluations of different data or by different measures; ``values`` are those of each file.

    Raises:
        UserError: two files differ.
    """
    check_same({path: {key: value[key] for key in ("data", "measure")} for path, value in values.items()})


def average_score(group: pd.DataFrame) -> dict[str, Any]:
    """The measure's name and digits, and the mean ``score`` over seeds with the ends of its 95 % t interval.

    A perplexity is the exponential of the mean loss, and so are its ends.

    Args:
        group: ``loss, score`` and :data:`MEASURE`, a row per seed.
    """
    measure = group["measure"].iloc[0]
    if measure == "perplexity":
        score = exponentiate(t_interval(group["loss"].to_numpy()))
    else:
        score = np.array(t_interval(group["score"].to_numpy()))
    named = dict(zip(("score", "score_low", "score_high"), score.tolist(), strict=True))
    return {"measure": measure, "digits": int(group["digits"].iloc[0])} | named


def format_score(row: Mapping[Any, Any]) -> str:
    """A mean score with its interval."""
    return format_interval(row["score"], row["score_low"], row["score_high"], f".{row['digits']}f")


def format_measure(rows: pd.DataFrame) -> str:
    """The measure as the head of a column, of rows that have one or several."""
    names = list(dict.fromkeys(rows["measure"]))
    text = " or ".join(names)
    return text[0].upper() + text[1:]


def compare_losses(losses: pd.Series, dense: pd.Series) -> dict[str, Any]:
    """The loss above the dense model's of the same seed, and whether it is below :data:`MARGIN`.

    ``excess`` with the ends of its 95 % t interval, ``excess_low`` and ``excess_high``; ``matching``, which is ``yes``,
    ``no``, ``undecided`` or why it cannot be told; ``power``, the chance of a ``yes`` if the true excess were 0 and the
    differences spread as they do (NaN for one seed).

    Args:
        losses, dense: losses by seed; every seed of the first is in the second.
    """
    differences = (losses - dense.reindex(losses.index)).to_numpy()
    excess, low, high = t_interval(differences)
    found = {"excess": excess, "excess_low": low, "excess_high": high, "power": find_power(differences)}
    return found | {"matching": judge(low, high)}


def subtract(own: pd.Series, other: pd.Series, name: str) -> dict[str, Any]:
    """How much greater one model's values (losses, scores, correlations) are than another's, over the seeds of both.

    ``name`` is the mean difference; ``name_low`` and ``name_high`` are the ends of its 95 % t interval. ``name_pairs``
    is the number of seeds, ``name_lower`` in how many of them ``own`` is lower. Without a common seed, all are NaN.

    Args:
        own, other: a value by seed, or by seed and what else they share.
        name: what to call the difference.
    """
    keys = [name, f"{name}_low", f"{name}_high", f"{name}_pairs", f"{name}_lower"]
    differences = (own - other).dropna().to_numpy()
    if not len(differences):
        return dict.fromkeys(keys, float("nan"))
    return dict(zip(keys, [*t_interval(differences), len(differences), int((differences < 0).sum())], strict=True))


def format_difference(row: Mapping[Any, Any], name: str, digits: int = 3) -> str:
    """A difference of :func:`subtract` with its interval and count; empty if there is none."""
    if pd.isna(row[name]):
        return ""
    interval = format_interval(row[name], row[f"{name}_low"], row[f"{name}_high"], f"+.{digits}f")
    return f"{interval}, lower in {row[f'{name}_lower']:.0f} of {row[f'{name}_pairs']:.0f}"


def judge(low: float, high: float, margin: float = MARGIN) -> str:
    """Whether what lies between ``low`` and ``high`` is below the margin: yes, no, undecided, or untestable (NaN)."""
    if np.isnan(high):
        return UNTESTABLE
    return "yes" if high < margin else "no" if low > margin else "undecided"


def find_power(differences: np.ndarray, margin: float = MARGIN, level: float = 0.95) -> float:
    """The chance that the upper end of the t interval of new differences is below ``margin``, if their mean is 0.

    They are normal, as many as ``differences``, with the same standard deviation. (mean - margin) / standard error has
    then the noncentral t distribution (Julious 2004, Statistics in Medicine 23, on non-inferiority).
    """
    seeds = len(differences)
    if seeds < 2:
        return float("nan")
    spread = float(np.std(differences, ddof=1))
    if spread < margin * 1e-6:
        return 1.0
    from scipy.special import nctdtr, stdtrit  # here, since only tables over seeds need it

    return float(nctdtr(seeds - 1, -margin * np.sqrt(seeds) / spread, -stdtrit(seeds - 1, (1 + level) / 2)))


def format_power(row: Mapping[Any, Any]) -> str:
    """The power in per cent; empty where nothing is judged."""
    return "" if pd.isna(row["power"]) else f"{row['power']:.0%}".replace("%", " %")


def format_excess(row: Mapping[Any, Any]) -> str:
    """The loss above the dense model's; empty for the dense model itself."""
    if pd.isna(row["excess"]):
        return ""
    return format_interval(row["excess"], row["excess_low"], row["excess_high"], "+.3f")


def sort_by_seed(group: pd.DataFrame, column: str) -> pd.Series:
    """A column by seed."""
    return group.set_index("seed")[column].sort_index()

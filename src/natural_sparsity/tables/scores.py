"""Held-out losses and scores over seeds: means, intervals, and whether a model matches the dense one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity.analysis.products import check_same
from natural_sparsity.analysis.statistics import exponentiate, t_interval

# What an evaluation says of its score: the name of the measure, how many digits are shown, and which way is better.
MEASURE = ("measure", "digits", "higher_is_better")
UNTESTABLE = "not testable: one seed"
MATCHING = (
    "Matching: the mean loss is not above the dense model's by more than the standard deviation of the dense model's"
    " over seeds"
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
    value, *ends = (f"{row[name]:.{row['digits']}f}" for name in ("score", "score_low", "score_high"))
    return value if pd.isna(row["score_low"]) else f"{value} ({' to '.join(ends)})"


def format_measure(rows: pd.DataFrame) -> str:
    """The measure as the head of a column, of rows that have one or several."""
    names = list(dict.fromkeys(rows["measure"]))
    text = " or ".join(names)
    return text[0].upper() + text[1:]


def judge_match(losses: pd.Series, dense: pd.Series) -> str:
    """Whether the mean loss is within the dense model's run-to-run spread of its mean, over the same seeds.

    ``yes``, ``no``, or why it cannot be told. Both are losses by seed.
    """
    spread = float(dense.std(ddof=1)) if len(dense) > 1 else float("nan")
    if len(losses) < 2 or not np.isfinite(spread):
        return UNTESTABLE
    return "yes" if losses.mean() <= dense.reindex(losses.index).mean() + spread else "no"


def sort_by_seed(group: pd.DataFrame, column: str) -> pd.Series:
    """A column by seed."""
    return group.set_index("seed")[column].sort_index()

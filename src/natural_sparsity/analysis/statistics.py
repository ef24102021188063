"""Correlation coefficients of one variable with many, missing values left out pair by pair."""

import numpy as np
from scipy.stats import rankdata


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of x (n,) and y (n,); NaN if either is constant or n < 3."""
    if len(x) < 3:
        return float("nan")
    x, y = x - x.mean(), y - y.mean()
    scale = np.sqrt((x @ x) * (y @ y))
    return float(np.clip(x @ y / scale, -1, 1)) if scale > 0 else float("nan")


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's correlation: Pearson's of the ranks, ties sharing their mean rank."""
    return pearson(rankdata(x), rankdata(y))


def pearson_log(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's correlation of log x and y; x must be positive."""
    return pearson(np.log(x), y)


STATISTICS = {"pearson": pearson, "spearman": spearman, "pearson_log": pearson_log}

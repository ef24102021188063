"""The lottery-ticket table: density against held-out loss, tickets against controls, over seeds.

A sub-network *matches* at a density if, trained for as many epochs in all, its mean loss over seeds is not above the
dense network's by more than the standard deviation of the dense network's over seeds. It *beats its controls* if, seed
by seed, each control's loss is larger, by a difference whose 95 % t interval lies above 0.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from natural_sparsity import files
from natural_sparsity.errors import UserError

LEVEL = 0.95
KEYS = ["family", "method", "role", "level"]
UNTESTABLE = "not testable: one seed"
NOTE = (
    "Perplexity on the test split after the last epoch. Matching: the mean loss is not above the dense model's by more"
    " than the standard deviation of the dense model's over seeds. Beats controls: each control's loss is larger, the"
    " 95 % t interval of the difference by seed above 0."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--evaluations", type=Path, nargs="+", required=True, help="JSON, one a model")
    parser.add_argument("--csv", type=Path, required=True, help="out: CSV")
    parser.add_argument("--markdown", type=Path, required=True, help="out: the same as a Markdown table")


def read_evaluations(paths: Sequence[Path]) -> pd.DataFrame:
    """A row an evaluation: ``family, method, role, level, seed, epoch, density, weights, nonzero, loss``.

    The dense model's family is ``""`` and its role ``dense``.

    Raises:
        UserError: a file is no evaluation, repeats another, or there is no dense model among them.
    """
    rows = []
    for path in paths:
        for value in files.read_json(path, ["evaluations"])["evaluations"]:
            of = {"family": "", "method": "", "role": "dense", "level": 0, **value["sparsify"]}
            numbers = {key: value[key] for key in ("seed", "epoch", "density", "weights", "nonzero", "loss")}
            rows.append({**{key: of[key] for key in KEYS}, **numbers, "path": path})
    frame = pd.DataFrame(rows)
    repeated = frame.duplicated([*KEYS, "seed"])
    if repeated.any():
        raise UserError(f"{frame.loc[repeated, 'path'].iloc[0]}: a second evaluation of the same model and seed")
    if frame["epoch"].nunique() > 1:
        raise UserError(f"{paths[0]}: evaluated after {frame['epoch'].iloc[0]} epochs, others after more or fewer")
    if not (frame["role"] == "dense").any():
        raise UserError("no evaluation of the dense model, which the pruned ones are compared with")
    return frame


def interval(values: np.ndarray) -> tuple[float, float, float]:
    """The mean of ``values`` and the ends of its t interval, which are NaN for fewer than two."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, float("nan"), float("nan")
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean, mean - half, mean + half


def table(evaluations: pd.DataFrame) -> pd.DataFrame:
    """A row for the dense model and for each family, role and level.

    ``density`` is the mean over seeds, counted from the checkpoints; ``loss`` with ``low`` and ``high``, nats per
    token; ``perplexity`` is exp(loss); ``excess`` is the loss above the dense model's of the same seed, with the ends
    of its interval; ``matching`` and ``beats_controls`` are yes, no, or why they cannot be told.
    """
    dense = evaluations[evaluations["role"] == "dense"].set_index("seed")["loss"]
    spread = float(dense.std(ddof=1)) if len(dense) > 1 else float("nan")
    rows = []
    for key, group in evaluations.groupby(KEYS, sort=False):
        losses = group.set_index("seed")["loss"].sort_index()
        loss, low, high = interval(losses.to_numpy())
        excess = interval((losses - dense.reindex(losses.index)).to_numpy())
        of_dense = key[KEYS.index("role")] == "dense"
        rows.append(
            dict(zip(KEYS, key, strict=True))
            | {"density": group["density"].mean(), "nonzero": round(group["nonzero"].mean()), "seeds": len(group)}
            | {"loss": loss, "low": low, "high": high, "perplexity": np.exp(loss)}
            | {"perplexity_low": np.exp(low), "perplexity_high": np.exp(high)}
            | dict(zip(("excess", "excess_low", "excess_high"), excess, strict=True))
            | {"matching": "" if of_dense else matches(losses, dense, spread)}
            | {"beats_controls": beats(losses, controls_of(key, evaluations))}
        )
    return pd.DataFrame(rows).sort_values(KEYS, ignore_index=True)


def matches(losses: pd.Series, dense: pd.Series, spread: float) -> str:
    """Whether the mean loss is within the dense model's run-to-run spread of its mean, over the same seeds."""
    if len(losses) < 2 or not np.isfinite(spread):
        return UNTESTABLE
    return "yes" if losses.mean() <= dense.reindex(losses.index).mean() + spread else "no"


def controls_of(key: tuple, evaluations: pd.DataFrame) -> list[pd.Series]:
    """The losses, by seed, of each control of a ticket; none for what is no ticket."""
    family, _, role, level = key
    if role != "ticket":
        return []
    same = evaluations[(evaluations["family"] == family) & (evaluations["level"] == level)]
    return [group.set_index("seed")["loss"] for name, group in same.groupby("role") if name != "ticket"]


def beats(losses: pd.Series, controls: list[pd.Series]) -> str:
    """Whether every control is worse, seed by seed, beyond doubt; empty where there is no control."""
    if not controls:
        return ""
    if len(losses) < 2:
        return UNTESTABLE
    ends = [interval((control.reindex(losses.index) - losses).to_numpy())[1] for control in controls]
    return "yes" if min(ends) > 0 else "no"


def markdown(rows: pd.DataFrame) -> str:
    """The table as Markdown, with the meaning of its columns."""
    columns = "Model, Role, Density, Weights left, Seeds, Perplexity (95 %), Loss above dense in nats (95 %), Matching"
    titles = [*columns.split(", "), "Beats controls"]
    lines = [titles, ["---"] * len(titles)]
    for row in rows.to_dict("records"):
        perplexity, excess = f"{row['perplexity']:.1f}", f"{row['excess']:+.3f}"
        if row["seeds"] > 1:
            perplexity += f" ({row['perplexity_low']:.1f} to {row['perplexity_high']:.1f})"
            excess += f" ({row['excess_low']:+.3f} to {row['excess_high']:+.3f})"
        if row["role"] == "dense":
            excess = ""
        numbers = [f"{row['density']:.4g}", f"{row['nonzero']:,}", str(row["seeds"]), perplexity, excess]
        lines.append([row["family"] or "dense", row["role"], *numbers, row["matching"], row["beats_controls"]])
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", NOTE, ""])


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    rows = table(read_evaluations(args.evaluations))
    with files.atomic(args.csv) as path:
        rows.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(rows), encoding="utf-8")

"""When words are acquired and forgotten, whether sparsity leads or lags, and what of ρ surprisal and norms explain."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity.analysis.acquisition import FREQUENCIES, GIVEN, LEAST_CHANGE, SUMMARISED, read_products, summarise
from natural_sparsity.analysis.products import GROUP
from natural_sparsity.analysis.statistics import t_interval
from natural_sparsity.analysis.tensors import write_tensor
from natural_sparsity.config.base import read_block
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.corpus.vocabulary import UNITS, in_units
from natural_sparsity.tables.writer import Grid, Table

PARTIAL = ["epoch", "role", "tensor", "statistic", "given"]
NUMBERS = ["value", "low", "high", "n"]
SETS = {
    "all": "All",
    "open": "Open class",
    "closed": "Closed class",
    "open_matched": "Open, matched",
    "closed_matched": "Closed, matched",
}
ARROWS = {"target": "ρ←", "input": "ρ→"}
HEADS = {"": "ρ", "surprisal": "given surprisal", "log l2": "given log ℓ2 norm", "surprisal, log l2": "given both"}
# By the end of a quantity's name: the scale on which seeds are averaged, and the way back.
CORRELATION = "pearson"
FISHER = (lambda rho: np.arctanh(np.clip(rho, -0.9999, 0.9999)), np.tanh)
SHARE = (lambda share: share, lambda share: np.clip(share, 0, 1))
PLAIN = (lambda value: value, lambda value: value)
SCALES: dict[str, tuple[Callable, Callable]] = {
    "age": (np.log, np.exp),
    **dict.fromkeys(["spearman", "pearson_log", CORRELATION], FISHER),
    **dict.fromkeys(["acquired", "earlier", "forgotten", "changed", "leads"], SHARE),
    "": PLAIN,
}
NOTE = (
    "Age of acquisition, in the manner of Chang & Bergen 2022: the tokens seen in training when a {unit}'s mean"
    " surprisal has fallen half-way from its untrained to its lowest value. The curve is the monotone one nearest to"
    " the checkpoints, straight over log tokens between them. A {unit} is acquired if its lowest surprisal is at least"
    " one bit (0.69 nats) below its untrained one. Rare {unit}s may never be: training first takes probability from"
    " them. If a {unit} is past half-way at the first trained checkpoint, medians and rank correlations take that"
    " checkpoint as its age (≤: at most). A {unit} is forgotten if its last surprisal is above the half-way level"
    " again. The measure's change, from its untrained to its last value, is dated by the same rule if it is at least"
    " {change:.0%} of the untrained value. Part of that change can be common to all {unit}s. So the measure minus its"
    " mean over all {unit}s at the checkpoint is dated too, with the same threshold. Lead and lag compare half-way"
    " points: they say which curve was first through half of its own change, not which causes the other, and are no"
    " finer than the checkpoints. Surprisal is measured on the probed text: on the training split, an acquired {unit}"
    " may only be memorised. “Given” marks partial correlations: the linear effect of the mean surprisal at the same"
    " positions, of the log of the tensor's mean ℓ2 norm, or of both is removed."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--acquisition", type=Path, nargs="+", required=True, help="Parquet, one file per seed")
    parser.add_argument("--partials", type=Path, nargs="+", required=True, help="Parquet, one file per seed")
    parser.add_argument(
        "--unit", choices=UNITS, default="word", help="what the data's tokens are (default %(default)s)"
    )


def tabulate(args: argparse.Namespace) -> Table:
    """A row for each summary over words, and for each partial correlation after the last epoch; over seeds, if several.

    Raises:
        UserError: the files are not of the same seeds of one run under one condition.
    """
    words, partials, about = read_products(args.acquisition, args.partials)
    settings, first = read_block(Statistics, about["statistics"], "statistics"), about["course"][1]["tokens"]
    summaries = [summarise(frame, first, settings) for frame in words.values()]
    last = [frame[frame["epoch"] == frame["epoch"].max()] for frame in partials.values()]
    rows = pd.concat([average(summaries, ["quantity", "words"]), average(last, PARTIAL)], ignore_index=True)
    rows = rows[["quantity", "words", *PARTIAL, *NUMBERS]].astype({"epoch": "Int64", "n": "Int64"})
    frame = rows.assign(seeds=len(words), **{key: about[key] for key in GROUP})
    return Table(
        frame,
        [lay_out_summary(frame, write_measure(about), first, args.unit), *lay_out_partials(frame)],
        introduce(about, len(words), args.unit),
        NOTE.format(unit=args.unit, change=LEAST_CHANGE),
    )


def average(seeds: Sequence[pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """The mean of ``value`` over seeds with its t interval, and the least ``n``; one seed: as it is.

    Ages are averaged as logs, correlations on Fisher's scale; no end of a share's interval is beyond 0 or 1.
    """
    if len(seeds) == 1:
        return seeds[0]
    rows = []
    for key, part in pd.concat(seeds).groupby(keys, sort=False):
        quantity = str(key[0]) if keys[0] == "quantity" else CORRELATION
        there, back = next(scale for end, scale in SCALES.items() if quantity.endswith(end))
        ends = back(np.array(t_interval(there(part["value"].to_numpy(float)))))
        rows.append((*key, *ends, part["n"].min()))
    return pd.DataFrame(rows, columns=[*keys, *NUMBERS])


def write_measure(about: Mapping[str, Any]) -> str:
    """The measure of the gradient, as readers see it."""
    measure = "χ" if about["measure"] == "chi" else about["measure"]
    return f"{measure}({write_tensor(about['tensor'])})"


def introduce(about: Mapping[str, Any], seeds: int, unit: str) -> str:
    """What the numbers are of, and what their intervals are."""
    course, statistics = about["course"], about["statistics"]
    intervals = (
        f"Brackets hold {100 * statistics['level']:g} % intervals from {statistics['resamples']:,} bootstrap resamples"
        f" of the {unit}s of one seed, which is one draw"
        if seeds == 1
        else f"Means over {seeds} seeds; brackets hold their 95 % t intervals"
    )
    tokens = ", ".join(f"{time['tokens']:,}" for time in course)
    return (
        f"{about['data']}, {about['model']}: {len(course)} checkpoints, after {tokens} tokens. {intervals}."
        f" Parentheses hold the number of {unit}s."
    )


def format_cell(row: Mapping[Any, Any], first: int = 0) -> str:
    """A value with its interval and the number of words; a dash where it is undefined.

    An age of ``first`` tokens, those of the first trained checkpoint, is an upper bound.
    """
    if pd.isna(row["value"]):
        return f"– ({row['n']:,})"
    is_age = str(row["quantity"]).endswith("age")
    value, low, high = (f"{row[name]:,.0f}" if is_age else f"{row[name]:z.2f}" for name in ("value", "low", "high"))
    value = f"≤ {value}" if is_age and round(row["value"]) <= first else value
    interval = "" if pd.isna(row["low"]) else f" [{low}, {high}]"
    return f"{value}{interval} ({row['n']:,})".replace("-", "−")


def lay_out_summary(frame: pd.DataFrame, measure: str, first: int, unit: str) -> Grid:
    """A row per quantity, a column per set of words or whatever ``unit`` tokens are."""
    cells = {
        (row["quantity"], row["words"]): format_cell(row, first)
        for row in frame.dropna(subset="words").to_dict("records")
    }
    names = {key: in_units(name, unit).format(measure=measure) for key, name in SUMMARISED.items()}
    lines = [[name, *(cells[key, words] for words in SETS)] for key, name in names.items()]
    return Grid(["", *SETS.values()], lines, "**Acquisition**")


def lay_out_partials(frame: pd.DataFrame) -> list[Grid]:
    """A grid for raw and for log frequency: a row per role and tensor, a column per thing given."""
    rows = frame[frame["words"].isna()]
    grids = []
    for statistic, frequency in FREQUENCIES.items():
        lines = []
        for key, part in rows[rows["statistic"] == statistic].groupby(["role", "tensor"], sort=False):
            role, tensor = map(str, key)
            cells = {row["given"]: format_cell(row) for row in part.to_dict("records")}
            lines.append([f"{ARROWS[role]}({write_tensor(tensor)})", *(cells[given] for given in GIVEN)])
        caption = (
            f"**Pearson's correlation with {frequency}, and partial correlations, after epoch {rows['epoch'].max()}**"
        )
        grids.append(Grid(["", *(HEADS[given] for given in GIVEN)], lines, caption))
    return grids

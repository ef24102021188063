"""Whether the units that carry the concentration of activations and gradients are those that keep their weights.

Spearman's correlation, over the units of a layer, of what a unit carries in the dense model after its last epoch with
the share of its weights, or of its gates, that a pruned model keeps, and with whether it keeps the unit at all; taken
seed by seed. A mask drawn at random is the null: there the correlation is 0 but for chance. How far chance alone takes
it is also seen by permuting the units.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from natural_sparsity import files
from natural_sparsity.analysis.statistics import interval as percentile_interval
from natural_sparsity.analysis.statistics import resampling_weights, spearman
from natural_sparsity.errors import UserError
from natural_sparsity.sparsify.lottery import interval

# What a unit carries: its part in the mean of χ², and its mean magnitude.
QUANTITIES = {"part": "part in χ²", "size": "mean magnitude"}
# What a pruned model keeps of a unit.
SIDES = {
    "incoming": "incoming weights",
    "outgoing": "outgoing weights",
    "gates": "gates that read",
    "neuron": "left, or removed",
}
KEYS = ["model", "family", "role", "level", "layer", "tensor", "quantity", "side"]
RESAMPLES, LEVEL = 1000, 0.95
NOTE = (
    "Spearman's ρ over the units of a layer, between what a unit carries in the dense model after its last epoch and"
    " the share of its weights that the pruned model keeps; the mean over seeds and its 95 % t interval, on Fisher's"
    " scale (of one seed, a bootstrap interval over units). Part: the unit's part in the mean of χ². Magnitude: its"
    " mean |v_u|. Incoming weights are those of the unit's own gates (of the embedding: its column), outgoing those"
    " that read it. Gates that read: the share of the unit's four gates that are not constant. Left, or removed: 1 or 0"
    " (a positive ρ: units that carry little are removed). Chance: 95 % of the means over seeds where units are"
    " permuted."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--units", type=Path, nargs="+", required=True, help="Parquet, one a model and seed")
    parser.add_argument("--models", nargs="+", required=True, help="the models' names, in the order of --units")
    parser.add_argument("--csv", type=Path, required=True, help="out: a row a model, layer, tensor, quantity and side")
    parser.add_argument("--markdown", type=Path, required=True, help="out: the same, to be read")


def read_units(paths: Sequence[Path], models: Sequence[str]) -> pd.DataFrame:
    """The units of all files: their columns, ``model, family, role, level, seed``; the dense family is ``""``.

    Raises:
        UserError: a model and seed come twice, conditions differ, or there is no dense model.
    """
    frames: list[pd.DataFrame] = []
    conditions = {}
    columns = ["layer", "tensor", "unit", *QUANTITIES, *SIDES, *(f"{side}_kept" for side in SIDES)]
    for path, model in zip(paths, models, strict=True):
        metadata = files.read_metadata(path)
        conditions[metadata["condition"]] = path
        of = {"family": "", "role": "dense", "level": 0, **metadata["sparsify"]}
        of = {key: of[key] for key in ("family", "role", "level")} | {"model": model, "seed": metadata["seed"]}
        frames.append(files.read_parquet(path, columns).assign(**of))
    if len(conditions) > 1:
        raise UserError(f"{', '.join(map(str, conditions.values()))}: are of several conditions; give those of one")
    together = pd.concat(frames, ignore_index=True)
    repeated = together.duplicated(["model", "seed", "tensor", "unit"])
    if repeated.any():
        raise UserError(f"{together.loc[repeated, 'model'].iloc[0]}: given twice for one seed")
    if not (together["role"] == "dense").any():
        raise UserError("no units of the dense model, whose are compared with what is pruned")
    return together


def table(units: pd.DataFrame) -> pd.DataFrame:
    """A row for each of :data:`KEYS`: ``rho`` with ``low`` and ``high``, ``units``, ``seeds``, and the share ``kept``.

    ``chance_low``, ``chance_high``: between which 95 % of ρ lie if what is kept is permuted over the units.
    ``null``, ``null_low``, ``null_high``: the same of the family's random mask at the level; ``excess`` is ρ less that,
    seed by seed, with its interval; empty without one.
    """
    dense = units[units["role"] == "dense"]
    carried = dense.melt(
        ["seed", "layer", "tensor", "unit"], list(QUANTITIES), var_name="quantity", value_name="carried"
    )
    rows, by_seed = [], {}
    for key, pruned in units[units["role"] != "dense"].groupby(["model", "family", "role", "level"], sort=False):
        # A layer's weights stand beside both of its tensors; activations' rows are taken.
        weights = pruned[pruned["tensor"] == pruned["layer"]]
        together = carried.merge(weights[["seed", "layer", "unit", *SIDES, *(f"{s}_kept" for s in SIDES)]])
        for where, group in together.groupby(["layer", "tensor", "quantity"], sort=False):
            for side in SIDES:
                name = dict(zip(KEYS, (*key, *where, side), strict=True))
                kept = (group[f"{side}_kept"] / group[side]).where(group[side] > 0)
                varies = kept.groupby(group["seed"]).transform("nunique") > 1
                if not varies.any():
                    continue  # nothing is pruned there, or there is nothing of the kind
                found = by_units(group.assign(kept=kept)[varies])
                by_seed[tuple(name.values())] = found["rho"]
                rows.append(name | summary(found) | {"kept": kept.mean()})
    frame = pd.DataFrame(rows)
    if frame.empty:
        raise UserError("no model has pruned weights, so there is nothing to compare the units with")
    return frame.assign(**nulls(frame, by_seed))


def by_units(group: pd.DataFrame) -> dict[str, Any]:
    """ρ by seed, the bootstrap interval over units of its mean over seeds, its range by chance, and how many units."""
    replicates, chance, rho = [], [], {}
    for seed, part in group.dropna(subset="carried").groupby("seed"):
        weights = resampling_weights(len(part), RESAMPLES, (int(str(seed)),))
        values = spearman(part["carried"].to_numpy(), part[["kept"]].to_numpy(), weights)[:, 0]
        rho[seed] = values[0]
        replicates.append(values[1:])
        chance.append(permuted(part["carried"].to_numpy(), part["kept"].to_numpy(), int(str(seed))))
    low, high = percentile_interval(np.mean(replicates, 0)[:, None], LEVEL)
    ends = np.quantile(np.mean(chance, 0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    by_chance = {"chance_low": ends[0], "chance_high": ends[1]}
    return {"rho": pd.Series(rho), "low": low[0], "high": high[0], **by_chance, "units": group["unit"].nunique()}


def permuted(carried: np.ndarray, kept: np.ndarray, seed: int) -> np.ndarray:
    """ρ where ``kept`` is permuted over the units, :data:`RESAMPLES` times."""
    generator = np.random.default_rng(seed)
    x, y = (rank - rank.mean() for rank in (rankdata(carried), rankdata(kept)))
    shuffled = generator.permuted(np.tile(y, (RESAMPLES, 1)), axis=1)
    return shuffled @ x / np.sqrt((x**2).sum() * (y**2).sum())


def over_seeds(rho: pd.Series) -> tuple[float, float, float]:
    """The mean and its t interval, on Fisher's scale atanh ρ, so that no end is beyond ±1."""
    mean, low, high = np.tanh(interval(np.arctanh(rho.clip(-0.9999, 0.9999).to_numpy())))
    return float(mean), float(low), float(high)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """The mean over seeds and its interval: over seeds where there are two or more, over units of one."""
    rho, low, high = over_seeds(found["rho"])
    ends = (low, high) if len(found["rho"]) > 1 else (found["low"], found["high"])
    over_units = {"units_low": found["low"], "units_high": found["high"]}
    return {
        "rho": rho,
        "low": ends[0],
        "high": ends[1],
        **over_units,
        "chance_low": found["chance_low"],
        "chance_high": found["chance_high"],
        "units": found["units"],
        "seeds": len(found["rho"]),
    }


def nulls(frame: pd.DataFrame, by_seed: dict[tuple, pd.Series]) -> dict[str, np.ndarray]:
    """Of each row, the random mask's correlation of its family and level, and the excess over it, with intervals."""
    rows = []
    index = {name: i for i, name in enumerate(KEYS)}
    for key in by_seed:
        of = [k for k in by_seed if k[index["role"]] == "random_mask" and k != key and same_place(k, key)]
        null = by_seed[of[0]] if of else pd.Series(dtype=float)
        excess = (by_seed[key] - null).dropna() if of else null
        missing = (np.nan,) * 3
        ends = (over_seeds(null), interval(excess.to_numpy())) if of else (missing, missing)
        rows.append([*ends[0], *ends[1]])
    names = ["null", "null_low", "null_high", "excess", "excess_low", "excess_high"]
    return dict(zip(names, np.array(rows).T, strict=True))


def same_place(a: tuple, b: tuple) -> bool:
    """Whether two keys are of one family and level, at one layer, tensor, quantity and side."""
    alike = [i for i, name in enumerate(KEYS) if name not in ("model", "role")]
    return all(a[i] == b[i] for i in alike)


def markdown(rows: pd.DataFrame) -> str:
    """A table a model that is no control: a line a tensor and quantity, what is kept, and beside it the null.

    Where there is no random mask, the null is what permutations of the units give.
    """
    lines = []
    for model, part in rows[rows["role"] != "random_mask"].groupby("model", sort=False):
        kept = part.drop_duplicates(["layer", "side"])
        shares = ", ".join(f"{row['layer']} {row['side']} {row['kept']:.0%}" for row in kept.to_dict("records"))
        lines += [f"**{model}** (kept: {shares}; {part['seeds'].iloc[0]} seeds)", ""]
        sides = [side for side in SIDES if (part["side"] == side).any()]
        null = "chance" if part["null"].isna().all() else "random mask"
        heads = ["tensor", "carries", "units", *(name for side in sides for name in (f"{SIDES[side]}, ρ", null))]
        lines += ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
        for (tensor, quantity), two in part.groupby(["tensor", "quantity"], sort=False):
            cells = [str(tensor), QUANTITIES[str(quantity)], str(two["units"].iloc[0])]
            for side in sides:
                here = two[two["side"] == side]
                beside = chance if null == "chance" else lambda row: cell(row, "null")
                cells += [cell(here, ""), beside(here)] if len(here) else ["", ""]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join([*lines, NOTE, ""])


def cell(row: pd.DataFrame, name: str) -> str:
    """A correlation with its interval."""
    prefix = f"{name}_" if name else ""
    value, low, high = (row[column].item() for column in (name or "rho", f"{prefix}low", f"{prefix}high"))
    if np.isnan(value):
        return ""
    return (f"{value:z.2f}" + ("" if np.isnan(low) else f" [{low:z.2f}, {high:z.2f}]")).replace("-", "−")


def chance(row: pd.DataFrame) -> str:
    """The range that permutations give."""
    return f"{row['chance_low'].item():z.2f} to {row['chance_high'].item():z.2f}".replace("-", "−")


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    if len(args.units) != len(args.models):
        raise UserError(f"{len(args.units)} --units and {len(args.models)} --models; give as many")
    rows = table(read_units(args.units, args.models))
    with files.atomic(args.csv) as path:
        rows.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(rows), encoding="utf-8")

"""Do the units that carry the concentration of activations and gradients keep their weights?

Spearman's correlation, over the units of a layer, between what a unit carries in the dense model after its last epoch
and the share of its weights, or of its gates, that a pruned model keeps, or whether it keeps the unit at all; taken
seed by seed. A random mask is the null: there the correlation is 0 up to chance. How far chance alone takes it is also
seen by permuting the units.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from natural_sparsity import files
from natural_sparsity.analysis.products import check_epochs, check_same, find_place, read_origin
from natural_sparsity.analysis.statistics import percentile_interval, resampling_weights, spearman, t_interval
from natural_sparsity.analysis.units import QUANTITIES, SIDES
from natural_sparsity.errors import UserError
from natural_sparsity.tables.writer import Grid, Table

MODEL = ["model", "family", "role", "level"]
PLACE = ["layer", "tensor", "quantity", "side"]
KEYS = [*MODEL, *PLACE]
# What all files must have in common.
SAME = ("data", "condition", "probe", "tokens")
RESAMPLES, LEVEL = 1000, 0.95
NOTE = (
    "Spearman's ρ over the units of a layer, between what a unit carries in the dense model after its last epoch and"
    " the share of its weights that the pruned model keeps; the mean over seeds and its 95 % t interval, on Fisher's"
    " scale (for one seed, a bootstrap interval over units). Part: the unit's part in the mean of χ². Magnitude: its"
    " mean |v_u|. Incoming weights are those of the unit's own gates (of an embedding unit: its column), outgoing"
    " those that read it. Gates that read: the share of the unit's four gates that are not constant. Left, or"
    " removed: 1 or 0 (a positive ρ: units that carry little are removed). Chance: 95 % of the means over seeds when"
    " units are permuted."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the table's inputs."""
    parser.add_argument("--units", type=Path, nargs="+", required=True, help="Parquet, one file per model and seed")


def tabulate(args: argparse.Namespace) -> Table:
    """The table of all models, and a grid for each."""
    rows = compare(read_units(args.units))
    return Table(rows, list(lay_out(rows)), note=NOTE)


def read_units(paths: Sequence[Path]) -> pd.DataFrame:
    """The units of all files: their columns, ``model, family, role, level, seed``; the dense family is ``""``.

    Raises:
        UserError: a model and seed come twice, data, conditions or probe settings differ, seeds of a model are after
            different epochs, or there is no dense model.
    """
    origins = {path: read_origin(path, ["epoch", "sparsify", *SAME], "units") for path in paths}
    check_same({path: {key: metadata[key] for key in SAME} for path, (_, metadata) in origins.items()})
    check_epochs({path: metadata for path, (_, metadata) in origins.items()})
    columns = ["layer", "tensor", "unit", *QUANTITIES, *SIDES, *(f"{side}_kept" for side in SIDES)]
    frames: list[pd.DataFrame] = []
    for path in paths:
        origin, metadata = origins[path]
        place = {key: value for key, value in find_place(metadata["sparsify"]).items() if key != "method"}
        frames.append(files.read_parquet(path, columns).assign(**place, model=origin.model, seed=origin.seed))
    together = pd.concat(frames, ignore_index=True)
    repeated = together.duplicated(["model", "seed", "tensor", "unit"])
    if repeated.any():
        raise UserError(f"{together.loc[repeated, 'model'].iloc[0]}: given twice for one seed")
    if not (together["role"] == "dense").any():
        raise UserError("no units of the dense model, which the pruned ones are compared with")
    return together


def compare(units: pd.DataFrame) -> pd.DataFrame:
    """A row for each of :data:`KEYS`: ``rho`` with ``low`` and ``high``, ``units``, ``seeds``, and the share ``kept``.

    ``chance_low``, ``chance_high``: between them lie 95 % of ρ if what is kept is permuted over the units.
    ``null``, ``null_low``, ``null_high``: the same for the family's random mask at the level; ``excess`` is ρ minus
    that, seed by seed, with its interval; empty without one.
    """
    dense = units[units["role"] == "dense"]
    carried = dense.melt(
        ["seed", "layer", "tensor", "unit"], list(QUANTITIES), var_name="quantity", value_name="carried"
    )
    rows, by_seed = [], {}
    for key, pruned in units[units["role"] != "dense"].groupby(MODEL, sort=False):
        # A layer's weights are listed with both of its tensors; the activations' rows are taken.
        weights = pruned[pruned["tensor"] == pruned["layer"]]
        together = carried.merge(weights[["seed", "layer", "unit", *SIDES, *(f"{s}_kept" for s in SIDES)]])
        for where, group in together.groupby(["layer", "tensor", "quantity"], sort=False):
            for side in SIDES:
                name = dict(zip(KEYS, (*key, *where, side), strict=True))
                kept = (group[f"{side}_kept"] / group[side]).where(group[side] > 0)
                varies = kept.groupby(group["seed"]).transform("nunique") > 1
                if not varies.any():
                    continue  # nothing is pruned there, or the layer has nothing of the kind
                result = correlate_units(group.assign(kept=kept)[varies])
                by_seed[tuple(name.values())] = result["rho"]
                rows.append(name | summarise(result) | {"kept": kept.mean()})
    frame = pd.DataFrame(rows)
    if frame.empty:
        raise UserError("no model has pruned weights, so there is nothing to compare the units with")
    return frame.assign(**compare_with_null(by_seed))


def correlate_units(group: pd.DataFrame) -> dict[str, Any]:
    """ρ by seed, the bootstrap interval over units of its mean over seeds, its range by chance, and how many units."""
    replicates, chance, rho = [], [], {}
    for seed, part in group.dropna(subset="carried").groupby("seed"):
        weights = resampling_weights(len(part), RESAMPLES, (int(str(seed)),))
        values = spearman(part["carried"].to_numpy(), part[["kept"]].to_numpy(), weights)[:, 0]
        rho[seed] = values[0]
        replicates.append(values[1:])
        chance.append(permute(part["carried"].to_numpy(), part["kept"].to_numpy(), int(str(seed))))
    low, high = percentile_interval(np.mean(replicates, 0)[:, None], LEVEL)
    ends = np.quantile(np.mean(chance, 0), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    by_chance = {"chance_low": ends[0], "chance_high": ends[1]}
    return {"rho": pd.Series(rho), "low": low[0], "high": high[0], **by_chance, "units": group["unit"].nunique()}


def permute(carried: np.ndarray, kept: np.ndarray, seed: int) -> np.ndarray:
    """ρ when ``kept`` is permuted over the units, :data:`RESAMPLES` times."""
    generator = np.random.default_rng(seed)
    x, y = (rank - rank.mean() for rank in (rankdata(carried), rankdata(kept)))
    shuffled = generator.permuted(np.tile(y, (RESAMPLES, 1)), axis=1)
    return shuffled @ x / np.sqrt((x**2).sum() * (y**2).sum())


def average_rho(rho: pd.Series) -> tuple[float, float, float]:
    """The mean over seeds and its t interval, on Fisher's scale atanh ρ, so that no end is beyond ±1."""
    mean, low, high = np.tanh(t_interval(np.arctanh(rho.clip(-0.9999, 0.9999).to_numpy())))
    return float(mean), float(low), float(high)


def summarise(result: dict[str, Any]) -> dict[str, Any]:
    """The mean over seeds and its interval: over seeds if there are two or more, over units if there is one."""
    rho, low, high = average_rho(result["rho"])
    ends = (low, high) if len(result["rho"]) > 1 else (result["low"], result["high"])
    over_units = {"units_low": result["low"], "units_high": result["high"]}
    return {
        "rho": rho,
        "low": ends[0],
        "high": ends[1],
        **over_units,
        "chance_low": result["chance_low"],
        "chance_high": result["chance_high"],
        "units": result["units"],
        "seeds": len(result["rho"]),
    }


def compare_with_null(by_seed: dict[tuple, pd.Series]) -> dict[str, np.ndarray]:
    """For each row, the random mask's correlation of its family and level, and the excess over it, with intervals."""
    rows = []
    index = {name: i for i, name in enumerate(KEYS)}
    for key in by_seed:
        masks = [k for k in by_seed if k[index["role"]] == "random_mask" and k != key and is_same_place(k, key)]
        null = by_seed[masks[0]] if masks else pd.Series(dtype=float)
        excess = (by_seed[key] - null).dropna() if masks else null
        missing = (np.nan,) * 3
        ends = (average_rho(null), t_interval(excess.to_numpy())) if masks else (missing, missing)
        rows.append([*ends[0], *ends[1]])
    names = ["null", "null_low", "null_high", "excess", "excess_low", "excess_high"]
    return dict(zip(names, np.array(rows).T, strict=True))


def is_same_place(a: tuple, b: tuple) -> bool:
    """Whether two keys share family, level, layer, tensor, quantity and side."""
    alike = [i for i, name in enumerate(KEYS) if name not in ("model", "role")]
    return all(a[i] == b[i] for i in alike)


def lay_out(rows: pd.DataFrame) -> Iterator[Grid]:
    """A grid for each model that is no control: a row per tensor and quantity, what is kept, and next to it the null.

    Where there is no random mask, the null is what permutations of the units give.
    """
    for model, part in rows[rows["role"] != "random_mask"].groupby("model", sort=False):
        kept = part.drop_duplicates(["layer", "side"])
        shares = ", ".join(f"{row['layer']} {row['side']} {row['kept']:.0%}" for row in kept.to_dict("records"))
        sides = [side for side in SIDES if (part["side"] == side).any()]
        by_chance = part["null"].isna().all()
        null = "chance" if by_chance else "random mask"
        heads = ["tensor", "carries", "units", *(name for side in sides for name in (f"{SIDES[side]}, ρ", null))]
        lines = []
        for (tensor, quantity), two in part.groupby(["tensor", "quantity"], sort=False):
            cells = [str(tensor), QUANTITIES[str(quantity)], str(two["units"].iloc[0])]
            for side in sides:
                here = two[two["side"] == side]
                format_reference = format_chance if by_chance else format_null
                cells += [format_rho(here), format_reference(here)] if len(here) else ["", ""]
            lines.append(cells)
        yield Grid(heads, lines, f"**{model}** (kept: {shares}; {part['seeds'].iloc[0]} seeds)")


def format_rho(row: pd.DataFrame, name: str = "rho", prefix: str = "") -> str:
    """A correlation with its interval."""
    value, low, high = (row[column].item() for column in (name, f"{prefix}low", f"{prefix}high"))
    if np.isnan(value):
        return ""
    return (f"{value:z.2f}" + ("" if np.isnan(low) else f" [{low:z.2f}, {high:z.2f}]")).replace("-", "−")


def format_null(row: pd.DataFrame) -> str:
    """The random mask's correlation with its interval."""
    return format_rho(row, "null", "null_")


def format_chance(row: pd.DataFrame) -> str:
    """The range that permutations give."""
    return f"{row['chance_low'].item():z.2f} to {row['chance_high'].item():z.2f}".replace("-", "−")

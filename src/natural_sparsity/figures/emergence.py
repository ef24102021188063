"""When in training the paper's effects appear: correlations, and the class effect, against tokens seen."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from natural_sparsity.analysis.products import (
    GROUP,
    SEEN,
    average_over_seeds,
    check_same,
    read_correlations,
    read_origin,
)
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.errors import UserError
from natural_sparsity.figures.arguments import STATISTICS, add_control, add_correlations, add_unit
from natural_sparsity.figures.courses import CONTROL, ENDS, OWN, check_control, name_interval
from natural_sparsity.figures.style import (
    ARROWS,
    BAND,
    DASHED,
    GREY,
    MARKERS,
    SHUFFLED,
    THIN,
    Style,
    fade,
    make_band_handle,
    name_band,
    name_measure,
    write_measure,
    write_symbol,
)
from natural_sparsity.figures.tokens import place_tokens, set_token_axis
from natural_sparsity.files import read_parquet
from natural_sparsity.identity import check_made_from

SUMMARY = "correlations and the class effect against tokens seen in training, from the untrained model on"
SIZE = (3.3, 4.2)
TIME = list(SEEN.values())
EPOCH_END = "epoch_end"
# What is drawn: a correlation over all words, or the closed class's mean less the open class's.
CORRELATION, CLASS_EFFECT = "correlation", "class_effect"
# Where the differences have the class effect, with the opposite sign.
EFFECT = {"role": "target", "statistic": "mean", "kind": "words", "words": "open", "against": "closed"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare inputs and options."""
    add_correlations(parser, "pearson_log")
    for name, text in (
        ("differences", "differences of the same run, for the class effect's interval"),
        ("first-epoch", "correlations at checkpoints inside the first epoch"),
        ("control-first-epoch", "those of the control"),
    ):
        parser.add_argument(
            f"--{name}", type=Path, metavar="C", nargs="+", default=[], help=f"Parquet, one file per seed: {text}"
        )
    add_control(parser)
    add_unit(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The points drawn, and the figure."""
    check_control(args.correlations, args.control)
    if args.control_first_epoch and not args.control:
        raise UserError("--control-first-epoch: give --control, the control's other checkpoints, with it")
    seeds = read_points(args.correlations, args.first_epoch, args.differences, args.measure, args.statistic)
    control = read_points(args.control, args.control_first_epoch, [], args.measure, args.statistic)
    if len(control):  # it may have trained for longer
        control = control[control["tokens"] <= seeds["tokens"].max()]
    table = select_points(seeds, control, style.intervals is not False)
    statistics = read_origin(args.correlations[0], ["statistics"], "correlate")[1]["statistics"]
    interval = name_interval(float(statistics["level"]), args.unit)
    return table, plot(table, style, args.measure, args.statistic, args.unit, interval)


def read_points(
    correlations: Sequence[Path], first_epoch: Sequence[Path], differences: Sequence[Path], measure: str, statistic: str
) -> pd.DataFrame:
    """The points of each seed, in the order of training: :data:`TIME`, ``seed, quantity, role, tensor``, numbers.

    ρ←(∇h_L), ρ→(h_e) and ρ→(h_1) over all words; and the mean over the closed class less that over the open class, of
    ∇h_L by target word, with an interval where there are ``differences``.

    Raises:
        UserError: the files of a seed are not of one run.
    """
    if not correlations:
        return pd.DataFrame()
    check_run_files(correlations, [*first_epoch, *differences])
    seeds, others = (sorted(read_origin(path)[0].seed for path in paths) for paths in (correlations, first_epoch))
    if first_epoch and seeds != others:
        raise UserError(f"{first_epoch[0]}: its option has seeds {others}, and --correlations {seeds}; give the same")
    frame, means = (join(correlations, first_epoch, measure, name) for name in (statistic, "mean"))
    top = GRADIENT + find_top(frame["tensor"])
    return list_points(frame, means, read_intervals(differences, top, measure))


def list_points(frame: pd.DataFrame, means: pd.DataFrame, intervals: pd.DataFrame) -> pd.DataFrame:
    """The points of each seed; see :func:`read_points`.

    Args:
        frame: ``seed``, :data:`TIME`, ``role, tensor, words, value, low, high, n`` of one measure and statistic.
        means: the same of the statistic ``mean``.
        intervals: of the class effect, as :func:`select_intervals` gives them.
    """
    top = GRADIENT + find_top(frame["tensor"])
    lines = pd.DataFrame([("target", top), ("input", "h_e"), ("input", "h_1")], columns=["role", "tensor"])
    chosen = lines.merge(frame[frame["words"] == "all"], how="inner").assign(quantity=CORRELATION)
    mine = means[(means["role"] == "target") & (means["tensor"] == top)]
    sides = {name: mine[mine["words"] == name].set_index(["seed", *TIME]) for name in ("open", "closed")}
    effect = (sides["closed"]["value"] - sides["open"]["value"]).to_frame()
    effect["n"] = sides["closed"]["n"].clip(upper=sides["open"]["n"])
    effect = effect.reset_index().assign(quantity=CLASS_EFFECT, role="target", tensor=top)
    effect = effect.merge(intervals, how="left", on=["seed", *TIME])
    columns = ["seed", *TIME, "quantity", "role", "tensor", "value", "low", "high", "n"]
    return pd.concat([chosen[columns], effect[columns]], ignore_index=True)


def check_run_files(correlations: Sequence[Path], others: Sequence[Path]) -> None:
    """Refuse files of other runs or seeds than ``correlations``, or of other checkpoints of the same name.

    Raises:
        UserError: a file is; the message names two.
    """
    given = {path: read_origin(path, ["condition", "checkpoints"], "correlate")[1] for path in (*correlations, *others)}
    check_same({path: {key: metadata[key] for key in GROUP} for path, metadata in given.items()})
    by_seed = {given[path]["seed"]: path for path in correlations}
    for path in others:
        source = by_seed.get(given[path]["seed"])
        if source is None:
            raise UserError(
                f"{path}: seed {given[path]['seed']} has no file in --correlations; give one of each per seed"
            )
        mine, theirs = given[path]["checkpoints"], given[source]["checkpoints"]
        for name in sorted(mine.keys() & theirs.keys()):
            check_made_from(path, mine, name, source, theirs[name], "checkpoint")


def join(correlations: Sequence[Path], first_epoch: Sequence[Path], measure: str, statistic: str) -> pd.DataFrame:
    """One statistic at every checkpoint, each once, in the order of training."""
    frames = [read_correlations(paths, measure, statistic) for paths in (correlations, first_epoch) if paths]
    return order(pd.concat(frames))


def order(correlations: pd.DataFrame) -> pd.DataFrame:
    """One statistic's rows, each once, in the order of training."""
    together = correlations.drop_duplicates(["seed", *TIME, "role", "tensor", "words"])
    return together.sort_values(["tokens", "seed"], kind="stable", ignore_index=True)


def read_intervals(differences: Sequence[Path], tensor: str, measure: str) -> pd.DataFrame:
    """The intervals of the closed class's mean less the open class's: ``seed``, :data:`TIME`, ``low, high``."""
    columns = [*TIME, *EFFECT, "tensor", "measure", "low", "high"]
    frames = [pd.DataFrame(columns=["seed", *columns]).astype(float)]
    for path in differences:
        seed = read_origin(path, (), "correlate")[0].seed
        frames.append(read_parquet(path, columns).assign(seed=seed))
    return select_intervals(pd.concat(frames, ignore_index=True), tensor, measure)


def select_intervals(differences: pd.DataFrame, tensor: str, measure: str) -> pd.DataFrame:
    """The intervals of the closed class's mean less the open class's, as :func:`read_intervals` gives them."""
    frame = differences
    for column, value in (EFFECT | {"tensor": tensor, "measure": measure}).items():
        frame = frame[frame[column] == value]
    frame = frame.assign(low=-frame["high"], high=-frame["low"])[["seed", *TIME, "low", "high"]].astype(float)
    # Those of a run and those of its first epoch have the ends of the first epoch in common.
    return frame.drop_duplicates(["seed", *TIME])


def select_points(seeds: pd.DataFrame, control: pd.DataFrame, intervals: bool) -> pd.DataFrame:
    """The points drawn: ``kind, quantity, role, tensor``, :data:`TIME`, ``value, low, high, sd, seeds, n``.

    ``kind`` is that of a run's own line or its control's, or :data:`EPOCH_END`: only the tokens seen at the end of the
    first epoch. Several seeds: means, with the spread over seeds instead of an interval.

    Raises:
        UserError: there is no correlation to draw.
    """
    if seeds.loc[seeds["quantity"] == CORRELATION, "value"].isna().all():
        raise UserError("no correlation over all words at any checkpoint; lower the vocabulary's min_count")
    if not seeds["tokens"].any():
        raise UserError("--correlations: only of the untrained model; give those of trained checkpoints")
    keys = ["quantity", "role", "tensor", *TIME]
    frames = []
    for kind, frame in ((OWN, seeds), (CONTROL, control)):
        if len(frame):
            frames.append(average_over_seeds(frame, keys).assign(kind=kind))
    table = pd.concat(frames, ignore_index=True)
    table = table[table["value"].notna()]
    if "sd" not in table and not intervals:
        table = table.drop(columns=["low", "high"])
    first = table.loc[(table["kind"] == OWN) & (table["epoch"] == 1), TIME].drop_duplicates().assign(kind=EPOCH_END)
    table = pd.concat([table, first], ignore_index=True)
    ends = [name for name in ENDS if name in table]
    return table[["kind", *keys, "value", *ends, "n"]].astype({**dict.fromkeys(TIME, "Int64"), "n": "Int64"})


def plot(
    table: pd.DataFrame,
    style: Style,
    measure: str = "chi",
    statistic: str = "pearson_log",
    unit: str = "word",
    interval: str = "interval",
) -> Figure:
    """Correlations above the class effect, which is left out where no word has a class; a control pale and thin."""
    style = style.with_size(*SIZE)
    figure = style.figure()
    names = [CORRELATION, CLASS_EFFECT] if (table["quantity"] == CLASS_EFFECT).any() else [CORRELATION]
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False, height_ratios=[1.6, 1][: len(names)])[:, 0]
    panels: dict[str, Axes] = dict(zip(names, axes, strict=True))
    points = table[table["kind"] != EPOCH_END]
    course = points["tokens"].astype(int).tolist()
    own = points[points["kind"] == OWN]
    tensors = list(dict.fromkeys(own["tensor"]))
    looks = dict(zip(tensors, zip(style.colors(len(tensors)), MARKERS, strict=False), strict=True))
    handles: dict[str, Artist] = {}
    for key, part in points.groupby(["kind", "quantity", "role", "tensor"], sort=False):
        kind, quantity, role, tensor = map(str, key)
        color, marker = looks[tensor]
        control = kind == CONTROL
        color, scale = (fade(color), THIN) if control else (color, 1)
        x = place_tokens(part["tokens"].astype(int).tolist(), course)
        ax = panels[quantity]
        if "low" in part:
            ax.fill_between(x, part["low"], part["high"], color=color, alpha=0.18, linewidth=0, gid=BAND)
        [line] = ax.plot(
            x,
            part["value"],
            color=color,
            linestyle=DASHED if control else "-",
            linewidth=scale * style.line_width,
            marker=marker,
            markersize=scale * style.marker_size * 0.8,
            markerfacecolor="white" if control else color,
            markeredgewidth=0.7,
            zorder=1.9 if control else 2,
            gid=" ".join([CONTROL] * control + [quantity, role, tensor]),
        )
        if quantity == CORRELATION and not control:
            handles[f"{ARROWS[role]}$({write_symbol(tensor)})$"] = line
    for ax in panels.values():
        ax.axhline(0, color="0.3", linewidth=0.6, zorder=0.5)
        for end in table.loc[table["kind"] == EPOCH_END, "tokens"].astype(int):
            ax.axvline(end, color=GREY, linewidth=0.6, linestyle=(0, (1, 2)), zorder=0, gid=EPOCH_END)
        set_token_axis(ax, course)
        ax.label_outer()
    if (table["kind"] == EPOCH_END).any():
        handles["end of epoch 1"] = Line2D([], [], color=GREY, linewidth=0.6, linestyle=(0, (1, 2)))
    if (points["kind"] == CONTROL).any():
        handles[SHUFFLED] = Line2D([], [], color=fade("0.2"), linestyle=DASHED, linewidth=THIN * style.line_width)
    if "low" in points:
        handles[name_band(points, interval).replace(" over ", "\nover ")] = make_band_handle()
    panels[CORRELATION].set_ylabel(
        f"correlation of mean {name_measure(measure)}\nwith {unit} frequency\n({STATISTICS[statistic]})"
    )
    if CLASS_EFFECT in panels:
        top = own.loc[own["quantity"] == CLASS_EFFECT, "tensor"].iloc[0]
        panels[CLASS_EFFECT].set_ylabel(f"mean {write_measure(measure, top)}:\nclosed − open class")
    figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=2, columnspacing=1.2)
    return figure

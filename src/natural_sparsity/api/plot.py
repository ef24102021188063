"""The workflow's figures of DataFrames: each function returns a Matplotlib figure, and nothing is written.

DataFrames are those of :class:`natural_sparsity.Results`, or parts of them: several seeds are drawn as their mean with
its spread. ``style`` has the keys of the configuration's block ``style``, such as ``{"width": 5, "font_size": 9}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.analysis.products import average_over_seeds
from natural_sparsity.analysis.tensors import GRADIENT, find_top
from natural_sparsity.config.base import read_block
from natural_sparsity.config.style import check_colors
from natural_sparsity.errors import UserError
from natural_sparsity.figures import claims as claims_figure
from natural_sparsity.figures import comparison as comparison_figure
from natural_sparsity.figures import courses, fig3
from natural_sparsity.figures import emergence as emergence_figure
from natural_sparsity.figures import fig2 as heat_map
from natural_sparsity.figures import fig4 as classes
from natural_sparsity.figures import fig5 as scatter
from natural_sparsity.figures import training as training_figure
from natural_sparsity.figures.arguments import STATISTICS
from natural_sparsity.figures.style import Style

RUN = ["data", "model"]
AXES = ["seed", "epoch", "steps", "tokens", "role", "tensor", "words"]
NUMBERS = ["value", "low", "high", "n"]
RATES = ["learning_rate_in", "learning_rate_out"]
INTERVAL = "bootstrap interval\nover words"
Options = Mapping[str, Any] | None


def fig2(
    probes: pd.DataFrame, words: pd.DataFrame, threshold: int = 0, measure: str = "chi", style: Options = None
) -> Figure:
    """Mean sparsity of the top layer's gradient by epoch and target word, as a heat map.

    Args:
        probes: ``run.probes("grad_h_2", "target")`` or more.
        words: ``run.words``.
        threshold: only words with more training occurrences.
        measure: its name.

    Raises:
        UserError: a table lacks something, or is of several models.
    """
    frame, tensor = select_probes(probes, measure)
    check_words(words, probes, threshold)
    table = heat_map.select_cells(frame, words, threshold, measure)
    with open_style(style) as look:
        return heat_map.plot(table, look, measure, tensor)


def fig3a(
    correlations: pd.DataFrame,
    checkpoints: pd.DataFrame | None = None,
    control: pd.DataFrame | None = None,
    measure: str = "chi",
    statistic: str = "pearson",
    style: Options = None,
) -> Figure:
    """Correlation of sparsity with the frequency of the target word, ρ←, by epoch, for every tensor.

    Args:
        correlations: ``run.correlations``.
        checkpoints: ``run.checkpoints``, to mark where the learning rate dropped.
        control: the correlations of the same model on shuffled text.
        measure: its name.
        statistic: ``pearson``, ``pearson_log`` or ``spearman``.
        style: ``{"intervals": True}`` draws the bootstrap's intervals of a single seed.

    Raises:
        UserError: a table lacks something, or is of several models.
    """
    return draw_fig3("target", correlations, checkpoints, control, measure, statistic, style)


def fig3b(
    correlations: pd.DataFrame,
    checkpoints: pd.DataFrame | None = None,
    control: pd.DataFrame | None = None,
    measure: str = "chi",
    statistic: str = "pearson",
    style: Options = None,
) -> Figure:
    """Correlation of sparsity with the frequency of the input word, ρ→; as :func:`fig3a`."""
    return draw_fig3("input", correlations, checkpoints, control, measure, statistic, style)


def draw_fig3(
    role: str,
    correlations: pd.DataFrame,
    checkpoints: pd.DataFrame | None,
    control: pd.DataFrame | None,
    measure: str,
    statistic: str,
    style: Options,
) -> Figure:
    """Either of figures 3a and 3b."""
    with open_style(style) as look:
        course = select_course(correlations, checkpoints, control, measure, statistic, bool(look.intervals))
        return fig3.plot(fig3.select_points(*course, role), look, measure, statistic, interval=INTERVAL)


def fig4(
    correlations: pd.DataFrame,
    words: pd.DataFrame,
    checkpoints: pd.DataFrame | None = None,
    control: pd.DataFrame | None = None,
    measure: str = "chi",
    statistic: str = "pearson",
    style: Options = None,
) -> Figure:
    """ρ← of the top layer's gradient within open and closed classes; ``words`` is ``run.words``; as :func:`fig3a`."""
    with open_style(style) as look:
        course = select_course(correlations, checkpoints, control, measure, statistic, look.intervals is not False)
        check_words(words, correlations)
        tensor = GRADIENT + find_top(course[0]["tensor"])
        table = classes.select_points(*course, words, tensor)
        return classes.plot(table, look, measure, statistic, tensor, INTERVAL)


def fig5(
    probes: pd.DataFrame, words: pd.DataFrame, threshold: int = 0, measure: str = "chi", style: Options = None
) -> Figure:
    """Mean sparsity of the top layer's gradient against frequency after the last epoch, by class; as :func:`fig2`."""
    frame, tensor = select_probes(probes, measure)
    check_words(words, probes, threshold)
    table = scatter.select_words(frame, words, threshold, measure)
    with open_style(style) as look:
        return scatter.plot(table, look, measure, tensor)


def training(checkpoints: pd.DataFrame, style: Options = None) -> Figure:
    """Losses, perplexity and learning rate by epoch; ``checkpoints`` are ``run.checkpoints``."""
    check_one_model("checkpoints", checkpoints, [*RUN, "kind"])
    require_numbers("checkpoints", checkpoints, ["epoch", "steps", "tokens", *RATES, "train_loss", "dev_loss"])
    with open_style(style) as look:
        return training_figure.draw_checkpoints(checkpoints, checkpoints["kind"].iloc[0], look)[1]


def emergence(
    correlations: pd.DataFrame,
    differences: pd.DataFrame | None = None,
    control: pd.DataFrame | None = None,
    measure: str = "chi",
    statistic: str = "pearson_log",
    style: Options = None,
) -> Figure:
    """The main correlations and the class effect against tokens seen in training.

    Args:
        correlations: ``run.correlations``; with those of ``run.read("first_epoch.parquet")`` concatenated, if the run
            has checkpoints inside the first epoch.
        differences: ``run.differences``, concatenated likewise, for the class effect's interval.
        control: the correlations of the same model on shuffled text.
        measure: its name.
        statistic: as :func:`fig3a` takes it.

    Raises:
        UserError: a table lacks something, or is of several models.
    """

    def select(name: str, table: pd.DataFrame) -> pd.DataFrame:
        frame, means = (
            emergence_figure.order(select_correlations(name, table, measure, each)) for each in (statistic, "mean")
        )
        intervals = emergence_figure.read_intervals([], "", measure)
        if differences is not None and table is correlations:
            check_one_model("differences", differences)
            check_same_model("differences", differences, correlations)
            require_numbers("differences", differences, NUMBERS)
            intervals = emergence_figure.select_intervals(differences, GRADIENT + find_top(frame["tensor"]), measure)
        return emergence_figure.list_points(frame, means, intervals)

    check_statistic(statistic)
    own = select("correlations", correlations)
    other = pd.DataFrame() if control is None else select("control", control)
    if len(other):  # it may have trained for longer
        other = other[other["tokens"] <= own["tokens"].max()]
    table = emergence_figure.select_points(own, other, intervals=True)
    with open_style(style) as look:
        return emergence_figure.plot(table, look, measure, statistic, interval=INTERVAL)


def claims(claims: pd.DataFrame, style: Options = None) -> Figure:
    """The paper's statements with values, intervals, controls and verdicts; ``claims`` are ``run.claims``."""
    check_one_model("claims", claims)
    require("claims", claims, ["shown", *(name for name in claims_figure.COLUMNS if name != "values")])
    require_numbers("claims", claims, ["value", "low", "high"])
    with open_style(style) as look:
        return claims_figure.plot(claims_figure.select_rows(claims), look)


def comparison(
    correlations: pd.DataFrame, measure: str = "chi", statistic: str = "pearson", style: Options = None
) -> Figure:
    """ρ← of the top layer in each of several runs, a panel per model; ``correlations`` are those of all runs."""
    require("correlations", correlations, [*RUN, "condition", "role", "words"])
    check_statistic(statistic)
    drawn = (correlations["role"] == "target") & (correlations["words"] == "all")
    require("correlations of role target, words all", correlations[drawn], [])
    runs = {
        (str(data), str(model), str(condition)): select_correlations("correlations", part, measure, statistic)
        for (data, model, condition), part in correlations[drawn].groupby([*RUN, "condition"], sort=False)
    }
    with open_style(style) as look:
        return comparison_figure.plot(comparison_figure.arrange(runs), look, measure, statistic)


@contextmanager
def open_style(style: Options) -> Iterator[Style]:
    """A style, with Matplotlib's parameters set by it.

    Raises:
        UserError: an unknown key, or a value that the key cannot have.
    """
    look = read_block(Style, style or {}, "style")
    check_colors(look, "style")
    with look.apply():
        yield look


def require(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table without one of the columns, or without rows.

    Raises:
        UserError: it lacks one.
    """
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{name}: {type(table).__name__} is no DataFrame; give a table of ns.open(…), or rows of it")
    for column in columns:
        if column not in table:
            raise UserError(f"{name}: no column {column!r}; give a table of ns.open(…), or rows of it")
    if table.empty:
        raise UserError(f"{name}: has no rows; choose some that the results have")


def require_numbers(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Refuse a table with a column that is missing or holds text, dates or infinities; NaN is a value not measured.

    Raises:
        UserError: a column does.
    """
    require(name, table, columns)
    for column in columns:
        values = table[column]
        if not (pd.api.types.is_numeric_dtype(values) or pd.isna(values).all()):
            raise UserError(f"{name}: column {column!r} holds {values.dtype}, not numbers; convert it to numbers")
        if np.isinf(values.to_numpy(float, na_value=np.nan)).any():
            raise UserError(f"{name}: column {column!r} holds an infinity; leave its row out, or give NaN")


def check_one_model(name: str, table: pd.DataFrame, keys: Sequence[str] = RUN) -> None:
    """Refuse a table of several models, over which nothing may be averaged.

    Raises:
        UserError: it is of several, or lacks a column.
    """
    require(name, table, ["seed", *keys])
    models = table[list(keys)].drop_duplicates()
    if len(models) > 1:
        names = " and ".join("/".join(map(str, row)) for row in models.head(2).itertuples(index=False))
        raise UserError(f"{name}: of {names}; choose the rows of one, or open its folder")


def check_same_model(name: str, table: pd.DataFrame, drawn: pd.DataFrame) -> None:
    """Refuse a table of one model beside the table of another that is drawn.

    Raises:
        UserError: they differ.
    """
    given, expected = ("/".join(map(str, each[RUN].iloc[0])) for each in (table, drawn))
    if given != expected:
        raise UserError(f"{name}: of {given}, but what is drawn is of {expected}; give the table of the same model")


def check_words(words: pd.DataFrame, drawn: pd.DataFrame, threshold: int = 0) -> None:
    """Refuse words that are not those of the data that the other table is of, each once, or a threshold of no use.

    Raises:
        UserError: they are of other data or of several, or lack a column.
    """
    require("words", words, ["word", "pos_class"])
    require_numbers("words", words, ["id", "count"])
    data = drawn["data"].iloc[0]
    others = [name for name in words["data"].unique() if name != data] if "data" in words else []
    if others:
        raise UserError(f"words: of {others[0]}, but what is drawn is of {data}; give the rows of {data}")
    if words["id"].duplicated().any():
        raise UserError("words: an id has several rows; give run.words of one text")
    if not isinstance(threshold, int | float | np.number):
        raise UserError(f"threshold: {threshold!r} is no number of occurrences")


def check_statistic(statistic: str) -> None:
    """Refuse what is no statistic of a correlation.

    Raises:
        UserError: it is none.
    """
    if statistic not in list(STATISTICS):
        raise UserError(f"statistic: {statistic!r} is not one of {', '.join(STATISTICS)}")


def select_probes(probes: pd.DataFrame, measure: str) -> tuple[pd.DataFrame, str]:
    """A measure of the top layer's gradient by target word after each epoch, as figures 2 and 5 take it; the tensor."""
    column = f"{measure}_mean"
    check_one_model("probes", probes)
    require("probes", probes, ["role", "tensor"])
    require_numbers("probes", probes, ["epoch", "steps", "id", column])
    tensor = GRADIENT + find_top(probes["tensor"].unique())
    chosen = (probes["role"] == "target") & (probes["tensor"] == tensor) & at_epochs(probes)
    rows = probes.loc[chosen].rename(columns={column: "value"})
    require(f"probes of {tensor}, role target", rows, [])
    return average_over_seeds(rows, ["epoch", "id"]), tensor


def at_epochs(table: pd.DataFrame) -> pd.Series:
    """Which rows are of the untrained model or of the end of an epoch, not of a step inside the first."""
    return (table["epoch"] > 0) | (table["steps"] == 0)


def select_correlations(name: str, table: pd.DataFrame, measure: str, statistic: str) -> pd.DataFrame:
    """The correlations of one measure by one statistic, of one model.

    Raises:
        UserError: there are none, or they are of several models.
    """
    check_one_model(name, table, [*RUN, "condition"])
    require(name, table, [*AXES, "measure", "statistic"])
    require_numbers(name, table, ["seed", "epoch", "steps", "tokens", *NUMBERS])
    rows = table.loc[(table["measure"] == measure) & (table["statistic"] == statistic), [*AXES, *NUMBERS]]
    if rows.empty:
        there = table[["measure", "statistic"]].drop_duplicates().itertuples(index=False)
        has = ", ".join("/".join(map(str, row)) for row in there)
        raise UserError(f"{name}: no {statistic!r} of {measure!r}; it has {has}")
    return rows.sort_values(["epoch", "steps", "seed"], kind="stable", ignore_index=True)


def select_course(
    correlations: pd.DataFrame,
    checkpoints: pd.DataFrame | None,
    control: pd.DataFrame | None,
    measure: str,
    statistic: str,
    intervals: bool,
) -> tuple[pd.DataFrame, list[int]]:
    """What figures 3 and 4 draw by epoch, and the epochs after which the learning rate dropped."""
    check_statistic(statistic)
    tables = {"correlations": correlations} | ({} if control is None else {"control": control})
    frames = {name: select_correlations(name, table, measure, statistic) for name, table in tables.items()}
    frames = {name: frame[at_epochs(frame)] for name, frame in frames.items()}
    if checkpoints is None:
        checkpoints = pd.DataFrame(columns=["seed", "epoch", *RATES], dtype=float)
    else:
        check_one_model("checkpoints", checkpoints)
        require_numbers("checkpoints", checkpoints, ["epoch", *RATES])
        check_same_model("checkpoints", checkpoints, correlations)
    return courses.make_course(frames["correlations"], frames.get("control"), checkpoints, intervals)

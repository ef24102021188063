"""Figure 2: the sparsity of the gradient at the top layer, by epoch and target word."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from natural_sparsity.errors import UserError
from natural_sparsity.figures.inputs import frequent
from natural_sparsity.figures.style import Style, at, mean_of_seeds

SIZE = (3.3, 4.2)
LONGEST = 16  # characters of a word, or the cells would lose their room to it


def table(probes: pd.DataFrame, words: pd.DataFrame, min_count: int, measure: str = "chi") -> pd.DataFrame:
    """A row a cell: ``rank`` (1 the most frequent), ``id, word, count, epoch``, and the measure by its name.

    The measure is the mean over positions and then over seeds; of several seeds, ``sd`` and ``seeds`` stand beside it.

    Args:
        probes: ``epoch, id, value`` of ∇h², keyed by target word, and ``sd, seeds`` of several seeds.
        words: ``id, word, count``.
        min_count: words with more training occurrences than this are drawn.

    Raises:
        UserError: no word is that frequent, or the probes have none of them.
    """
    chosen = frequent(words, min_count)[["id", "word", "count"]]
    chosen.insert(0, "rank", range(1, len(chosen) + 1))
    epochs = pd.DataFrame({"epoch": sorted(probes["epoch"].unique())})
    cells = chosen.merge(epochs, how="cross").merge(probes, how="left", on=["epoch", "id"])
    if cells["value"].isna().all():
        raise UserError("the probes have no value for any word drawn; are they of another vocabulary?")
    return cells.drop(columns=["low", "high"], errors="ignore").rename(columns={"value": measure})


def draw(table: pd.DataFrame, style: Style, measure: str = "chi", unit: str = "word") -> Figure:
    """Draw the cells of :func:`table`: an epoch a column, a word a row, the most frequent at the bottom."""
    style = style.sized(*SIZE)
    figure = style.figure()
    ax = figure.add_subplot()
    cells = table.pivot(index="rank", columns="epoch", values=measure)
    words = table.drop_duplicates("rank").set_index("rank")["word"]
    # A few extreme words must not take the contrast from the rest; the colour bar's arrows say that they are there.
    low, high = np.nanpercentile(cells, [1, 99])
    seen = np.nanmin(cells), np.nanmax(cells)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    cmap = style.colormap
    # Rasterised: as vectors, a mesh of words by epochs makes a file of megabytes.
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(cells.to_numpy()), cmap=cmap, vmin=low, vmax=high, rasterized=True, linewidth=0
    )
    ax.set_facecolor("0.85")  # shows where there is no value
    bar = figure.colorbar(mesh, ax=ax, extend=extend[seen[0] < low, seen[1] > high], pad=0.02, aspect=30)
    bar.set_label(f"mean {at(measure, 'grad_h_2')}{mean_of_seeds(table)}")
    bar.outline.set_linewidth(0.6)

    room = 0.8 * figure.get_figheight() * 72 / (1.15 * style.font_size)  # in labels
    every = int(np.ceil(len(words) / room))
    names = [word if len(word) <= LONGEST else word[: LONGEST - 1] + "…" for word in words.iloc[::every]]
    ax.set_yticks(np.arange(0, len(words), every) + 0.5, names)
    for label in ax.get_yticklabels():
        label.set_parse_math(False)  # a word may hold a dollar sign
    named = "" if every == 1 else f" (one in {every} named)"
    ax.set_ylabel(f"{len(words):,} target {unit}s{named},\nmost frequent at the bottom")
    epochs = cells.columns.to_numpy()
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 200, 500, len(epochs)) if len(epochs) <= 9 * step)
    shown = epochs % step == 0
    ax.set_xticks(np.flatnonzero(shown) + 0.5, epochs[shown])
    ax.set_xlabel("epoch")
    ax.tick_params(length=2)
    return figure

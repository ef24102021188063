"""How far apart the units are that the recurrent weights which are left join, against all pairs of units."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from natural_sparsity.errors import UserError
from natural_sparsity.figures.style import GREY, Style
from natural_sparsity.model import checkpoint
from natural_sparsity.sparsify import start
from natural_sparsity.sparsify.geometry import kept_pairs
from natural_sparsity.sparsify.moduli import POINTS

BINS = 16
COLUMNS = 4
PANEL = (1.75, 1.5)


def table(parameters: Sequence[Path], states: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """``model, space, distance, kept, all``: the share of the kept weights and of all pairs in each bin of distance.

    Of several seeds, all their weights together. ``distance`` is the bin's middle.

    Raises:
        UserError: no checkpoint has units in a space.
    """
    cpu = torch.device("cpu")
    pairs: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for path, state_path, name in zip(parameters, states, names, strict=True):
        model, state = start.load(path, state_path)
        beside = checkpoint.load_beside(path, cpu)
        for tensor, weight in model.named_parameters():
            if POINTS + tensor in beside:
                space = state["sparsify"]["space"]
                kept, every = kept_pairs(weight.detach(), space, beside[POINTS + tensor])
                pairs.setdefault((name, space), []).append((kept.numpy(), every.numpy()))
    if not pairs:
        raise UserError(f"{parameters[0]}: no units in a space, here or in the others; give models of moduli")
    rows = []
    for (name, space), of in pairs.items():
        left, whole = (np.concatenate(part) for part in zip(*of, strict=True))
        edges = np.linspace(0, whole.max(), BINS + 1)
        shares = [np.histogram(part, edges)[0] / max(len(part), 1) for part in (left, whole)]
        middles = (edges[:-1] + edges[1:]) / 2
        rows.append(
            pd.DataFrame({"model": name, "space": space, "distance": middles, "kept": shares[0], "all": shares[1]})
        )
    return pd.concat(rows, ignore_index=True)


def draw(table: pd.DataFrame, style: Style) -> Figure:
    """A panel a model."""
    models = list(dict.fromkeys(table["model"]))
    columns = min(COLUMNS, len(models))
    height = -(-len(models) // columns)
    style = style.sized(PANEL[0] * columns, PANEL[1] * height + 0.3)
    figure = style.figure()
    panels = figure.subplots(height, columns, squeeze=False, sharey=True).flatten()
    color = style.colors()[0]
    for ax, name in zip(panels, models, strict=False):
        part = table[table["model"] == name]
        step = part["distance"].diff().iloc[-1]
        edges = np.append(part["distance"] - step / 2, part["distance"].iloc[-1] + step / 2)
        ax.stairs(part["all"], edges, fill=True, color=GREY, alpha=0.35, label="all pairs of units")
        ax.stairs(part["kept"], edges, color=color, linewidth=style.line_width, label="pairs that a kept weight joins")
        ax.set_title(f"{name} ({part['space'].iloc[0]})" if name != part["space"].iloc[0] else name)
    for ax in panels[len(models) :]:
        ax.remove()
    for ax in panels[: len(models)][-columns:]:
        ax.set_xlabel("distance in the space")
    for ax in panels[: len(models) : columns]:
        ax.set_ylabel("share of pairs")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure

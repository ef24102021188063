"""Distances between units joined by surviving recurrent weights, against those of all pairs of units."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from natural_sparsity.errors import UserError
from natural_sparsity.evaluation.geometry import kept_pairs
from natural_sparsity.figures.arguments import add_folders
from natural_sparsity.figures.style import GREY, Style
from natural_sparsity.methods.moduli import POINTS
from natural_sparsity.model import checkpoint

SUMMARY = "distances in the space between units that surviving weights join"
BINS = 16
COLUMNS = 4
PANEL = (1.75, 1.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the inputs."""
    add_folders(parser)


def draw(args: argparse.Namespace, style: Style) -> tuple[pd.DataFrame, Figure]:
    """The histograms drawn, and the figure."""
    table = count_pairs(args.checkpoint)
    return table, plot(table, style)


def count_pairs(folders: Sequence[Path]) -> pd.DataFrame:
    """``model, space, distance, kept, all``: the share of the kept weights and of all pairs in each bin of distance.

    The weights of all seeds together. ``distance`` is the bin's middle.

    Raises:
        UserError: no checkpoint has units in a space.
    """
    cpu = torch.device("cpu")
    pairs: dict[tuple[str, str], list[tuple[np.ndarray, np.ndarray]]] = {}
    for folder in folders:
        model, state = checkpoint.load(folder, cpu)
        tensors = checkpoint.load_tensors(folder, cpu)
        for name, weight in model.named_parameters():
            if POINTS + name in tensors:
                space = state["sparsify"]["space"]
                kept, every = kept_pairs(weight.detach(), space, tensors[POINTS + name])
                pairs.setdefault((state["model"], space), []).append((kept.numpy(), every.numpy()))
    if not pairs:
        raise UserError(f"{folders[0]}: no units in a space, here or in the others; give models of moduli")
    rows = []
    for (name, space), parts in pairs.items():
        left, whole = (np.concatenate(part) for part in zip(*parts, strict=True))
        edges = np.linspace(0, whole.max(), BINS + 1)
        shares = [np.histogram(part, edges)[0] / max(len(part), 1) for part in (left, whole)]
        middles = (edges[:-1] + edges[1:]) / 2
        rows.append(
            pd.DataFrame({"model": name, "space": space, "distance": middles, "kept": shares[0], "all": shares[1]})
        )
    return pd.concat(rows, ignore_index=True)


def plot(table: pd.DataFrame, style: Style) -> Figure:
    """A panel per model."""
    models = list(dict.fromkeys(table["model"]))
    columns = min(COLUMNS, len(models))
    height = -(-len(models) // columns)
    style = style.with_size(PANEL[0] * columns, PANEL[1] * height + 0.3)
    figure = style.figure()
    panels = figure.subplots(height, columns, squeeze=False, sharey=True).flatten()
    color = style.colors()[0]
    for ax, name in zip(panels, models, strict=False):
        part = table[table["model"] == name]
        step = part["distance"].diff().iloc[-1]
        edges = np.append(part["distance"] - step / 2, part["distance"].iloc[-1] + step / 2)
        ax.stairs(part["all"], edges, fill=True, color=GREY, alpha=0.35, label="all pairs of units")
        ax.stairs(part["kept"], edges, color=color, linewidth=style.line_width, label="pairs joined by a kept weight")
        ax.set_title(f"{name} ({part['space'].iloc[0]})" if name != part["space"].iloc[0] else name)
    for ax in panels[len(models) :]:
        ax.remove()
    for ax in panels[: len(models)][-columns:]:
        ax.set_xlabel("distance in the space")
    for ax in panels[: len(models) : columns]:
        ax.set_ylabel("share of pairs")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure

"""The table of structures: what each run has left of its gates, neurons and weights, and what folding gains."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.sparsify.gates import GATES

NOTE = (
    "Means over seeds, with the least and the greatest in brackets. Perplexity, of classifiers accuracy: on the test"
    " split. Compression: all weights over those left; biases and group variables do not count. Neurons: left of each"
    " layer. Gates: those that some weight leads into, i + f + g + o of each layer; the others are constant or of"
    " removed neurons. Single pass: the same gates, counted as the paper's authors do, before the weights of removed"
    " units are taken away. Folded: the weights of the smaller dense model with the same outputs, and how many times"
    " faster than the unfolded it is on one CPU thread, one word after the other with the output layer, and in the"
    " recurrent layers alone on windows."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--structures", type=Path, nargs="+", required=True, help="JSON, one a run")
    parser.add_argument("--foldings", type=Path, nargs="+", required=True, help="JSON of the same runs")
    parser.add_argument("--runs", nargs="+", required=True, help="their names, CORPUS/MODEL")
    parser.add_argument("--csv", type=Path, required=True, help="out: CSV, a row a run, seed and layer")
    parser.add_argument("--markdown", type=Path, required=True, help="out: a Markdown table, a row a run")


def table(structures: Sequence[Path], foldings: Sequence[Path], runs: Sequence[str]) -> pd.DataFrame:
    """A row a run, seed and layer; columns that are of the whole model are the same for its layers.

    ``perplexity`` of language models, ``accuracy`` of classifiers; ``weights``, ``weights_left``, ``compression``;
    ``units_left``, of the embedding; ``neurons``, ``neurons_left``, ``reading_…`` and ``constant_…`` of each gate, of
    the layer; ``folded_…``: weights, bytes, and how many times faster.

    Raises:
        UserError: not as many files as runs, or two that are not of the same seeds.
    """
    if not len(structures) == len(foldings) == len(runs):
        raise UserError(f"{len(structures)} structures, {len(foldings)} foldings and {len(runs)} runs; give as many")
    rows = []
    for of_structure, of_folding, run in zip(structures, foldings, runs, strict=True):
        gains = {gain["seed"]: gain for gain in files.read_json(of_folding, ["foldings"])["foldings"]}
        for found in files.read_json(of_structure, ["structures"])["structures"]:
            if found["seed"] not in gains:
                raise UserError(f"{of_folding}: no seed {found['seed']}, which {of_structure} has; delete both")
            rows += [
                {"run": run, **of_model(found), **of_fold(gains[found["seed"]]), "layer": number, **of_layer(layer)}
                for number, layer in enumerate(found["layers"], 1)
            ]
    return pd.DataFrame(rows)


def of_model(found: dict[str, Any]) -> dict[str, Any]:
    """The columns of a whole model."""
    settings = found["sparsify"]
    method = settings.get("method", "dense").replace("adam", "dense")
    groups = settings.get("groups", [kind for kind, value in settings.get("strengths", {}).items() if value])
    named = {
        "method": method,
        "groups": groups if isinstance(groups, str) else "+".join(groups),
    }
    plain = ["seed", "epoch", "weights", "weights_left", "compression", "words", "words_left", "units"]
    scores = {key: found.get(key) for key in ("perplexity", "accuracy")}
    return named | scores | {key: found[key] for key in [*plain, "units_left", "embedding_left", "output_left"]}


def of_layer(layer: dict[str, Any]) -> dict[str, Any]:
    """The columns of a layer."""
    gates = {f"{kind}_{gate}": layer[kind][gate] for kind in ("reading", "constant") for gate in GATES}
    left = {f"{kind}_left": count for kind, count in layer["weights_left"].items()}
    return {key: layer[key] for key in ("neurons", "neurons_left", "reading_single_pass")} | gates | left


def of_fold(gain: dict[str, Any]) -> dict[str, Any]:
    """The columns of the folded model."""
    sizes = {"bytes": gain["whole"]["bytes"], "folded_bytes": gain["folded"]["bytes"]}
    times = {key: gain[key] for key in ("speedup", "speedup_recurrence")}
    return {**sizes, "folded_weights": gain["folded"]["weights"], **times}


def spread(values: pd.Series, form: str) -> str:
    """The mean, and in brackets the ends, where they differ."""
    mean, low, high = (form.format(value) for value in (values.mean(), values.min(), values.max()))
    return mean if low == high else f"{mean} ({low} to {high})"


def score(seeds: pd.DataFrame) -> str:
    """The perplexity of a language model, the accuracy of a classifier."""
    if seeds["accuracy"].notna().all():
        return spread(100 * seeds["accuracy"], "{:.1f} %")
    return spread(seeds["perplexity"], "{:.1f}")


def markdown(rows: pd.DataFrame) -> str:
    """The table as Markdown, a row a run, with the meaning of its columns."""
    titles = [
        "Run",
        "Variables or penalties",
        "Epochs",
        "Seeds",
        "Perplexity or accuracy",
        "Compression",
        "Weights left",
        "Embedding units",
    ]
    titles += [
        "Neurons",
        "Gates i + f + g + o",
        "Gates",
        "Single pass",
        "Folded weights",
        "Faster",
        "Recurrence faster",
    ]
    lines = [titles, ["---"] * len(titles)]
    rows = rows.assign(reading=rows[[f"reading_{gate}" for gate in GATES]].sum(axis=1))
    for run, part in rows.groupby("run", sort=False):
        seeds = part.drop_duplicates("seed")
        layers = [layer for _, layer in part.groupby("layer")]
        gates = [" + ".join(f"{layer[f'reading_{gate}'].mean():.0f}" for gate in GATES) for layer in layers]
        lines.append(
            [str(run), seeds["groups"].iloc[0] or seeds["method"].iloc[0]]
            + [str(seeds["epoch"].iloc[0]), str(len(seeds))]
            + [score(seeds), spread(seeds["compression"], "{:.1f}×")]
            + [spread(seeds["weights_left"], "{:,.0f}"), f"{seeds['units_left'].mean():.0f} of {seeds['units'].max()}"]
            + ["; ".join(f"{layer['neurons_left'].mean():.0f} of {layer['neurons'].max()}" for layer in layers)]
            + ["; ".join(gates), spread(part.groupby("seed")["reading"].sum(), "{:.0f}")]
            + [spread(part.groupby("seed")["reading_single_pass"].sum(), "{:.0f}")]
            + [f"{seeds['folded_weights'].mean():,.0f}"]
            + [spread(seeds[name], "{:.2f}×") for name in ("speedup", "speedup_recurrence")]
        )
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", NOTE, ""])


def run(args: argparse.Namespace) -> None:
    """Write the table."""
    rows = table(args.structures, args.foldings, args.runs)
    with files.atomic(args.csv) as path:
        rows.to_csv(path, index=False, lineterminator="\n")
    with files.atomic(args.markdown) as path:
        path.write_text(markdown(rows), encoding="utf-8")

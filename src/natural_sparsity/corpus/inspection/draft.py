"""The draft of an experiment: a YAML file that is valid as it stands, on top of ``config.yaml``."""

import argparse
import math
from typing import Any

import yaml

from natural_sparsity.config.data.local import check_text
from natural_sparsity.config.data.text import OF_FORMATS
from natural_sparsity.corpus.account import percent, share_kept
from natural_sparsity.corpus.inspection.hints import find_given_splits, is_in_capitals
from natural_sparsity.corpus.inspection.look import Look
from natural_sparsity.corpus.inspection.suggestion import SPLIT, Suggestion
from natural_sparsity.errors import UserError

EPOCHS = 10
# What is read as the text by options of the command, with the options' defaults.
OPTIONS: dict[str, Any] = {
    "text_column": "text",
    "line_breaks": "auto",
    "lines_per_document": 100,
    "tokenised": False,
    "unicode": "nfc",
    "unit": "word",
}


def draft(args: argparse.Namespace, text: Look, suggestion: Suggestion) -> list[str]:
    """Return the lines of the experiment; ``args`` are the command's."""
    notes = explain(text, suggestion)
    settings = list_settings(args, text, suggestion)
    if splits := find_given_splits(args.paths):
        settings = use_given_splits(settings, splits, text)
        notes = {"min_count": "words that occur less often in training become <unk>"}
    try:
        for path in splits.values() or args.paths:
            check_text(str(path))
    except UserError as error:
        settings["source"], notes["source"] = {"path": f"{args.name}.txt"}, str(error)
    lines = ["data:", f"  {args.name}:"]
    for key, value in settings.items():
        line = f"    {key}: {write(value)}"
        lines.append(f"{line:<40}  # {notes[key]}" if key in notes else line)
    run = {"data": args.name, "model": "lstm", "seeds": [1], "epochs": EPOCHS}
    return [*lines, "runs:", f"  - {write(run)}"]


def list_settings(args: argparse.Namespace, text: Look, suggestion: Suggestion) -> dict[str, Any]:
    """Return the settings of the data by key."""
    paths = list(map(str, args.paths))
    formats = {name.split(",")[0] for name in text.account.formats}
    found = formats.pop() if len(formats) == 1 else "auto"
    format = found if args.format == "auto" else args.format
    options = {key: getattr(args, key) for key, default in OPTIONS.items() if getattr(args, key) != default}
    settings = {"source": {"path": paths if len(paths) > 1 else paths[0]}, "format": format}
    settings |= {key: value for key, value in options.items() if format in OF_FORMATS.get(key, [format])}
    settings |= {} if text.whole else {"max_documents": text.documents}
    settings |= {"shards": suggestion.shards, "min_count": suggestion.min_count}
    settings |= {} if suggestion.seed == SPLIT.seed else {"split": {"seed": suggestion.seed}}
    if args.unit == "character":
        return settings | {"thresholds": {"fig2": suggestion.thresholds["fig2"]}}
    case = {"case": "lower"} if is_in_capitals(text) else {}
    return settings | {"tagging": {**case, **suggestion.tagging}, "thresholds": suggestion.thresholds}


def use_given_splits(settings: dict[str, Any], splits: dict[str, str], text: Look) -> dict[str, Any]:
    """Return the settings with given splits; a text that has ``<unk>`` already keeps all of its other words."""
    source = {split: {"path": path} for split, path in splits.items()}
    kept = {key: value for key, value in settings.items() if key not in ("split", "max_documents")}
    return kept | {"source": source} | ({} if text.unknown is None else {"min_count": 1})


def explain(text: Look, suggestion: Suggestion) -> dict[str, str]:
    """Say what follows from some values, by key."""
    filtered, unit = suggestion.account["filter"], suggestion.account["sentences"]["unit"]
    drawn = [f"{n_words:,}" for n_words in suggestion.drawn.values()]
    of_all = " and ".join(drawn if unit == "word" else drawn[:1])
    return {
        "max_documents": "as many as inspect read; --max-tokens 0 reads all",
        "min_count": f"keeps {percent(share_kept(filtered))} of the tokens; {filtered['after']['types']:,} {unit}s",
        "split": "the default seed would give a split less than half of its share",
        "thresholds": f"exceeded by {of_all} {unit}s in training",
    }


def write(value: Any) -> str:
    """Write a value as YAML in a line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    return text.removesuffix("\n").removesuffix("\n...")

"""Arguments of commands: JSON objects, counts, and the run that input files must be of."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from natural_sparsity.errors import UserError

# What a file can be expected to be of.
EXPECTED = ("data", "model", "seed", "epoch", "steps", "condition", "folded")


def parse_positive(text: str) -> int:
    """Read an argument that is an integer of 1 or more; argparse reports the failure."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not an integer of 1 or more: {text}")
    return int(text)


def parse_path(text: str) -> Path:
    """Read a path that is not empty, which would be the current folder; argparse reports the failure."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path; give one, or . for the current folder")
    return Path(text)


def check_distinct(option: str, paths: Sequence[Path]) -> None:
    """Refuse to write two outputs of ``option`` to one path, where the later would replace the earlier.

    Raises:
        UserError: a path repeats.
    """
    places = [path.resolve() for path in paths]
    for i, place in enumerate(places):
        if place in places[:i]:
            raise UserError(f"{option}: {paths[i]} is given twice; give each output a path of its own")


def add_expect_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--expect``, the run of the input files: files that were moved or renamed are refused."""
    help_text = "JSON, the data, model, seed, epoch and condition of the input files (or some of these), to check"
    parser.add_argument("--expect", type=parse_expectation, default={}, metavar="JSON", help=help_text)


def add_statistics_option(parser: argparse.ArgumentParser) -> None:
    """Declare ``--statistics``, the configuration's block of that name."""
    help_text = "JSON, the configuration's block: resamples, level, seed"
    parser.add_argument("--statistics", type=parse_json_object, default={}, help=help_text)


def add_parents_option(parser: argparse.ArgumentParser, roles: str) -> None:
    """Declare ``--parents``, the runs and epochs of the checkpoints that a model is made or learns from."""
    help_text = (
        f"JSON, by role ({roles}) the data, model, seed and epoch of the checkpoint (or some of these), to check"
    )
    parser.add_argument("--parents", type=parse_parents, default={}, metavar="JSON", help=help_text)


def parse_expectation(text: str) -> dict[str, Any]:
    """Parse the JSON object of ``--expect``; argparse reports the failure. An unknown key would check nothing."""
    value = parse_json_object(text)
    for key in value:
        if key not in EXPECTED:
            raise argparse.ArgumentTypeError(f"{key!r} is none of {', '.join(EXPECTED)}: {text}")
    return value


def parse_parents(text: str) -> dict[str, Any]:
    """Parse the JSON object of ``--parents``, an expectation by role; argparse reports the failure."""
    return {role: parse_expectation(json.dumps(value)) for role, value in parse_json_object(text).items()}


def parse_json_object(text: str) -> dict[str, Any]:
    """Read an argument that is a JSON object; argparse reports the failure."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return value

"""Arguments of commands: blocks of the configuration, and counts."""

import argparse
import json
from typing import Any


def positive(text: str) -> int:
    """Read an argument that is an integer of 1 or more; argparse reports the failure."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"not an integer of 1 or more: {text}")
    return int(text)


def add_expectation(parser: argparse.ArgumentParser) -> None:
    """Declare what the files given must be of, so that one that was moved or renamed is refused."""
    help_text = "JSON, what the files must be of: any of data, model, seed, epoch, condition"
    parser.add_argument("--expect", type=json_object, default={}, metavar="JSON", help=help_text)


def json_object(text: str) -> dict[str, Any]:
    """Read an argument that is a JSON object; argparse reports the failure."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return value

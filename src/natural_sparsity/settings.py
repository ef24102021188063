"""Blocks of the configuration, as the commands receive them."""

import argparse
import json
from dataclasses import fields
from typing import Any, TypeVar

from natural_sparsity.errors import UserError

T = TypeVar("T")


def json_object(text: str) -> dict[str, Any]:
    """An argument that is a JSON object; argparse reports the failure."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return value


def read_block(block: type[T], settings: dict[str, Any]) -> T:
    """Make the dataclass ``block`` from ``settings``; raises :class:`UserError` on an unknown key."""
    unknown = set(settings) - {field.name for field in fields(block)}  # type: ignore[arg-type]
    if unknown:
        raise UserError(f"{block.__name__.lower()}: unknown key {min(unknown)!r}")
    return block(**settings)

"""Blocks of the configuration, as the commands receive them."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any, TypeVar

from natural_sparsity.errors import UserError

T = TypeVar("T")

# Those of torch.set_float32_matmul_precision: single precision; TF32 and bfloat16, where the hardware has them.
MATMUL_PRECISIONS = ("highest", "high", "medium")
# The keys whose numbers may be 0, and those whose numbers are below 1.
FROM_ZERO = {"dropout", "seed"}
BELOW_ONE = {"dropout", "level"}


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
    """Make the dataclass ``block`` from ``settings``.

    Raises:
        UserError: an unknown key, or a value that is not of the kind of the key's default: a positive number (within
            the bounds of ``FROM_ZERO`` and ``BELOW_ONE``), true or false, a list of positive integers, or a precision.
    """
    name = block.__name__.lower()
    defaults = asdict(block())  # type: ignore[call-overload]
    for key, value in settings.items():
        if key not in defaults:
            raise UserError(f"{name}: unknown key {key!r}; the keys are {', '.join(defaults)}")
        wanted = unfit(value, defaults[key], key)
        if wanted:
            raise UserError(f"{name}.{key}: {value!r} is not {wanted}")
    return block(**settings)


def unfit(value: Any, default: Any, key: str) -> str:
    """What ``value`` should have been, in words; nothing if it is of the kind of ``default``."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, list):
        good = isinstance(value, list) and value and not any(unfit(v, 1, key) for v in value)
        return "" if good else "a list of positive integers"
    if isinstance(default, str):
        return "" if value in MATMUL_PRECISIONS else f"one of {', '.join(MATMUL_PRECISIONS)}"
    whole, from_zero, below_one = isinstance(default, int), key in FROM_ZERO, key in BELOW_ONE
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    # The largest float is a bound, since infinity and integers that no float can hold may come from JSON.
    if number and 0 <= value <= sys.float_info.max and (value > 0 or from_zero) and (value < 1 or not below_one):
        return ""
    noun = "integer" if whole else "number"
    if from_zero:
        return f"{'an' if whole else 'a'} {noun} from 0" + (" to below 1" if below_one else "")
    return f"a positive {noun}" + (" below 1" if below_one else "")

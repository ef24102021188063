"""Blocks of the configuration, as the commands receive them."""

import argparse
import json
from dataclasses import asdict
from math import isfinite
from typing import Any, TypeVar

from natural_sparsity.errors import UserError

T = TypeVar("T")

# Those of torch.set_float32_matmul_precision: single precision; TF32 and bfloat16, where the hardware has them.
MATMUL_PRECISIONS = ("highest", "high", "medium")


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
        UserError: an unknown key, or a value that is not of the kind of the key's default: a positive number (dropout:
            from 0 to below 1), true or false, a list of positive integers, or a precision.
    """
    name = block.__name__.lower()
    defaults = asdict(block())  # type: ignore[call-overload]
    for key, value in settings.items():
        if key not in defaults:
            raise UserError(f"{name}: unknown key {key!r}; the keys are {', '.join(defaults)}")
        wanted = unfit(value, defaults[key], lowest_is_zero=key == "dropout")
        if wanted:
            raise UserError(f"{name}.{key}: {value!r} is not {wanted}")
    return block(**settings)


def unfit(value: Any, default: Any, *, lowest_is_zero: bool) -> str:
    """What ``value`` should have been, in words; nothing if it is of the kind of ``default``."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, list):
        good = isinstance(value, list) and value and not any(unfit(v, 1, lowest_is_zero=False) for v in value)
        return "" if good else "a list of positive integers"
    if isinstance(default, str):
        return "" if value in MATMUL_PRECISIONS else f"one of {', '.join(MATMUL_PRECISIONS)}"
    kinds = (int,) if isinstance(default, int) else (int, float)
    is_number = isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value)
    if lowest_is_zero:
        return "" if is_number and 0 <= value < 1 else "a number from 0 to below 1"
    return "" if is_number and value > 0 else f"a positive {'integer' if isinstance(default, int) else 'number'}"

"""Blocks of the configuration, as the commands receive them."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, field, fields
from typing import Any, TypeVar

from natural_sparsity.errors import UserError

T = TypeVar("T")

# Those of torch.set_float32_matmul_precision: single precision; TF32 and bfloat16, where the hardware has them.
MATMUL_PRECISIONS = ("highest", "high", "medium")
CHOICES = "choices"
# The keys whose numbers may be 0, and those whose numbers are below 1.
FROM_ZERO = {"dropout", "seed"}
BELOW_ONE = {"dropout", "epsilon", "level"}


def json_object(text: str) -> dict[str, Any]:
    """An argument that is a JSON object; argparse reports the failure."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return value


def one_of(*choices: str) -> Any:
    """A block's field that is one of ``choices``, the first unless given."""
    return field(default=choices[0], metadata={CHOICES: choices})


def some_of(*choices: str) -> Any:
    """A block's field that is a list of ``choices``, each at most once; the first alone unless given."""
    return field(default_factory=lambda: [choices[0]], metadata={CHOICES: choices})


def read_block(block: type[T], settings: dict[str, Any]) -> T:
    """Make the dataclass ``block`` from ``settings``.

    Raises:
        UserError: an unknown key, or a value that is not of the kind of the key's default: a positive number (within
            the bounds of ``FROM_ZERO`` and ``BELOW_ONE``), true or false, a list of positive integers, or what
            :func:`one_of` and :func:`some_of` allow.
    """
    name = block.__name__.lower()
    defaults = asdict(block())  # type: ignore[call-overload]
    choices = {entry.name: entry.metadata.get(CHOICES, ()) for entry in fields(block)}  # type: ignore[arg-type]
    for key, value in settings.items():
        if key not in defaults:
            raise UserError(f"{name}: unknown key {key!r}; the keys are {', '.join(defaults)}")
        wanted = unchosen(value, defaults[key], choices[key]) if choices[key] else unfit(value, defaults[key], key)
        if wanted:
            raise UserError(f"{name}.{key}: {value!r} is not {wanted}")
    return block(**settings)


def unchosen(value: Any, default: Any, choices: Sequence[str]) -> str:
    """What ``value`` should have been, in words; nothing if it is one of ``choices``, or a list of some of them."""
    if not isinstance(default, list):
        return "" if value in choices else f"one of {', '.join(choices)}"
    good = isinstance(value, list) and value and all(value.count(v) == 1 and v in choices for v in value)
    return "" if good else f"a list of some of {', '.join(choices)}, each once"


def unfit(value: Any, default: Any, key: str) -> str:
    """What ``value`` should have been, in words; nothing if it is of the kind of ``default``."""
    if isinstance(default, bool):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(default, list):
        good = isinstance(value, list) and value and not any(unfit(v, 1, key) for v in value)
        return "" if good else "a list of positive integers"
    whole, from_zero, below_one = isinstance(default, int), key in FROM_ZERO, key in BELOW_ONE
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    # The largest float is a bound, since infinity and integers that no float can hold may come from JSON.
    if number and 0 <= value <= sys.float_info.max and (value > 0 or from_zero) and (value < 1 or not below_one):
        return ""
    noun = "integer" if whole else "number"
    if from_zero:
        return f"{'an' if whole else 'a'} {noun} from 0" + (" to below 1" if below_one else "")
    return f"a positive {noun}" + (" below 1" if below_one else "")

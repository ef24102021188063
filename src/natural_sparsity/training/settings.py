"""The training block of a model's configuration."""

import argparse
import json
from dataclasses import dataclass
from typing import Any

from natural_sparsity.errors import UserError


@dataclass(frozen=True)
class Training:
    """The paper's recipe (DESIGN §4): plain SGD on truncated backpropagation through time.

    ``batch`` streams, ``window`` steps, ``clip`` on the gradient's global ℓ2 norm; the learning rate is divided by
    ``decay`` after an epoch whose dev loss is no better than the best so far. ``evaluation_batch`` streams for dev.
    """

    batch: int = 40
    window: int = 35
    learning_rate: float = 20.0
    clip: float = 0.25
    decay: float = 4.0
    evaluation_batch: int = 10

    @classmethod
    def of(cls, settings: dict[str, Any]) -> "Training":
        """Read the configuration's block; raises :class:`UserError` on an unknown key."""
        unknown = set(settings) - set(cls.__dataclass_fields__)
        if unknown:
            raise UserError(f"training: unknown key {min(unknown)!r}")
        return cls(**settings)


def json_object(text: str) -> dict[str, Any]:
    """An argument that is a JSON object; argparse reports the failure."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"not a JSON object: {text}")
    return value

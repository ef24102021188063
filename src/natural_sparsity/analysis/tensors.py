"""The tensors that a probe measures, in a model of any depth.

``h_e`` is the output of the embedding, ``h_1`` … ``h_L`` are those of the recurrent layers, ``x`` is that of the
softmax; ``grad_`` marks the gradient of the loss at the same place (``grad_x``: at the logits). ``static`` is neither:
the gradient at h_L if the model predicted every word by its frequency alone, p̄W − W[w], a function of the weights W of
the output layer and the frequencies p̄.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from natural_sparsity.errors import UserError

GRADIENT = "grad_"
STATIC = "static"
NAME = re.compile(rf"({GRADIENT})?(h_e|h_[1-9][0-9]*|x)|{STATIC}")
SUPERSCRIPTS = str.maketrans("0123456789e", "⁰¹²³⁴⁵⁶⁷⁸⁹ᵉ")


def list_layers(tensors: Iterable[str]) -> list[str]:
    """The outputs of the recurrent layers among ``tensors``, the lowest first."""
    numbers = {int(match[1]) for name in tensors if (match := re.fullmatch(r"h_(\d+)", name))}
    return [f"h_{number}" for number in sorted(numbers)]


def find_top(tensors: Iterable[str]) -> str:
    """The output of the top recurrent layer, h_L, of a model that has ``tensors``.

    Raises:
        UserError: there is no recurrent layer among them.
    """
    names = set(tensors)
    layers = list_layers(names) or list_layers(name.removeprefix(GRADIENT) for name in names)
    if not layers:
        raise UserError(f"no recurrent layer among the tensors ({', '.join(sorted(names)) or 'none'}); probe again")
    return layers[-1]


def sort_tensors(tensors: Iterable[str]) -> list[str]:
    """``tensors``, each once: from the embedding to the softmax, activations before gradients, the static one last.

    Raises:
        UserError: probes do not measure one of them.
    """
    return sorted(set(tensors), key=locate)


def check_tensors(path: Path | str, tensors: Iterable[str]) -> list[str]:
    """Check and return the tensors that a file names, since they become file names.

    Raises:
        UserError: probes do not measure one of them; the message names the file.
    """
    names = list(map(str, tensors))
    try:
        sort_tensors(names)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return names


def list_gradients(tensors: Iterable[str]) -> list[str]:
    """The gradients among ``tensors``, in their order."""
    return [tensor for tensor in tensors if tensor.startswith(GRADIENT)]


def list_activations(tensors: Iterable[str]) -> list[str]:
    """The activations among ``tensors``, in their order: neither the gradients nor the static one."""
    return [tensor for tensor in tensors if not tensor.startswith(GRADIENT) and tensor != STATIC]


def locate(tensor: str) -> tuple[int, float]:
    """Where a tensor stands in the order of :func:`sort_tensors`; raise as it does."""
    if not NAME.fullmatch(tensor):
        raise UserError(f"unknown tensor {tensor!r}, which no probe measures; probe again")
    if tensor == STATIC:
        return 2, 0.0
    name = tensor.removeprefix(GRADIENT)
    ends = {"h_e": 0.0, "x": float("inf")}
    return int(tensor != name), ends[name] if name in ends else float(name.removeprefix("h_"))


def write_tensor(tensor: str) -> str:
    """A tensor's symbol in plain text: ``grad_h_2`` is ∇h²."""
    if tensor == STATIC:
        return "p̄W − W[w]"
    name = tensor.removeprefix(GRADIENT)
    if name == "x":
        return "∇x" if tensor != name else "x̂"
    letter, _, index = name.partition("_")
    return ("∇" if tensor != name else "") + letter + index.translate(SUPERSCRIPTS)

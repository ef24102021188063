"""Tensors as an exported file holds them: integers of few bits, and one bit in place of each zero.

Three things make a tensor smaller, and each is undone bit for bit (a zero of either sign comes back as 0):

- A matrix q · s is stored as its integers q, each in as few bits as the matrix needs, and its scales s.
- A matrix with enough zeros is stored as one bit per weight, set where it is not 0, and the values that are not 0.
- The rows that words share (:class:`natural_sparsity.model.recurrent.SharedRows`) are stored as one bit per word.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Suffixes of what is stored beside a tensor's values: which weights are not 0, and the scales of integers.
KEPT, SCALE = ".kept", ".scale"
Numbers = dict[str, tuple[Tensor, Tensor]]  # by a matrix's name: integers q (int8), and scales s, (rows,) or (1,)
Layouts = dict[str, dict[str, Any]]


def pack(tensors: Mapping[str, Tensor], numbers: Numbers) -> tuple[dict[str, Tensor], Layouts]:
    """Return the tensors to store, by name, and the layouts with which :func:`unpack` reads them.

    Args:
        tensors: by name; those of 64-bit integers are rows that words share.
        numbers: the matrices to store as integers in place of their values.

    Returns:
        A tensor without a layout is stored as it is. A layout has the ``shape``; of integers, how many ``bits`` each
        takes; ``rows: true`` of shared rows.
    """
    stored: dict[str, Tensor] = {}
    layouts: Layouts = {}
    for name, tensor in tensors.items():
        if tensor.dtype == torch.int64:
            stored[name], layouts[name] = pack_bits(tensor > 0), {"shape": list(tensor.shape), "rows": True}
            continue
        bits = 0
        if name in numbers:
            tensor, stored[name + SCALE] = numbers[name]
            bits = count_bits(tensor)
        width = bits or 8 * tensor.element_size()
        kept = tensor != 0
        sparse = tensor.dim() > 1 and tensor.numel() + int(kept.sum()) * width < tensor.numel() * width
        if not (bits or sparse):
            stored[name] = tensor.contiguous()
            continue
        values = tensor[kept] if sparse else tensor.flatten()
        stored[name] = pack_integers(values, bits) if bits else values
        layouts[name] = {"shape": list(tensor.shape)} | ({"bits": bits} if bits else {})
        if sparse:
            stored[name + KEPT] = pack_bits(kept)
    return stored, layouts


def unpack(stored: Mapping[str, Tensor], layouts: Layouts) -> tuple[dict[str, Tensor], Numbers]:
    """Return what :func:`pack` was given; of matrices of integers, the tensors are q · s."""
    beside = {name + suffix for name in layouts for suffix in (KEPT, SCALE)}
    tensors = {name: tensor for name, tensor in stored.items() if name not in beside}
    numbers: Numbers = {}
    for name, layout in layouts.items():
        size = math.prod(layout["shape"])
        if layout.get("rows"):
            living = unpack_bits(stored[name], size).long()
            tensors[name] = living.cumsum(0) * living
            continue
        kept = unpack_bits(stored[name + KEPT], size) if name + KEPT in stored else None
        values = stored[name]
        if "bits" in layout:
            values = unpack_integers(values, layout["bits"], size if kept is None else int(kept.sum()))
        if kept is not None:
            values = values.new_zeros(size).masked_scatter_(kept, values)
        tensors[name] = values.view(layout["shape"])
        if "bits" in layout:
            numbers[name] = tensors[name], stored[name + SCALE]
            tensors[name] = multiply(*numbers[name])
    return tensors, numbers


def multiply(q: Tensor, scale: Tensor) -> Tensor:
    """Return the matrix q · s of integers (rows, columns) and scales (rows,) or (1,)."""
    return q * scale[:, None]


def count_bits(q: Tensor) -> int:
    """Return how many bits, sign included, each of the integers takes."""
    return max(int(q.max()), ~int(q.min())).bit_length() + 1


def pack_bits(flags: Tensor) -> Tensor:
    """Return booleans of any shape as bits in bytes, the first in the highest bit."""
    return torch.from_numpy(np.packbits(flags.numpy()))


def unpack_bits(packed: Tensor, count: int) -> Tensor:
    """Return ``count`` booleans that :func:`pack_bits` packed."""
    return torch.from_numpy(np.unpackbits(packed.numpy(), count=count).astype(bool))


def pack_integers(values: Tensor, bits: int) -> Tensor:
    """Return integers (n,) of int8 as their lowest ``bits`` bits, one number after the other, in bytes."""
    places = np.arange(bits - 1, -1, -1, dtype=np.uint8)
    return torch.from_numpy(np.packbits(values.numpy().view(np.uint8)[:, None] >> places & 1))


def unpack_integers(packed: Tensor, bits: int, count: int) -> Tensor:
    """Return ``count`` integers (int8) that :func:`pack_integers` packed; the highest bit of each is the sign's."""
    digits = np.unpackbits(packed.numpy(), count=count * bits).reshape(count, bits)
    numbers = np.zeros(count, np.int8)
    for digit in digits.T:
        numbers = (numbers << 1 | digit.view(np.int8)).astype(np.int8)
    # Shift the sign's bit to the top of the byte and back, which repeats it.
    return torch.from_numpy((numbers << (8 - bits)).astype(np.int8) >> (8 - bits))

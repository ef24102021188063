"""Triton kernels for a GPU: torch would pass over the logits once for each operation."""

import triton
import triton.language as tl
from torch import Tensor

COLUMNS, WARPS = 4096, 8


def exponentiate(logits: Tensor, left_out: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Replace ``logits`` (rows, vocabulary) by exp(logits − maximum); return maxima, sums and left-out values, (rows,).

    The logits are read once from the GPU's memory and written once; the second reading of a row finds it in the cache.
    ``left_out`` (rows,): a column of each row that becomes 0 and does not count in its sum.
    """
    maxima, sums, values = logits.new_zeros(3, len(logits))
    exponentiate_row[(len(logits),)](
        logits,
        sums if left_out is None else left_out,  # any pointer: it is not read
        maxima,
        sums,
        values,
        logits.stride(0),
        WIDTH=logits.shape[1],
        SEPARATE=left_out is not None,
        COLUMNS=COLUMNS,
        num_warps=WARPS,
    )
    return maxima, sums, values


@triton.jit
def exponentiate_row(
    logits,
    left_out,
    maxima,
    sums,
    values,
    stride,
    WIDTH: tl.constexpr,
    SEPARATE: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Exponentiate one row, that of this program."""
    row = tl.program_id(0)
    start = logits + row.to(tl.int64) * stride
    places = tl.arange(0, COLUMNS)
    largest = tl.full((COLUMNS,), float("-inf"), tl.float32)
    for first in range(0, WIDTH, COLUMNS):
        at = first + places
        largest = tl.maximum(largest, tl.load(start + at, mask=at < WIDTH, other=float("-inf")))
    maximum = tl.max(largest, 0)
    total = tl.zeros((COLUMNS,), tl.float32)
    value = tl.zeros((COLUMNS,), tl.float32)
    target = -1
    if SEPARATE:
        target = tl.load(left_out + row)
    for first in range(0, WIDTH, COLUMNS):
        at = first + places
        e = tl.exp(tl.load(start + at, mask=at < WIDTH, other=float("-inf")) - maximum)
        if SEPARATE:
            value += tl.where(at == target, e, 0.0)
            e = tl.where(at == target, 0.0, e)
        tl.store(start + at, e, mask=at < WIDTH)
        total += e
    tl.store(maxima + row, maximum)
    tl.store(sums + row, tl.sum(total, 0))
    if SEPARATE:
        tl.store(values + row, tl.sum(value, 0))

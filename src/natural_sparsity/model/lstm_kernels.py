"""Triton kernels that run all steps of an LSTM layer: one forward, one backward.

A program computes ``UNITS`` units of ``ROWS`` rows. Before a step, it needs the hidden states that the programs of the
other units computed for its rows, so the programs wait for each other after each step (``wait``). All must therefore
run at once, which :func:`natural_sparsity.model.lstm.fits` ensures. Sums are added in the same order in every run.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from natural_sparsity.model.lstm import ROWS, UNITS, count_programs

WARPS = 4


def run_steps(gates: Tensor, recurrent: Tensor, hidden: Tensor, cells: Tensor) -> None:
    """Run all steps.

    Args:
        gates: (steps, batch, 4 · units), the inputs' and biases' part of the gates i, f, g, o; becomes their σ or tanh.
        recurrent: (4 · units, units), the weights.
        hidden, cells: (steps + 1, batch, units); the first is the state before, the others are filled in.
    """
    steps, batch, _ = gates.shape
    units = hidden.shape[2]
    grid = count_programs(units, batch)
    forward_kernel[grid](
        gates, recurrent.contiguous(), hidden, cells, new_counters(grid, gates), steps, batch,
        grid[0], "tf32", units, triton.next_power_of_2(max(units, 16)), UNITS, ROWS, num_warps=WARPS,
    )  # fmt: skip


def run_steps_back(
    upper: Tensor, gates: Tensor, cells: Tensor, recurrent: Tensor, by_gates: Tensor, by_cell: Tensor
) -> None:
    """Run all steps backwards.

    Args:
        upper: (steps, batch, units), the gradient by the hidden states, as the layer above gives it.
        gates, cells, recurrent: as :func:`run_steps` left them.
        by_gates: (steps, batch, 4 · units); becomes the gradient by the gates before σ and tanh.
        by_cell: (batch, units), the gradient by the last cell; becomes that by the first.
    """
    steps, batch, units = upper.shape
    grid = count_programs(units, batch)
    width = triton.next_power_of_2(max(units, 16))
    parts = upper.new_empty(2, grid[1], grid[0], ROWS, width)
    backward_kernel[grid](
        upper, gates, cells, recurrent.contiguous(), by_gates, by_cell, parts, new_counters(grid, gates), steps, batch,
        grid[0], triton.next_power_of_2(grid[0]), "tf32", units, width, UNITS, ROWS, num_warps=WARPS,
    )  # fmt: skip


def new_counters(grid: tuple[int, int], like: Tensor) -> Tensor:
    """Return a counter at zero for each group of rows."""
    return torch.zeros(grid[1], dtype=torch.int32, device=like.device)


@triton.jit
def wait(counter, goal):
    """Count this program in, and wait until the counter has reached the goal."""
    tl.debug_barrier()  # all threads have written
    tl.atomic_add(counter, 1, sem="release", scope="gpu")
    while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < goal:
        pass
    tl.debug_barrier()


@triton.jit
def tanh(x):
    """The hyperbolic tangent."""
    return 2 * tl.sigmoid(2 * x) - 1


@triton.jit
def forward_kernel(
    gates, recurrent, hidden, cells, counters, steps, batch, PROGRAMS: tl.constexpr, PRECISION: tl.constexpr,
    WIDTH: tl.constexpr, K: tl.constexpr, UNITS: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Run the steps for some units and rows."""
    rows = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    units = tl.program_id(0) * UNITS + tl.arange(0, UNITS)
    k = tl.arange(0, K)
    # All four gates of the units side by side: one product per step.
    column = tl.arange(0, 4 * UNITS)
    unit = tl.program_id(0) * UNITS + column % UNITS
    place = (column // UNITS) * WIDTH + unit
    weights = tl.load(
        recurrent + place[None, :] * WIDTH + k[:, None], mask=(k[:, None] < WIDTH) & (unit[None, :] < WIDTH), other=0.0
    )
    all_gates = (rows[:, None] < batch) & (unit[None, :] < WIDTH)
    own = (rows[:, None] < batch) & (units[None, :] < WIDTH)
    at = rows[:, None] * WIDTH + units[None, :]
    cell = tl.load(cells + at, mask=own, other=0.0)
    for step in range(steps):
        before = hidden + step * batch * WIDTH + rows[:, None] * WIDTH + k[None, :]
        # Read from the second-level cache, since other processors wrote it.
        h = tl.load(before, mask=(rows[:, None] < batch) & (k[None, :] < WIDTH), other=0.0, cache_modifier=".cg")
        row = gates + step * batch * 4 * WIDTH + rows[:, None] * 4 * WIDTH
        z = tl.load(row + place[None, :], mask=all_gates, other=0.0)
        z += tl.dot(h, weights, input_precision=PRECISION)
        even, odd = tl.split(tl.permute(tl.reshape(z, (ROWS, 2, 2, UNITS)), (0, 3, 1, 2)))
        i, g = tl.split(even)
        f, o = tl.split(odd)
        i, f, g, o = tl.sigmoid(i), tl.sigmoid(f), tanh(g), tl.sigmoid(o)
        cell = f * cell + i * g
        tl.store(hidden + (step + 1) * batch * WIDTH + at, o * tanh(cell), mask=own)
        tl.store(cells + (step + 1) * batch * WIDTH + at, cell, mask=own)
        tl.store(row + units[None, :], i, mask=own)
        tl.store(row + WIDTH + units[None, :], f, mask=own)
        tl.store(row + 2 * WIDTH + units[None, :], g, mask=own)
        tl.store(row + 3 * WIDTH + units[None, :], o, mask=own)
        wait(counters + tl.program_id(1), PROGRAMS * (step + 1))


@triton.jit
def backward_kernel(
    upper, gates, cells, recurrent, by_gates, by_cell, parts, counters, steps, batch, PROGRAMS: tl.constexpr,
    POWER: tl.constexpr, PRECISION: tl.constexpr, WIDTH: tl.constexpr, K: tl.constexpr, UNITS: tl.constexpr,
    ROWS: tl.constexpr,
):  # fmt: skip
    """Run the steps backwards for some units and rows.

    A program multiplies the gradients of its own gates by its rows of the weights, and writes what that contributes
    to the gradients of all hidden states. Then each program adds up all contributions to its own hidden states.
    """
    number, group = tl.program_id(0), tl.program_id(1)
    rows = group * ROWS + tl.arange(0, ROWS)
    units = number * UNITS + tl.arange(0, UNITS)
    k = tl.arange(0, K)
    column = tl.arange(0, 4 * UNITS)
    unit = number * UNITS + column % UNITS
    place = (column // UNITS) * WIDTH + unit
    weights = tl.load(
        recurrent + place[:, None] * WIDTH + k[None, :], mask=(k[None, :] < WIDTH) & (unit[:, None] < WIDTH), other=0.0
    )
    own = (rows[:, None] < batch) & (units[None, :] < WIDTH)
    at = rows[:, None] * WIDTH + units[None, :]
    by_c = tl.load(by_cell + at, mask=own, other=0.0)
    # parts: (2, groups of rows, programs, ROWS, K); two, since one is read while the next is written.
    size = PROGRAMS * ROWS * K
    program = tl.arange(0, POWER)
    written = number * ROWS * K + tl.arange(0, ROWS)[:, None] * K + k[None, :]
    read = program[:, None, None] * ROWS * K + tl.arange(0, ROWS)[None, :, None] * K + units[None, None, :]
    present = (program[:, None, None] < PROGRAMS) & (units[None, None, :] < WIDTH)
    for back in range(steps):
        step = steps - 1 - back
        by_h = tl.load(upper + step * batch * WIDTH + at, mask=own, other=0.0)
        if back > 0:
            before = parts + ((back - 1) % 2 * tl.num_programs(1) + group) * size
            # Read from the second-level cache, since other processors wrote it.
            by_h += tl.sum(tl.load(before + read, mask=present, other=0.0, cache_modifier=".cg"), 0)
        row = rows[:, None] * 4 * WIDTH + units[None, :]
        now = gates + step * batch * 4 * WIDTH + row
        i = tl.load(now, mask=own, other=0.0)
        f = tl.load(now + WIDTH, mask=own, other=0.0)
        g = tl.load(now + 2 * WIDTH, mask=own, other=0.0)
        o = tl.load(now + 3 * WIDTH, mask=own, other=0.0)
        old = tl.load(cells + step * batch * WIDTH + at, mask=own, other=0.0)
        squashed = tanh(tl.load(cells + (step + 1) * batch * WIDTH + at, mask=own, other=0.0))
        by_c += by_h * o * (1 - squashed * squashed)
        by_i = by_c * g * i * (1 - i)
        by_f = by_c * old * f * (1 - f)
        by_g = by_c * i * (1 - g * g)
        by_o = by_h * squashed * o * (1 - o)
        by_c *= f
        out = by_gates + step * batch * 4 * WIDTH + row
        tl.store(out, by_i, mask=own)
        tl.store(out + WIDTH, by_f, mask=own)
        tl.store(out + 2 * WIDTH, by_g, mask=own)
        tl.store(out + 3 * WIDTH, by_o, mask=own)
        if back < steps - 1:
            joined = tl.join(tl.join(by_i, by_g), tl.join(by_f, by_o))  # (rows, units, 2, 2)
            z = tl.reshape(tl.permute(joined, (0, 2, 3, 1)), (ROWS, 4 * UNITS))
            part = tl.dot(z, weights, input_precision=PRECISION)
            tl.store(parts + (back % 2 * tl.num_programs(1) + group) * size + written, part)
            wait(counters + group, PROGRAMS * (back + 1))
    tl.store(by_cell + at, by_c, mask=own)

"""An LSTM's window with factors of gates and outputs, against the formulas, differentiated by autograd."""

import itertools

import pytest
import torch
from torch import nn

from natural_sparsity.model.window import FactoredWindow, double_g

NAMES = ["inputs", "h", "c", "weight_ih", "weight_hh", "bias", "gates", "neurons"]


def run_formulas(inputs, h, c, weight_ih, weight_hh, bias, gates=None, neurons=None):
    """Lobacheva et al. 2019, section 2: factors multiply the preactivations, without the bias, and the outputs."""
    outputs = []
    for x in inputs:
        sums = x @ weight_ih.T + h @ weight_hh.T
        i, f, g, o = ((sums if gates is None else sums * gates) + bias).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh() * (1 if neurons is None else neurons)
        outputs.append(h)
    return torch.stack(outputs), h, c


def run_window(inputs, h, c, weight_ih, weight_hh, bias, gates=None, neurons=None):
    return FactoredWindow.apply(inputs, h, c, *map(double_g, (weight_ih, weight_hh, bias)), gates, neurons)


def draw(steps, batch, width, hidden):
    torch.manual_seed(steps)
    shapes = [(steps, batch, width), (batch, hidden), (batch, hidden), (4 * hidden, width), (4 * hidden, hidden)]
    shapes += [(4 * hidden,), (batch, 4 * hidden), (batch, hidden)]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize(("with_gates", "with_neurons"), list(itertools.product([False, True], repeat=2)))
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (9, 3, 5, 4)])
def test_outputs_states_and_all_gradients_are_those_of_the_formulas(sizes, with_gates, with_neurons):
    values = draw(*sizes)
    given = [*values[:6], values[6] if with_gates else None, values[7] if with_neurons else None]
    wanted = [value for value in given if value is not None]
    (outputs, *states), (expected, *expected_states) = run_window(*given), run_formulas(*given)
    upper = torch.randn_like(expected)
    kept = upper.clone()
    pairs = [(outputs, expected), *zip(states, expected_states, strict=True)]
    gradients = (torch.autograd.grad(result, wanted, upper) for result in (outputs, expected))
    for ours, theirs in [*pairs, *zip(*gradients, strict=True)]:
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)
    assert torch.equal(upper, kept)


@pytest.mark.parametrize("name", NAMES)
def test_each_gradient_can_be_had_alone(name):
    values = [value.detach() for value in draw(4, 3, 2, 5)]
    alone = values[NAMES.index(name)].requires_grad_()
    ours, theirs = (torch.autograd.grad(run(*values)[0].sin().sum(), alone)[0] for run in (run_window, run_formulas))
    torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-12)


def test_without_factors_it_is_pytorchs_layer():
    layer = nn.LSTM(3, 4).double()
    inputs, h, c, *_ = draw(5, 2, 3, 4)
    expected, _ = layer(inputs, (h[None], c[None]))
    weight_ih, weight_hh, *biases = layer.parameters()
    torch.testing.assert_close(run_window(inputs, h, c, weight_ih, weight_hh, sum(biases))[0], expected)

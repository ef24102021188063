"""The probe's LSTM against PyTorch's and its autograd, in double precision."""

import pytest
import torch
from torch import nn

from chains import language_model
from natural_sparsity.probing.lstm import InputGradientLSTM, use_input_gradients


@pytest.mark.parametrize(
    ("steps", "batch", "width", "hidden"), [(1, 1, 1, 1), (1, 3, 2, 4), (9, 3, 5, 4), (35, 2, 3, 7)]
)
def test_values_states_and_gradients_are_pytorchs(steps, batch, width, hidden):
    torch.manual_seed(0)
    layer = nn.LSTM(width, hidden).double()
    inputs = torch.randn(steps, batch, width, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.randn(1, batch, hidden, dtype=torch.float64) for _ in range(2))
    upper = torch.randn(steps, batch, hidden, dtype=torch.float64)
    kept = upper.clone()
    results = []
    for module in (layer, InputGradientLSTM(layer)):
        outputs, last = module(inputs, state)
        results.append([outputs, *last, *torch.autograd.grad(outputs, inputs, upper)])
    for ours, theirs in zip(*results, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)
    assert torch.equal(upper, kept)


def test_a_window_that_goes_on_where_the_last_ended():
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4).double()
    inputs = torch.randn(10, 2, 3, dtype=torch.float64)
    zero = torch.zeros(1, 2, 4, dtype=torch.float64)
    module = InputGradientLSTM(layer)
    first, state = module(inputs[:6], (zero, zero))
    second, _ = module(inputs[6:], state)
    torch.testing.assert_close(torch.cat([first, second]), layer(inputs)[0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("cell", "layer"), [("gru", nn.GRU), ("rnn", nn.RNN), ("lstm", InputGradientLSTM)])
def test_other_cells_stay_as_they_are(cell, layer):
    model = language_model(5, embedding=2, hidden=[2, 2], cell=cell)
    assert [type(one) for one in use_input_gradients(model)] == [layer, layer]


def test_a_model_tuned_for_the_library_keeps_its_layers():
    model = language_model(5, embedding=2, hidden=[2, 2])
    model.tuning = model.tuning._replace(probe_lstm="library")
    assert use_input_gradients(model) is model.recurrent

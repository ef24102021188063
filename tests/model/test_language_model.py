"""Where dropout is, and what a model starts from."""

import pytest
import torch
from torch import nn

from natural_sparsity.model.language_model import Architecture, LanguageModel

VOCABULARY, STEPS, BATCH = 50, 6, 3


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LanguageModel(VOCABULARY, Architecture(embedding=8, hidden=[7, 6], dropout=0.4))


def test_dropout_is_on_the_embedding_between_the_layers_and_before_the_output(model):
    inputs = torch.randint(VOCABULARY, (STEPS, BATCH))
    model.train()
    torch.manual_seed(1)
    outputs, features, _ = model(inputs, model.zero_state(BATCH))
    drop = nn.Dropout(0.4)
    torch.manual_seed(1)
    embedded = model.embedding(inputs)
    first, _ = model.recurrent[0](drop(embedded))
    second, _ = model.recurrent[1](drop(first))
    for ours, plain in zip([*outputs, features], [embedded, first, second, drop(second)], strict=True):
        torch.testing.assert_close(ours, plain)
    assert 0.2 < (features == 0).float().mean() < 0.6


def test_nothing_is_dropped_in_evaluation(model):
    model.eval()
    outputs, features, _ = model(torch.randint(VOCABULARY, (STEPS, BATCH)), model.zero_state(BATCH))
    assert torch.equal(features, outputs[-1])


def test_initial_values():
    torch.manual_seed(0)
    model = LanguageModel(5000, Architecture(embedding=20, hidden=[16, 64]))
    for weight in (model.embedding.weight, model.output.weight):
        assert weight.abs().max() <= 0.1
        assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)  # uniform
    assert not model.output.bias.any()
    for lstm, width in zip(model.recurrent, (16, 64), strict=True):
        for parameter in lstm.parameters():
            assert parameter.abs().max() <= width**-0.5
            assert parameter.std().item() == pytest.approx(width**-0.5 / 3**0.5, rel=0.2)
    assert model.embedding.weight.data_ptr() != model.output.weight.data_ptr()


def weights(layer, *names):
    return [getattr(layer, f"{name}_l0").detach() for name in names]


def step_by_formula(cell, layer, x, state):
    """One step of a layer as textbooks have it; gates in PyTorch's order. Returns the state after it."""
    w, u, b, c = weights(layer, "weight_ih", "weight_hh", "bias_ih", "bias_hh")
    by_input, by_state = x @ w.T + b, state[0] @ u.T + c
    if cell == "rnn":
        return (torch.tanh(by_input + by_state),)
    if cell == "gru":
        (r_x, z_x, n_x), (r_h, z_h, n_h) = by_input.chunk(3, 1), by_state.chunk(3, 1)
        r, z = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        return ((1 - z) * torch.tanh(n_x + r * n_h) + z * state[0],)
    i, f, g, o = (by_input + by_state).chunk(4, 1)
    memory = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(memory), memory


@pytest.mark.parametrize("hidden", [[5], [5, 7], [5, 7, 4]], ids=["one layer", "two", "three"])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_every_cell_equals_its_formulas_over_two_windows(cell, hidden):
    """The state is carried from window to window; no dropout."""
    torch.manual_seed(0)
    model = LanguageModel(VOCABULARY, Architecture(8, hidden, cell=cell)).double().eval()
    inputs = torch.randint(VOCABULARY, (2 * STEPS, BATCH))
    state = model.zero_state(BATCH)
    first, _, state = model(inputs[:STEPS], state)
    second, features, state = model(inputs[STEPS:], state)
    outputs = [torch.cat(windows) for windows in zip(first, second, strict=True)]
    expected = [model.embedding(inputs)]
    for layer, width in zip(model.recurrent, hidden, strict=True):
        now, steps = tuple(torch.zeros(2, BATCH, width).double())[: 1 + (cell == "lstm")], []
        for x in expected[-1]:
            now = step_by_formula(cell, layer, x, now)
            steps.append(now[0])
        expected.append(torch.stack(steps))
    torch.testing.assert_close(outputs, expected)
    assert torch.equal(features, second[-1])
    torch.testing.assert_close(state[-1], tuple(part[None] for part in now))
    assert not any(part.requires_grad for layer in state for part in layer)

"""What a model computes, where dropout is, and what its weights and states start from."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from chains import language_model
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.model.recurrent import Interface, RecurrentModel

VOCABULARY, STEPS, BATCH = 50, 6, 3


@pytest.fixture
def model():
    torch.manual_seed(0)
    return language_model(VOCABULARY, embedding=8, hidden=[7, 6], dropout=0.4)


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
    model = language_model(5000, embedding=20, hidden=[16, 64])
    for weight in (model.embedding.weight, model.output.weight):
        assert weight.abs().max() <= 0.1
        assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)  # uniform
    assert not model.output.bias.any()
    for lstm, width in zip(model.recurrent, (16, 64), strict=True):
        for parameter in lstm.parameters():
            assert parameter.abs().max() <= width**-0.5
            assert parameter.std().item() == pytest.approx(width**-0.5 / 3**0.5, rel=0.2)
    assert model.embedding.weight.data_ptr() != model.output.weight.data_ptr()


def test_random_numbers_are_drawn_as_by_torchs_own_modules_in_turn():
    """So models of a seed stay what they were: the embedding draws normal values first, which are then replaced."""
    torch.manual_seed(0)
    model = language_model(30, embedding=4, hidden=[5])
    torch.manual_seed(0)
    nn.Embedding(30, 4)
    lstm = nn.LSTM(4, 5)
    nn.Linear(5, 30)
    assert torch.equal(model.recurrent[0].weight_hh_l0, lstm.weight_hh_l0)
    assert torch.equal(model.embedding.weight, nn.init.uniform_(torch.empty(30, 4), -0.1, 0.1))
    assert torch.equal(model.output.weight, nn.init.uniform_(torch.empty(30, 5), -0.1, 0.1))


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
    model = language_model(VOCABULARY, embedding=8, hidden=hidden, cell=cell).double().eval()
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


@pytest.mark.parametrize(("cell", "parts"), [("lstm", 2), ("gru", 1), ("rnn", 1)])
@pytest.mark.parametrize("hidden", [[5], [5, 7], [5, 7, 4]], ids=["one layer", "two", "three"])
def test_every_layer_has_a_state_of_its_width(cell, parts, hidden):
    model = language_model(VOCABULARY, embedding=8, hidden=hidden, cell=cell)
    before = model.zero_state(BATCH)
    outputs, features, after = model(torch.randint(VOCABULARY, (STEPS, BATCH)), before)
    for state in (before, after):
        assert [[part.shape for part in layer] for layer in state] == [[(1, BATCH, n)] * parts for n in hidden]
    assert [output.shape for output in outputs] == [(STEPS, BATCH, n) for n in (8, *hidden)]
    assert features.shape == (STEPS, BATCH, hidden[-1])
    assert not any(bool(part.any()) for layer in before for part in layer)
    for output, layer in zip(outputs[1:], after, strict=True):
        assert torch.equal(output[-1], layer[0][0])


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_first_layers_state_is_made_from_the_start(cell):
    """By a linear map without bias; the other layers, and the cell state of an LSTM, start at 0."""
    torch.manual_seed(0)
    model = RecurrentModel(Interface(outputs=3, inputs=2, start=9), Architecture(hidden=[5, 7], cell=cell))
    begin = torch.randn(BATCH, 9)
    state = model.initial_state(BATCH, begin)
    torch.testing.assert_close(state[0][0], (begin @ model.initial.weight.T)[None])
    assert not any(bool(part.any()) for part in (*state[0][1:], *state[1]))
    assert not any(bool(part.any()) for layer in model.initial_state(BATCH) for part in layer)


def test_vectors_are_read_as_they_are_without_dropout():
    """They are data, not units of the model; dropout is between the layers and before the output alone."""
    torch.manual_seed(0)
    model = RecurrentModel(Interface(outputs=3, inputs=2), Architecture(hidden=[7, 6], dropout=0.4)).train()
    assert model.embedding is None
    assert model.initial is None
    vectors = torch.randn(STEPS, BATCH, 2)
    torch.manual_seed(1)
    outputs, features, _ = model(vectors, model.zero_state(BATCH))
    assert torch.equal(outputs[0], vectors)
    torch.manual_seed(1)
    first, _ = model.recurrent[0](vectors)
    second, _ = model.recurrent[1](functional.dropout(first, 0.4))
    torch.testing.assert_close(features, functional.dropout(second, 0.4))


def test_relu_is_an_activation_of_elmans_network_alone():
    model = language_model(VOCABULARY, embedding=8, hidden=[5], cell="rnn", activation="relu").eval()
    outputs, _, _ = model(torch.randint(VOCABULARY, (STEPS, BATCH)), model.zero_state(BATCH))
    assert float(outputs[1].detach().min()) == 0
    assert model.recurrent[0].nonlinearity == "relu"


def test_fresh_weights_are_of_the_same_shape_and_newly_drawn(model):
    fresh = model.fresh()
    assert (fresh.interface, fresh.architecture) == (model.interface, model.architecture)
    for (name, one), (_, other) in zip(model.named_parameters(), fresh.named_parameters(), strict=True):
        assert one.shape == other.shape
        assert name == "output.bias" or not bool((one == other).any())


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_orthogonal_recurrent_weights_are_so_gate_by_gate(cell, gates):
    torch.manual_seed(0)
    model = language_model(embedding=8, hidden=[12, 9], cell=cell, recurrent_start="orthogonal")
    for layer in model.recurrent:
        blocks = layer.weight_hh_l0.detach().split(layer.hidden_size)
        assert len(blocks) == gates
        for block in blocks:
            torch.testing.assert_close(block @ block.T, torch.eye(layer.hidden_size), rtol=0, atol=1e-5)
        assert len({block[0, 0].item() for block in blocks}) == gates, "each gate has a draw of its own"


def test_the_bias_of_forget_gates_is_the_sum_of_both_and_no_other_bias_changes():
    models = []
    for options in ({}, {"forget_bias": 1.0}, {"forget_bias": 0.0}):
        torch.manual_seed(0)
        models.append(language_model(embedding=8, hidden=[5, 4], **options))
    for plain, *changed in zip(*(model.recurrent for model in models), strict=True):
        n = plain.hidden_size
        for layer, bias in zip(changed, (1.0, 0.0), strict=True):
            assert bool(
                (layer.bias_ih_l0 + layer.bias_hh_l0)[n : 2 * n].eq(bias).all()
            )  # PyTorch's order is i, f, g, o
            for name in ("bias_ih_l0", "bias_hh_l0"):
                others = [(getattr(each, name)[:n], getattr(each, name)[2 * n :]) for each in (plain, layer)]
                assert all(torch.equal(one, other) for one, other in zip(*others, strict=True))


def test_a_choice_of_start_moves_nothing_that_it_does_not_name():
    """Else the runs of two starts would differ in their embeddings, too."""
    models = []
    for options in ({}, {"recurrent_start": "orthogonal", "forget_bias": 1.0}):
        torch.manual_seed(0)
        models.append(language_model(embedding=8, hidden=[5, 4], **options))
    for (name, one), (_, other) in zip(*(model.named_parameters() for model in models), strict=True):
        assert torch.equal(one, other) is ("weight_hh" not in name and "bias_" not in name), name

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
    first, _ = model.lstms[0](drop(embedded))
    second, _ = model.lstms[1](drop(first))
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
    for lstm, width in zip(model.lstms, (16, 64), strict=True):
        for parameter in lstm.parameters():
            assert parameter.abs().max() <= width**-0.5
            assert parameter.std().item() == pytest.approx(width**-0.5 / 3**0.5, rel=0.2)
    assert model.embedding.weight.data_ptr() != model.output.weight.data_ptr()

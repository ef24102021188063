"""Dense models with as many weights as a pruned one has left."""

import pytest
import torch

from chains import language_model
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.errors import UserError
from natural_sparsity.methods.equal_size import count_left, shrink
from natural_sparsity.methods.masks import all_kept, by_magnitude, prunable
from natural_sparsity.model.recurrent import Interface, RecurrentModel


def count(model):
    return sum(p.numel() for name, p in model.named_parameters() if "weight" in name)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("share", [0.9, 0.4, 0.16, 0.05])
def test_the_number_of_weights_is_as_near_as_a_unit_allows(cell, share):
    model = language_model(100, embedding=40, hidden=[60, 30], cell=cell)
    wanted = round(share * count(model))
    small = shrink(model, wanted)
    unit = 100 + 4 * (2 * 60 + 40 + 30)  # more than one unit of any layer has
    assert abs(count(small) - wanted) < unit
    widths = [small.architecture.embedding, *small.architecture.hidden]
    ratios = [width / full for width, full in zip(widths, (40, 60, 30), strict=True)]
    assert max(ratios) - min(ratios) < 2 / 30, "all narrower by one factor, to the unit"
    assert (small.architecture.cell, small.architecture.dropout) == (cell, model.architecture.dropout)


def test_all_weights_left_give_the_model_that_they_were_taken_from():
    model = language_model(50, embedding=7, hidden=[9, 5])
    assert shrink(model, count(model)).architecture == model.architecture


def test_inputs_without_words_have_no_embedding_to_shrink():
    model = RecurrentModel(Interface(outputs=2, inputs=3, start=4), Architecture(hidden=[30]))
    small = shrink(model, count(model) // 4)
    assert small.embedding is None
    assert count(small) == pytest.approx(count(model) / 4, rel=0.1)
    assert small.initial.weight.shape == (small.architecture.hidden[0], 4)


def test_what_masks_keep_and_what_they_do_not_cover_is_counted():
    model = language_model(50, embedding=7, hidden=[9, 5])
    weights = prunable(model, ["recurrent"])
    masks = by_magnitude(weights, all_kept(weights), 0.25, "global")
    pruned = sum(mask.numel() - int(mask.sum()) for mask in masks.values())
    assert count_left(model, masks) == count(model) - pruned
    assert count_left(model, {}) == count(model)


def test_the_draw_is_the_generators_alone():
    model = language_model(50, embedding=7, hidden=[9, 5])
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(shrink(model, 500).output.weight)
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_fewer_weights_than_one_unit_per_layer_has_are_refused():
    model = language_model(50, embedding=7, hidden=[9, 5])
    with pytest.raises(
        UserError, match="equal_size: 90 weights are left, but a dense model has at least 116; give fewer"
    ):
        shrink(model, 90)

"""Masks against torch's own pruning, and what nesting, scope and shuffling promise."""

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

from chains import TENSORS, language_model
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.errors import UserError
from natural_sparsity.methods import masks
from natural_sparsity.methods.masks import all_kept, by_magnitude, prunable, shuffle
from natural_sparsity.model.recurrent import Interface, RecurrentModel


@pytest.fixture
def weights():
    torch.manual_seed(0)
    return prunable(language_model(50, embedding=7, hidden=[9, 5]), TENSORS)


def test_every_weight_matrix_is_prunable_and_no_bias(weights):
    assert set(weights) == {"embedding.weight", "output.weight"} | {
        f"recurrent.{layer}.weight_{kind}_l0" for layer in (0, 1) for kind in ("ih", "hh")
    }


def test_tied_tensors_count_once():
    model = language_model(50, embedding=5, hidden=[9, 5])
    model.output.weight = model.embedding.weight
    found = prunable(model, ["embedding", "recurrent"])
    assert sum(weight.numel() for weight in found.values()) == 50 * 5 + 4 * 9 * 9 + 4 * 5 * 5


def test_tensors_that_the_model_lacks_are_refused():
    with pytest.raises(UserError, match="no recurrent weights"):
        prunable(nn.Linear(3, 3), ["recurrent"])


def test_embedding_names_what_makes_the_initial_state_and_may_name_nothing_among_others():
    architecture = Architecture(hidden=[4])
    walks = RecurrentModel(Interface(outputs=3, inputs=2, start=5), architecture)
    assert "initial.weight" in prunable(walks, ["embedding"])
    numbers = RecurrentModel(Interface(outputs=1, inputs=2), architecture)
    assert set(prunable(numbers, TENSORS)) == {"recurrent.0.weight_ih_l0", "recurrent.0.weight_hh_l0", "output.weight"}
    with pytest.raises(UserError, match=r"sparsify\.tensors: the model has no embedding weights"):
        prunable(numbers, ["embedding"])


def test_levels_equal_torchs_global_pruning(weights):
    """torch removes the given share of what is left, over all tensors; the masks are those of its levels."""
    modules = {name: nn.ParameterDict({"weight": nn.Parameter(weight.clone())}) for name, weight in weights.items()}
    current = all_kept(weights)
    for level in range(1, 6):
        current = by_magnitude(weights, current, 0.8**level, "global")
        total = sum(weight.numel() for weight in weights.values())
        kept_before = sum(int(m.weight_mask.sum()) if level > 1 else m.weight.numel() for m in modules.values())
        amount = kept_before - round(total * 0.8**level)
        prune.global_unstructured(
            [(module, "weight") for module in modules.values()], prune.L1Unstructured, amount=amount
        )
        for name, module in modules.items():
            assert torch.equal(module.weight_mask.bool(), current[name]), f"level {level}, {name}"


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_density_is_exact_and_masks_are_nested(weights, scope):
    current = all_kept(weights)
    for level in range(1, 12):
        before, current = (
            current,
            by_magnitude(
                {name: torch.randn_like(weight) for name, weight in weights.items()}, current, 0.8**level, scope
            ),
        )
        for name in weights:
            assert not bool((current[name] & ~before[name]).any()), "a pruned weight came back"
            if scope == "layer":
                assert abs(int(current[name].sum()) - 0.8**level * weights[name].numel()) <= 1
        total = sum(weight.numel() for weight in weights.values())
        assert abs(masks.density(current) * total - 0.8**level * total) <= (1 if scope == "global" else len(weights))


def test_scopes_differ(weights):
    uneven = {name: weight + (100 if "output" in name else 0) for name, weight in weights.items()}
    everywhere = by_magnitude(uneven, all_kept(uneven), 0.3, "global")
    by_layer = by_magnitude(uneven, all_kept(uneven), 0.3, "layer")
    assert bool(everywhere["output.weight"].all())
    assert by_layer["output.weight"].float().mean() == pytest.approx(0.3, abs=0.01)


def test_weights_that_are_dropped_rank_lowest_whatever_they_are(weights):
    current = by_magnitude(weights, all_kept(weights), 0.5, "global")
    moved = {name: torch.where(current[name], weight * 1e-3, 1e3) for name, weight in weights.items()}
    assert bool((by_magnitude(moved, current, 0.4, "global")["output.weight"] <= current["output.weight"]).all())


def test_equal_magnitudes_still_give_the_exact_number():
    weights = {"a": torch.ones(10), "b": torch.zeros(10)}
    kept = by_magnitude(weights, all_kept(weights), 0.35, "global")
    assert kept["a"].tolist() == [True] * 7 + [False] * 3
    assert not kept["b"].any()


def test_more_than_is_left_and_what_is_not_finite_are_refused(weights):
    half = by_magnitude(weights, all_kept(weights), 0.5, "global")
    with pytest.raises(UserError, match="more weights than the masks"):
        by_magnitude(weights, half, 0.6, "global")
    broken = {**weights, "output.weight": torch.full_like(weights["output.weight"], float("nan"))}
    with pytest.raises(UserError, match="not finite"):
        by_magnitude(broken, all_kept(broken), 0.5, "global")


def test_shuffled_masks_keep_each_tensors_density_and_stay_nested(weights):
    first = by_magnitude(weights, all_kept(weights), 0.5, "global")
    second = by_magnitude(weights, first, 0.2, "global")
    random = [shuffle(mask, torch.Generator().manual_seed(3), "layer") for mask in (first, second)]
    for name in weights:
        assert random[0][name].sum() == first[name].sum()
        assert not torch.equal(random[0][name], first[name])
        assert not bool((random[1][name] & ~random[0][name]).any()), "one seed should give nested masks"
    other = shuffle(first, torch.Generator().manual_seed(4), "layer")
    assert not torch.equal(other["output.weight"], random[0]["output.weight"])


def test_masks_shuffled_over_all_tensors_even_out_their_densities_and_stay_nested(weights):
    """Where one layer kept all and another nothing, both then keep the same share."""
    first = by_magnitude(weights, all_kept(weights), 0.5, "global")
    second = by_magnitude(weights, first, 0.2, "global")
    one, other = (shuffle(mask, torch.Generator().manual_seed(3), "global") for mask in (first, second))
    assert masks.density(one) == masks.density(first)
    assert not any(bool((other[name] & ~one[name]).any()) for name in weights), "one seed should give nested masks"
    lopsided = {"a": torch.ones(40, 50, dtype=torch.bool), "b": torch.zeros(30, 100, dtype=torch.bool)}
    even = shuffle(lopsided, torch.Generator().manual_seed(3), "global")
    assert {name: mask.shape for name, mask in even.items()} == {"a": (40, 50), "b": (30, 100)}
    assert all(float(mask.float().mean()) == pytest.approx(0.4, abs=0.05) for mask in even.values())


def test_applied_masks_give_exact_zeros_even_over_nan():
    model = language_model(50, embedding=7, hidden=[9, 5])
    keep = by_magnitude(prunable(model, TENSORS), all_kept(prunable(model, TENSORS)), 0.3, "global")
    with torch.no_grad():
        model.output.weight[~keep["output.weight"]] = float("nan")
    masks.apply(model, keep)
    for name, weight in prunable(model, TENSORS).items():
        assert bool((weight[~keep[name]] == 0).all())

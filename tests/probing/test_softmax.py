"""What is measured of the softmax without storing it, against the measures of p and p − onehot written out."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from chains import use_small_blocks
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing import others, ranks
from natural_sparsity.probing.measures import choose, measure
from natural_sparsity.probing.others import Others
from natural_sparsity.probing.softmax import measure_softmax
from natural_sparsity.registry import MEASURES

POSITIONS, WIDTH, VOCABULARY = 37, 5, 150
CHOSEN = choose(MEASURES, SimpleNamespace(epsilon=0.1))


def softmax_of(features, layer, targets):
    """p and p − onehot, each (rows, vocabulary), in double precision."""
    p = torch.softmax(features.double() @ layer.weight.detach().double().T + layer.bias.detach().double(), 1)
    gradient = p.clone()
    others = p.scatter(1, targets[:, None], 0).sum(1, keepdim=True)
    return p, gradient.scatter_(1, targets[:, None], -others)


@pytest.fixture(params=[0.0, 0.3, 3.0, 12.0], ids=["uniform", "flat", "peaked", "nearly certain"])
def problem(request, monkeypatch):
    """Features and targets, half of them the likeliest word; blocks of 16 rows and then 5, measured in threes."""
    use_small_blocks(monkeypatch, chunk=3 * VOCABULARY)
    monkeypatch.setattr(others, "CPU_ELEMENTS", 3 * VOCABULARY)
    torch.manual_seed(0)
    layer = nn.Linear(WIDTH, VOCABULARY)
    with torch.no_grad():
        layer.weight.normal_().mul_(request.param)
        layer.bias.normal_().mul_(request.param)
    features = torch.randn(POSITIONS, WIDTH)
    targets = torch.randint(VOCABULARY, (POSITIONS,))
    targets[::2] = (features @ layer.weight.detach().T + layer.bias.detach()).argmax(1)[::2]
    return features, layer, targets


def observed(measures, features, layer, targets):
    seen = []
    OutputLayer(layer).direct_gradient(features, targets, lambda block: seen.append(measure_softmax(block, measures)))
    return torch.cat(seen, 1)


@pytest.mark.parametrize("without", [[], ["gini"], ["kurtosis", "l0"]], ids=str)
def test_joined_forms_equal_the_measures_of_the_vectors(problem, without):
    chosen = {name: entry for name, entry in CHOSEN.items() if name not in without}
    for ours, vectors in zip(observed(chosen, *problem), softmax_of(*problem), strict=True):
        expected = measure(vectors, chosen).numpy()
        for column, name in enumerate(["l1", "l2", *chosen]):
            # Features are rounded to single precision before the exponential.
            tolerance = {"rtol": 2e-4, "atol": 2e-6} if name != "l0" else {"atol": 1.5 / VOCABULARY}
            np.testing.assert_allclose(ours[:, column], expected[:, column], **tolerance, err_msg=name)


def test_joined_forms_are_exact_in_double_precision(problem):
    features, layer, targets = problem
    layer = nn.Linear(WIDTH, VOCABULARY, dtype=torch.float64).requires_grad_(False)
    layer.weight.copy_(problem[1].weight)
    layer.bias.copy_(problem[1].bias)
    exact = softmax_of(features, layer, targets)
    for ours, vectors in zip(observed(CHOSEN, features.double(), layer, targets), exact, strict=True):
        np.testing.assert_allclose(ours, measure(vectors, CHOSEN), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("order", [1, -1], ids=["before the sort", "after"])
def test_a_measure_without_a_joined_form_sees_the_vectors(problem, order):
    chosen = {f"plain_{name}": replace(entry, joined=None) for name, entry in CHOSEN.items()}
    both = dict(list({**CHOSEN, **chosen}.items())[::order])
    for ours in observed(both, *problem):
        for name in CHOSEN:
            joined, plain = (ours[:, 2 + list(both).index(key)] for key in (name, f"plain_{name}"))
            tolerance = {"atol": 2e-6, "rtol": 1e-5} if name != "l0" else {"atol": 1.5 / VOCABULARY}
            np.testing.assert_allclose(joined, plain, **tolerance, err_msg=name)


def test_what_is_not_chosen_costs_nothing(problem, monkeypatch):
    def refuse(*_):
        raise AssertionError("passed over the vocabulary, though no measure asks for it")

    monkeypatch.setattr(Others, "map_rows", refuse)
    monkeypatch.setattr(ranks, "sort_", refuse)
    observed(choose(["chi", "hoyer"], None), *problem)


def test_a_certain_prediction_keeps_its_digits():
    """With p_t within 1e-7 of 1, float32's 1 − p_t is 0; all measures of ∇x still agree with float64."""
    torch.manual_seed(0)
    layer = nn.Linear(8, 50)
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.zero_()[7] = 32.0
    features, targets = torch.randn(4, 8), torch.full((4,), 7)
    p, gradient = softmax_of(features, layer, targets)
    assert (1 - p[:, 7] < 1e-7).all()
    ours = observed(CHOSEN, torch.cat([features] * 10)[:POSITIONS], layer, torch.cat([targets] * 10)[:POSITIONS])[1]
    np.testing.assert_allclose(ours[:4], measure(gradient, CHOSEN), rtol=1e-4)


def test_a_gradient_of_zero_is_undefined():
    """Where all other words' exponentials vanish, p is onehot exactly."""
    layer = nn.Linear(2, 3)
    with torch.no_grad():
        layer.weight.zero_()
        layer.bias.copy_(torch.tensor([0.0, 200.0, 0.0]))
    output, gradient = observed(CHOSEN, torch.zeros(2, 2), layer, torch.tensor([1, 0]))
    assert gradient[0, :2].tolist() == [0, 0]
    assert gradient[0, 2:].isnan().all()
    np.testing.assert_allclose(output[0], [1, 1, *(entry.bounds(3)[1] for entry in CHOSEN.values())], rtol=1e-6)
    assert gradient[1, 0] == pytest.approx(2)
    assert gradient[1, 2] == pytest.approx(0.5**0.5)

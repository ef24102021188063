"""The blocked output layer against autograd through the plain one."""

import pytest
import torch
from torch.nn import functional

from natural_sparsity.model import output_layer
from natural_sparsity.model.output_layer import cross_entropy, softmax_statistics


@pytest.fixture(params=[torch.float64, torch.float32], ids=str)
def problem(request, monkeypatch):
    """Features (7, 3, 5), weight (23, 5), bias (23,), targets (7, 3); blocks of 16 rows, the last one shorter."""
    monkeypatch.setattr(output_layer, "CPU_BLOCK_ELEMENTS", 1)
    torch.manual_seed(0)
    features = torch.randn(7, 3, 5, dtype=request.param, requires_grad=True)
    weight = torch.randn(23, 5, dtype=request.param, requires_grad=True)
    bias = torch.randn(23, dtype=request.param, requires_grad=True)
    return features, weight, bias, torch.randint(23, (7, 3))


def tolerance(dtype):
    return {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {"atol": 1e-6, "rtol": 1e-5}


def test_loss_and_gradients_equal_autograd(problem):
    *parameters, targets = problem
    features, weight, bias = parameters
    loss = 3 * cross_entropy(features, weight, bias, targets)
    plain = 3 * functional.cross_entropy(functional.linear(features, weight, bias).flatten(0, 1), targets.flatten())
    torch.testing.assert_close(loss, plain, **tolerance(features.dtype))
    for ours, theirs in zip(torch.autograd.grad(loss, parameters), torch.autograd.grad(plain, parameters), strict=True):
        torch.testing.assert_close(ours, theirs, **tolerance(features.dtype))


def test_loss_without_gradients_is_the_same(problem):
    features, weight, bias, targets = problem
    with_gradients = cross_entropy(features, weight, bias, targets)
    with torch.no_grad():
        assert cross_entropy(features, weight, bias, targets) == with_gradients


def test_direct_gradient_is_softmax_times_weight_minus_target_row(problem):
    features, weight, bias, targets = (
        tensor.detach().flatten(0, tensor.dim() - 2) if tensor.dim() == 3 else tensor for tensor in problem
    )
    targets = targets.flatten()
    p = torch.softmax(features @ weight.T + bias, 1)
    statistics = softmax_statistics(features, weight, bias, targets)
    close = tolerance(features.dtype)
    torch.testing.assert_close(statistics.gradient, p @ weight - weight[targets], **close)
    others = p.clone().scatter_(1, targets[:, None], 0)
    torch.testing.assert_close(statistics.other_sum, others.sum(1), **close)
    torch.testing.assert_close(statistics.other_square_sum, others.square().sum(1), **close)
    torch.testing.assert_close(statistics.square_sum, p.square().sum(1), **close)
    torch.testing.assert_close(statistics.loss, -p.gather(1, targets[:, None]).squeeze(1).log(), **close)


def test_a_certain_prediction_keeps_its_digits():
    """With p_t within 1e-7 of 1, float32's 1 − p_t is 0; χ(∇x) still agrees with float64 to 1e-5."""
    torch.manual_seed(0)
    features, weight, bias = torch.randn(4, 8), torch.randn(50, 8), torch.zeros(50)
    bias[7] = 32.0
    targets = torch.full((4,), 7)
    ours = softmax_statistics(features, weight, bias, targets)
    exact = torch.softmax(features.double() @ weight.double().T + bias.double(), 1)
    assert (1 - exact[:, 7] < 1e-7).all()
    others = exact.clone()
    others[:, 7] = 0
    torch.testing.assert_close(ours.other_sum.double(), others.sum(1), atol=0, rtol=1e-5)
    gradient = others @ weight.double() - others.sum(1, keepdim=True) * weight[7].double()
    torch.testing.assert_close(ours.gradient.double(), gradient, atol=0, rtol=1e-3)

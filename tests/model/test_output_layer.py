"""The blocked output layer against autograd through the plain one."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from chains import use_small_blocks
from natural_sparsity.model import output_layer
from natural_sparsity.model.output_layer import OutputLayer, backpropagate


@pytest.fixture(params=[(torch.float64, 1), (torch.float32, 1), (torch.float64, 8)], ids=["f64", "f32", "f64 aligned"])
def problem(request, monkeypatch):
    """Features (21, 5), weight (23, 5), bias (23,), targets (21,); blocks of 16 rows, the last one shorter.

    Passes go over three rows at a time. Once, rows start at multiples of eight elements, otherwise at any.
    """
    dtype, alignment = request.param
    use_small_blocks(monkeypatch, chunk=3 * 23)
    monkeypatch.setattr(output_layer, "ALIGNMENT", alignment)
    torch.manual_seed(0)
    features = torch.randn(21, 5, dtype=dtype, requires_grad=True)
    weight = torch.randn(23, 5, dtype=dtype, requires_grad=True)
    bias = torch.randn(23, dtype=dtype, requires_grad=True)
    return features, weight, bias, torch.randint(23, (21,))


def tolerance(dtype):
    return {"atol": 1e-12, "rtol": 1e-12} if dtype == torch.float64 else {"atol": 1e-6, "rtol": 1e-5}


def linear(weight, bias):
    """A linear layer with copies of these values."""
    layer = nn.Linear(weight.shape[1], len(weight), dtype=weight.dtype)
    layer.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    return layer


def plain_losses(features, weight, bias, targets):
    return functional.cross_entropy(functional.linear(features, weight, bias), targets, reduction="none")


def test_losses_and_gradients_equal_autograd(problem):
    features, weight, bias, targets = problem
    plain = plain_losses(*problem)
    expected = torch.autograd.grad(plain.mean(), [features, weight, bias])
    layer = OutputLayer(linear(weight, bias))
    torch.testing.assert_close(layer.losses(features, targets), plain, **tolerance(features.dtype))
    for _ in range(2):  # the second call reuses the buffers of the first
        ours = layer.gradients(features, targets)
        torch.testing.assert_close(ours.losses, plain, **tolerance(features.dtype))
        for actual, gradient in zip((ours.features, ours.joint[:, :5], ours.joint[:, 5]), expected, strict=True):
            torch.testing.assert_close(actual, gradient, **tolerance(features.dtype))
        assert not ours.joint[:, 6:].any()
    assert layer.joint.stride(0) == ours.joint.stride(0) == (8 if output_layer.ALIGNMENT == 8 else 6)
    assert layer.buffer.stride(0) == (24 if output_layer.ALIGNMENT == 8 else 23)


def test_changed_parameters_are_seen(problem):
    features, weight, bias, targets = problem
    module = linear(weight, bias)
    layer = OutputLayer(module)
    with torch.no_grad():
        module.weight.mul_(2)
        module.bias[3] += 1
    shift = torch.zeros_like(bias).index_fill(0, torch.tensor([3]), 1)
    expected = plain_losses(features, 2 * weight, bias + shift, targets)
    torch.testing.assert_close(layer.losses(features, targets), expected, **tolerance(features.dtype))


def test_an_impossible_target_has_a_finite_loss():
    """exp(−200) is 0 in single precision; the loss is 200 all the same, and the gradient right."""
    weight, bias = torch.zeros(3, 2), torch.tensor([0.0, 0.0, -200.0])
    ours = OutputLayer(linear(weight, bias)).gradients(torch.ones(1, 2), torch.tensor([2]))
    torch.testing.assert_close(ours.losses, torch.tensor([200.0]) + torch.tensor(2.0).log())
    torch.testing.assert_close(ours.joint[:, 2], torch.tensor([0.5, 0.5, -1.0]))


def watch(features, weight, bias, targets):
    """The losses and the direct gradient, and p put together from the blocks that were shown."""
    p = torch.empty(len(features), len(weight), dtype=features.dtype)

    def observe(block):
        p[block.rows] = block.others.scatter(1, block.targets[:, None], block.target[:, None])
        torch.testing.assert_close(block.other_sum, block.others.sum(1))
        p[block.rows] /= (block.other_sum + block.target)[:, None]
        block.others.fill_(torch.nan)  # which an observer may do

    return *OutputLayer(linear(weight, bias)).direct_gradient(features, targets, observe), p


def test_direct_gradient_is_softmax_times_weight_minus_target_row(problem):
    features, weight, bias, targets = (tensor.detach() for tensor in problem)
    losses, gradient, shown = watch(features, weight, bias, targets)
    p = torch.softmax(features @ weight.T + bias, 1)
    close = tolerance(features.dtype)
    torch.testing.assert_close(shown, p, **close)
    torch.testing.assert_close(gradient, p @ weight - weight[targets], **close)
    torch.testing.assert_close(losses, plain_losses(features, weight, bias, targets), **close)


def test_a_certain_prediction_keeps_its_digits():
    """With p_t within 1e-7 of 1, float32's 1 − p_t is 0; the gradient still agrees with float64."""
    torch.manual_seed(0)
    features, weight, bias = torch.randn(4, 8), torch.randn(50, 8), torch.zeros(50)
    bias[7] = 32.0
    targets = torch.full((4,), 7)
    ours = watch(features, weight, bias, targets)[1]
    others = torch.softmax(features.double() @ weight.double().T + bias.double(), 1)
    assert (1 - others[:, 7] < 1e-7).all()
    others[:, 7] = 0
    gradient = others @ weight.double() - others.sum(1, keepdim=True) * weight[7].double()
    torch.testing.assert_close(ours.double(), gradient, atol=0, rtol=1e-3)


def test_gradients_pass_through_the_layers_below_as_autograd_takes_them():
    torch.manual_seed(1)
    lstm, x = nn.LSTM(6, 5, 2), torch.randn(7, 3, 6, requires_grad=True)
    outputs, _ = lstm(x)
    features, wanted = outputs.flatten(0, 1), [x, outputs, *lstm.parameters()]
    gradient = torch.randn(21, 5)
    expected = torch.autograd.grad(features, wanted, gradient, retain_graph=True)
    with torch.no_grad():  # as in the probe
        actual = backpropagate(features, wanted, gradient)
    assert len(actual) == 10 and all(torch.equal(a, b) for a, b in zip(actual, expected, strict=True))


@pytest.mark.integration
def test_a_step_does_not_wait_for_torchs_symbolic_shapes():
    """Importing them takes longer than many steps of a small model."""
    code = "import sys, torch; from natural_sparsity.model.output_layer import backpropagate;"
    code += " x = torch.ones(2, 3, requires_grad=True); backpropagate(2 * x, [x], torch.ones(2, 3));"
    code += " print({'torch._dynamo', 'sympy'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert process.stdout == "set()\n", process.stderr

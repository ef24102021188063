"""Quantisation-aware training against autograd through torch's fake quantisation, and what of it reaches the table."""

import argparse
import math
import os
import shutil
import signal

import numpy as np
import pytest
import torch
from chains import VOCABULARY
from torch import nn

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.sparsify import compress, evaluate, qat
from natural_sparsity.sparsify.compress import with_integers
from natural_sparsity.sparsify.masks import TENSORS, prunable
from natural_sparsity.sparsify.method import Place
from natural_sparsity.sparsify.qat import SINGLE, integers, quantise
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import Step

EIGHT = {"method": "qat", "bits": 8, "scope": "channel", "family": "qat", "role": "qat"}
CPU = torch.device("cpu")


@pytest.mark.parametrize("scope", ["channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_values_lie_on_a_grid_of_as_many_bits(bits, scope):
    torch.manual_seed(0)
    weight = torch.randn(9, 5000)
    weight[3] = 0
    values, scale = quantise(weight, bits, scope)
    largest = 2 ** (bits - 1) - 1
    for part in values if scope == "channel" else [values]:
        assert len(part.unique()) <= 2 * largest + 1
    assert len(values[0].unique()) > largest
    # No weight is farther from its own than half a step, the largest is kept.
    steps = scale.view(-1, 1)
    assert bool(((values - weight).abs() <= steps / 2 * (1 + 1e-5)).all())
    assert float(values.abs().max()) == pytest.approx(float(weight.abs().max()))
    assert scale.shape == ((9,) if scope == "channel" else (1,))
    assert not values[3].any()


@pytest.mark.parametrize("scope", ["channel", "tensor"])
def test_whole_numbers_times_scales_are_the_weights_of_the_checkpoint_exactly(chain, scope):
    chain.start("grid0", "dense2", None, **{**EIGHT, "scope": scope})
    chain.train("grid0", "grid1", **{**EIGHT, "scope": scope})
    for name in ("grid0", "grid1"):
        model, _ = checkpoint.load(*chain.paths(name), CPU)
        beside = checkpoint.load_beside(chain.paths(name)[0], CPU)
        found = integers(model, beside)
        assert set(found) == set(prunable(model, list(TENSORS)))
        for key, (q, scale) in found.items():
            assert q.dtype == torch.int8 and int(q.abs().max()) == 127
            assert torch.equal(q.float() * scale[:, None], model.get_parameter(key))
            # The weights in single precision round to these, and are not on the grid themselves.
            single = beside[SINGLE + key]
            assert torch.equal(quantise(single, 8, scope)[0], model.get_parameter(key))
            assert not torch.equal(single, model.get_parameter(key))
    with torch.no_grad():
        model.output.weight[0, 0] += 1e-4
    with pytest.raises(UserError, match="output.weight: its weights are not on the grid"):
        integers(model, beside)


class Fake(nn.Module):
    """Fake quantisation with straight-through gradients, as autograd has it."""

    def __init__(self, bits):
        super().__init__()
        self.n = 2 ** (bits - 1) - 1

    def forward(self, weight):
        scale = weight.detach().abs().amax(1) / self.n
        zero = torch.zeros(len(scale), dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -self.n, self.n)


@pytest.mark.parametrize("bits", [3, 8])
def test_training_is_that_of_torchs_fake_quantisation(tmp_path, bits):
    """Against torch's parametrisation of plain modules, clipped by the norm of the straight-through gradients."""
    torch.manual_seed(0)
    ours = LanguageModel(VOCABULARY, Architecture(6, [5, 7], dropout=0.0))
    plain = nn.ModuleList([nn.Embedding(VOCABULARY, 6), nn.LSTM(6, 5), nn.LSTM(5, 7), nn.Linear(7, VOCABULARY)])
    plain.load_state_dict(dict(zip(plain.state_dict(), (p.detach().clone() for p in ours.parameters()), strict=True)))
    for module in plain:
        for name, _ in list(module.named_parameters()):
            if "weight" in name:
                nn.utils.parametrize.register_parametrization(module, name, Fake(bits))
    settings = {**EIGHT, "bits": bits}
    tensors = qat.start(settings, ours, None, {}, 0)
    method = qat.make(settings, ours, tensors, Place(1, 30, 1))
    step = Step(ours.train(), Training(batch=8, window=7, clip=0.05), 4.0, 8, method=method)
    state = [tuple(torch.zeros(1, 8, n) for _ in range(2)) for n in (5, 7)]
    words = (torch.distributions.Geometric(0.1).sample((1200,)).long() % VOCABULARY).numpy()
    files.write_array(tmp_path / "train.npy", words.astype("uint8"))
    for inputs, targets in list(Streams(tmp_path / "train.npy", 8, 7, VOCABULARY).windows(CPU))[:15]:
        h, first = plain[1](plain[0](inputs), state[0])
        h, second = plain[2](h, state[1])
        state = [tuple(part.detach() for part in pair) for pair in (first, second)]
        loss = nn.functional.cross_entropy(plain[3](h).flatten(0, 1), targets.flatten())
        plain.zero_grad()
        loss.backward()
        originals = list(plain.parameters())
        assert all(bool(p.grad.count_nonzero()) for p in originals), "a weight has no gradient"
        assert float(nn.utils.clip_grad_norm_(originals, 0.05)) > 0.05, "nothing was clipped"
        with torch.no_grad():
            for parameter in originals:
                parameter -= 4.0 * parameter.grad
        assert step(inputs, targets).item() == pytest.approx(loss.item(), abs=2e-5)
    for name, module in (("embedding.weight", plain[0]), ("output.weight", plain[3])):
        original = module.parametrizations.weight.original.detach()
        torch.testing.assert_close(tensors[SINGLE + name], original, atol=1e-5, rtol=0)


def test_every_weight_gets_a_gradient_and_biases_stay_in_single_precision(chain):
    chain.start("grad0", "dense2", None, **EIGHT)
    chain.train("grad0", "grad1", **EIGHT)
    before, after = (chain.load(name)[1] for name in ("grad0", "grad1"))
    names = [name for name in before if name.startswith(SINGLE)]
    assert len(names) == 6
    for name in names:
        moved = (after[name] != before[name]).double().mean()
        assert float(moved) > 0.95, name
    assert not any("bias" in name for name in after)


def test_the_dev_loss_is_that_of_the_quantised_weights(chain, tmp_path):
    two = {**EIGHT, "bits": 2}
    chain.start("two0", "dense3", None, **two)
    chain.train("two0", "two4", **two)
    parameters, state_path = chain.paths("two4")
    arguments = {"tokens": chain.folder / "dev.npy", "parameters": [parameters], "state": [state_path], "batch": 10}
    evaluate.run(argparse.Namespace(**arguments, window=7, device="cpu", threads=1, output=tmp_path / "e.json"))
    _, beside, state = chain.load("two4")
    [evaluation] = files.read_json(tmp_path / "e.json")["evaluations"]
    assert evaluation["loss"] == pytest.approx(state["dev_loss"], abs=1e-6)
    model, _ = checkpoint.load(parameters, state_path, CPU)
    assert all(len(row.unique()) <= 3 for row in model.output.weight.detach())
    # A 2-bit network that is merely rounded from the dense one is worse than one that was trained so.
    rounded, _ = checkpoint.load(*chain.paths("two0"), CPU)
    streams = Streams(chain.folder / "dev.npy", 10, 7, VOCABULARY)
    assert compress.held_out_loss(rounded.eval(), streams, rounded.zero_state(10)) > state["dev_loss"]


def test_interrupted_and_resumed_equals_uninterrupted(chain, monkeypatch):
    chain.start("q0", "dense1", None, **EIGHT)
    chain.train("q0", "q1", "q2", **EIGHT)
    for kind in ("safetensors", "json"):
        shutil.copy(chain.folder / f"q1.{kind}", chain.folder / f"r1.{kind}")
    advance, steps = Step.advance, []

    def kill(self, *arguments):
        advance(self, *arguments)
        steps.append(1)
        if len(steps) == 20:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Step, "advance", kill)
    with pytest.raises(SystemExit):
        chain.train("r1", "r2", **EIGHT)
    chain.train("r1", "r2", **EIGHT)
    assert chain.bytes("r2") == chain.bytes("q2")


@pytest.mark.parametrize("scope", ["channel", "tensor"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_model_in_eight_bits_is_the_trained_one(cell, scope):
    """Its own numbers and scales: what differs is the rounding of the activations alone."""
    torch.manual_seed(0)
    model = LanguageModel(300, Architecture(40, [50, 50], cell=cell)).eval()
    beside = qat.start({**EIGHT, "scope": scope}, model, None, {}, 0)
    numbers = integers(model, beside)
    int8, tensors = with_integers(model, numbers)
    assert torch.equal(int8.output.weight().int_repr(), numbers["output.weight"][0])
    torch.testing.assert_close(int8.output.weight().dequantize(), model.output.weight.detach(), atol=1e-7, rtol=0)
    for i, layer in enumerate(int8.recurrent):
        for kind in ("ih", "hh"):
            found = layer.get_weight()[f"weight_{kind}_l0"]
            assert torch.equal(found.int_repr(), numbers[f"recurrent.{i}.weight_{kind}_l0"][0])
    words = torch.randint(300, (35, 8))
    logits = []
    for each in (model, int8):
        _, features, _ = each(words, model.zero_state(8))
        logits.append(each.output(features).detach())
    assert 0 < float((logits[1] - logits[0]).norm() / logits[0].norm()) < 0.03
    assert {name for name, tensor in tensors.items() if tensor.dtype == torch.int8} == set(numbers)
    assert {name for name in tensors if "bias" in name} == {
        name for name, _ in model.named_parameters() if "bias" in name
    }


def test_the_table_has_the_trained_numbers_and_their_bytes(chain, tmp_path):
    four = {**EIGHT, "bits": 4}
    for name, settings in (("eight", EIGHT), ("four", four)):
        chain.start(f"{name}2", "dense2", None, **settings)
        chain.train(f"{name}2", f"{name}3", **settings)
    parameters, state = zip(*(chain.paths(name) for name in ("dense3", "eight3", "four3")), strict=True)
    arguments = {"tokens": chain.folder / "dev.npy", "parameters": parameters, "state": state, "batch": 10, "window": 7}
    compress.run(argparse.Namespace(**arguments, timed_tokens=3, rounded=[], output=tmp_path / "c.json"))
    costs = files.read_json(tmp_path / "c.json")["costs"]
    assert [cost["precision"] for cost in costs] == ["float32", "int8", "int8, trained", "int4, trained"]
    for cost, name in zip(costs[2:], ("eight3", "four3"), strict=True):
        assert cost["loss"] == pytest.approx(chain.load(name)[2]["dev_loss"], abs=0.01)
        assert 0 < cost["seconds_per_token"] < math.inf
    assert costs[2]["bytes"] < costs[0]["bytes"]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scope", ["channel", "tensor"])
def test_the_control_is_the_dense_model_with_its_weights_rounded_by_hand(bits, scope):
    """Against numpy; torch's layers round the activations too, to eight bits."""
    torch.manual_seed(0)
    model = LanguageModel(VOCABULARY, Architecture(16, [16, 16])).eval()
    by_hand = LanguageModel(VOCABULARY, Architecture(16, [16, 16])).eval()
    with torch.no_grad():
        for (name, weight), other in zip(model.named_parameters(), by_hand.parameters(), strict=True):
            weight.copy_(torch.randn_like(weight) * 0.5)
            w = weight.numpy()
            if "bias" not in name:
                largest = np.abs(w).max(1, keepdims=True) if scope == "channel" else np.abs(w).max()
                scale = largest / (2 ** (bits - 1) - 1)
                w = np.rint(w / scale) * scale
            other.copy_(torch.from_numpy(w))
        whole, tensors = compress.rounded(model, bits, scope)
        words = torch.randint(VOCABULARY, (20, 3))
        logits = [m.output(m(words, model.zero_state(3))[1]) for m in (whole, by_hand, model)]
    as_by_hand, as_before = (float((logits[0] - other).norm() / other.norm()) for other in logits[1:])
    assert as_by_hand < 0.03
    assert as_before > 3 * as_by_hand or bits == 8
    for name, weight in by_hand.named_parameters():
        if "bias" not in name:
            assert int(tensors[name].count_nonzero()) == int(weight.count_nonzero())


def test_the_control_stands_beside_the_dense_model_in_the_table(chain, tmp_path):
    parameters, state = chain.paths("dense3")
    arguments = {"tokens": chain.folder / "dev.npy", "parameters": [parameters], "state": [state], "batch": 10}
    asked = [{"bits": 2, "scope": "channel"}, {"bits": 8, "scope": "tensor"}]
    compress.run(argparse.Namespace(**arguments, window=7, timed_tokens=3, rounded=asked, output=tmp_path / "c.json"))
    costs = files.read_json(tmp_path / "c.json")["costs"]
    assert [cost["precision"] for cost in costs] == ["float32", "int8", "int2, rounded", "int8, rounded by tensor"]
    assert {str(cost["sparsify"]) for cost in costs} == {"{}"}

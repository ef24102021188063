"""Footprints: eight bits change little and keep zeros, and what is measured is what the exported file holds."""

import math

import numpy as np
import pytest
import torch

from chains import TENSORS, VOCABULARY, Chain, call, language_model
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import export, footprint
from natural_sparsity.methods import qat
from natural_sparsity.methods.masks import all_kept, apply, by_magnitude, prunable
from natural_sparsity.model import exported
from natural_sparsity.model.eight_bits import read_integers, to_eight_bits, use_integers
from natural_sparsity.model.exported import Exported
from natural_sparsity.model.packing import multiply

QAT = {"method": "qat", "bits": 8, "scope": "channel", "family": "eight", "role": "qat"}


def compute(*models):
    """The outputs of exported models for the same words."""
    words = torch.randint(VOCABULARY, (35, 8), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return [model(words)[0] for model in models]


def differ(a, b):
    """How far apart outputs are, relative to their size."""
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_eight_bits_keep_zeros_and_change_logits_little(cell):
    torch.manual_seed(0)
    model = language_model(300, embedding=40, hidden=[50, 50], cell=cell).eval()
    weights = prunable(model, TENSORS)
    masks = by_magnitude(weights, all_kept(weights), 0.4, "layer")
    apply(model, masks)
    numbers = read_integers(model)
    assert set(numbers) == set(weights) - {"embedding.weight"}
    assert not any(numbers[name][0][~masks[name]].any() for name in numbers)
    assert torch.equal(model.output.weight, weights["output.weight"]), "the float model was changed"
    plain = Exported(model)
    int8, by_torch, single = compute(use_integers(plain, numbers), to_eight_bits(plain), plain)
    assert torch.equal(int8, by_torch)
    assert 0 < differ(int8, single) < 0.03


def test_a_plain_recurrent_layer_is_refused():
    with pytest.raises(UserError, match="cell: rnn"):
        to_eight_bits(language_model(30, embedding=4, hidden=[5, 5], cell="rnn"))


@pytest.mark.parametrize("scope", ["channel", "tensor"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_model_in_eight_bits_is_the_trained_one(cell, scope):
    """Its own integers and scales: what differs is the rounding of the activations alone."""
    torch.manual_seed(0)
    model = language_model(300, embedding=40, hidden=[50, 50], cell=cell).eval()
    tensors = qat.start({**QAT, "scope": scope}, model, None, {}, 0)
    numbers = qat.integers(model, tensors)
    int8 = use_integers(Exported(model), numbers)
    assert torch.equal(int8.output.weight().int_repr(), numbers["output.weight"][0])
    torch.testing.assert_close(int8.output.weight().dequantize(), model.output.weight.detach(), atol=1e-7, rtol=0)
    for i, layer in enumerate(int8.recurrent):
        for kind in ("ih", "hh"):
            weight = layer.get_weight()[f"weight_{kind}_l0"]
            assert torch.equal(weight.int_repr(), numbers[f"recurrent.{i}.weight_{kind}_l0"][0])
    assert 0 < differ(*compute(int8, Exported(model))) < 0.03


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scope", ["channel", "tensor"])
def test_the_control_is_the_dense_model_with_its_weights_rounded_by_hand(bits, scope):
    """Against numpy."""
    torch.manual_seed(0)
    model = language_model(VOCABULARY, embedding=16, hidden=[16, 16]).eval()
    numbers = export.round_weights(model, bits, scope)
    assert set(numbers) == set(prunable(model, TENSORS))
    for name, pair in numbers.items():
        w = model.get_parameter(name).detach().numpy()
        largest = np.abs(w).max(1, keepdims=True) if scope == "channel" else np.abs(w).max()
        scale = largest / (2 ** (bits - 1) - 1)
        np.testing.assert_allclose(multiply(*pair), np.rint(w / scale) * scale, rtol=1e-6)


def measure(chain, name, **options):
    """The footprint of a checkpoint by the command."""
    output = chain.folder / f"{name}-footprint.json"
    given = {"checkpoint": chain.path(name), "batch": 5, "timed_tokens": 3, "output": output}
    call(footprint, test=chain.as_test("dev"), **given | options)
    return files.read_json(output)


def test_an_elman_network_is_measured_in_single_precision_alone(tmp_path):
    chain = Chain(tmp_path)
    chain.initialise("elman0", cell="rnn")
    assert [row["precision"] for row in measure(chain, "elman0")["footprints"]] == ["float32"]


def test_one_layer_is_measured(tmp_path):
    chain = Chain(tmp_path)
    chain.initialise("single0", hidden=[5])
    float32, int8 = measure(chain, "single0")["footprints"]
    assert int8["loss"] == pytest.approx(float32["loss"], abs=0.01)


def test_footprints_agree_with_the_evaluation(tickets):
    dense, ticket = (measure(tickets, name, window=9) for name in ("dense3", "level2-3"))
    for name, measured in (("dense3", dense), ("level2-3", ticket)):
        evaluation = tickets.evaluate(name, split="dev", batch=5, window=9)
        for key in ("data", "model", "seed", "epoch", "sparsify", "checkpoint"):
            assert measured[key] == evaluation[key]
        float32, int8 = measured["footprints"]
        assert (float32["precision"], int8["precision"]) == ("float32", "int8")
        assert float32["loss"] == pytest.approx(evaluation["loss"], abs=1e-5)
        assert float32["nonzero"] == evaluation["nonzero"]
        assert abs(int8["loss"] - float32["loss"]) < 0.02
        assert int8["bytes"] < float32["bytes"]
        for key in ("seconds_per_token", "seconds_per_token_at_once"):
            assert 0 < int8[key] < math.inf
    assert ticket["footprints"][0]["bytes"] < dense["footprints"][0]["bytes"]


def test_a_model_trained_with_few_bits_is_measured_with_its_own_numbers(tickets):
    dense = measure(tickets, "dense3", batch=10, window=7)["footprints"]
    for bits, scope, shared in ((8, "channel", ""), (4, "tensor", " by tensor")):
        settings = {**QAT, "bits": bits, "scope": scope}
        tickets.start(f"bits{bits}-2", "dense2", None, **settings)
        tickets.train(f"bits{bits}-2", f"bits{bits}-3", **settings)
        [row] = measure(tickets, f"bits{bits}-3", batch=10, window=7)["footprints"]
        assert row["precision"] == f"int{bits}, trained{shared}"
        assert row["loss"] == pytest.approx(tickets.load(f"bits{bits}-3")[2]["dev_loss"], abs=0.01)
        assert 0 < row["seconds_per_token"] < math.inf
        assert row["bytes"] < dense[0]["bytes"]


def test_the_control_stands_with_the_dense_model(tickets):
    rounded = [{"bits": 2, "scope": "channel"}, {"bits": 8, "scope": "tensor"}]
    measured = measure(tickets, "dense3", rounded=rounded)
    precisions = [row["precision"] for row in measured["footprints"]]
    assert precisions == ["float32", "int8", "int2, rounded", "int8, rounded by tensor"]
    assert measured["sparsify"] == {}


def test_the_bytes_are_those_of_the_file_that_export_writes(tickets, tmp_path):
    rounding = {"bits": 3, "scope": "tensor"}
    measured = measure(tickets, "level2-3", rounded=[rounding], folded=True)["footprints"]
    rows = {row["precision"]: row for row in measured}
    options = {"float32": {}, "int8": {"int8": True}, "int3, rounded by tensor": rounding}
    options |= {"float32, folded": {"fold": True}, "int8, folded": {"fold": True, "int8": True}}
    assert set(rows) == set(options)
    for name, given in options.items():
        call(export, checkpoint=tickets.path("level2-3"), output=tmp_path / name, **given)
        assert rows[name]["bytes"] == (tmp_path / name / exported.FILE).stat().st_size


@pytest.mark.parametrize("kind", ["classification", "addition"])
def test_other_data_than_running_text_are_refused(tmp_path, kind):
    chain = Chain(tmp_path, kind)
    chain.initialise()
    with pytest.raises(
        UserError, match=rf"dense0: its data are of kind {kind}; footprint takes models of running text"
    ):
        measure(chain, "dense0")

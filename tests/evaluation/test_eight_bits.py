"""Footprints: what is stored gives the model back, and eight bits change little and keep zeros."""

import math
from collections.abc import Mapping

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from chains import TENSORS, VOCABULARY, Chain, call, language_model
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import footprint
from natural_sparsity.evaluation.footprint import BITS, SHAPE, VALUES, WIDTH, pack, quantise_dynamically, use_integers
from natural_sparsity.methods import qat
from natural_sparsity.methods.masks import all_kept, apply, by_magnitude, prunable

QAT = {"method": "qat", "bits": 8, "scope": "channel", "family": "eight", "role": "qat"}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return language_model(300, embedding=40, hidden=[50, 50]).eval()


def unpack(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What :func:`pack` was given, bit for bit (a zero of either sign as 0)."""
    tensors = {name: tensor for name, tensor in stored.items() if not name.endswith((BITS, VALUES, WIDTH, SHAPE))}
    for name in [name.removesuffix(SHAPE) for name in stored if name.endswith(SHAPE)]:
        shape, values = stored[name + SHAPE].tolist(), stored[name + VALUES]
        if name + WIDTH in stored:
            values = unpack_integers(values, *stored[name + WIDTH].tolist())
        if name + BITS in stored:
            kept = np.unpackbits(stored[name + BITS].numpy(), count=math.prod(shape)).astype(bool)
            flat = torch.zeros(math.prod(shape), dtype=values.dtype)
            flat[torch.from_numpy(kept)] = values
            values = flat
        tensors[name] = values.view(shape)
    return tensors


def unpack_integers(packed: Tensor, bits: int, count: int) -> Tensor:
    """``count`` integers of so many bits; the highest bit is the sign's."""
    digits = np.unpackbits(packed.numpy(), count=count * bits).reshape(count, bits).astype(np.int16)
    numbers = digits @ (1 << np.arange(bits - 1, -1, -1)).astype(np.int16)
    return torch.from_numpy((numbers - (digits[:, 0] << bits)).astype(np.int8))


@pytest.mark.parametrize("density", [1.0, 0.98, 0.3, 0.01])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
def test_what_is_stored_gives_every_tensor_back(density, dtype):
    torch.manual_seed(0)
    tensors = {"w": (100 * torch.randn(37, 19)).to(dtype), "b": torch.zeros(5), "empty": torch.zeros(4, 3)}
    tensors["w"][torch.rand(37, 19) > density] = 0
    back = unpack(safetensors.torch.load(safetensors.torch.save(pack(tensors))))
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype for name, tensor in tensors.items())


def test_a_tenth_of_the_weights_takes_about_a_tenth_of_the_bytes(model):
    dense = {name: p.detach().clone() for name, p in model.named_parameters()}
    weights = prunable(model, TENSORS)
    apply(model, by_magnitude(weights, all_kept(weights), 0.1, "global"))
    sparse = {name: p.detach() for name, p in model.named_parameters()}
    sizes = [len(safetensors.torch.save(pack(tensors))) for tensors in (dense, sparse)]
    # 32 bits per weight against 1 + 0.1 · 32, and the biases.
    assert sizes[1] / sizes[0] == pytest.approx(4.2 / 32, abs=0.04)


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_numbers_of_few_bits_take_as_many(bits, density):
    torch.manual_seed(0)
    largest = 2 ** (bits - 1) - 1
    numbers = torch.randint(-largest, largest + 1, (300, 170)).to(torch.int8)
    numbers[0, :2] = torch.tensor([-largest, largest])
    numbers[torch.rand(numbers.shape) > density] = 0
    stored = pack({"w": numbers}, bits)
    assert torch.equal(unpack(safetensors.torch.load(safetensors.torch.save(stored)))["w"], numbers)
    kept = int(numbers.count_nonzero())
    bytes_taken = sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    assert bytes_taken <= min(numbers.numel() * bits, numbers.numel() + kept * bits) / 8 + 40


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_eight_bits_keep_zeros_and_change_logits_little(cell):
    torch.manual_seed(0)
    model = language_model(300, embedding=40, hidden=[50, 50], cell=cell).eval()
    weights = prunable(model, TENSORS)
    masks = by_magnitude(weights, all_kept(weights), 0.4, "layer")
    apply(model, masks)
    int8, tensors = quantise_dynamically(model)
    for i in (0, 1):
        for kind in ("ih", "hh"):
            assert not tensors[f"{i}.weight_{kind}_l0"][~masks[f"recurrent.{i}.weight_{kind}_l0"]].any()
    assert tensors["output.weight"].dtype == torch.int8
    assert not tensors["output.weight"][~masks["output.weight"]].any()
    assert torch.equal(model.output.weight, weights["output.weight"]), "the float model was changed"
    words = torch.randint(300, (35, 8))
    logits = []
    for each in (model, int8):
        _, features, _ = each(words, model.zero_state(8))
        logits.append(each.output(features).detach())
    assert 0 < float((logits[1] - logits[0]).norm() / logits[0].norm()) < 0.03
    # What is stored is what computes: int8 times scale.
    stored = tensors["output.weight"].float() * tensors["output.weight.scale"]
    assert torch.allclose(stored, int8.output.weight().dequantize())


def test_quantised_layers_take_a_quarter(model):
    layers = {name: p.detach() for name, p in model.named_parameters() if name != "embedding.weight"}
    _, tensors = quantise_dynamically(model)
    del tensors["embedding.weight"]
    ratio = len(safetensors.torch.save(pack(tensors))) / len(safetensors.torch.save(layers))
    assert 0.25 < ratio < 0.32


def test_a_plain_recurrent_layer_is_refused():
    with pytest.raises(UserError, match="cell: rnn"):
        quantise_dynamically(language_model(30, embedding=4, hidden=[5, 5], cell="rnn"))


@pytest.mark.parametrize("scope", ["channel", "tensor"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_model_in_eight_bits_is_the_trained_one(cell, scope):
    """Its own integers and scales: what differs is the rounding of the activations alone."""
    torch.manual_seed(0)
    model = language_model(300, embedding=40, hidden=[50, 50], cell=cell).eval()
    tensors = qat.start({**QAT, "scope": scope}, model, None, {}, 0)
    numbers = qat.integers(model, tensors)
    int8, tensors = use_integers(model, numbers)
    assert torch.equal(int8.output.weight().int_repr(), numbers["output.weight"][0])
    torch.testing.assert_close(int8.output.weight().dequantize(), model.output.weight.detach(), atol=1e-7, rtol=0)
    for i, layer in enumerate(int8.recurrent):
        for kind in ("ih", "hh"):
            weight = layer.get_weight()[f"weight_{kind}_l0"]
            assert torch.equal(weight.int_repr(), numbers[f"recurrent.{i}.weight_{kind}_l0"][0])
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


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("scope", ["channel", "tensor"])
def test_the_control_is_the_dense_model_with_its_weights_rounded_by_hand(bits, scope):
    """Against numpy; torch's layers round the activations too, to eight bits."""
    torch.manual_seed(0)
    model, by_hand = (language_model(VOCABULARY, embedding=16, hidden=[16, 16]).eval() for _ in range(2))
    with torch.no_grad():
        for (name, weight), other in zip(model.named_parameters(), by_hand.parameters(), strict=True):
            weight.copy_(torch.randn_like(weight) * 0.5)
            w = weight.numpy()
            if "bias" not in name:
                largest = np.abs(w).max(1, keepdims=True) if scope == "channel" else np.abs(w).max()
                scale = largest / (2 ** (bits - 1) - 1)
                w = np.rint(w / scale) * scale
            other.copy_(torch.from_numpy(w))
        rounded, tensors = footprint.round_weights(model, bits, scope)
        words = torch.randint(VOCABULARY, (20, 3))
        logits = [m.output(m(words, model.zero_state(3))[1]) for m in (rounded, by_hand, model)]
    as_by_hand, as_before = (float((logits[0] - other).norm() / other.norm()) for other in logits[1:])
    assert as_by_hand < 0.03
    assert as_before > 3 * as_by_hand or bits == 8
    for name, weight in by_hand.named_parameters():
        if "bias" not in name:
            assert int(tensors[name].count_nonzero()) == int(weight.count_nonzero())


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
        assert 0 < int8["seconds_per_token"] < math.inf
    assert ticket["footprints"][0]["bytes"] < dense["footprints"][0]["bytes"]


def test_a_model_trained_with_few_bits_is_measured_with_its_own_numbers(tickets):
    dense = measure(tickets, "dense3", batch=10, window=7)["footprints"]
    for bits in (8, 4):
        settings = {**QAT, "bits": bits}
        tickets.start(f"bits{bits}-2", "dense2", None, **settings)
        tickets.train(f"bits{bits}-2", f"bits{bits}-3", **settings)
        [row] = measure(tickets, f"bits{bits}-3", batch=10, window=7)["footprints"]
        assert row["precision"] == f"int{bits}, trained"
        assert row["loss"] == pytest.approx(tickets.load(f"bits{bits}-3")[2]["dev_loss"], abs=0.01)
        assert 0 < row["seconds_per_token"] < math.inf
        assert row["bytes"] < dense[0]["bytes"]


def test_the_control_stands_with_the_dense_model(tickets):
    rounded = [{"bits": 2, "scope": "channel"}, {"bits": 8, "scope": "tensor"}]
    measured = measure(tickets, "dense3", rounded=rounded)
    precisions = [row["precision"] for row in measured["footprints"]]
    assert precisions == ["float32", "int8", "int2, rounded", "int8, rounded by tensor"]
    assert measured["sparsify"] == {}


@pytest.mark.parametrize("kind", ["classification", "addition"])
def test_other_data_than_running_text_are_refused(tmp_path, kind):
    chain = Chain(tmp_path, kind)
    chain.initialise()
    with pytest.raises(
        UserError, match=rf"dense0: its data are of kind {kind}; footprint takes models of running text"
    ):
        measure(chain, "dense0")

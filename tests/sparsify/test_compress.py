"""What is stored gives the model back, and eight bits change little and keep zeros."""

import argparse
import math

import pytest
import safetensors.torch
import torch

from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.sparsify import compress, compression, evaluate
from natural_sparsity.sparsify.compress import packed, quantised, unpacked
from natural_sparsity.sparsify.masks import all_kept, apply, by_magnitude, prunable

EVERY = ["embedding", "input", "recurrent", "output"]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return LanguageModel(300, Architecture(40, [50, 50])).eval()


@pytest.mark.parametrize("density", [1.0, 0.98, 0.3, 0.01])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int8])
def test_what_is_stored_gives_every_tensor_back(density, dtype):
    torch.manual_seed(0)
    tensors = {"w": (100 * torch.randn(37, 19)).to(dtype), "b": torch.zeros(5), "empty": torch.zeros(4, 3)}
    tensors["w"][torch.rand(37, 19) > density] = 0
    back = unpacked(safetensors.torch.load(safetensors.torch.save(packed(tensors))))
    assert set(back) == set(tensors)
    assert all(torch.equal(back[name], tensor) and back[name].dtype == tensor.dtype for name, tensor in tensors.items())


def test_a_tenth_of_the_weights_takes_about_a_tenth_of_the_bytes(model):
    dense = {name: p.detach().clone() for name, p in model.named_parameters()}
    weights = prunable(model, EVERY)
    apply(model, by_magnitude(weights, all_kept(weights), 0.1, "global"))
    sparse = {name: p.detach() for name, p in model.named_parameters()}
    sizes = [len(safetensors.torch.save(packed(tensors))) for tensors in (dense, sparse)]
    # 32 bits a weight against 1 + 0.1 · 32, and the biases.
    assert sizes[1] / sizes[0] == pytest.approx(4.2 / 32, abs=0.04)


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_numbers_of_few_bits_take_as_many(bits, density):
    torch.manual_seed(0)
    largest = 2 ** (bits - 1) - 1
    numbers = torch.randint(-largest, largest + 1, (300, 170)).to(torch.int8)
    numbers[0, :2] = torch.tensor([-largest, largest])
    numbers[torch.rand(numbers.shape) > density] = 0
    stored = packed({"w": numbers}, bits)
    assert torch.equal(unpacked(safetensors.torch.load(safetensors.torch.save(stored)))["w"], numbers)
    kept = int(numbers.count_nonzero())
    bytes_taken = sum(tensor.numel() * tensor.element_size() for tensor in stored.values())
    assert bytes_taken <= min(numbers.numel() * bits, numbers.numel() + kept * bits) / 8 + 40


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_eight_bits_keep_zeros_and_change_logits_little(cell):
    torch.manual_seed(0)
    model = LanguageModel(300, Architecture(40, [50, 50], cell=cell)).eval()
    weights = prunable(model, EVERY)
    masks = by_magnitude(weights, all_kept(weights), 0.4, "layer")
    apply(model, masks)
    int8, tensors = quantised(model)
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
    _, tensors = quantised(model)
    del tensors["embedding.weight"]
    ratio = len(safetensors.torch.save(packed(tensors))) / len(safetensors.torch.save(layers))
    assert 0.25 < ratio < 0.32


def test_a_plain_recurrent_layer_is_refused():
    with pytest.raises(UserError, match="cell: rnn"):
        quantised(LanguageModel(30, Architecture(4, [5, 5], cell="rnn")))


def test_an_elman_network_has_costs_in_single_precision_alone(chain, tmp_path):
    chain.initialise("elman0", cell="rnn")
    parameters, state = ([path] for path in chain.paths("elman0"))
    arguments = {"tokens": chain.folder / "dev.npy", "parameters": parameters, "state": state, "batch": 5, "window": 9}
    compress.run(argparse.Namespace(**arguments, timed_tokens=3, rounded=[], output=tmp_path / "c.json"))
    assert [cost["precision"] for cost in files.read_json(tmp_path / "c.json")["costs"]] == ["float32"]


def test_costs_agree_with_the_evaluation(chain, tmp_path):
    parameters, state = zip(*(chain.paths(name) for name in ("dense3", "level2-3")), strict=True)
    arguments = {"tokens": chain.folder / "dev.npy", "parameters": parameters, "state": state, "batch": 5, "window": 9}
    evaluate.run(argparse.Namespace(**arguments, device="cpu", threads=1, output=tmp_path / "e.json"))
    compress.run(argparse.Namespace(**arguments, timed_tokens=3, rounded=[], output=tmp_path / "c.json"))
    evaluations = files.read_json(tmp_path / "e.json")["evaluations"]
    costs = files.read_json(tmp_path / "c.json")["costs"]
    assert [cost["precision"] for cost in costs] == ["float32", "int8"] * 2
    for evaluation, cost in zip(evaluations, costs[::2], strict=True):
        assert cost["loss"] == pytest.approx(evaluation["loss"], abs=1e-5)
        assert cost["nonzero"] == evaluation["nonzero"]
    for cost, int8 in zip(costs[::2], costs[1::2], strict=True):
        assert abs(int8["loss"] - cost["loss"]) < 0.02
        assert int8["bytes"] < cost["bytes"]
        assert 0 < int8["seconds_per_token"] < math.inf
    assert costs[2]["bytes"] < costs[0]["bytes"]


def cost(seed, loss, precision="float32", **of):
    return {
        "seed": seed,
        "epoch": 4,
        "sparsify": of,
        "precision": precision,
        "loss": loss,
        "nonzero": 100,
        "bytes": 400,
    } | {"seconds_per_token": 0.002}


def test_the_table_compares_with_the_dense_model_in_float(tmp_path):
    dense = [cost(seed, loss) for seed, loss in ((1, 5.0), (2, 5.1))]
    dense += [{**cost(seed, loss, "int8"), "bytes": 100} for seed, loss in ((1, 5.01), (2, 5.11))]
    ticket = [cost(seed, loss, family="imp", role="ticket", level=1) for seed, loss in ((1, 5.2), (2, 5.3))]
    for name, rows in (("dense", dense), ("ticket", ticket)):
        files.write_json(tmp_path / f"{name}.json", {"costs": rows})
    roles = ("student", "no_teacher", "retrained")
    student = [cost(seed, 5.0, family="little", role=role) for seed in (1, 2) for role in roles]
    long = [{**cost(seed, 5.0, family="long", role="qat"), "epoch": 9} for seed in (1, 2)]
    files.write_json(tmp_path / "student.json", {"costs": student + long})
    paths = [tmp_path / "dense.json", tmp_path / "ticket.json"]
    rows = compression.table(compression.read_costs(paths)).set_index(["role", "precision"])
    assert rows["matching"].to_dict() == {
        ("dense", "float32"): "",
        ("dense", "int8"): "yes",
        ("ticket", "float32"): "no",
    }
    assert rows.loc[("dense", "int8"), "bytes_of_dense"] == 0.25
    assert rows.loc[("dense", "int8"), "perplexity"] == pytest.approx(math.exp(5.06))
    assert rows.loc[("dense", "int8"), "milliseconds_per_token"] == pytest.approx(2)
    assert rows["nonzero"].tolist() == [100] * 3
    compression.run(argparse.Namespace(costs=paths, csv=tmp_path / "c.csv", markdown=tmp_path / "c.md"))
    lines = (tmp_path / "c.md").read_text().splitlines()
    assert {line.count("|") for line in lines[:5]} == {11}
    rows = compression.table(compression.read_costs([*paths, tmp_path / "student.json"]))
    names = [compression.name_of(row) for row in rows.to_dict("records")]
    assert names == ["dense", "dense", "imp, level 1", "little, no teacher", "little, retrained", "little", "long"]
    assert rows["matching"].tolist()[3:] == ["yes", "yes", "yes", "not comparable: the dense model has 4 epochs"]
    with pytest.raises(UserError, match="no costs of the dense model"):
        compression.read_costs(paths[1:])
    with pytest.raises(UserError, match="a second time"):
        compression.read_costs([*paths, paths[0]])

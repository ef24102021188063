"""Folding: what is cut out changes nothing, and what it gains is measured on models that belong together."""

import pytest
import torch
from test_gates import LSTM, SETTINGS, SPARSE, sparsified, split  # noqa: F401 (a fixture)

from chains import KINDS, Chain, call
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import fold, speedup, structure
from natural_sparsity.model import checkpoint


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A dense and a sparsified model, and both folded, by the commands."""
    chain = Chain(tmp_path_factory.mktemp("fold"))
    chain.initialise()
    chain.train("dense0", "dense1")
    chain.start("sparse1", "dense1", None, **SPARSE)
    chain.train("sparse1", "sparse2", "sparse3", **SPARSE)
    for name in ("dense1", "sparse3"):
        call(fold, **{"from": chain.path(name)}, checkpoint=chain.path(f"{name}-folded"))
    return chain


def measure(chain, name, folded):
    output = chain.folder / "speedup.json"
    paths = {"checkpoint": chain.path(name), "folded": chain.path(folded), "test": chain.split_file("test")}
    call(speedup, **paths, timed_tokens=5, output=output)
    return files.read_json(output)


def test_the_folded_checkpoint_is_a_smaller_model_with_the_same_outputs(chain):
    tokens = torch.randint(60, (20, 3), generator=torch.Generator().manual_seed(0))
    model, state = chain.open("sparse3")
    small, folded = chain.open("sparse3-folded")
    assert (folded["folded_from"], folded["epoch"], folded["model"]) == (state["parameters"], 3, "s")
    logits = [each.output(each.eval()(tokens, each.zero_state(3))[1]) for each in (model, small)]
    torch.testing.assert_close(logits[1], logits[0], atol=1e-5, rtol=0)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in model.parameters())
    dense, _ = chain.open("dense1-folded")
    assert dense.architecture == model.architecture


def test_a_folded_checkpoint_can_be_evaluated(chain):
    whole, folded = (chain.evaluate(name) for name in ("sparse3", "sparse3-folded"))
    assert folded["loss"] == pytest.approx(whole["loss"], abs=1e-5)
    assert folded["weights"] < whole["weights"]


def test_gains_are_those_of_the_two_models(chain):
    gains = measure(chain, "sparse3", "sparse3-folded")
    for key, name in (("whole", "sparse3"), ("folded", "sparse3-folded")):
        parameters, _, state = chain.load(name)
        assert gains[key]["weights"] == sum(p.numel() for p in parameters.values() if p.dim() > 1)
        assert gains[key]["hidden"] == state["architecture"]["hidden"]
        assert gains[key]["seconds_per_token"] > 0
    assert (gains["data"], gains["model"], gains["seed"], gains["epoch"]) == ("d", "s", 3, 3)
    assert gains["folded"]["bytes"] < gains["whole"]["bytes"]
    assert gains["difference"] < speedup.TOLERANCE
    assert gains["speedup"] > 0 and gains["speedup_recurrence"] > 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "text"])
def test_models_of_every_kind_of_data_are_folded(tmp_path, kind):
    chain = Chain(tmp_path, kind, architecture=LSTM)
    settings = {**SPARSE, "groups": ["weights", "gates", "neurons"]}
    chain.initialise()
    chain.start("sparse0", "dense0", None, **settings)
    chain.train("sparse0", "sparse1", **settings)
    # As if training had removed the second neuron of the first layer: nothing reads it.
    model, state = chain.open("sparse1")
    with torch.no_grad():
        model.recurrent[0].weight_hh_l0[:, 1] = model.recurrent[1].weight_ih_l0[:, 1] = 0
    checkpoint.save(chain.path("pruned"), model, {**state, "sparsify": {}})
    call(fold, **{"from": chain.path("pruned")}, checkpoint=chain.path("folded"))
    assert chain.load("folded")[2]["architecture"]["hidden"] == [4, 7]
    whole, folded = (chain.evaluate(name) for name in ("pruned", "folded"))
    assert (folded["loss"], folded["score"]) == pytest.approx((whole["loss"], whole["score"]), rel=1e-5)
    assert measure(chain, "pruned", "folded")["difference"] < speedup.TOLERANCE


def test_training_does_not_go_on_from_a_folded_checkpoint(chain):
    with pytest.raises(UserError, match="sparse3-folded: is folded; train on from the checkpoint"):
        chain.train("sparse3-folded", "sparse4", **SPARSE)


def test_words_without_weights_share_a_row(chain):
    model, state = chain.open("dense1")
    with torch.no_grad():
        model.embedding.weight[20:] = 0
    checkpoint.save(chain.path("few-words"), model, state)
    call(fold, **{"from": chain.path("few-words")}, checkpoint=chain.path("few-words-folded"))
    small, _ = chain.open("few-words-folded")
    assert small.embedding.weight.shape == (21, 6) and small.embedding.rows.tolist() == [*range(1, 21), *[0] * 40]
    assert measure(chain, "few-words", "few-words-folded")["difference"] < speedup.TOLERANCE
    gates = {"checkpoint": chain.path("few-words-folded"), "test": chain.split_file("test")}
    call(structure, **gates, output=chain.folder / "few-words-structure.json")
    assert files.read_json(chain.folder / "few-words-structure.json")["words_left"] == 20


def test_what_does_not_belong_together_is_refused(chain):
    with pytest.raises(UserError, match="not folded from"):
        measure(chain, "sparse3", "dense1-folded")


def test_a_folded_model_that_differs_is_refused(split):  # noqa: F811
    model, tensors = sparsified(4, dtype=torch.float32)
    small = fold.fold(model, structure.remove_dead(structure.read_masks(model, tensors, SETTINGS)))
    assert speedup.measure_speedup(model, small, split, 2)["difference"] < 1e-5
    with torch.no_grad():
        small.output.bias[3] += 0.01
    with pytest.raises(UserError, match="the folded model's outputs differ by"):
        speedup.measure_speedup(model, small, split, 2)


def test_a_folded_model_in_the_place_of_the_whole_one_is_refused(chain, tmp_path):
    given = {
        "checkpoint": chain.path("sparse3-folded"),
        "test": chain.split_file("test"),
        "output": tmp_path / "s.json",
    }
    with pytest.raises(UserError, match="sparse3-folded: its folded is True, expected False"):
        call(structure, **given, expect={"epoch": 3, "folded": False})
    assert not (tmp_path / "s.json").exists()

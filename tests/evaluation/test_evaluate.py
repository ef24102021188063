"""The evaluation of a checkpoint of every kind of data: losses, scores and counts against plain loops."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from chains import CPU, KINDS, TENSORS, Chain, call
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.evaluation import evaluate

IDENTITY = ("data", "model", "seed", "epoch", "kind", "cell", "sparsify")
SCORE = ("loss", "measure", "score", "digits", "higher_is_better")
COUNTS = ("weights", "nonzero", "density", "tensors", "geometry")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_the_same_fields(tmp_path, kind):
    chain = Chain(tmp_path, kind)
    chain.initialise()
    chain.train("dense0", "dense1")
    for name, epoch in (("dense0", 0), ("dense1", 1)):
        evaluation = chain.evaluate(name)
        assert evaluation.keys() >= {*IDENTITY, *SCORE, *COUNTS, "checkpoint"}
        expected = ("d", "m", 3, epoch, kind, chain.architecture.get("cell", "lstm"), {})
        assert tuple(evaluation[key] for key in IDENTITY) == expected
        assert math.isfinite(evaluation["loss"]) and math.isfinite(evaluation["score"])
        assert evaluation["higher_is_better"] == (kind == "classification")
        assert (
            evaluation["nonzero"]
            == evaluation["weights"]
            == sum(parameter.numel() for parameter in chain.load(name)[0].values() if parameter.dim() > 1)
        )
        assert evaluation["checkpoint"] == chain.load(name)[2]["parameters"]


def test_a_language_model_has_its_perplexity(tickets):
    evaluation = tickets.evaluate("dense3", split="dev", batch=10)
    tokens = files.read_array(tickets.split_file("dev")).astype(np.int64)
    columns = torch.from_numpy(tokens).view(10, 50).T
    model, state = tickets.open("dense3")
    with torch.no_grad():
        _, features, _ = model.eval()(columns[:-1], model.zero_state(10))
        loss = functional.cross_entropy(model.output(features).flatten(0, 1), columns[1:].flatten())
    assert evaluation["loss"] == pytest.approx(float(loss), abs=1e-5)
    assert evaluation["loss"] == pytest.approx(state["dev_loss"], abs=1e-6)
    assert (evaluation["measure"], evaluation["score"]) == ("perplexity", math.exp(evaluation["loss"]))


def test_weights_are_counted_by_tensor(tickets):
    evaluation = tickets.evaluate("level2-3")
    parameters, masks, _ = tickets.load("level2-3")
    assert set(evaluation["tensors"]) == set(masks)
    for name, counts in evaluation["tensors"].items():
        assert counts["weights"] == parameters[name].numel()
        assert counts["nonzero"] == int(parameters[name].count_nonzero()) <= int(masks[name].sum())
    assert evaluation["density"] == evaluation["nonzero"] / evaluation["weights"]
    assert evaluation["density"] == pytest.approx(0.25, abs=0.01)
    assert evaluation["sparsify"]["tensors"] == TENSORS


def test_a_classifier_has_its_accuracy(tmp_path):
    chain = Chain(tmp_path, "classification")
    chain.initialise()
    chain.train("dense0", *(f"dense{epoch}" for epoch in range(1, 7)))
    evaluation = chain.evaluate("dense6")
    model, _ = chain.open("dense6")
    correct, losses = 0, []
    for row in torch.from_numpy(files.read_array(chain.split_file("test"), ndim=2).astype(np.int64)):
        words = row[1:][row[1:] != 0]
        with torch.no_grad():
            logits = model.output(model.eval()(words[:, None], model.zero_state(1))[1][-1, 0])
        correct += int(logits.argmax() == row[0])
        losses.append(float(functional.cross_entropy(logits, row[0])))
    assert evaluation["measure"] == "accuracy"
    assert evaluation["score"] == pytest.approx(correct / 61)
    assert evaluation["score"] > 0.5
    assert evaluation["loss"] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("kind", ["addition", "navigation"])
def test_generated_data_have_their_error(tmp_path, kind):
    chain = Chain(tmp_path, kind)
    chain.initialise()
    evaluation = chain.evaluate("dense0")
    (model, _), data = chain.open("dense0"), chain.open_data()
    losses, errors = [], []
    for batch in data.split("test", None, 7, 35, model.interface).batches(CPU):
        with torch.no_grad():
            state = model.initial_state(batch.inputs.shape[1], batch.start)
            outputs = model.output(data.read(model.eval()(batch.inputs, state)[1], batch.inputs))
        losses.append(data.losses(outputs, batch).flatten())
        errors.append(data.errors(outputs, batch).flatten())
    assert evaluation["loss"] == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)
    assert evaluation["score"] == pytest.approx(float(torch.cat(errors).mean()), rel=1e-5)


def test_text_without_its_file_is_refused(tickets):
    with pytest.raises(UserError, match=r"--test: text needs the \.npy file of the test split"):
        tickets.evaluate("dense3", test=None)


def test_another_split_or_epoch_is_refused(tickets, tmp_path):
    given = {"checkpoint": tickets.path("dense3"), "device": "cpu", "output": tmp_path / "e.json"}
    with pytest.raises(UserError, match=r"dev\.npy: its split is 'dev', expected 'test'"):
        call(evaluate, test=tickets.split_file("dev"), **given)
    with pytest.raises(UserError, match="dense3: its epoch is 3, expected 2; put it back if it was moved or renamed"):
        call(evaluate, test=tickets.split_file("test"), expect={"epoch": 2}, **given)
    assert not (tmp_path / "e.json").exists()

"""One, two and three recurrent layers on every kind of data: trained, reloaded, evaluated, resumed."""

import pytest
import torch

from chains import CPU, KINDS, Chain

pytestmark = pytest.mark.integration

WIDTHS = [[6], [6, 5], [6, 5, 4]]
CELLS = {"text": "lstm", "classification": "gru", "addition": "rnn", "navigation": "lstm"}


@pytest.mark.parametrize("hidden", WIDTHS, ids=["one layer", "two", "three"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_any_depth_trains_and_is_read_as_it_was_written(tmp_path, kind, hidden):
    chain = Chain(tmp_path, kind, architecture={"hidden": hidden, "cell": CELLS[kind], "dropout": 0.2})
    chain.initialise()
    chain.train("dense0", "dense1", "dense2")
    chain.train("dense1", "again2")
    assert chain.bytes("again2") == chain.bytes("dense2")
    before, (after, state) = chain.load("dense1")[0], chain.open("dense2")
    assert state["architecture"]["hidden"] == hidden
    assert len(after.recurrent) == len(hidden)
    for name, parameter in after.named_parameters():
        assert not torch.equal(parameter, before[name]), name

    data = chain.open_data()
    split = data.split("dev", chain.split_file("dev"), 10, 7, after.interface)
    batch = next(iter(split.batches(CPU)))
    size, parts = batch.inputs.shape[1], 2 if CELLS[kind] == "lstm" else 1
    twin = chain.open("dense2")[0].eval()
    outputs, features, left = after.eval()(batch.inputs, after.initial_state(size, batch.start))
    again, _, _ = twin(batch.inputs, twin.initial_state(size, batch.start))
    assert all(torch.equal(one, other) for one, other in zip(outputs, again, strict=True))
    assert [len(layer) for layer in left] == [parts] * len(hidden)
    assert [part.shape for layer in left for part in layer] == [(1, size, n) for n in hidden for _ in range(parts)]
    assert [output.shape[2] for output in outputs[1:]] == hidden
    assert torch.equal(features, outputs[-1])
    scores = chain.evaluate("dense2", "dev", window=35)
    if kind not in ("addition", "navigation"):  # whose dev and test are drawn, and differ
        assert (scores["loss"], scores["score"]) == pytest.approx((state["dev_loss"], state["dev_score"]))


@pytest.mark.parametrize("hidden", WIDTHS, ids=["one layer", "two", "three"])
def test_what_a_step_carries_is_of_every_layer(tmp_path, hidden, monkeypatch):
    """And is restored within an epoch."""
    chain = Chain(tmp_path, architecture={"hidden": hidden})
    chain.initialise()
    chain.train("dense0", "whole1")
    chain.train_with_interruption(monkeypatch, 30, "dense0", "parts1")
    assert chain.bytes("parts1") == chain.bytes("whole1")

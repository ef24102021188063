"""Labelled texts: the step against autograd and against left padding, epochs that resume, the measure."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from chains import CLASSES, CPU, VOCABULARY, Chain, after_steps, language_model
from natural_sparsity import files
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.classification import PAD, Examples
from natural_sparsity.errors import UserError
from natural_sparsity.methods.base import Method, Place
from natural_sparsity.model.recurrent import Interface
from natural_sparsity.training.steps import make_step

pytestmark = pytest.mark.integration

INTERFACE = Interface(outputs=CLASSES, vocabulary=VOCABULARY)
SPARSE = {"method": "sparse_vd", "groups": ["weights", "gates", "neurons"], "threshold": 3, "learning_rate": 0.03}
SPARSE |= {"clip": 10.0, "dropout": 0.0}


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """A classifier trained for twelve epochs, by Adam."""
    chain = Chain(tmp_path_factory.mktemp("classifier"), "classification")
    chain.initialise("m0")
    chain.train(*(f"m{epoch}" for epoch in range(13)))
    return chain


@pytest.fixture
def folder(tmp_path):
    """The arrays alone."""
    return Chain(tmp_path, "classification").folder


def new_model():
    torch.manual_seed(0)
    return language_model(VOCABULARY, CLASSES, embedding=6, hidden=[5, 7], dropout=0.0).double()


def new_step(model, learning_rate=0.0, clip=0.25):
    data, method = open_data("classification", {"classes": CLASSES}), Method({}, model, {}, Place(1, 1, 1))
    return make_step(model, data, Training(batch=8, clip=clip), learning_rate, 8, method)


def examples(folder, batch=8):
    return Examples(folder / "train.npy", batch, INTERFACE)


def first_batch(folder):
    return next(examples(folder).batches(CPU))


def test_every_text_comes_once_per_epoch_in_an_order_of_its_own(folder):
    def seen(split):
        return [
            (int(label), tuple(words[words != PAD].tolist()))
            for batch in split.batches(CPU)
            for words, label in zip(batch.inputs.T, batch.targets, strict=True)
        ]

    def shuffled(epoch):
        data = open_data("classification", {"classes": CLASSES})
        return data.training_split(folder / "train.npy", Training(batch=8), INTERFACE, 1, epoch)

    rows = files.read_array(folder / "train.npy", ndim=2)
    expected = [(int(row[0]), tuple(row[1:][row[1:] != PAD].tolist())) for row in rows]
    assert seen(examples(folder)) == expected
    first, again, other = (seen(shuffled(epoch)) for epoch in (1, 1, 2))
    assert first == again != other != expected
    assert sorted(first) == sorted(other) == sorted(expected)
    rest = shuffled(1)
    assert [batch.targets.tolist() for batch in rest.batches(CPU, 20)] == [
        batch.targets.tolist() for batch in rest.batches(CPU)
    ][20:]
    assert (len(rest), rest.examples) == (26, 203)


def test_the_loss_is_that_of_texts_padded_on_the_left(folder):
    """With the state held at 0 before a text begins: each text run by itself, from its first word to its last."""
    model, batch = new_model(), first_batch(folder)
    expected = []
    for words, label in zip(batch.inputs.T, batch.targets, strict=True):
        x = model.embedding(words[words != PAD])[:, None]
        for layer in model.recurrent:
            x, _ = layer(x)
        expected.append(functional.cross_entropy(model.output(x[-1]), label[None]))
    assert float(new_step(model)(batch)) == pytest.approx(float(torch.stack(expected).mean().detach()), rel=1e-9)


def test_a_step_descends_along_autograds_gradient(folder):
    model, twin, batch = new_model(), new_model(), first_batch(folder)
    new_step(model, 0.5, clip=1e9)(batch)
    hidden = twin.embedding(batch.inputs)
    for layer in twin.recurrent:
        hidden, _ = layer(hidden)
    lengths = (batch.inputs != PAD).sum(0)
    logits = twin.output(torch.stack([hidden[n - 1, k] for k, n in enumerate(lengths.tolist())]))
    functional.cross_entropy(logits, batch.targets).backward()
    for (name, parameter), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), (other - 0.5 * other.grad).detach(), msg=name)


def test_texts_of_a_batch_do_not_see_each_other_nor_the_batch_before(folder):
    step, batch = new_step(new_model()), first_batch(folder)
    first = float(step(batch))
    assert float(step(batch)) == first
    assert not any(name.startswith("state.") for name in step.tensors())


@pytest.mark.integration
def test_a_classifier_learns_and_resumes_bit_for_bit(chain):
    _, state = chain.open("m12")
    assert (state["block"], state["interface"]["outputs"]) == ({"classes": CLASSES}, CLASSES)
    assert state["examples"] == 12 * 203
    chain.train("m11", "again12")
    assert chain.bytes("again12") == chain.bytes("m12")


def test_the_accuracy_is_the_share_of_texts_that_are_right_one_by_one(chain):
    model, found = chain.open("m12")[0].eval(), chain.evaluate("m12")
    right = 0
    for row in torch.from_numpy(files.read_array(chain.folder / "test.npy", ndim=2).astype(np.int64)):
        words = row[1:][row[1:] != PAD]
        features = model(words[:, None], model.zero_state(1))[1]
        right += int(model.output(features[-1]).argmax() == row[0])
    assert found["measure"] == "accuracy" and found["higher_is_better"]
    assert found["score"] == pytest.approx(right / 61)
    assert found["score"] > 0.5


def test_a_sparsified_classifier_resumes_bit_for_bit(chain):
    chain.start("s12", "m12", None, **SPARSE)
    chain.train("s12", "s13", "s14", **SPARSE)
    chain.train("s13", "again14", **SPARSE)
    assert chain.bytes("again14") == chain.bytes("s14")


def test_interrupted_and_resumed_within_an_epoch_equals_uninterrupted(chain, monkeypatch):
    """Stopped after a few steps, as by a signal; the rest has the order and the noise that it would have had."""
    chain.train("m0", "whole1", **SPARSE)
    count = []
    after_steps(monkeypatch, lambda *_: count.append(0))
    chain.train_with_interruption(monkeypatch, 9, "m0", "parts1", **SPARSE)
    assert len(count) == 26
    assert chain.bytes("parts1") == chain.bytes("whole1")


def test_rows_that_are_no_texts_are_refused(tmp_path):
    for rows, message in (
        (np.zeros((0, 4), np.uint8), "has no example"),
        (np.array([[0, 0, 0]], np.uint8), "a text is empty"),
        (np.array([[0, VOCABULARY, 0]], np.uint8), "not among the vocabulary's 60"),
        (np.array([[CLASSES, 4, 0]], np.uint8), "class 3 is not below the model's 3 classes"),
    ):
        files.write_array(tmp_path / "x.npy", rows)
        with pytest.raises(UserError, match=message):
            Examples(tmp_path / "x.npy", 2, INTERFACE)


def test_labelled_texts_need_a_vocabulary_and_a_file():
    data = open_data("classification", {"classes": CLASSES})
    with pytest.raises(UserError, match="--vocabulary: labelled texts need one"):
        data.interface(None)
    with pytest.raises(UserError, match="--dev: labelled texts need the .npy file of the dev split"):
        data.split("dev", None, 8, 1, INTERFACE)

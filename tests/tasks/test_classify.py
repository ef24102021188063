"""Classifiers: their step against autograd and against left padding, epochs that resume, structure and folding."""

import argparse
import json

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.sparsify import start, structure
from natural_sparsity.tasks import classify
from natural_sparsity.tasks.classify import PAD, ClassifierStep, Examples
from natural_sparsity.training import initialise, train
from natural_sparsity.training.settings import Training

WORDS, LENGTH, CLASSES = 30, 9, 3
ADAM = {"method": "adam", "learning_rate": 0.02, "clip": 1.0, "dropout": 0.0}
TRAINING = {"batch": 8, "window": 7, "learning_rate": 1.0, "clip": 1.0, "evaluation_batch": 10}
SPARSE = {"method": "sparse_vd", "groups": ["weights", "gates", "neurons"], "threshold": 3, "learning_rate": 0.03}
SPARSE |= {"clip": 10.0, "dropout": 0.0}


def texts(n, seed=0):
    """Texts whose class is the number of the class word in it, among others, and their rows."""
    generator = np.random.default_rng(seed)
    rows = np.full((n, 1 + LENGTH), PAD, np.uint16)
    for row in rows:
        words = generator.integers(5, WORDS, generator.integers(1, LENGTH + 1))
        row[0] = generator.integers(CLASSES)
        words[generator.integers(len(words))] = 2 + row[0]
        row[1 : 1 + len(words)] = words
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classify")
    for seed, (split, n) in enumerate({"train": 203, "dev": 50, "test": 61}.items()):
        files.write_array(folder / f"{split}.npy", texts(n, seed))
    files.write_parquet(folder / "vocabulary.parquet", pd.DataFrame({"id": np.arange(WORDS)}))
    arguments = {"architecture": {"embedding": 6, "hidden": [5, 7], "dropout": 0.0}, "training": TRAINING, "seed": 3}
    vocabulary = folder / "vocabulary.parquet"
    initialise.run(argparse.Namespace(**arguments, vocabulary=vocabulary, classes=CLASSES, **out(folder, "m0")))
    return folder


def paths(folder, name):
    return folder / f"{name}.safetensors", folder / f"{name}.json"


def out(folder, name):
    return dict(zip(("parameters", "state"), paths(folder, name), strict=True))


def trained(folder, *names, **sparsify):
    parameters, state = zip(*(paths(folder, name) for name in names), strict=True)
    arguments = {"train": folder / "train.npy", "dev": folder / "dev.npy", "from_parameters": parameters[0]}
    arguments |= {"from_state": state[0], "parameters": parameters[1:], "state": state[1:], "training": TRAINING}
    arguments |= {"teacher_parameters": None, "teacher_state": None, "device": "cpu", "threads": 1}
    train.run(argparse.Namespace(**arguments, sparsify=sparsify, save_interval_s=600.0))
    return json.loads(state[-1].read_text())


def new_model(dropout=0.0):
    torch.manual_seed(0)
    return LanguageModel(WORDS, Architecture(6, [5, 7], dropout), CLASSES).double()


def batch(folder):
    return next(Examples(folder / "train.npy", 8, 1, WORDS).windows(torch.device("cpu")))


def test_every_text_comes_once_an_epoch_in_an_order_of_its_own(folder):
    def seen(examples):
        return [
            (int(label), tuple(words[words != PAD].tolist()))
            for inputs, targets in examples.windows(torch.device("cpu"))
            for words, label in zip(inputs.T, targets, strict=True)
        ]

    rows = files.read_array(folder / "train.npy", ndim=2)
    expected = [(int(row[0]), tuple(row[1:][row[1:] != PAD].tolist())) for row in rows]
    assert seen(Examples(folder / "train.npy", 8, 1, WORDS)) == expected
    first, again, other = (seen(Examples(folder / "train.npy", 8, 1, WORDS).shuffled(1, epoch)) for epoch in (1, 1, 2))
    assert first == again != other != expected
    assert sorted(first) == sorted(other) == sorted(expected)
    rest = Examples(folder / "train.npy", 8, 1, WORDS).shuffled(1, 1)
    assert [t.tolist() for _, t in rest.windows(torch.device("cpu"), 20)] == [
        t.tolist() for _, t in rest.windows(torch.device("cpu"))
    ][20:]
    assert (len(rest), rest.tokens) == (26, 203)


def test_the_loss_is_that_of_texts_padded_on_the_left(folder):
    """With the state held at 0 before a text begins: each text run by itself, from its first word to its last."""
    model = new_model()
    inputs, targets = batch(folder)
    step = ClassifierStep(model, Training(), 0.0, 8)
    expected = []
    for words, label in zip(inputs.T, targets, strict=True):
        x = model.embedding(words[words != PAD])[:, None]
        for layer in model.recurrent:
            x, _ = layer(x)
        expected.append(functional.cross_entropy(model.output(x[-1]), label[None]))
    assert float(step(inputs, targets)) == pytest.approx(float(torch.stack(expected).mean().detach()), rel=1e-9)


def test_a_step_descends_along_autograds_gradient(folder):
    model, twin = new_model(), new_model()
    inputs, targets = batch(folder)
    step = ClassifierStep(model, Training(clip=1e9), 0.5, 8)
    step(inputs, targets)
    hidden = twin.embedding(inputs)
    for layer in twin.recurrent:
        hidden, _ = layer(hidden)
    lengths = (inputs != PAD).sum(0)
    logits = twin.output(torch.stack([hidden[n - 1, k] for k, n in enumerate(lengths.tolist())]))
    functional.cross_entropy(logits, targets).backward()
    for (name, parameter), other in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(parameter.detach(), (other - 0.5 * other.grad).detach(), msg=name)


def test_texts_of_a_batch_do_not_see_each_other_nor_the_batch_before(folder):
    step = ClassifierStep(new_model(), Training(), 0.0, 8)
    inputs, targets = batch(folder)
    first = float(step(inputs, targets))
    assert float(step(inputs, targets)) == first
    assert not any(name.startswith("state.") for name in step.tensors())


def test_a_classifier_learns_and_resumes_bit_for_bit(folder):
    state = trained(folder, "m0", *(f"m{epoch}" for epoch in range(1, 13)), **ADAM)
    assert state["classes"] == CLASSES
    assert state["tokens"] == 12 * 203
    trained(folder, "m11", "again12", **ADAM)
    assert paths(folder, "again12")[0].read_bytes() == paths(folder, "m12")[0].read_bytes()
    parameters, state_path = paths(folder, "m12")
    arguments = ["--parameters", str(parameters), "--state", str(state_path), "--output", str(folder / "e.json")]
    main(["evaluate", "--tokens", str(folder / "test.npy"), *arguments, "--device", "cpu"])
    found = files.read_json(folder / "e.json")["evaluations"][0]
    model, _ = checkpoint.load(parameters, state_path, torch.device("cpu"))
    rows = torch.from_numpy(files.read_array(folder / "test.npy", ndim=2).astype(np.int64))
    right = 0
    for row in rows:
        words = row[1:][row[1:] != PAD]
        features = model.eval()(words[:, None], model.zero_state(1))[1]
        right += int(model.output(features[-1]).argmax() == row[0])
    assert found["accuracy"] == pytest.approx(right / 61)
    assert found["accuracy"] > 0.5


def test_a_classifier_is_sparsified_counted_and_folded(folder):
    """Gates are watched on words alone: behind a text's end, where nothing reads, they would still move."""
    if not paths(folder, "m12")[0].exists():
        trained(folder, "m0", *(f"m{epoch}" for epoch in range(1, 13)), **ADAM)
    begin, given = paths(folder, "m12"), {"masks_parameters": None, "masks_state": None, "sparsify": SPARSE}
    start.run(argparse.Namespace(from_parameters=begin[0], from_state=begin[1], **given, **out(folder, "s12")))
    trained(folder, "s12", "s13", "s14", "s15", **SPARSE)
    trained(folder, "s14", "again15", **SPARSE)
    assert paths(folder, "again15")[0].read_bytes() == paths(folder, "s15")[0].read_bytes()
    parameters, state = map(str, paths(folder, "s15"))
    small = list(map(str, paths(folder, "folded")))
    given = ["--tokens", str(folder / "test.npy"), "--parameters", parameters, "--state", state]
    main(["structure", *given, "--output", str(folder / "structure.json"), "--device", "cpu"])
    main(
        ["fold", "--from-parameters", parameters, "--from-state", state, "--parameters", small[0], "--state", small[1]]
    )
    main(["folding", *given, "--folded-parameters", small[0], "--folded-state", small[1], "--timed-tokens", "4",
          "--output", str(folder / "folding.json")])  # fmt: skip
    found = files.read_json(folder / "structure.json")["structures"][0]
    assert found["compression"] > 1.2
    assert 0 <= found["accuracy"] <= 1
    assert "perplexity" not in found
    table = [str(folder / "t.csv"), str(folder / "t.md")]
    main(["structures", "--structures", str(folder / "structure.json"), "--foldings", str(folder / "folding.json"),
          "--runs", "texts/s", "--csv", table[0], "--markdown", table[1]])  # fmt: skip
    assert f"| {100 * found['accuracy']:.1f} % |" in (folder / "t.md").read_text()
    assert pd.read_csv(table[0])["perplexity"].isna().all()
    model, of = checkpoint.load(*paths(folder, "s15"), torch.device("cpu"))
    examples = Examples(folder / "test.npy", 10, 1, of["vocabulary"])
    seen = []
    rows = files.read_array(folder / "test.npy", ndim=2)
    for row in rows:
        words = torch.from_numpy(row[1:][row[1:] != PAD].astype(np.int64))[:, None]
        outputs, _, _ = model.eval()(words, model.zero_state(1))
        seen.append(structure.gates_of(model.recurrent[0], outputs[0], outputs[1], torch.zeros(1, 1, 5))[:, 0].detach())
    low, high = structure.gate_ranges(model, examples)[0]
    torch.testing.assert_close(low, torch.cat(seen).amin(0))
    torch.testing.assert_close(high, torch.cat(seen).amax(0))


def test_interrupted_and_resumed_within_an_epoch_equals_uninterrupted(folder, monkeypatch):
    """Stopped after a few steps, as by a signal; the rest has the order and the noise that it would have had."""
    trained(folder, "m0", "whole1", **SPARSE)
    ended = classify.ClassifierStep.advance
    count = []

    def stop(self, *arguments):
        ended(self, *arguments)
        count.append(0)
        if len(count) == 9:
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(classify.ClassifierStep, "advance", stop)
    with pytest.raises(SystemExit):
        trained(folder, "m0", "parts1", **SPARSE)
    assert len(count) == 9
    trained(folder, "m0", "parts1", **SPARSE)
    assert len(count) == 26
    assert paths(folder, "parts1")[0].read_bytes() == paths(folder, "whole1")[0].read_bytes()


def test_rows_that_are_no_texts_are_refused(folder, tmp_path):
    for rows, message in (
        (np.zeros((0, 4), np.uint8), "has no example"),
        (np.array([[0, 0, 0]], np.uint8), "a text is empty"),
        (np.array([[0, WORDS, 0]], np.uint8), "not among the vocabulary's 30"),
    ):
        files.write_array(tmp_path / "x.npy", rows)
        with pytest.raises(UserError, match=message):
            Examples(tmp_path / "x.npy", 2, 1, WORDS)

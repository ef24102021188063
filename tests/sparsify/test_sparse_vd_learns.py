"""Sparse variational dropout end to end, on a task for a few gates: what the paper claims, in the small.

A text of eight words has one of four keywords somewhere, which is its class. Sparse models start from the dense one.
"""

import copy
import math

import numpy as np
import pytest
import torch

from natural_sparsity import files
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.sparsify import adam, sparse_vd
from natural_sparsity.sparsify.method import Place
from natural_sparsity.sparsify.structure import masks_of, reading, settled
from natural_sparsity.tasks.classify import ClassifierStep, Examples, outcomes
from natural_sparsity.training.settings import Training
from natural_sparsity.training.train import train_epoch

KEYWORDS, WORDS, LENGTH, BATCH = 4, 30, 8, 50
ADAM = {"learning_rate": 0.01, "clip": 10.0, "dropout": 0.0}


def examples(path, n, seed):
    random = np.random.default_rng(seed)
    texts = random.integers(1 + KEYWORDS, WORDS, (n, LENGTH))
    classes = random.integers(KEYWORDS, size=n)
    texts[np.arange(n), random.integers(LENGTH, size=n)] = 1 + classes
    files.write_array(path, np.column_stack([classes, texts]).astype(np.uint8))
    return Examples(path, BATCH, LENGTH, WORDS)


def trained(model, train, seed, epochs, make, settings):
    """Train ``model``; the method's variables afterwards."""
    tensors = {}
    for epoch in epochs:
        method = make(settings, model, tensors, Place(epoch, len(train), train.tokens))
        tensors = method.tensors
        seed_everything(seed, epoch)
        train_epoch(ClassifierStep(model, Training(), 1.0, BATCH, method=method), train.shuffled(seed, epoch), "")
    return tensors


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_accuracy_stays_weights_go_and_variables_for_gates_make_gates_constant(tmp_path, seed):
    train, test = examples(tmp_path / "train.npy", 1500, seed), examples(tmp_path / "test.npy", 1000, 100 + seed)
    torch.manual_seed(seed)
    dense = LanguageModel(WORDS, Architecture(24, [24], 0.0), KEYWORDS)
    trained(dense, train, seed, range(1, 9), adam.make, ADAM)
    _, accuracy = outcomes(dense, test)
    assert accuracy > 0.99
    gates = {}
    for groups in (("weights", "neurons"), ("weights", "gates", "neurons")):
        settings = {"method": "sparse_vd", "groups": list(groups), "threshold": 3, **ADAM}
        model = copy.deepcopy(dense)
        tensors = trained(model, train, seed, range(9, 49), sparse_vd.make, settings)
        assert outcomes(model, test)[1] > accuracy - 0.01
        left = settled(masks_of(model, tensors, settings))
        assert left.total() / left.kept() > 10
        [read] = reading(left, left.neurons)
        gates[groups] = int(read.sum())
    assert 0 < gates["weights", "gates", "neurons"] < gates["weights", "neurons"] < 4 * 24
    assert math.isfinite(float(tensors["steps"]))

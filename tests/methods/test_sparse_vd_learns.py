"""Sparse variational dropout end to end, on a task for a few gates: what the paper claims, in the small.

A text of eight words has one of four keywords somewhere, which is its class. Sparse models start from the dense one.
"""

import copy

import numpy as np
import pytest
import torch

from chains import language_model
from natural_sparsity import files
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.evaluation.structure import find_reading_gates, read_masks, remove_dead
from natural_sparsity.methods.base import Place, make_method
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.recurrent import Interface
from natural_sparsity.training.loop import train_epoch
from natural_sparsity.training.steps import make_step

pytestmark = pytest.mark.integration

KEYWORDS, WORDS, LENGTH, BATCH = 4, 30, 8, 50
ADAM = {"learning_rate": 0.01, "clip": 10.0}
TRAINING = Training(optimizer="adam", batch=BATCH, **ADAM)
DATA, INTERFACE = open_data("classification", {"classes": KEYWORDS}), Interface(outputs=KEYWORDS, vocabulary=WORDS)


def write_examples(path, n, seed):
    random = np.random.default_rng(seed)
    texts = random.integers(1 + KEYWORDS, WORDS, (n, LENGTH))
    classes = random.integers(KEYWORDS, size=n)
    texts[np.arange(n), random.integers(LENGTH, size=n)] = 1 + classes
    files.write_array(path, np.column_stack([classes, texts]).astype(np.uint8))
    return path


def train(model, path, seed, epochs, settings):
    """Train ``model``; the method's variables afterwards."""
    tensors, memory = {}, {}
    for epoch in epochs:
        split = DATA.training_split(path, TRAINING, INTERFACE, seed, epoch)
        method = make_method(settings, model, tensors, Place(epoch, len(split), split.examples, BATCH, DATA))
        seed_everything(seed, epoch)
        step = make_step(model, DATA, TRAINING, TRAINING.learning_rate, BATCH, method, memory)
        train_epoch(step, split, "")
        tensors, memory = method.tensors, step.memory()
    return tensors


def accuracy_of(model, path):
    return evaluate(model, DATA, DATA.split("test", path, BATCH, 1, INTERFACE)).score


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (2, 3))])
def test_accuracy_stays_weights_go_and_variables_for_gates_make_gates_constant(tmp_path, seed):
    path = write_examples(tmp_path / "train.npy", 1500, seed)
    test = write_examples(tmp_path / "test.npy", 1000, 100 + seed)
    torch.manual_seed(seed)
    dense = language_model(WORDS, KEYWORDS, embedding=24, hidden=[24], dropout=0.0)
    train(dense, path, seed, range(1, 9), {})
    accuracy = accuracy_of(dense, test)
    assert accuracy > 0.99
    gates = {}
    for groups in (("weights", "neurons"), ("weights", "gates", "neurons")):
        settings = {"method": "sparse_vd", "groups": list(groups), "threshold": 3, **ADAM, "dropout": 0.0}
        model = copy.deepcopy(dense)
        tensors = train(model, path, seed, range(9, 49), settings)
        assert accuracy_of(model, test) > accuracy - 0.01
        left = remove_dead(read_masks(model, tensors, settings))
        assert left.count_all() / left.count_kept() > 10
        [reading] = find_reading_gates(left, left.neurons)
        gates[groups] = int(reading.sum())
        assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())
    assert 0 < gates["weights", "gates", "neurons"] < gates["weights", "neurons"] < 4 * 24

"""Coarser matrix products change the losses and χ a little, not a lot. (Where a CPU has none, they change nothing.)"""

import numpy as np
import pytest
import torch

from chains import language_model, make_text_step, text_batches
from natural_sparsity import files
from natural_sparsity.config.probe import Probe
from natural_sparsity.model.device import set_precision
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing.gathering import Gathering
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.windows import probe_window

pytestmark = pytest.mark.integration

VOCABULARY = 2000


@pytest.fixture(autouse=True)
def restored_precision():
    yield
    set_precision("highest")


def train_and_probe(path, precision):
    """The losses of 12 steps, and mean χ by tensor and target word of one window after them."""
    set_precision(precision)
    torch.manual_seed(0)
    model = language_model(VOCABULARY, embedding=200, hidden=[200, 200], dropout=0.0).train()
    batches = text_batches(path, 40, 35, VOCABULARY)
    step = make_text_step(model, 1.0, batch=40, window=35)
    losses = [float(step(batch)) for batch in batches]
    inputs, targets, _ = batches[0]
    model.requires_grad_(False)
    with torch.no_grad():
        gathering = Gathering(model, choose(["chi"], Probe()))
        probe_window(model, OutputLayer(model.output), gathering, inputs, targets, model.zero_state(40))
    table = gathering.table().query("role == 'target'")
    return np.array(losses), table.pivot(index="tensor", columns="id", values="chi_mean").to_numpy()


@pytest.mark.integration
@pytest.mark.parametrize("precision", ["high", "medium"])
def test_losses_and_chi_stay_close(tmp_path, precision):
    tokens = np.random.default_rng(0).zipf(1.2, 40 * 35 * 12) % VOCABULARY
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint16))
    exact_losses, exact_chi = train_and_probe(tmp_path / "train.npy", "highest")
    losses, chi = train_and_probe(tmp_path / "train.npy", precision)
    np.testing.assert_allclose(losses, exact_losses, rtol=0.01)
    difference = np.abs(chi / exact_chi - 1)
    print(
        f"{precision}: loss {np.abs(losses / exact_losses - 1).max():.1e}, chi by tensor {difference.mean(1).round(4)}"
    )
    assert difference.mean() < 0.01


@pytest.mark.parametrize(("precision", "coarse"), [("highest", False), ("high", True), ("medium", True)])
def test_cudnn_rounds_only_where_that_was_asked_for(precision, coarse):
    """torch's default is to round in cuDNN's LSTM and nowhere else. (The flag is there without a GPU as well.)"""
    torch.backends.cudnn.allow_tf32 = not coarse
    set_precision(precision)
    assert torch.backends.cudnn.allow_tf32 == coarse
    assert torch.get_float32_matmul_precision() == precision

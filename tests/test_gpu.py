"""On a CUDA device: the same numbers as on the CPU. Skipped where there is none."""

import numpy as np
import pytest
import torch

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.model.output_layer import OutputLayer
from natural_sparsity.probing.probe import probe_window
from natural_sparsity.training.settings import Training
from natural_sparsity.training.train import train_steps

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")]
VOCABULARY = 500


def models():
    torch.manual_seed(0)
    here = LanguageModel(VOCABULARY, Architecture(32, [32, 32], dropout=0.0))
    there = LanguageModel(VOCABULARY, Architecture(32, [32, 32], dropout=0.0)).cuda()
    there.load_state_dict(here.state_dict())
    return here, there


def test_training_losses_are_those_of_the_cpu(tmp_path):
    tokens = np.random.default_rng(0).zipf(1.3, 20_000) % VOCABULARY
    files.write_array(tmp_path / "train.npy", tokens.astype(np.uint16))
    losses = []
    for model in models():
        streams = Streams(tmp_path / "train.npy", 40, 35, VOCABULARY)
        losses.append([float(loss) for loss, _ in train_steps(model, streams, Training(), 1.0)])
    np.testing.assert_allclose(losses[1], losses[0], atol=1e-3)


def test_the_probe_runs_without_dropout_and_agrees():
    measured = []
    torch.manual_seed(1)
    inputs, targets = torch.randint(VOCABULARY, (2, 35, 8))
    for model in models():
        model.requires_grad_(False).eval()
        model.lstms.train()
        device = model.embedding.weight.device
        with torch.no_grad():
            norms, _, _ = probe_window(
                model, OutputLayer(model.output), inputs.to(device), targets.to(device), model.zero_state(8)
            )
        measured.append(torch.stack([norm.chi.cpu() for norm in norms]))
    torch.testing.assert_close(measured[1], measured[0], rtol=1e-4, atol=0)

"""The probe that gathers during training, against plain training with autograd and torch's own optimiser."""

import argparse
import json
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything
from natural_sparsity.probing import probe
from natural_sparsity.probing.gather import Gathering, tensor_names
from natural_sparsity.probing.measures import MEASURES, choose, measure
from natural_sparsity.probing.settings import Probe
from natural_sparsity.training import initialise, train
from natural_sparsity.training.settings import Training
from natural_sparsity.training.step import Replayed, Step

VOCABULARY, BATCH, WINDOW, SEED = 31, 4, 7, 3
TRAINING = {"batch": BATCH, "window": WINDOW, "learning_rate": 5.0, "clip": 0.25}
CHOSEN = choose(list(MEASURES), Probe())


@pytest.fixture
def folder(tmp_path):
    """Checkpoints 0, 1 and 2 of a small model with dropout, trained on 150 tokens: five windows and a shorter one."""
    generator = np.random.default_rng(3)
    for split, size in (("train", 150), ("dev", 100)):
        files.write_array(tmp_path / f"{split}.npy", (generator.zipf(1.3, size) % VOCABULARY).astype(np.uint8))
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": np.arange(VOCABULARY)}))
    architecture = {"embedding": 8, "hidden": [6, 5], "dropout": 0.3}
    start = {"vocabulary": tmp_path / "vocabulary.parquet", "architecture": architecture, "training": TRAINING}
    command(initialise, **start, seed=SEED, **paths(tmp_path, 0))
    after = {key: [paths(tmp_path, k)[key] for k in (1, 2)] for key in ("parameters", "state")}
    before = {f"from_{key}": path for key, path in paths(tmp_path, 0).items()}
    streams = {"train": tmp_path / "train.npy", "dev": tmp_path / "dev.npy"}
    command(train, **streams, **before, **after, training=TRAINING, device="cpu")
    return tmp_path


def paths(folder, k):
    return {"parameters": folder / f"{k}.safetensors", "state": folder / f"{k}.json"}


def command(module, **options):
    """Run a command's module with these options, and its defaults for the others."""
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    words = []
    for name, value in options.items():
        values = value if isinstance(value, list) else [json.dumps(value) if isinstance(value, dict) else value]
        words += [f"--{name.replace('_', '-')}", *map(str, values)]
    module.run(parser.parse_args(words))


def gather(folder, *epochs, before=None, training=TRAINING, settings=None, threads=1):
    """Run the command; the tables of these epochs."""
    before = before or [k - 1 for k in epochs]
    outputs = [folder / f"{k}.parquet" for k in epochs]
    given = {key: [paths(folder, k)[key] for k in epochs] for key in ("parameters", "state")}
    given |= {f"from_{key}": [paths(folder, k)[key] for k in before] for key in ("parameters", "state")}
    block = {"weights": "training", "measures": list(MEASURES), **(settings or {})}
    context = {"tokens": folder / "train.npy", "condition": "during", "device": "cpu", "threads": threads}
    command(probe, **given, **context, probe=block, training=training, output=outputs)
    return [pd.read_parquet(path) for path in outputs]


def plain_training(folder, epoch):
    """Every tensor at every position of an epoch, keyed by (role, word, tensor): retained gradients, torch's SGD."""
    state = json.loads((folder / f"{epoch - 1}.json").read_text())
    model, _ = checkpoint.load(*paths(folder, epoch - 1).values(), torch.device("cpu"))
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_()
    optimiser = torch.optim.SGD(model.parameters(), lr=state["learning_rate_out"])
    tokens = np.load(folder / "train.npy").astype(np.int64)
    length = len(tokens) // BATCH
    columns = torch.from_numpy(tokens[: length * BATCH]).view(BATCH, length).T
    hidden, found = model.zero_state(BATCH), defaultdict(list)
    seed_everything(SEED, epoch)
    for start in range(0, length - 1, WINDOW):
        window = columns[start : start + WINDOW + 1]
        inputs, targets = window[:-1], window[1:]
        kept = [model.embedding(inputs)]
        for lstm, before in zip(model.recurrent, hidden, strict=True):
            kept.append(lstm(functional.dropout(kept[-1], 0.3), before))
            kept[-1], last = kept[-1]
            hidden = [*hidden[1:], tuple(part.detach() for part in last)]
        logits = model.output(functional.dropout(kept[-1], 0.3))
        kept.append(logits)
        for tensor in kept:
            tensor.retain_grad()
        optimiser.zero_grad()
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        losses.mean().backward()
        vectors = [*kept[:-1], torch.softmax(logits, -1), *(tensor.grad * targets.numel() for tensor in kept)]
        for name, tensor in zip(tensor_names(2), vectors, strict=True):
            for role, words in (("target", targets), ("input", inputs)):
                for word, vector in zip(words.flatten().tolist(), tensor.detach().flatten(0, 1), strict=True):
                    found[role, word, name].append(vector.double())
        nn.utils.clip_grad_norm_(model.parameters(), TRAINING["clip"])
        optimiser.step()
    return found


@pytest.mark.parametrize("epoch", [1, 2])
def test_gathered_values_are_those_of_plain_training(folder, epoch):
    """Of the weights before each update, with the dropout of the training."""
    (table,) = gather(folder, epoch)
    found = plain_training(folder, epoch)
    assert len(table) == len(found)
    for row in table.itertuples():
        vectors = torch.stack(found[row.role, row.id, row.tensor])
        l1, l2, *values = measure(vectors, CHOSEN).numpy().T
        assert row.count == len(vectors)
        assert row.l1_mean == pytest.approx(l1.mean(), rel=1e-4)
        assert row.l2_mean == pytest.approx(l2.mean(), rel=1e-4)
        for name, value in zip(CHOSEN, values, strict=True):
            assert getattr(row, f"{name}_mean") == pytest.approx(value.mean(), rel=1e-4, abs=1e-6), (name, row)
    metadata = files.read_metadata(folder / f"{epoch}.parquet")
    state = json.loads((folder / f"{epoch}.json").read_text())
    assert (metadata["epoch"], metadata["condition"], metadata["checkpoint"]) == (epoch, "during", state["sha256"])
    assert metadata["loss"] == pytest.approx(state["train_loss"], rel=1e-6)
    assert metadata["positions"] == (150 // BATCH - 1) * BATCH


def test_gathered_from_replayed_steps_is_the_same(folder):
    """Steps on fixed buffers, as CUDA replays them; here what is captured is just called again."""
    tables = []
    for wrap in (lambda step: step, lambda step: Replayed(step, lambda function: function)):
        model, _ = checkpoint.load(*paths(folder, 1).values(), torch.device("cpu"))
        streams = Streams(folder / "train.npy", BATCH, WINDOW, VOCABULARY)
        gathering = Gathering(model.train(), CHOSEN)
        torch.manual_seed(0)
        run = wrap(Step(model, Training(**TRAINING), 5.0, BATCH, gathering))
        for window in streams.windows(torch.device("cpu")):
            run(*window)
        tables.append(gathering.table())
    pd.testing.assert_frame_equal(*tables)


def test_it_differs_from_the_checkpoint_itself(folder):
    during = gather(folder, 2)[0]
    frozen = gather(folder, 2, settings={"weights": "frozen", "batch": BATCH, "window": WINDOW})[0]
    assert during[["id", "role", "tensor", "count"]].equals(frozen[["id", "role", "tensor", "count"]])
    assert (during["chi_mean"] - frozen["chi_mean"]).abs().max() > 0.01


def test_epochs_in_one_process_equal_one_each_byte_for_byte(folder):
    gather(folder, 2, 1)
    together = [(folder / f"{k}.parquet").read_bytes() for k in (1, 2)]
    for k in (1, 2):
        gather(folder, k)
        assert (folder / f"{k}.parquet").read_bytes() == together[k - 1]


@pytest.mark.parametrize("change", [{"clip": 0.2}, {"window": 6}, {"batch": 5}], ids=str)
def test_another_recipe_is_refused(folder, change):
    with pytest.raises(UserError, match=r"1\.safetensors: its epoch, trained again, gave other.*on cpu, threads: 1, t"):
        gather(folder, 1, training=TRAINING | change)
    assert not (folder / "1.parquet").exists()


def test_other_tokens_are_refused(folder):
    tokens = np.load(folder / "train.npy")
    tokens[17] = (tokens[17] + 1) % VOCABULARY
    files.write_array(folder / "train.npy", tokens)
    with pytest.raises(UserError, match=r"2\.safetensors: its epoch, trained again, gave other parameters"):
        gather(folder, 2)


def test_the_epoch_before_must_be_the_one_before(folder):
    with pytest.raises(UserError, match=r"0\.json: epoch 0 of seed 3 is not the one before epoch 2 of seed 3 in .*2\."):
        gather(folder, 2, before=[0])
    with pytest.raises(UserError, match=r"1 --output, 2 --from-parameters, 2 --from-state: give one of each"):
        gather(folder, 2, before=[0, 1])


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ('"dropout": false', r"probe\.dropout: false contradicts weights: training, where it is the training's; leave"),
        ('"batch": 4', r"probe\.batch: 4 contradicts weights: training"),
    ],
)
def test_settings_that_contradict_training_are_refused_in_one_line(setting, line):
    arguments = ["--tokens", "t", "--parameters", "p", "--state", "s", "--output", "o"]
    with pytest.raises(SystemExit, match=line):
        main(["probe", *arguments, "--probe", f'{{"weights": "training", {setting}}}'])


def test_a_digest_of_a_model_is_that_of_its_file(folder):
    model, state = checkpoint.load(*paths(folder, 2).values(), torch.device("cpu"))
    assert checkpoint.digest(model, {}) == state["sha256"]
    with torch.no_grad():
        model.output.bias[0] += 1e-7
    assert checkpoint.digest(model, {}) != state["sha256"]

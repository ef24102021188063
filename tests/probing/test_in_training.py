"""The probe that gathers during training, against plain training with autograd and torch's own optimizer."""

from collections import defaultdict

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from chains import CPU, Chain, call, make_text_step, text_batches, write_tokens
from natural_sparsity import files
from natural_sparsity.config.probe import Probe
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.replay import Replayed
from natural_sparsity.probing import probe
from natural_sparsity.probing.gathering import Gathering, tensor_names
from natural_sparsity.probing.measures import choose, measure
from natural_sparsity.registry import MEASURES
from natural_sparsity.training import initialise, train

VOCABULARY, BATCH, WINDOW, SEED = 31, 4, 7, 3
TRAINING = {"batch": BATCH, "window": WINDOW, "learning_rate": 5.0, "clip": 0.25}
CHOSEN = choose(MEASURES, Probe())


@pytest.fixture
def folder(tmp_path):
    """Checkpoints 0, 1 and 2 of a small model with dropout, trained on 150 tokens: five windows and a shorter one."""
    generator = np.random.default_rng(3)
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": np.arange(VOCABULARY)}))
    for split, size in (("train", 150), ("dev", 100)):
        write_tokens(tmp_path / f"{split}.npy", (generator.zipf(1.3, size) % VOCABULARY).astype(np.uint8))
    architecture = {"embedding": 8, "hidden": [6, 5], "dropout": 0.3}
    about = {"data": "d", "kind": "text", "model": "m", "seed": SEED, "vocabulary": tmp_path / "vocabulary.parquet"}
    call(initialise, **about, architecture=architecture, training=TRAINING, checkpoint=tmp_path / "epoch0")
    given = {"from": tmp_path / "epoch0", "train": tmp_path / "train.npy", "dev": tmp_path / "dev.npy"}
    call(train, **given, training=TRAINING, device="cpu", checkpoint=[tmp_path / "epoch1", tmp_path / "epoch2"])
    return tmp_path


def gather(folder, *epochs, before=None, training=TRAINING, settings=None, threads=1):
    """Run the command; the tables of these epochs."""
    before = before or [k - 1 for k in epochs]
    outputs = [folder / f"{k}.parquet" for k in epochs]
    given = {"checkpoint": [folder / f"epoch{k}" for k in epochs], "from": [folder / f"epoch{k}" for k in before]}
    block = {"weights": "training", "measures": list(MEASURES), **(settings or {})}
    context = {"tokens": folder / "train.npy", "condition": "during", "device": "cpu", "threads": threads}
    call(probe, **given, **context, probe=block, training=training, output=outputs)
    return [pd.read_parquet(path) for path in outputs]


def plain_training(folder, epoch):
    """Every tensor at every position of an epoch, keyed by (role, word, tensor): retained gradients, torch's SGD."""
    model, state = checkpoint.load(folder / f"epoch{epoch - 1}", CPU)
    model.train()
    for parameter in model.parameters():
        parameter.requires_grad_()
    optimizer = torch.optim.SGD(model.parameters(), lr=state["learning_rate_out"])
    tokens = np.load(folder / "train.npy").astype(np.int64)
    length = len(tokens) // BATCH
    columns = torch.from_numpy(tokens[: length * BATCH]).view(BATCH, length).T
    hidden, vectors_at = model.zero_state(BATCH), defaultdict(list)
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
        optimizer.zero_grad()
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        losses.mean().backward()
        vectors = [*kept[:-1], torch.softmax(logits, -1), *(tensor.grad * targets.numel() for tensor in kept)]
        for name, tensor in zip(tensor_names(2), vectors, strict=True):
            for role, words in (("target", targets), ("input", inputs)):
                for word, vector in zip(words.flatten().tolist(), tensor.detach().flatten(0, 1), strict=True):
                    vectors_at[role, word, name].append(vector.double())
        for role, words in (("target", targets), ("input", inputs)):
            for word, loss in zip(words.flatten().tolist(), losses.tolist(), strict=True):
                vectors_at[role, word, "losses"].append(loss)
        nn.utils.clip_grad_norm_(model.parameters(), TRAINING["clip"])
        optimizer.step()
    return vectors_at


@pytest.mark.parametrize("epoch", [1, 2])
def test_gathered_values_are_those_of_plain_training(folder, epoch):
    """Of the weights before each update, with the dropout of the training."""
    (table,) = gather(folder, epoch)
    vectors_at = plain_training(folder, epoch)
    surprisal = {(role, word): np.mean(values) for (role, word, name), values in vectors_at.items() if name == "losses"}
    assert len(table) == len(vectors_at) - len(surprisal)
    for row in table.itertuples():
        vectors = torch.stack(vectors_at[row.role, row.id, row.tensor])
        l1, l2, *values = measure(vectors, CHOSEN).numpy().T
        assert row.count == len(vectors)
        assert row.surprisal_mean == pytest.approx(surprisal[row.role, row.id], rel=1e-4)
        assert row.l1_mean == pytest.approx(l1.mean(), rel=1e-4)
        assert row.l2_mean == pytest.approx(l2.mean(), rel=1e-4)
        for name, value in zip(CHOSEN, values, strict=True):
            assert getattr(row, f"{name}_mean") == pytest.approx(value.mean(), rel=1e-4, abs=1e-6), (name, row)
    metadata = files.read_metadata(folder / f"{epoch}.parquet")
    state = checkpoint.read_state(folder / f"epoch{epoch}")
    assert (metadata["data"], metadata["model"], metadata["seed"]) == ("d", "m", SEED)
    assert (metadata["epoch"], metadata["condition"], metadata["checkpoints"]) == (
        epoch,
        "during",
        {f"epoch{epoch}": state["parameters"]},
    )
    assert [metadata[key] for key in ("checkpoint", "steps", "examples")] == [
        f"epoch{epoch}",
        epoch * 6,
        epoch * (150 // BATCH - 1) * BATCH,
    ]
    assert metadata["loss"] == pytest.approx(state["train_loss"], rel=1e-6)
    assert metadata["positions"] == (150 // BATCH - 1) * BATCH


def test_gathered_from_replayed_steps_is_the_same(folder):
    """Steps on fixed buffers, as CUDA replays them; here what is captured is just called again."""
    tables = []
    for wrap in (lambda step: step, lambda step: Replayed(step, lambda function: function)):
        model, _ = checkpoint.load(folder / "epoch1", CPU)
        gathering = Gathering(model.train(), CHOSEN)
        torch.manual_seed(0)
        run = wrap(make_text_step(model, observer=gathering, **TRAINING))
        for batch in text_batches(folder / "train.npy", BATCH, WINDOW, VOCABULARY):
            run(batch)
        tables.append(gathering.table())
    pd.testing.assert_frame_equal(*tables)


def test_it_differs_from_the_checkpoint_itself(folder):
    during = gather(folder, 2)[0]
    frozen = gather(folder, 2, settings={"weights": "frozen", "batch": BATCH, "window": WINDOW})[0]
    assert "static" not in set(during["tensor"]), "the weights that it is made of moved"
    frozen = frozen[frozen["tensor"] != "static"]
    assert during[["id", "role", "count"]].equals(frozen[["id", "role", "count"]])
    assert during["tensor"].tolist() == frozen["tensor"].tolist()
    assert (during["chi_mean"] - frozen["chi_mean"]).abs().max() > 0.01


def test_epochs_in_one_process_equal_one_each_byte_for_byte(folder):
    gather(folder, 2, 1)
    together = [(folder / f"{k}.parquet").read_bytes() for k in (1, 2)]
    for k in (1, 2):
        gather(folder, k)
        assert (folder / f"{k}.parquet").read_bytes() == together[k - 1]


@pytest.mark.parametrize("change", [{"clip": 0.2}, {"window": 6}, {"batch": 5}], ids=str)
def test_another_recipe_is_refused(folder, change):
    with pytest.raises(UserError, match=r"epoch1: its epoch, trained again, gave other.*on cpu, threads: 1, t"):
        gather(folder, 1, training=TRAINING | change)
    assert not (folder / "1.parquet").exists()


def test_other_tokens_are_refused(folder):
    tokens = np.load(folder / "train.npy")
    tokens[17] = (tokens[17] + 1) % VOCABULARY
    write_tokens(folder / "train.npy", tokens)
    with pytest.raises(UserError, match=r"epoch2: does not belong to .*train\.npy \(different train split\)"):
        gather(folder, 2)


def test_the_epoch_before_must_be_the_one_before(folder):
    with pytest.raises(
        UserError,
        match=r"epoch0: is init of d/m, seed 3; but .*epoch2, which is epoch2 of d/m, seed 3, was not trained from it",
    ):
        gather(folder, 2, before=[0])
    with pytest.raises(UserError, match="1 --checkpoint, 1 --output, 2 --from: give one of each"):
        gather(folder, 2, before=[0, 1])


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ({"dropout": False}, "probe.dropout: false contradicts weights: training, where the training decides; leave"),
        ({"batch": 4}, "probe.batch: 4 contradicts weights: training"),
    ],
    ids=str,
)
def test_settings_that_contradict_training_are_refused_in_one_line(folder, setting, line):
    with pytest.raises(UserError, match=line):
        gather(folder, 1, settings=setting)


def test_a_digest_of_a_model_is_that_of_its_file(folder):
    model, state = checkpoint.load(folder / "epoch2", CPU)
    assert checkpoint.digest(model) == state["parameters"]
    with torch.no_grad():
        model.output.bias[0] += 1e-7
    assert checkpoint.digest(model) != state["parameters"]


@pytest.mark.integration
@pytest.mark.parametrize("hidden", [[5], [5, 4, 6]], ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_models_of_any_depth_trained_by_adam_are_gathered_from_the_first_epoch_on(tmp_path, hidden, cell):
    """The optimizer's memory is part of the checkpoint that the epoch must end in."""
    adam = {"optimizer": "adam", "learning_rate": 0.01, "clip": 1.0}
    chain = Chain(tmp_path, architecture={"hidden": hidden, "cell": cell}, **adam)
    chain.initialise()
    chain.train("dense0", "dense1", "dense2")
    common = {"tokens": chain.split_file("train"), "training": chain.training, "device": "cpu"}
    for epoch in (1, 2):
        given = {"checkpoint": chain.path(f"dense{epoch}"), "from": chain.path(f"dense{epoch - 1}")}
        call(probe, **given, **common, probe={"weights": "training"}, output=tmp_path / "p.parquet")
        table = pd.read_parquet(tmp_path / "p.parquet")
        assert list(table["tensor"].cat.categories) == tensor_names(len(hidden))
        loss = files.read_metadata(tmp_path / "p.parquet")["loss"]
        assert loss == pytest.approx(chain.load(f"dense{epoch}")[2]["train_loss"], rel=1e-6)

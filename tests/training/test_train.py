"""Training against the word-level LSTM recipe written out, and its dependence on (seed, epoch) alone."""

import argparse
import importlib.util
import json
import math
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from natural_sparsity import files
from natural_sparsity.corpus.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model.device import seed_everything
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.training import initialise, train
from natural_sparsity.training.settings import Training
from natural_sparsity.training.train import next_learning_rate, train_steps

VOCABULARY, TOKENS, BATCH = 1000, 59_890, 16


@pytest.fixture
def tokens(tmp_path):
    """Real text: the news articles that gensim carries, its most frequent words by rank and the rest as 0."""
    [folder] = importlib.util.find_spec("gensim").submodule_search_locations
    words = Path(folder, "test/test_data/lee_background.cor").read_text().lower().split()
    ids = {word: rank for rank, (word, _) in enumerate(Counter(words).most_common(VOCABULARY - 1), 1)}
    stream = np.array([ids.get(word, 0) for word in words], np.uint16)
    files.write_array(tmp_path / "train.npy", stream)
    files.write_array(tmp_path / "dev.npy", stream[:3000])
    return tmp_path / "train.npy"


class PlainRNN(nn.Module):
    """The word-level recipe's model: a recurrent module of two layers between an embedding and a linear layer."""

    def __init__(self, module, width):
        super().__init__()
        self.encoder = nn.Embedding(VOCABULARY, width)
        self.rnn = module(width, width, 2)
        self.decoder = nn.Linear(width, VOCABULARY)

    def forward(self, x, hidden):
        output, hidden = self.rnn(self.encoder(x), hidden)
        return torch.log_softmax(self.decoder(output).view(-1, VOCABULARY), dim=1), hidden


def plain_losses(model, data, steps, learning_rate):
    """The loop of the recipe, with its own optimisation by hand."""
    criterion, losses = nn.NLLLoss(), []
    lstm, zeros = isinstance(model.rnn, nn.LSTM), model.decoder.weight.new_zeros(2, BATCH, model.rnn.hidden_size)
    hidden = (zeros, zeros) if lstm else zeros
    for i in range(0, steps * 35, 35):
        x, y = data[i : i + 35], data[i + 1 : i + 36].reshape(-1)
        model.zero_grad()
        hidden = tuple(h.detach() for h in hidden) if lstm else hidden.detach()
        output, hidden = model(x, hidden)
        loss = criterion(output, y)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-learning_rate)
        losses.append(loss.item())
    return losses


# At the recipe's rate of 20 the first steps are chaotic: any two correct programs part in single precision after some
# dozens of steps. So the recipe itself is compared in double precision, and single precision at a gentler rate.
@pytest.mark.parametrize(
    ("cell", "dtype", "learning_rate", "tolerance"),
    [
        ("lstm", torch.float64, 20, 1e-7),
        ("lstm", torch.float32, 2, 1e-4),
        ("gru", torch.float32, 2, 1e-4),
        ("rnn", torch.float32, 2, 1e-4),
    ],
    ids=["lstm f64", "lstm f32", "gru f32", "rnn f32"],
)
def test_losses_of_100_steps_equal_the_plain_recipe(tokens, cell, dtype, learning_rate, tolerance):
    width = 50
    torch.manual_seed(0)
    ours = LanguageModel(VOCABULARY, Architecture(width, [width, width], 0.0, cell)).to(dtype)
    plain = PlainRNN({"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell], width).to(dtype)
    plain.encoder.load_state_dict(ours.embedding.state_dict())
    plain.decoder.load_state_dict(ours.output.state_dict())
    for number, layer in enumerate(ours.recurrent):
        for name, value in layer.state_dict().items():
            getattr(plain.rnn, name.replace("l0", f"l{number}")).data.copy_(value)
    streams = Streams(tokens, BATCH, 35, VOCABULARY)
    stream = torch.from_numpy(np.load(tokens).astype(np.int64))
    data = stream[: len(stream) // BATCH * BATCH].view(BATCH, -1).t().contiguous()
    expected = plain_losses(plain, data, 100, learning_rate)
    actual = [float(loss) for loss, _ in islice(train_steps(ours, streams, Training(), learning_rate), 100)]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
    assert expected[-1] < expected[0] - 0.5, "nothing was learned, so that equal losses show nothing"


def arguments(tmp_path, **changes):
    values = {
        "vocabulary": tmp_path / "vocabulary.parquet",
        "architecture": {"embedding": 12, "hidden": [12, 12], "dropout": 0.2},
        "training": {"batch": BATCH, "window": 35},
        "sparsify": {},
        "teacher_parameters": None,
        "teacher_state": None,
        "seed": 5,
        "train": tmp_path / "train.npy",
        "dev": tmp_path / "dev.npy",
        "device": "cpu",
        "threads": 1,
        "save_interval_s": 600,
    }
    return argparse.Namespace(**{**values, **changes})


def run_chain(tmp_path, name, epochs, seed=5):
    """Initialise and train ``epochs`` epochs, each from the files of the one before; return the bytes of each."""
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": np.arange(VOCABULARY)}))

    def paths(k):
        return {"parameters": tmp_path / f"{name}{k}.safetensors", "state": tmp_path / f"{name}{k}.json"}

    if not paths(0)["state"].exists():
        initialise.run(arguments(tmp_path, **paths(0), seed=seed, classes=None))
    for k in range(1, epochs + 1):
        if not paths(k)["state"].exists():
            before = {f"from_{key}": value for key, value in paths(k - 1).items()}
            train.run(arguments(tmp_path, **{key: [path] for key, path in paths(k).items()}, **before))
    return [paths(k)["parameters"].read_bytes() for k in range(epochs + 1)]


def test_same_seed_same_bytes_and_resumed_equals_uninterrupted(tokens, tmp_path):
    once = run_chain(tmp_path, "a", 3)
    assert run_chain(tmp_path, "b", 3) == once
    run_chain(tmp_path, "c", 1)
    torch.manual_seed(123)  # whatever another process's generator did
    assert run_chain(tmp_path, "c", 3) == once
    assert run_chain(tmp_path, "d", 1, seed=6)[1] != once[1]
    assert len(set(once)) == 4


def test_epochs_in_one_process_equal_a_process_each(tokens, tmp_path):
    once = run_chain(tmp_path, "a", 3)
    outputs = {
        "parameters": [tmp_path / f"b{k}.safetensors" for k in (1, 2, 3)],
        "state": [tmp_path / f"b{k}.json" for k in (1, 2, 3)],
    }
    train.run(
        arguments(tmp_path, from_parameters=tmp_path / "a0.safetensors", from_state=tmp_path / "a0.json", **outputs)
    )
    assert [path.read_bytes() for path in outputs["parameters"]] == once[1:]
    for k, path in enumerate(outputs["state"], 1):
        states = [json.loads(file.read_text()) for file in (path, tmp_path / f"a{k}.json")]
        times = [state.pop("wall_time_s") for state in states]
        for state in states:
            state.pop("digest")  # of the times too
        assert states[0] == states[1]
        assert times[0] < 10 * times[1]  # of the epoch, not of the process


def test_a_state_for_each_parameters_file_is_demanded(tmp_path):
    with pytest.raises(UserError, match=r"--parameters names 2 files and --state 1"):
        train.run(arguments(tmp_path, parameters=[tmp_path / "1", tmp_path / "2"], state=[tmp_path / "3"]))


def test_checkpoint_records_what_happened(tokens, tmp_path):
    run_chain(tmp_path, "a", 2)
    states = [json.loads((tmp_path / f"a{k}.json").read_text()) for k in range(3)]
    assert [state["epoch"] for state in states] == [0, 1, 2]
    assert states[1]["learning_rate_in"] == 20
    assert states[2]["learning_rate_in"] == states[1]["learning_rate_out"]
    assert states[2]["best_dev_loss"] == min(states[1]["dev_loss"], states[2]["dev_loss"])
    assert states[1]["train_loss"] < math.log(VOCABULARY)
    assert states[2]["tokens"] == 2 * (TOKENS // BATCH - 1) * BATCH
    assert states[2]["steps"] == 2 * math.ceil((TOKENS // BATCH - 1) / 35)


def test_dropout_changes_from_epoch_to_epoch():
    drawn = []
    for epoch in (1, 2, 1):
        seed_everything(5, epoch)
        drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


@pytest.mark.parametrize(
    ("dev_loss", "best", "expected"),
    [(5.0, None, 20), (4.9, 5.0, 20), (5.0, 5.0, 5), (5.1, 5.0, 5)],
    ids=["first epoch", "better", "equal", "worse"],
)
def test_learning_rate_is_quartered_when_dev_is_no_better(dev_loss, best, expected):
    assert next_learning_rate(20, dev_loss, best, 4) == expected


def test_evaluation_equals_a_whole_pass_without_windows(tokens):
    torch.manual_seed(0)
    model = LanguageModel(VOCABULARY, Architecture(12, [12, 12], dropout=0.5))
    streams = Streams(tokens, BATCH, 35, VOCABULARY)
    columns = torch.from_numpy(np.load(tokens)[: TOKENS // BATCH * BATCH].astype(np.int64)).view(BATCH, -1).T
    hidden = model.embedding(columns[:-1])
    for lstm in model.recurrent:
        hidden, _ = lstm(hidden)
    expected = nn.functional.cross_entropy(model.output(hidden).flatten(0, 1), columns[1:].flatten())
    assert train.evaluate(model, streams) == pytest.approx(expected.item(), rel=1e-5)


def test_diverging_training_stops_with_epoch_and_rate(tokens, tmp_path):
    run_chain(tmp_path, "a", 0)
    before = {"from_parameters": tmp_path / "a0.safetensors", "from_state": tmp_path / "a0.json"}
    state = json.loads(before["from_state"].read_text()) | {"learning_rate_out": 1e38}
    files.write_json(before["from_state"], state)
    after = {"parameters": [tmp_path / "a1.safetensors"], "state": [tmp_path / "a1.json"]}
    with pytest.raises(UserError, match=r"epoch 1.*not finite.*1e\+38"):
        train.run(arguments(tmp_path, **before, **after))
    assert not after["parameters"][0].exists()


def test_too_short_corpus_is_refused(tmp_path):
    files.write_array(tmp_path / "short.npy", np.arange(70, dtype=np.uint8))
    with pytest.raises(UserError, match=r"short\.npy: 70 tokens are too few for a batch of 40"):
        Streams(tmp_path / "short.npy", 40, 35, VOCABULARY)


def test_ids_beyond_the_vocabulary_are_refused(tmp_path):
    files.write_array(tmp_path / "wrong.npy", np.arange(2000, dtype=np.uint16))
    with pytest.raises(UserError, match=r"wrong\.npy: word id \d+ is not below"):
        list(Streams(tmp_path / "wrong.npy", 4, 35, VOCABULARY).windows(torch.device("cpu")))

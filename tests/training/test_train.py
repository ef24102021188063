"""Training against the word-level LSTM recipe written out, and its dependence on (seed, epoch) alone."""

import importlib.util
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from chains import CPU, Chain, call, language_model, make_text_step, text_batches, write_tokens
from natural_sparsity import files
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.data.streams import Streams
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.model.device import seed_everything
from natural_sparsity.training import initialise, train
from natural_sparsity.training.train import next_learning_rate

pytestmark = pytest.mark.integration

VOCABULARY, TOKENS, BATCH = 1000, 59_890, 16


@pytest.fixture
def tokens(tmp_path):
    """Real text: the news articles that gensim carries, its most frequent words by rank and the rest as 0."""
    [folder] = importlib.util.find_spec("gensim").submodule_search_locations
    words = Path(folder, "test/test_data/lee_background.cor").read_text().lower().split()
    ids = {word: rank for rank, (word, _) in enumerate(Counter(words).most_common(VOCABULARY - 1), 1)}
    stream = np.array([ids.get(word, 0) for word in words], np.uint16)
    files.write_parquet(tmp_path / "vocabulary.parquet", pd.DataFrame({"id": np.arange(VOCABULARY)}))
    write_tokens(tmp_path / "train.npy", stream)
    write_tokens(tmp_path / "dev.npy", stream[:3000])
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
@pytest.mark.integration
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
    ours = language_model(VOCABULARY, embedding=width, hidden=[width, width], dropout=0.0, cell=cell).to(dtype)
    plain = PlainRNN({"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell], width).to(dtype)
    plain.encoder.load_state_dict(ours.embedding.state_dict())
    plain.decoder.load_state_dict(ours.output.state_dict())
    for number, layer in enumerate(ours.recurrent):
        for name, value in layer.state_dict().items():
            getattr(plain.rnn, name.replace("l0", f"l{number}")).data.copy_(value)
    stream = torch.from_numpy(np.load(tokens).astype(np.int64))
    data = stream[: len(stream) // BATCH * BATCH].view(BATCH, -1).t().contiguous()
    expected = plain_losses(plain, data, 100, learning_rate)
    step = make_text_step(ours.train(), learning_rate, batch=BATCH, window=35)
    actual = [float(step(batch)) for batch in text_batches(tokens, BATCH, 35, VOCABULARY)[:100]]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
    assert expected[-1] < expected[0] - 0.5, "nothing was learned, so that equal losses show nothing"


TRAINING = {"batch": BATCH, "window": 35}


def run_train(tmp_path, before, *after, **training):
    """Train from a checkpoint to others, by name."""
    splits = {split: tmp_path / f"{split}.npy" for split in ("train", "dev")}
    folders = {"from": tmp_path / before, "checkpoint": [tmp_path / name for name in after]}
    call(train, **folders, **splits, training={**TRAINING, **training}, device="cpu")


def run_chain(tmp_path, name, epochs, seed=5, **training):
    """Initialise and train ``epochs`` epochs, each from the files of the one before; return the bytes of each."""
    if not (tmp_path / f"{name}0").exists():
        given = {"data": "d", "kind": "text", "model": "m", "seed": seed, "vocabulary": tmp_path / "vocabulary.parquet"}
        architecture = {"embedding": 12, "hidden": [12, 12], "dropout": 0.2}
        blocks = {"architecture": architecture, "training": {**TRAINING, **training}}
        call(initialise, **given, **blocks, checkpoint=tmp_path / f"{name}0")
    for k in range(1, epochs + 1):
        if not (tmp_path / f"{name}{k}").exists():
            run_train(tmp_path, f"{name}{k - 1}", f"{name}{k}", **training)
    return [(tmp_path / f"{name}{k}" / checkpoint.PARAMETERS).read_bytes() for k in range(epochs + 1)]


def state_of(tmp_path, name):
    return json.loads((tmp_path / name / checkpoint.STATE).read_text())


@pytest.mark.integration
def test_same_seed_same_bytes_and_resumed_equals_uninterrupted(tokens, tmp_path):
    once = run_chain(tmp_path, "a", 3)
    assert run_chain(tmp_path, "b", 3) == once
    run_chain(tmp_path, "c", 1)
    torch.manual_seed(123)  # whatever another process's generator did
    assert run_chain(tmp_path, "c", 3) == once
    assert run_chain(tmp_path, "d", 1, seed=6)[1] != once[1]
    assert len(set(once)) == 4


@pytest.mark.integration
def test_epochs_in_one_process_equal_a_process_each(tokens, tmp_path):
    once = run_chain(tmp_path, "a", 3)
    run_train(tmp_path, "a0", "b1", "b2", "b3")
    assert [(tmp_path / f"b{k}" / checkpoint.PARAMETERS).read_bytes() for k in (1, 2, 3)] == once[1:]
    for k in (1, 2, 3):
        states = [state_of(tmp_path, name) for name in (f"b{k}", f"a{k}")]
        times = [state.pop("wall_time_s") for state in states]
        for state in states:
            state.pop("digest")  # of the times too
        assert states[0] == states[1]
        assert times[0] < 10 * times[1]  # of the epoch, not of the process


def test_checkpoint_records_what_happened(tokens, tmp_path):
    run_chain(tmp_path, "a", 2)
    states = [state_of(tmp_path, f"a{k}") for k in range(3)]
    assert [state["epoch"] for state in states] == [0, 1, 2]
    for state in states:
        assert [state[key] for key in ("format", "data", "model", "seed", "kind", "block")] == [
            3,
            "d",
            "m",
            5,
            "text",
            {},
        ]
    assert [states[0][key] for key in ("train_loss", "dev_loss", "dev_score", "best_dev_loss")] == [None] * 4
    assert states[1]["dev_score"] == pytest.approx(math.exp(states[1]["dev_loss"]))
    assert states[1]["learning_rate_in"] == 20
    assert states[2]["learning_rate_in"] == states[1]["learning_rate_out"]
    assert states[2]["best_dev_loss"] == min(states[1]["dev_loss"], states[2]["dev_loss"])
    assert states[1]["train_loss"] < math.log(VOCABULARY)
    assert states[2]["examples"] == 2 * (TOKENS // BATCH - 1) * BATCH
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
    assert next_learning_rate(Training(), 20, 1, dev_loss, best) == expected


@pytest.mark.parametrize(
    ("decay", "rates"), [({}, [1.0, 0.25]), ({"decay": 8}, [0.5, 0.0625]), ({"decay": None}, [4.0, 4.0])]
)
def test_decay_is_what_the_rate_is_divided_by_and_null_keeps_it(tmp_path, decay, rates):
    """After epochs that are none of them as good as the best before."""
    chain = Chain(tmp_path, learning_rate=4.0, **decay)
    chain.initialise()
    state = chain.path("dense0") / checkpoint.STATE
    files.write_json(state, json.loads(state.read_text()) | {"best_dev_loss": 0.5})
    chain.train("dense0", "dense1", "dense2")
    states = [chain.load(f"dense{k}")[2] for k in (1, 2)]
    assert [state["learning_rate_in"] for state in states] == [4.0, rates[0]]
    assert [state["learning_rate_out"] for state in states] == rates
    assert [state["best_dev_loss"] for state in states] == [0.5, 0.5]
    assert next_learning_rate(Training(decay=None), 20, 1, 5.1, 5.0) == 20


@pytest.mark.parametrize("milestones", [[], [1], [1, 2], [2]])
def test_milestones_lower_the_rate_and_dev_does_not(tmp_path, milestones):
    """The rates are those of torch's MultiStepLR, although no epoch is as good as the best before."""
    chain = Chain(tmp_path, learning_rate=4.0, decay=8, milestones=milestones)
    chain.initialise()
    state = chain.path("dense0") / checkpoint.STATE
    files.write_json(state, json.loads(state.read_text()) | {"best_dev_loss": 0.5})
    chain.train("dense0", "dense1", "dense2", "dense3")
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=4.0)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=1 / 8)
    for k in (1, 2, 3):
        assert chain.load(f"dense{k}")[2]["learning_rate_in"] == optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()


def test_evaluation_equals_a_whole_pass_without_windows(tokens):
    torch.manual_seed(0)
    model = language_model(VOCABULARY, embedding=12, hidden=[12, 12], dropout=0.5)
    columns = torch.from_numpy(np.load(tokens)[: TOKENS // BATCH * BATCH].astype(np.int64)).view(BATCH, -1).T
    hidden = model.embedding(columns[:-1])
    for lstm in model.recurrent:
        hidden, _ = lstm(hidden)
    expected = nn.functional.cross_entropy(model.output(hidden).flatten(0, 1), columns[1:].flatten()).item()
    data = open_data("text", {})
    loss, score = evaluate(model, data, data.split("dev", tokens, BATCH, 35, model.interface))
    assert loss == pytest.approx(expected, rel=1e-5)
    assert score == pytest.approx(math.exp(expected), rel=1e-4)


@pytest.mark.integration
def test_diverging_training_stops_with_epoch_and_rate(tokens, tmp_path):
    run_chain(tmp_path, "a", 0)
    files.write_json(tmp_path / "a0" / checkpoint.STATE, state_of(tmp_path, "a0") | {"learning_rate_out": 1e38})
    with pytest.raises(UserError, match=r"epoch 1.*not finite.*1e\+38"):
        run_train(tmp_path, "a0", "a1")
    assert not (tmp_path / "a1" / checkpoint.STATE).exists()
    assert not (tmp_path / "a1" / checkpoint.PARAMETERS).exists()


def test_too_short_corpus_is_refused(tmp_path):
    files.write_array(tmp_path / "short.npy", np.arange(70, dtype=np.uint8))
    with pytest.raises(UserError, match=r"short\.npy: 70 tokens are too few for a batch of 40"):
        Streams(tmp_path / "short.npy", 40, 35, VOCABULARY)


def test_ids_beyond_the_vocabulary_are_refused(tmp_path):
    files.write_array(tmp_path / "wrong.npy", np.arange(2000, dtype=np.uint16))
    with pytest.raises(UserError, match=r"wrong\.npy: word id \d+ is outside"):
        list(Streams(tmp_path / "wrong.npy", 4, 35, VOCABULARY).windows(CPU))


@pytest.mark.integration
@pytest.mark.parametrize("split", ["train", "dev"])
def test_tokens_other_than_those_of_the_epoch_before_are_refused(tokens, tmp_path, split):
    """Though they are of the same vocabulary, as after a change of the shares of dev and test."""
    run_chain(tmp_path, "a", 1)
    write_tokens(tmp_path / f"{split}.npy", np.load(tmp_path / f"{split}.npy")[:-1])
    with pytest.raises(UserError, match=rf"a1: does not belong to .*{split}\.npy \(different {split} split\)"):
        run_train(tmp_path, "a1", "a2")
    run_train(tmp_path, "a0", "b1")


def test_an_expected_epoch_is_compared_with_or_without_numbers_of_epochs(tokens, tmp_path):
    run_chain(tmp_path, "a", 1)
    splits = {split: tmp_path / f"{split}.npy" for split in ("train", "dev")}
    folders = {"from": tmp_path / "a1", "checkpoint": tmp_path / "a2"}
    for option in ({"expect": {"epoch": 0}}, {"epochs": [1]}):
        with pytest.raises(UserError, match="a1: its epoch is 1, expected 0"):
            call(train, **folders, **splits, training=TRAINING, device="cpu", **option)


@pytest.mark.parametrize("folders", [["a2", "a2"], ["a2", "a1"]])
def test_an_epoch_is_not_written_over_another(tmp_path, folders):
    paths = [tmp_path / name for name in folders]
    with pytest.raises(UserError, match=f"--from, --checkpoint: .*{folders[1]} is given twice"):
        call(train, **{"from": tmp_path / "a1"}, checkpoint=paths, training=TRAINING)

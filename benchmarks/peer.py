"""Whole epochs of the sample, evaluation included, against the word-level recipe of PyTorch's examples.

The recipe is ``word_language_model`` of https://github.com/pytorch/examples (BSD-3-Clause) with its LSTM, written out
here with its own defaults, except for batches of 40, as in the default run.

Both read the same token ids, cut into the same streams and windows, start from the same initial values, drop the same
units, clip, descend and lower the learning rate alike. So the perplexities differ only by rounding, which grows in the
course of an epoch; several seeds show how much perplexities vary. They differ in this:

- The recipe computes the logits of a window as one matrix, autograd differentiates them, and every parameter gets a
  gradient, all words' embeddings included. Ours goes through the output layer in blocks, and changes only the
  embeddings of the words that occur.
- The recipe seeds once, ours in each epoch. Here both seed in each, since they take turns with one generator.
- The recipe weights the loss of a window by its length, ours by its tokens. Both are the mean over the tokens, since
  streams are equally long and nothing is padded.
"""

import itertools
import math
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, TINY, arguments, report, snakemake
from torch import Tensor, nn

from natural_sparsity import files
from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import open_data
from natural_sparsity.data.held_out import evaluate
from natural_sparsity.methods.base import Place, make_method
from natural_sparsity.model.device import seed_everything, select_device
from natural_sparsity.model.recurrent import RecurrentModel
from natural_sparsity.training.loop import train_epoch
from natural_sparsity.training.steps import make_step
from natural_sparsity.training.train import next_learning_rate

WIDTH, LAYERS, DROPOUT = 200, 2, 0.2
RATE, CLIP, DECAY, WINDOW, EVALUATION_BATCH = 20.0, 0.25, 4.0, 35, 10
State = tuple[Tensor, Tensor]


class Recipe(nn.Module):
    """The recipe's model: embedding, LSTM, linear layer, log-softmax."""

    def __init__(self, vocabulary: int, width: int = WIDTH, dropout: float = DROPOUT):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(vocabulary, width)
        self.rnn = nn.LSTM(width, width, LAYERS, dropout=dropout)
        self.decoder = nn.Linear(width, vocabulary)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (steps · batch, vocabulary) and the state after the last step."""
        hidden, state = self.rnn(self.drop(self.encoder(inputs)), state)
        logits = self.decoder(self.drop(hidden))
        return torch.log_softmax(logits.flatten(0, 1), dim=1), state

    def zero_state(self, batch: int) -> State:
        """The state before the first step."""
        shape = (LAYERS, batch, self.rnn.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


def cut(tokens: Tensor, batch: int) -> Tensor:
    """The text as ``batch`` streams side by side, (steps, batch); what does not fit is left out."""
    steps = len(tokens) // batch
    return tokens[: steps * batch].view(batch, steps).t().contiguous()


def windows(streams: Tensor, window: int = WINDOW) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs (steps, batch) and targets (steps · batch,) of each window."""
    for start in range(0, len(streams) - 1, window):
        steps = min(window, len(streams) - 1 - start)
        yield streams[start : start + steps], streams[start + 1 : start + 1 + steps].flatten()


def recipe_steps(model: Recipe, streams: Tensor, rate: float, window: int = WINDOW) -> Iterator[float]:
    """Train for one epoch; yield the loss of each step."""
    model.train()
    criterion, state = nn.NLLLoss(), model.zero_state(streams.shape[1])
    for inputs, targets in windows(streams, window):
        model.zero_grad()
        state = (state[0].detach(), state[1].detach())
        output, state = model(inputs, state)
        loss = criterion(output, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.data.add_(parameter.grad, alpha=-rate)
        yield loss.item()


@torch.no_grad()
def recipe_loss(model: Recipe, streams: Tensor, window: int = WINDOW) -> float:
    """The mean loss over held-out streams."""
    model.eval()
    criterion, state, total = nn.NLLLoss(), model.zero_state(streams.shape[1]), 0.0
    for inputs, targets in windows(streams, window):
        output, state = model(inputs, state)
        total += len(inputs) * criterion(output, targets).item()
    return total / (len(streams) - 1)


def recipe_course(data: Path, batch: int, seed: int) -> Iterator[float]:
    """Train by the recipe; yield the dev loss after each epoch."""
    train, dev = cut(read_tokens(data, "train"), batch), cut(read_tokens(data, "dev"), EVALUATION_BATCH)
    seed_everything(seed, "initialise")
    model = Recipe(count_words(data))
    rate, best = RATE, math.inf
    for epoch in itertools.count(1):
        seed_everything(seed, epoch)
        for _ in recipe_steps(model, train, rate):
            pass
        loss = recipe_loss(model, dev)
        yield loss
        if loss < best:
            best = loss
        else:
            rate /= DECAY


def our_course(data: Path, batch: int, seed: int) -> Iterator[float]:
    """Train as ``natural-sparsity train`` does; yield the dev loss after each epoch."""
    text, training = open_data("text", {}), Training(batch=batch)
    interface = text.interface(count_words(data))
    train = text.training_split(data / "tokens/train.npy", training, interface, seed, 1)
    dev = text.split("dev", data / "tokens/dev.npy", training.evaluation_batch, training.window, interface)
    seed_everything(seed, "initialise")
    model = RecurrentModel(interface, Architecture())
    rate, best = training.learning_rate, None
    for epoch in itertools.count(1):
        seed_everything(seed, epoch)
        dense = make_method({}, model, {}, Place(epoch, len(train), train.examples, batch))
        train_epoch(make_step(model, text, training, rate, batch, dense), train, f"epoch {epoch}")
        loss = evaluate(model, text, dev).loss
        yield loss
        rate, best = next_learning_rate(training, rate, epoch, loss, best), min(loss, best or math.inf)


def read_tokens(data: Path, split: str) -> Tensor:
    """The token ids of a split."""
    return torch.from_numpy(files.read_array(data / f"tokens/{split}.npy").astype(np.int64))


def count_words(data: Path) -> int:
    """The size of the vocabulary."""
    return len(files.read_table(data / "vocabulary.parquet", ["id"]))


def find_data(name: str, folder: Path, tiny: bool) -> Path:
    """Return the project's folder of the data; if it has no tokens, make them in ``folder`` instead."""
    if (ROOT / name / "tokens/dev.npy").exists():
        return ROOT / name
    targets = [f"{name}/tokens/{split}.npy" for split in ("train", "dev")]
    options = ["--configfile", str(TINY)] if tiny else []
    subprocess.run(snakemake(folder, *options, "--cores", "all", "--quiet", "rules", "--", *targets), check=True)
    return folder / name


def main() -> None:
    tiny = {"data": "results/data/tiny", "batch": 10, "seeds": 1, "epochs": 2}
    args = arguments(__doc__, tiny, data="results/data/sample", batch=40, seeds=3, epochs=2, threads=1)
    select_device("cpu", args.threads)
    seconds: dict[str, list[float]] = {"ours": [], "reference": []}
    perplexity: dict[str, list[float]] = {"ours": [], "reference": []}
    with tempfile.TemporaryDirectory() as folder:
        data = find_data(args.data, Path(folder), args.tiny)
        words, tokens = count_words(data), len(read_tokens(data, "train"))
        for seed in range(1, args.seeds + 1):
            courses = {"ours": our_course, "reference": recipe_course}
            running = {name: course(data, args.batch, seed) for name, course in courses.items()}
            for epoch in range(1, args.epochs + 1):
                for name, course in running.items():
                    start = time.perf_counter()
                    loss = next(course)
                    seconds[name].append(time.perf_counter() - start)
                    if epoch == args.epochs:
                        perplexity[name].append(math.exp(loss))
    report(
        args.output,
        "peer",
        **{name: tokens / statistics.median(values) for name, values in seconds.items()},
        unit="tokens/s in whole epochs",
        threads=args.threads,
        vocabulary=words,
        batch=args.batch,
        **dict[str, Any]({f"{name}_s": [round(value, 2) for value in values] for name, values in seconds.items()}),
    )
    report(
        args.output,
        "peer-perplexity",
        **{name: statistics.mean(values) for name, values in perplexity.items()},
        unit="dev perplexity, less is better",
        epochs=args.epochs,
        **dict[str, Any](
            {f"{name}_of_seeds": [round(value, 1) for value in values] for name, values in perplexity.items()}
        ),
    )


if __name__ == "__main__":
    main()

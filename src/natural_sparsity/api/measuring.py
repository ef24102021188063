"""Measure the sparsity of vectors and of models that are in memory."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from natural_sparsity.api.adapting import check_same_predictions, to_recurrent
from natural_sparsity.config.base import read_block
from natural_sparsity.config.probe import Probe
from natural_sparsity.corpus.sentences import UNITS, normalise, tokenise
from natural_sparsity.corpus.vocabulary import EOS, UNK
from natural_sparsity.errors import UserError
from natural_sparsity.model.device import one_thread
from natural_sparsity.probing.gathering import Gathering
from natural_sparsity.probing.lstm import use_input_gradients
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.measures import measure as measure_rows
from natural_sparsity.probing.windows import probe_windows
from natural_sparsity.registry import MEASURES

# What the vocabulary says about a word, beside its probe.
ABOUT_WORDS = ["word", "count", "pos_class"]
# Of the tokens, so many are first read by a plain torch model and by its copy, for comparison.
READ = 64


def sparsity(vectors: Any, measure: str = "chi", *, epsilon: float = 0.1) -> Any:
    """Measure how concentrated vectors are, whatever their scale and signs; larger is sparser.

    docs/method.md defines the measures and gives their sources.

    Args:
        vectors: real numbers of shape (…, d): a tensor, an array, or nested lists.
        measure: ``chi`` (‖v‖₂ / ‖v‖₁), ``hoyer``, ``gini``, ``kurtosis``, ``l0``, or another that is registered.
        epsilon: only for ``l0``, which counts the entries below this share of the largest.

    Returns:
        Shape (…), without unit, in double precision, a tensor for a tensor and otherwise an array; NaN for a vector of
        zeros, which has no sparsity, and for one with an entry that is not finite.

    Raises:
        UserError: the measure is unknown, or these are no vectors.
    """
    if not isinstance(measure, str) or measure not in MEASURES:
        raise UserError(f"measure: {measure!r} is not one of {', '.join(MEASURES)}")
    settings = read_block(Probe, {"measures": [measure], "epsilon": epsilon}, "")
    values = vectors if isinstance(vectors, Tensor) else to_tensor(vectors)
    if values.layout != torch.strided or values.is_quantized or values.is_nested:
        raise UserError("vectors: a sparse, nested or quantised tensor; give a dense one")
    if values.ndim == 0 or not values.shape[-1] or values.is_complex():
        raise UserError(
            f"vectors: shape {tuple(values.shape)}, {values.dtype}; give real numbers of shape (…, d), d at least 1"
        )
    rows = values.detach().double().reshape(-1, values.shape[-1])
    finite = rows.isfinite().all(1)
    result = measure_rows(rows.where(finite[:, None], 0), choose([measure], settings))[:, 2].reshape(values.shape[:-1])
    return result if isinstance(vectors, Tensor) else result.numpy()[()]


def to_tensor(vectors: Any) -> Tensor:
    """An array or nested lists as a tensor of their own, real numbers in double precision.

    Raises:
        UserError: they are no numbers, or some are masked.
    """
    if isinstance(vectors, np.ma.MaskedArray):
        raise UserError("vectors: a masked array, whose masked entries have no value; fill them or leave them out")
    try:
        values = np.asarray(vectors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"vectors: not an array of numbers ({' '.join(str(error).split())})") from error
    if values.dtype.kind not in "buifc":
        raise UserError(f"vectors: not an array of numbers (its entries are {values.dtype}); give real numbers")
    return torch.from_numpy(values.astype(complex if values.dtype.kind == "c" else float))


def probe(
    model: nn.Module,
    tokens: Any,
    words: pd.DataFrame | None = None,
    *,
    measures: Sequence[str] = ("chi",),
    batch: int = 1,
    window: int = 35,
    epsilon: float = 0.1,
    unit: str = "word",
) -> pd.DataFrame:
    """Measure activations and gradients of a model on some text, averaged over the positions of each word.

    It computes what the workflow's probes hold (docs/method.md), except for the static gradient. The model stays as it
    is; dropout is off.

    Args:
        model: one of this package, as :meth:`Results.model` gives it; or a torch module that is an ``nn.Embedding``, an
            ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN`` of any number of layers, and an ``nn.Linear``, one after the other.
        tokens: word ids of shape (n,), of which the first is only read, not predicted; or a text, which is tokenised as
            the corpus was and begins after the end of a sentence. Words that the vocabulary lacks become ``<unk>``.
        words: the vocabulary, a row per id: :attr:`Results.words`. Needed for a text; with ids, it adds the words.
        measures: names of measures.
        batch: contiguous streams that the tokens are cut into; up to ``batch`` − 1 at the end are left out.
        window: tokens over which gradients go back in time.
        epsilon: of the measure ``l0``.
        unit: ``word``, or ``character`` for a text that a model of characters reads.

    Returns:
        A row per word, role and tensor: ``id``; with ``words``, ``word, count`` (in training), ``pos_class``; ``role``
        (``target`` or ``input``), ``tensor, positions, zeros, surprisal_mean`` (nats); mean and variance of each
        measure; ``l1_mean, l2_mean``.

    Raises:
        UserError: the model is of no supported kind, or the tokens do not fit its vocabulary.
    """
    if isinstance(measures, str) or not isinstance(measures, Iterable):
        raise UserError(f"measures: {measures!r} is no list; give one, such as ['chi']")
    given = {"measures": list(measures), "epsilon": epsilon, "batch": batch, "window": window}
    given = {key: value.item() if isinstance(value, np.generic) else value for key, value in given.items()}
    chosen = choose(measures, read_block(Probe, given, ""))
    recurrent = copy.deepcopy(to_recurrent(model)).requires_grad_(False).eval()
    vocabulary = recurrent.interface.vocabulary
    if words is not None:
        check_words(words, vocabulary)
    if isinstance(tokens, str):
        if words is None:
            raise UserError("words: a text needs the model's vocabulary; give words=run.words, or the ids of its words")
        tokens = encode(tokens, words, unit)
    ids = check_ids(tokens, vocabulary)
    steps = len(ids) // batch
    if steps < 2:
        mend = "lower batch" if batch > 1 else "give more"
        raise UserError(f"tokens: {len(ids)} are too few for batch={batch}, which needs {2 * batch}; {mend}")
    check_same_predictions(model, recurrent, ids[:READ])
    device = recurrent.output.weight.device
    columns = torch.from_numpy(ids[: steps * batch].reshape(batch, steps).T.copy()).to(device)
    gathering = Gathering(recurrent, chosen)
    recurrent.recurrent = use_input_gradients(recurrent)
    recurrent.recurrent.train()  # they have no dropout of their own; cuDNN differentiates only in this mode
    parts = (columns[start : start + window + 1] for start in range(0, steps - 1, window))
    windows = ((part[:-1], part[1:]) for part in parts)
    with one_thread() as threads:
        for _ in probe_windows(recurrent, windows, batch, gathering, threads):
            pass
    table = gathering.table().rename(columns={"count": "positions"})
    if words is None:
        return table
    about = words.set_index("id")[ABOUT_WORDS]
    table = table.join(about, on="id")
    return table[["id", *ABOUT_WORDS, *(name for name in table if name not in ("id", *ABOUT_WORDS))]]


def check_words(words: pd.DataFrame, vocabulary: int | None) -> None:
    """Refuse a table of words that does not have a row for each id of the model.

    Raises:
        UserError: it lacks a column, or has other ids.
    """
    for column in ("id", *ABOUT_WORDS):
        if column not in words:
            raise UserError(f"words: no column {column!r}; give run.words")
    if sorted(words["id"]) != list(range(vocabulary or 0)):
        raise UserError(f"words: has {len(words)} rows, and the model {vocabulary} words; give those of the same data")


def check_ids(tokens: Any, vocabulary: int | None) -> np.ndarray:
    """Tokens as an array of ids, int64.

    Raises:
        UserError: they are no ids of the vocabulary.
    """
    try:
        ids = np.asarray(tokens.detach().cpu() if isinstance(tokens, Tensor) else tokens)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"tokens: no array ({reason}); give a text, or word ids of shape (n,)") from error
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise UserError(f"tokens: {ids.dtype} of shape {ids.shape}; give a text, or word ids of shape (n,)")
    if len(ids) and not 0 <= ids.min() <= ids.max() < (vocabulary or 0):
        raise UserError(
            f"tokens: ids from {ids.min()} to {ids.max()}, but the model has words 0 to {(vocabulary or 0) - 1}"
        )
    return ids.astype(np.int64)


def encode(text: str, words: pd.DataFrame, unit: str = "word") -> np.ndarray:
    """The ids (n,) of a text's tokens: ``<eos>``, then each sentence with ``<eos>`` behind it.

    Raises:
        UserError: the text has no sentence with a letter or digit, or is no Unicode.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"tokens: the text has half a character at {error.start}; read it as UTF-8") from error
    if unit not in UNITS:
        raise UserError(f"unit={unit!r}: choose {' or '.join(UNITS)}")
    ids = dict(zip(words["word"], words["id"], strict=True))
    row = {"text": text, "markup": "none", "layout": "paragraphs", "split": ""}
    tokens = [EOS]
    for _, lines in tokenise([row], unit, "nfc", tokenised=False, dropped=Counter()):
        for line in lines:
            sentence = normalise(line.replace("\t", " ").lower(), "nfc").split(" ")
            tokens += [*(ids.get(word, UNK) for word in sentence), EOS]
    if len(tokens) == 1:
        raise UserError("tokens: the text has no sentence with a letter or digit")
    return np.array(tokens)

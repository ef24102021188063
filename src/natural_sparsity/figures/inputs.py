"""Reading what the figures are drawn from, and checking that it is what it should be."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from natural_sparsity.corpus.vocabulary import SPECIALS
from natural_sparsity.errors import UserError
from natural_sparsity.files import read_json, read_metadata, read_parquet

# An error about a threshold says which value would leave this many words.
ENOUGH = 10


def read_probes(paths: Sequence[Path | str], role: str, tensor: str) -> pd.DataFrame:
    """One tensor's rows of the probes: ``epoch, id, chi_mean``, epochs ascending.

    Raises:
        UserError: a file that is no probe, has no rows for the tensor, or repeats another's epoch or a word.
    """
    frames: dict[int, pd.DataFrame] = {}
    for path in paths:
        frame = read_parquet(path, ["id", "role", "tensor", "chi_mean"])
        try:
            epoch = int(read_metadata(path)["epoch"])
        except (KeyError, TypeError, ValueError, UserError) as error:
            raise UserError(f"{path}: its metadata name no epoch; give a file that 'probe' wrote") from error
        if epoch in frames:
            raise UserError(f"{path}: a second probe of epoch {epoch}; give one file an epoch")
        frame = frame.loc[(frame["role"] == role) & (frame["tensor"] == tensor), ["id", "chi_mean"]]
        if frame.empty:
            raise UserError(f"{path}: no rows for role {role!r} and tensor {tensor!r}; probe them and run again")
        if frame["id"].duplicated().any():
            raise UserError(f"{path}: id {frame.loc[frame['id'].duplicated(), 'id'].iloc[0]} repeats; probe again")
        frames[epoch] = frame.assign(epoch=epoch)
    return pd.concat([frames[epoch] for epoch in sorted(frames)], ignore_index=True)[["epoch", "id", "chi_mean"]]


def read_words(path: Path | str) -> pd.DataFrame:
    """The vocabulary with its classes: ``id, word, count, tagged, share, pos_class``."""
    return read_parquet(path, ["id", "word", "count", "tagged", "share", "pos_class"])


def read_checkpoints(paths: Sequence[Path | str]) -> pd.DataFrame:
    """``epoch, learning_rate_in, learning_rate_out, train_loss, dev_loss`` of the checkpoints, epochs ascending.

    Losses are in nats per token; one that a checkpoint has not (null) is NaN.

    Raises:
        UserError: a file that is no checkpoint's JSON, or repeats another's epoch.
    """
    columns = ["epoch", "learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
    rows: dict[int, list[float]] = {}
    for path in paths:
        values = read_json(path, columns)
        try:
            row = [float("nan") if values[column] is None else float(values[column]) for column in columns]
            epoch = int(values["epoch"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {error}; {', '.join(columns)} should be numbers") from error
        if epoch in rows:
            raise UserError(f"{path}: a second checkpoint of epoch {epoch}; give one file an epoch")
        rows[epoch] = row
    return pd.DataFrame([rows[epoch] for epoch in sorted(rows)], columns=columns).astype({"epoch": int})


def read_correlations(path: Path | str, measure: str, statistic: str) -> pd.DataFrame:
    """The correlations of one measure by one statistic: ``epoch, role, tensor, words, value, low, high, n``.

    Epochs ascend; ``low`` and ``high`` are the ends of the bootstrap interval.

    Raises:
        UserError: there are none, or a correlation repeats.
    """
    keys = ["epoch", "role", "tensor", "words"]
    frame = read_parquet(path, [*keys, "measure", "statistic", "value", "low", "high", "n"])
    chosen = frame.loc[(frame["measure"] == measure) & (frame["statistic"] == statistic)]
    if chosen.empty:
        there = ", ".join(sorted({f"{m}/{s}" for m, s in zip(frame["measure"], frame["statistic"], strict=True)}))
        raise UserError(f"{path}: no {statistic!r} correlations of {measure!r}; it has {there or 'no rows'}")
    if chosen.duplicated(keys).any():
        which = "/".join(str(value) for value in chosen.loc[chosen.duplicated(keys), keys].iloc[0])
        raise UserError(f"{path}: {which} repeats; give the correlations of one run")
    return chosen[[*keys, "value", "low", "high", "n"]].sort_values("epoch", ignore_index=True)


def drops(checkpoints: pd.DataFrame, epochs: pd.Series) -> list[int]:
    """The epochs after which the learning rate dropped, from the first to the last of ``epochs``."""
    lowered = checkpoints["learning_rate_out"] < checkpoints["learning_rate_in"]
    return checkpoints.loc[lowered & checkpoints["epoch"].between(epochs.min(), epochs.max()), "epoch"].tolist()


def frequent(words: pd.DataFrame, min_count: int) -> pd.DataFrame:
    """The words counted more than ``min_count`` times, most frequent first, ties by id; no special tokens.

    Raises:
        UserError: there are none; it names the largest ``min_count`` that would leave ``ENOUGH``.
    """
    real = words.loc[words["id"] >= len(SPECIALS)].sort_values(
        ["count", "id"], ascending=[False, True], ignore_index=True
    )
    if real.empty:
        raise UserError("no words but <unk> and <eos> to draw; was another words file given?")
    chosen = real.loc[real["count"] > min_count]
    if chosen.empty:
        enough = min(ENOUGH, len(real))
        raise UserError(
            f"min_count (--min-count) is {min_count}, but no word to draw occurs more than {real['count'].iloc[0]} "
            f"times; the largest value that leaves {enough} is {real['count'].iloc[enough - 1] - 1}"
        )
    return chosen


def taggable(words: pd.DataFrame) -> str:
    """What to do where too few words have a part of speech: the largest ``min_tagged`` that leaves ``ENOUGH``."""
    decided = words.loc[(words["id"] >= len(SPECIALS)) & (words["share"] > 0.5)]
    majority = (decided["share"] * decided["tagged"]).round().astype(int).sort_values(ascending=False).to_numpy()
    if not len(majority):
        return "no word has a majority part of speech at any min_tagged; tag a larger corpus"
    enough = min(ENOUGH, len(majority))
    return f"the largest min_tagged that leaves {enough} words with a part of speech is {majority[enough - 1]}"

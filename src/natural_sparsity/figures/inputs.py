"""Reading what the figures are drawn from, and checking that it is what it should be."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from natural_sparsity.corpus.vocabulary import SPECIALS
from natural_sparsity.errors import UserError
from natural_sparsity.files import read_json, read_metadata, read_parquet

# An error about a threshold says which value would leave this many words.
ENOUGH = 10


def read_probes(paths: Sequence[Path | str], role: str, tensor: str, measure: str) -> pd.DataFrame:
    """A measure's mean at one tensor, a row a word: ``seed, epoch, id, value``, seeds and epochs ascending.

    Raises:
        UserError: a file that is no probe, has no such rows, repeats another's epoch or a word, or is of another
            condition than the first.
    """
    frames: dict[tuple[int, int], pd.DataFrame] = {}
    conditions = {}
    for path in paths:
        metadata = read_metadata(path)
        try:
            seed, epoch = int(metadata["seed"]), int(metadata["epoch"])
            conditions[metadata["condition"]] = path
            measures = metadata["measures"]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path}: its metadata name no {error}; give a file that 'probe' wrote") from error
        if len(conditions) > 1:
            raise UserError(f"{path}: is of condition {metadata['condition']!r}, others are not; give those of one")
        if (seed, epoch) in frames:
            raise UserError(f"{path}: a second probe of seed {seed}, epoch {epoch}; give one file an epoch")
        if measure not in measures:
            raise UserError(f"{path}: was probed for {', '.join(measures)}; add {measure!r} to the probe's measures")
        frame = read_parquet(path, ["id", "role", "tensor", f"{measure}_mean"])
        frame = frame.loc[(frame["role"] == role) & (frame["tensor"] == tensor), ["id", f"{measure}_mean"]]
        if frame.empty:
            raise UserError(f"{path}: no rows for role {role!r} and tensor {tensor!r}; probe them and run again")
        if frame["id"].duplicated().any():
            raise UserError(f"{path}: id {frame.loc[frame['id'].duplicated(), 'id'].iloc[0]} repeats; probe again")
        frames[seed, epoch] = frame.rename(columns={f"{measure}_mean": "value"}).assign(seed=seed, epoch=epoch)
    return pd.concat([frames[key] for key in sorted(frames)], ignore_index=True)[["seed", "epoch", "id", "value"]]


def over_seeds(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The mean over seeds of ``value``, for each combination of ``keys``.

    One seed: the frame less the column ``seed``. Several: ``value`` (the mean over the seeds that have one), ``sd``
    (their sample standard deviation, not defined for one), ``seeds`` (how many they are), ``low`` and ``high`` (the
    mean less and plus ``sd``) in place of the bootstrap's, and ``n``, where there is one, of the seed with the least.
    """
    if frame["seed"].nunique() == 1:
        return frame.drop(columns="seed")
    groups = frame.groupby(keys, sort=False, observed=True)
    columns = {"value": groups["value"].mean(), "sd": groups["value"].std(), "seeds": groups["value"].count()}
    if "n" in frame:
        columns["n"] = groups["n"].min()
    result = pd.DataFrame(columns)
    return result.assign(low=result["value"] - result["sd"], high=result["value"] + result["sd"]).reset_index()


def read_words(path: Path | str) -> pd.DataFrame:
    """The vocabulary with its classes: ``id, word, count, tagged, share, pos_class``."""
    return read_parquet(path, ["id", "word", "count", "tagged", "share", "pos_class"])


def read_checkpoints(paths: Sequence[Path | str]) -> pd.DataFrame:
    """``seed, epoch, learning_rate_in, learning_rate_out, train_loss, dev_loss``, seeds and epochs ascending.

    Losses are in nats per token; one that a checkpoint has not (null) is NaN.

    Raises:
        UserError: a file that is no checkpoint's JSON, or repeats another's seed and epoch.
    """
    numbers = ["learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
    columns = ["seed", "epoch", *numbers]
    rows: dict[tuple[int, int], list[float]] = {}
    for path in paths:
        values = read_json(path, columns)
        try:
            row = [float("nan") if values[column] is None else float(values[column]) for column in numbers]
            key = int(values["seed"]), int(values["epoch"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {error}; {', '.join(columns)} should be numbers") from error
        if key in rows:
            raise UserError(f"{path}: a second checkpoint of seed {key[0]}, epoch {key[1]}; give one file an epoch")
        rows[key] = row
    frame = pd.DataFrame([[*key, *rows[key]] for key in sorted(rows)], columns=columns)
    return frame.astype({"seed": int, "epoch": int})


def read_correlations(paths: Sequence[Path | str], measure: str, statistic: str) -> pd.DataFrame:
    """The correlations of one measure by one statistic: ``seed, epoch, role, tensor, words, value, low, high, n``.

    Epochs ascend; ``low`` and ``high`` are the ends of the bootstrap interval.

    Args:
        paths: a file a seed, of one corpus and one model.
        measure, statistic: which of them.

    Raises:
        UserError: there are none, a correlation repeats, or the files are of several models or corpora.
    """
    keys = ["seed", "epoch", "role", "tensor", "words"]
    frames: dict[str, pd.DataFrame] = {}
    for path in paths:
        frame = read_parquet(path, ["run", *keys[1:], "measure", "statistic", "value", "low", "high", "n"])
        run = "" if frame.empty else str(frame["run"].iloc[0])
        chosen = frame.loc[(frame["measure"] == measure) & (frame["statistic"] == statistic)]
        if chosen.empty:
            there = ", ".join(sorted({f"{m}/{s}" for m, s in zip(frame["measure"], frame["statistic"], strict=True)}))
            raise UserError(f"{path}: no {statistic!r} correlations of {measure!r}; it has {there or 'no rows'}")
        model, _, seed = run.rpartition("/seed")
        if not seed.isdigit():
            raise UserError(f"{path}: is of run {run!r}, which names no seed; give a file that 'correlate' wrote")
        if any(other.rpartition("/seed")[0] != model for other in frames):
            raise UserError(f"{path}: is of {run}, another is of {next(iter(frames))}; give seeds of one model")
        if run in frames:
            raise UserError(f"{path}: a second file of {run}; give one a seed")
        if (frame["run"] != run).any() or chosen.duplicated(keys[1:]).any():
            raise UserError(f"{path}: holds several runs, or a correlation that repeats; give those of one run")
        frames[run] = chosen.assign(seed=int(seed))
    together = pd.concat(frames.values())[[*keys, "value", "low", "high", "n"]]
    return together.sort_values(["epoch", "seed"], kind="stable", ignore_index=True)


def drops(checkpoints: pd.DataFrame, epochs: pd.Series) -> list[int]:
    """The epochs after which the learning rate dropped, from the first to the last of ``epochs``, for each seed."""
    lowered = checkpoints["learning_rate_out"] < checkpoints["learning_rate_in"]
    inside = checkpoints["epoch"].between(epochs.min(), epochs.max())
    return sorted(checkpoints.loc[lowered & inside, "epoch"].tolist())


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
    if not words["tagged"].any():
        return "nothing was tagged: characters have no part of speech"
    decided = words.loc[(words["id"] >= len(SPECIALS)) & (words["share"] > 0.5)]
    majority = (decided["share"] * decided["tagged"]).round().astype(int).sort_values(ascending=False).to_numpy()
    if not len(majority):
        return "no word has a majority part of speech at any min_tagged; tag a larger corpus"
    enough = min(ENOUGH, len(majority))
    return f"the largest min_tagged that leaves {enough} words with a part of speech is {majority[enough - 1]}"

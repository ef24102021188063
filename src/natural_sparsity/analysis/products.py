"""Read and check what a run wrote: probes, words, checkpoints, correlations.

The data, model and seed that a file belongs to are recorded in it, and never read from its path.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from natural_sparsity.analysis.tensors import check_tensors
from natural_sparsity.corpus.vocabulary import SPECIALS
from natural_sparsity.errors import UserError
from natural_sparsity.files import read_json, read_metadata, read_parquet
from natural_sparsity.identity import check_made_from, name_checkpoint

# An error about a threshold says which value would leave this many words.
ENOUGH = 10
# What the files of several seeds have in common.
GROUP = ("data", "model", "condition")
# When a checkpoint was saved, as probes and states name it, and what tables call that: until then, so many tokens were
# seen in training. Epoch 0 is the untrained model, and every checkpoint inside the first epoch.
SEEN = {"epoch": "epoch", "steps": "steps", "examples": "tokens"}
# The roles of a word at a probed position.
ROLES = ("target", "input")
# Every probe has these means, next to those of its measures.
NORMS = ("l1", "l2")
# What the probes of a run, and of its other seeds, have in common.
PROBED = (*GROUP, "measures", "probe", "tokens", "vocabulary")


class Origin(NamedTuple):
    """The run that a file belongs to."""

    data: str
    model: str
    seed: int

    def __str__(self) -> str:
        return f"{self.data}/{self.model}, seed {self.seed}"


def read_origin(path: Path | str, keys: Sequence[str] = (), writer: str = "probe") -> tuple[Origin, dict[str, Any]]:
    """The run that a Parquet file belongs to, and all its metadata, which must have ``keys`` as well.

    Raises:
        UserError: the file was not written by the command ``writer``.
    """
    metadata = read_metadata(path)
    for key in (*Origin._fields, *keys):
        if key not in metadata:
            raise UserError(f"{path}: its metadata has no {key!r}; give a file that {writer!r} wrote")
    return find_origin(metadata), metadata


def find_origin(fields: Mapping[str, Any]) -> Origin:
    """The run that metadata, a row or the fields of a JSON file belong to."""
    return Origin(str(fields["data"]), str(fields["model"]), int(fields["seed"]))


def check_same(fields: Mapping[Any, Mapping[str, Any]]) -> None:
    """Refuse files that do not belong together: each must have the same ``fields``, given by path, as the first.

    Raises:
        UserError: a field differs.
    """
    first, expected = next(iter(fields.items()))
    for path, values in fields.items():
        for key, value in values.items():
            if value != expected[key]:
                raise UserError(
                    f"{path}: {key} is {value!r}, but in {first} it is {expected[key]!r}; give files of one {key}"
                )


def check_epochs(fields: Mapping[Any, Mapping[str, Any]]) -> None:
    """Refuse seeds of a model after different epochs; different models may have trained for different numbers.

    Args:
        fields: ``data, model, epoch`` of each file, by path.

    Raises:
        UserError: two files of a model differ.
    """
    models: dict[tuple[str, str], dict[Any, Mapping[str, Any]]] = {}
    for path, values in fields.items():
        models.setdefault((values["data"], values["model"]), {})[path] = {"epoch": values["epoch"]}
    for seeds in models.values():
        check_same(seeds)


def read_tensors(path: Path | str) -> list[str]:
    """The tensors that a probe has.

    Raises:
        UserError: probes do not measure one of them.
    """
    return check_tensors(path, read_parquet(path, ["tensor"])["tensor"].unique())


def check_rows(path: Path | str, frame: pd.DataFrame, vocabulary: int, tensors: Sequence[str]) -> None:
    """Refuse a probe with rows of an unknown role, word or tensor, or with two rows for the same three.

    Args:
        path: the probe.
        frame: its ``id, role, tensor``.
        vocabulary: the number of words; ids are below it.
        tensors: those that the run's other probes have.

    Raises:
        UserError: a row's id, role or tensor is none of those, or one repeats.
    """
    if not frame["id"].between(0, vocabulary - 1).all():
        raise UserError(
            f"{path}: has ids that are not among the {vocabulary} words of the words table; give those of the same run"
        )
    if not frame["role"].isin(ROLES).all():
        raise UserError(f"{path}: has a role other than {' and '.join(ROLES)}; probe again")
    if set(frame["tensor"]) != set(tensors):
        raise UserError(
            f"{path}: has other tensors than the run's first probe ({', '.join(tensors)}); probe both again"
        )
    if frame.duplicated(["id", "role", "tensor"]).any():
        raise UserError(f"{path}: a word repeats in the same role and tensor; probe again")


def read_probes(paths: Sequence[Path | str], role: str, tensor: str, measure: str) -> pd.DataFrame:
    """A measure's mean at one tensor, a row per word: ``seed, epoch, steps, tokens, id, value``, by seed and time.

    Raises:
        UserError: a file is no probe, has no such rows, repeats a word or another's seed and checkpoint, or is of other
            data, of another model or of another condition than the first.
    """
    frames: dict[tuple[int, ...], pd.DataFrame] = {}
    given = {path: read_origin(path, [*SEEN, "checkpoint", *PROBED])[1] for path in paths}
    check_same({path: {key: metadata[key] for key in PROBED} for path, metadata in given.items()})
    for path in paths:
        metadata = given[path]
        key = int(metadata["seed"]), int(metadata["epoch"]), int(metadata["steps"])
        if key in frames:
            name = metadata["checkpoint"]
            raise UserError(f"{path}: a second probe of seed {key[0]}, {name}; give one file per checkpoint")
        if measure not in metadata["measures"]:
            probed = ", ".join(metadata["measures"])
            raise UserError(f"{path}: was probed for {probed}; add {measure!r} to the probe's measures")
        frame = read_parquet(path, ["id", "role", "tensor", f"{measure}_mean"])
        frame = frame.loc[(frame["role"] == role) & (frame["tensor"] == tensor), ["id", f"{measure}_mean"]]
        if frame.empty:
            raise UserError(f"{path}: no rows for role {role!r} and tensor {tensor!r}; probe them and run again")
        if frame["id"].duplicated().any():
            raise UserError(f"{path}: id {frame.loc[frame['id'].duplicated(), 'id'].iloc[0]} repeats; probe again")
        time = {column: int(metadata[name]) for name, column in SEEN.items()}
        frames[key] = frame.rename(columns={f"{measure}_mean": "value"}).assign(seed=key[0], **time)
    columns = ["seed", *SEEN.values(), "id", "value"]
    return pd.concat([frames[key] for key in sorted(frames)], ignore_index=True)[columns]


def average_over_seeds(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """The mean of ``value`` over seeds, for each combination of ``keys``.

    One seed: ``keys`` and the numbers as they are. Several: ``value`` is the mean over the seeds that have one, ``sd``
    their sample standard deviation (undefined for one), ``seeds`` their number; ``low`` and ``high`` are the mean minus
    and plus ``sd``, instead of the ends of the bootstrap interval; ``n``, if there is one, is the least of the seeds'.
    """
    if frame["seed"].nunique() == 1:
        return frame[[*keys, *(name for name in ("value", "low", "high", "n") if name in frame)]]
    groups = frame.groupby(keys, sort=False, observed=True)
    columns = {"value": groups["value"].mean(), "sd": groups["value"].std(), "seeds": groups["value"].count()}
    if "n" in frame:
        columns["n"] = groups["n"].min()
    result = pd.DataFrame(columns)
    return result.assign(low=result["value"] - result["sd"], high=result["value"] + result["sd"]).reset_index()


def read_words(path: Path | str) -> pd.DataFrame:
    """The vocabulary with its classes and samples: ``id, word, count, tagged, share, pos_class, matched, pair``."""
    return read_parquet(path, ["id", "word", "count", "tagged", "share", "pos_class", "matched", "pair"])


def read_checkpoints(paths: Sequence[Path | str]) -> pd.DataFrame:
    """The course of training: ``seed, epoch``, learning rates and losses, a row per ``state.json``.

    ``learning_rate_in, learning_rate_out, train_loss, dev_loss``; seeds and epochs ascend. A loss that a checkpoint
    lacks (null) is NaN.

    Raises:
        UserError: a file is no checkpoint's state, is of other data or another model than the first, or repeats
            another's seed and epoch.
    """
    numbers = ["learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
    rows: dict[tuple[int, int], list[float]] = {}
    states = {path: read_json(path, [*Origin._fields, "epoch", "parameters", "before", *numbers]) for path in paths}
    if states:
        check_same({path: {key: state[key] for key in ("data", "model")} for path, state in states.items()})
    for path in paths:
        state = states[path]
        try:
            row = [float("nan") if state[column] is None else float(state[column]) for column in numbers]
            key = int(state["seed"]), int(state["epoch"])
        except (TypeError, ValueError) as error:
            raise UserError(f"{path}: {error}; seed, epoch, {', '.join(numbers)} should be numbers") from error
        if key in rows:
            raise UserError(f"{path}: a second checkpoint of seed {key[0]}, epoch {key[1]}; give one file per epoch")
        rows[key] = row
    check_succession(states)
    frame = pd.DataFrame([[*key, *rows[key]] for key in sorted(rows)], columns=["seed", "epoch", *numbers])
    return frame.astype({"seed": int, "epoch": int})


def check_succession(states: Mapping[Path | str, Mapping[str, Any]]) -> None:
    """Refuse a checkpoint that was not trained from the given checkpoint of the epoch before.

    Raises:
        UserError: one was not; the message names both files.
    """
    by_epoch = {(find_origin(state), state["epoch"]): path for path, state in states.items()}
    for (origin, epoch), path in by_epoch.items():
        if earlier := by_epoch.get((origin, epoch - 1)):
            check_made_from(path, states[path], "before", earlier, states[earlier]["parameters"], "checkpoint")


def check_chain(
    measured: Sequence[Path | str], states: Sequence[Path | str] = (), words: Path | str | None = None
) -> None:
    """Refuse probes or correlations that were made from other checkpoints, or with other words, than those given.

    Args:
        measured: Parquet files that ``probe`` or ``correlate`` wrote.
        states: ``state.json`` of checkpoints; each is compared with what was measured on it.
        words: the table of words of their data.

    Raises:
        UserError: two files do not belong together; it names both.
    """
    by_name = {}
    for path in states:
        state = read_json(path, [*Origin._fields, "epoch", "steps", "parameters"])
        by_name[find_origin(state), name_checkpoint(state)] = path, state["parameters"]
    vocabulary = None if words is None else read_metadata(words).get("vocabulary")
    for path in measured:
        origin, metadata = read_origin(path, ["checkpoints", "vocabulary"])
        for name in metadata["checkpoints"]:
            if (origin, name) in by_name:
                check_made_from(path, metadata["checkpoints"], name, *by_name[origin, name], name="checkpoint")
        if words is not None:
            check_made_from(path, metadata, "vocabulary", words, vocabulary)


def read_states(paths: Sequence[Path | str], keys: Sequence[str] = ()) -> dict[Origin, dict[str, Any]]:
    """The last state given for each run, by run; each must have ``keys``."""
    states: dict[Origin, dict[str, Any]] = {}
    for path in paths:
        state = read_json(path, [*Origin._fields, "epoch", "sparsify", *keys])
        known = states.setdefault(find_origin(state), state)
        if state["epoch"] > known["epoch"]:
            states[find_origin(state)] = state
    return states


def find_place(sparsify: Mapping[str, Any]) -> dict[str, Any]:
    """A model's ``family, method, role, level``, from its block of sparsification.

    The dense model's family and method are ``""`` and its role is ``dense``; level 0 is that of a family of one.
    """
    place = {"family": "", "method": "", "role": "dense", "level": 0}
    return {key: sparsify.get(key, value) for key, value in place.items()}


def read_correlations(paths: Sequence[Path | str], measure: str, statistic: str) -> pd.DataFrame:
    """The correlations of one measure by one statistic, in the order of training.

    Columns: ``seed, epoch, steps, tokens, role, tensor, words, value, low, high, n``; ``low`` and ``high`` are the ends
    of the bootstrap interval.

    Args:
        paths: one file per seed, of one model on one set of data under one condition.
        measure, statistic: which correlations.

    Raises:
        UserError: there are none, a correlation repeats, or the files do not belong together: they are of several
            models or words, or a checkpoint is not in all, over which there would be no mean.
    """
    keys = [*SEEN.values(), "role", "tensor", "words"]
    frames: dict[Origin, pd.DataFrame] = {}
    given = {path: read_origin(path, ["condition", "words", "checkpoints"], "correlate")[1] for path in paths}
    check_same({path: {key: metadata[key] for key in (*GROUP, "words")} for path, metadata in given.items()})
    for path in paths:
        origin = find_origin(given[path])
        if odd := sorted(given[path]["checkpoints"].keys() ^ given[paths[0]]["checkpoints"].keys()):
            raise UserError(f"{path}: it or {paths[0]} lacks {odd[0]}; give every seed's correlations of it")
        frame = read_parquet(path, [*keys, "measure", "statistic", "value", "low", "high", "n"])
        chosen = frame.loc[(frame["measure"] == measure) & (frame["statistic"] == statistic)]
        if chosen.empty:
            there = ", ".join(sorted({f"{m}/{s}" for m, s in zip(frame["measure"], frame["statistic"], strict=True)}))
            raise UserError(f"{path}: no {statistic!r} correlations of {measure!r}; it has {there or 'no rows'}")
        check_tensors(path, chosen["tensor"].unique())
        if origin in frames:
            raise UserError(f"{path}: a second file of {origin}; give one per seed")
        if chosen.duplicated(keys).any():
            raise UserError(f"{path}: a correlation repeats; delete the file and run again")
        frames[origin] = chosen.assign(seed=origin.seed)
    together = pd.concat(frames.values())[["seed", *keys, "value", "low", "high", "n"]]
    return together.sort_values(["epoch", "steps", "seed"], kind="stable", ignore_index=True)


def group_by_model(paths: Sequence[Path | str]) -> dict[tuple[str, str, str], list[Path | str]]:
    """The files of correlations by data, model and condition, in the order of ``paths``."""
    groups: dict[tuple[str, str, str], list[Path | str]] = {}
    for path in paths:
        origin, metadata = read_origin(path, ["condition"], "correlate")
        groups.setdefault((origin.data, origin.model, metadata["condition"]), []).append(path)
    return groups


def find_drops(checkpoints: pd.DataFrame, epochs: pd.Series) -> list[int]:
    """The epochs after which the learning rate dropped, within ``epochs``, for each seed; training went on after them.

    A drop after a seed's last epoch, or after the last of ``epochs``, is none: nothing there was trained at its rate.
    """
    lowered = checkpoints["learning_rate_out"] < checkpoints["learning_rate_in"]
    last = checkpoints.groupby("seed")["epoch"].transform("max").clip(upper=epochs.max())
    inside = (checkpoints["epoch"] >= epochs.min()) & (checkpoints["epoch"] < last)
    return sorted(checkpoints.loc[lowered & inside, "epoch"].tolist())


def select_frequent(words: pd.DataFrame, threshold: int, key: str) -> pd.DataFrame:
    """The words counted more than ``threshold`` times, most frequent first, ties by id; no special tokens.

    Args:
        words: ``id, count`` and more.
        threshold: occurrences in the training split.
        key: what the configuration calls the threshold, for the error.

    Raises:
        UserError: there are none; it names the largest threshold that leaves :data:`ENOUGH`.
    """
    real = words.loc[words["id"] >= len(SPECIALS)].sort_values(
        ["count", "id"], ascending=[False, True], ignore_index=True
    )
    if real.empty:
        raise UserError("--words: has no words besides <unk> and <eos>; give the right file")
    chosen = real.loc[real["count"] > threshold]
    if chosen.empty:
        enough = min(ENOUGH, len(real))
        raise UserError(
            f"{key} (--threshold) is {threshold}, but no word to draw occurs more than {real['count'].iloc[0]} times; "
            f"the largest value that leaves {enough} is {real['count'].iloc[enough - 1] - 1}"
        )
    return chosen


def suggest_min_tagged(words: pd.DataFrame) -> str:
    """What to do if too few words have a part of speech: the largest ``min_tagged`` that leaves :data:`ENOUGH`."""
    if not words["tagged"].any():
        return "nothing was tagged: characters have no part of speech"
    decided = words.loc[(words["id"] >= len(SPECIALS)) & (words["share"] > 0.5)]
    majority = (decided["share"] * decided["tagged"]).round().astype(int).sort_values(ascending=False).to_numpy()
    if not len(majority):
        return "no word has a majority part of speech at any tagging.min_tagged; tag a larger corpus"
    enough = min(ENOUGH, len(majority))
    return f"the largest tagging.min_tagged that leaves {enough} words with a part of speech is {majority[enough - 1]}"

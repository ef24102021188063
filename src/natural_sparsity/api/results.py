"""Open what runs wrote: tables as DataFrames, checkpoints as models.

Which run a file belongs to is read from the file, never from its path. docs/files.md has every column.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from natural_sparsity.analysis.products import SEEN, Origin, check_chain, find_origin, read_origin
from natural_sparsity.errors import UserError
from natural_sparsity.files import read_json, read_metadata, read_parquet, read_schema, require_keys
from natural_sparsity.identity import check_run, name_checkpoint

if TYPE_CHECKING:
    from natural_sparsity.model.recurrent import RecurrentModel

RUNS, EXPERIMENTS, STATE = "runs", "experiments", "state.json"
CORRELATIONS = "correlations.parquet"
NUMBERS = ["learning_rate_in", "learning_rate_out", "train_loss", "dev_loss"]
# What a table of words says about each word.
ABOUT_WORDS = ["id", "word", "count", "pos_class"]


def open_results(path: str | os.PathLike[str], experiment: str | None = None, condition: str | None = None) -> Results:
    """Open the results of one run or of several.

    Args:
        path: a folder below ``results/runs``, such as ``results/runs/sample/lstm`` or one of its seeds; or one below
            ``results/experiments``, such as ``results/experiments/controls`` or ``…/controls/sample/lstm``, for the
            probed runs of that experiment.
        experiment: whose correlations and claims to read. Needed only if several experiments have the run.
        condition: the name of the probe, such as ``frozen``. Needed only if there are several.

    Raises:
        UserError: there are no results in the folder.
    """
    try:
        folder = Path(os.path.abspath(Path(path)))  # noqa: PTH100  # Path.absolute keeps "..": no checkpoint is below
    except TypeError as error:
        raise UserError(f"{path!r}: no path; give a folder of results, such as results/runs/sample/lstm") from error
    if not folder.is_dir():
        raise UserError(f"{path}: no such folder; give one that a run wrote, such as results/runs/sample/lstm")
    base = find_base(folder)
    if base is None:
        raise UserError(f"{path}: not below results/{RUNS} or results/{EXPERIMENTS}; open results/{RUNS}/DATA/MODEL")
    conditions: set[str] = set()
    if base.name == RUNS:
        states = list_states(base, folder)
    else:
        parts = folder.relative_to(base).parts
        if not parts:
            raise UserError(
                f"{path}: choose one of its experiments, {', '.join(list_names(base)) or 'of which it has none'}"
            )
        given = [read_origin(file, ["condition"], "correlate") for file in sorted(folder.rglob(CORRELATIONS))]
        conditions = {metadata["condition"] for _, metadata in given}
        experiment = experiment or parts[0]
        runs = {origin: base.parent / RUNS / origin.data / origin.model / f"seed{origin.seed}" for origin, _ in given}
        states = [state for run in runs.values() for state in list_states(base.parent / RUNS, run)]
        if not given:
            raise UserError(f"{path}: no {CORRELATIONS} below it; open the folder of a finished experiment")
    if not states:
        raise UserError(f"{path}: no checkpoint below {base.parent / RUNS}; train one, or copy that folder, too")
    return Results(folder, base.parent, read_checkpoints(states), experiment, condition, frozenset(conditions))


def find_base(folder: Path) -> Path | None:
    """The folder ``runs`` or ``experiments`` that a folder lies in; that of ``results`` is ``runs``."""
    for place in (folder / RUNS, folder, *folder.parents):
        if place.name in (RUNS, EXPERIMENTS) and place.is_dir():
            return place
    return None


def list_names(folder: Path) -> list[str]:
    """The names of the folders in a folder."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def list_states(base: Path, folder: Path) -> list[Path]:
    """The ``state.json`` of every checkpoint below ``folder``: ``base``/DATA/MODEL/SEED/CHECKPOINT/state.json."""
    return [path for path in sorted(base.glob(f"*/*/*/*/{STATE}")) if folder in path.parents]


def read_checkpoints(states: Iterable[Path]) -> pd.DataFrame:
    """A row per checkpoint; :attr:`Results.checkpoints` has the columns."""
    rows = []
    for path in states:
        state = read_json(path, [*Origin._fields, "kind", *SEEN, *NUMBERS])
        check_types(path, state)
        time = {column: state[name] for name, column in SEEN.items()}
        run = {**find_origin(state)._asdict(), "checkpoint": name_checkpoint(state), **time}
        rows.append({**run, **{name: state[name] for name in NUMBERS}, "kind": state["kind"], "folder": path.parent})
    check_once(rows)
    table = pd.DataFrame(rows).astype(dict.fromkeys(NUMBERS, float))
    return table.sort_values([*Origin._fields, *SEEN.values()], kind="stable", ignore_index=True)


def check_types(path: Path, state: dict[str, Any]) -> None:
    """Refuse a ``state.json`` whose values are not of the types that training writes.

    Raises:
        UserError: a value is of another; the message names the key.
    """
    kinds = {"data": str, "model": str, "seed": int, "kind": str} | dict.fromkeys(SEEN, int)
    for key, kind in (kinds | dict.fromkeys(NUMBERS, (int, float, type(None)))).items():
        if not isinstance(state[key], kind) or isinstance(state[key], bool):
            what = "text" if kind is str else "a number" if isinstance(kind, tuple) else "an integer"
            raise UserError(
                f"{path}: {key} is {state[key]!r}, not {what}; delete the checkpoint's folder and run again"
            )


def check_once(rows: Iterable[dict[str, Any]]) -> None:
    """Refuse two checkpoints that say that they are the same: one is a copy, or left from another training.

    Raises:
        UserError: there are two.
    """
    folders: dict[tuple[Any, ...], Path] = {}
    for row in rows:
        key = tuple(row[name] for name in (*Origin._fields, "checkpoint"))
        first = folders.setdefault(key, row["folder"])
        if first != row["folder"]:
            raise UserError(f"{row['folder']}: the same checkpoint as {first}; move one of them out of {RUNS}")


def choose(kind: str, given: str | None, there: Iterable[str], where: Path, hint: str) -> str:
    """The one of ``there`` that is ``given``, or the only one.

    Raises:
        UserError: it is not there, or there are several or none; the message says which.
    """
    names = sorted(set(there))
    if given in names or (given is None and len(names) == 1):
        return given or names[0]
    if not names:
        raise UserError(f"{where}: {hint}")
    which = f"no {kind} {given!r}; choose" if given is not None else f"several {kind}s; choose"
    raise UserError(f"{where}: {which} one of {', '.join(names)}, as in ns.open(…, {kind}={names[0]!r})")


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """The results of one run or of several: a run is a model trained on data from one seed.

    Every table begins with ``data``, and, unless it holds for the data as a whole, ``model`` and ``seed``. Tables are
    read when first asked for, checked against the checkpoints they were made from, and kept; a UserError in one line
    says what is missing.

    Attributes:
        folder: what was opened.
        root: the folder that holds ``data``, ``runs`` and ``experiments``.
        checkpoints: a row per checkpoint, in the order of training: ``data, model, seed, checkpoint`` (``init``,
            ``step64``, ``epoch3``), ``epoch, steps, tokens`` seen in training, ``learning_rate_in, learning_rate_out``,
            ``train_loss, dev_loss`` (nats per token), ``kind`` of data, ``folder``.
    """

    folder: Path
    root: Path
    checkpoints: pd.DataFrame
    experiment: str | None = None
    condition: str | None = None
    conditions: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        seeds: dict[str, list[str]] = {}
        for origin in self.list_runs():
            seeds.setdefault(f"{origin.data}/{origin.model}", []).append(str(origin.seed))
        return f"Results({'; '.join(name + ', seed ' + ' '.join(each) for name, each in seeds.items())})"

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row per run: ``data, model, seed, checkpoints`` (how many), ``epochs``, ``dev_loss`` after the last."""
        groups = self.checkpoints.groupby(list(Origin._fields), sort=False)
        last = groups.agg(
            checkpoints=("checkpoint", "count"),
            epochs=("epoch", "max"),
            dev_loss=("dev_loss", lambda part: part.iloc[-1]),
        )
        return last.reset_index()

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return sorted(self.checkpoints["seed"].unique().tolist())

    @cached_property
    def words(self) -> pd.DataFrame:
        """A row per word: ``data, id, word, count`` (in training), ``tagged, pos, share, pos_class, matched, pair``."""
        tables = [read_whole(self.words_of(data)).assign(data=data) for data in self.checkpoints["data"].unique()]
        return put_first(["data"], pd.concat(tables, ignore_index=True))

    @cached_property
    def correlations(self) -> pd.DataFrame:
        """A row per checkpoint, role, tensor, measure, word set and statistic: ``value, low, high, n``."""
        return self.read(CORRELATIONS)

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Differences of correlations: between word sets, tensors and epochs; as :attr:`correlations`."""
        return self.read("differences.parquet")

    @cached_property
    def acquisition(self) -> pd.DataFrame:
        """A row per word: when it was learnt and forgotten, its surprisal, and χ before and after."""
        return self.read("acquisition.parquet")

    @cached_property
    def claims(self) -> pd.DataFrame:
        """A row per piece of evidence for each of the paper's statements, with the verdict on each run."""
        return self.read("claims.parquet")

    @cached_property
    def verdicts(self) -> pd.DataFrame:
        """The verdicts over the seeds of each model: how many agree, and intervals over seeds. Without ``seed``."""
        found = [self.find(origin, "verdicts.parquet", over_seeds=True) for origin in self.list_runs()]
        tables = [read_whole(path) for path in dict.fromkeys(found)]
        return put_first(["data", "model"], pd.concat(tables, ignore_index=True))

    def read(self, name: str) -> pd.DataFrame:
        """Read any Parquet file that an experiment has for each seed, such as ``partials.parquet``.

        Raises:
            UserError: a run lacks it, or several experiments or conditions have it and none was chosen.
        """
        if not str(name).endswith(".parquet"):
            raise UserError(f"{name}: not a Parquet file; give the name of one, such as partials.parquet")
        tables = []
        for origin in self.list_runs():
            path = self.find(origin, name)
            table = read_whole(path)
            fields = (
                {str(key): value for key, value in table.iloc[0].items()} if "seed" in table else read_metadata(path)
            )
            require_keys(path, fields, Origin._fields)
            check_run(path, find_origin(fields)._asdict(), origin._asdict())
            tables.append(table.assign(**origin._asdict(), condition=self.choose_condition()))
        return put_first([*Origin._fields, "condition"], pd.concat(tables, ignore_index=True))

    def probes(self, tensor: str | None = None, role: str | None = None, checkpoint: str | None = None) -> pd.DataFrame:
        """Sparsity by word: a row per run, checkpoint, role, tensor and word.

        Columns: ``data, model, seed, checkpoint, epoch, steps, tokens``; of the word, ``id, word, count`` (in training)
        and ``pos_class``; ``role, tensor, positions`` (occurrences that were probed), ``zeros, surprisal_mean`` (nats),
        a mean and a variance for each measure, ``l1_mean, l2_mean``. All rows of a long run may be more than fit into
        memory: choose.

        Args:
            tensor: such as ``grad_h_2``; by default, all.
            role: ``target`` or ``input``; by default, both.
            checkpoint: such as ``epoch8``; by default, all that were probed.

        Raises:
            UserError: there is no such row.
        """
        tables = []
        condition = self.choose_condition()
        words = {data: part[ABOUT_WORDS] for data, part in self.words.groupby("data")}
        rows = self.checkpoints if checkpoint is None else self.pick("checkpoint", checkpoint, self.checkpoints)
        for row in rows.to_dict("records"):
            path = row["folder"] / f"{condition}.parquet"
            if not path.exists():
                continue
            run = {name: row[name] for name in (*Origin._fields, "checkpoint", *SEEN.values())}
            check_run(path, read_metadata(path), {key: run[key] for key in (*Origin._fields, "checkpoint")})
            check_chain([path], [path.with_name(STATE)], self.words_of(row["data"]))
            table = read_whole(path)
            for column, value in (("tensor", tensor), ("role", role)):
                if value is not None:
                    table = self.pick(column, value, table, path)
            table = table.rename(columns={"count": "positions"}).merge(words[row["data"]], on="id", how="left")
            tables.append(put_first([*run, *ABOUT_WORDS], table.assign(**run)))
        if not tables:
            raise UserError(f"{self.folder}: no checkpoint was probed; run snakemake with its probes")
        return pd.concat(tables, ignore_index=True)

    def model(self, seed: int | None = None, epoch: int | None = None, checkpoint: str | None = None) -> RecurrentModel:
        """Load a checkpoint as a model in eval mode, on the CPU.

        Args:
            seed: needed only if there are several.
            epoch: by default, the last; 0 is the untrained model.
            checkpoint: instead of an epoch, a name such as ``init``, ``step64`` or ``epoch3``.

        Raises:
            UserError: there is no such checkpoint, or more than one.
        """
        import torch

        from natural_sparsity.model.checkpoint import load

        if epoch is not None and checkpoint is not None:
            raise UserError(f"epoch={epoch}, checkpoint={checkpoint!r}: give one of them")
        rows = self.checkpoints
        if len(rows[["data", "model"]].drop_duplicates()) > 1:
            raise UserError(f"{self.folder}: has runs of several models; open the folder of one")
        if seed is None and len(self.seeds) > 1:
            raise UserError(
                f"{self.folder}: seeds {', '.join(map(str, self.seeds))}; choose one, such as seed={self.seeds[0]}"
            )
        rows = rows if seed is None else self.pick("seed", seed, rows)
        if epoch is not None:
            checkpoint = name_checkpoint({"epoch": epoch, "steps": 0})
        name = rows["checkpoint"].iloc[-1] if checkpoint is None else checkpoint
        row = self.pick("checkpoint", name, rows).iloc[0]
        model, _ = load(row["folder"], torch.device("cpu"))
        return model.eval()

    def list_runs(self) -> list[Origin]:
        """The runs, each once."""
        rows = self.checkpoints[list(Origin._fields)].drop_duplicates()
        return [Origin(*row) for row in rows.itertuples(index=False)]

    def words_of(self, data: str) -> Path:
        """The table of words of some data.

        Raises:
            UserError: there is none.
        """
        path = self.root / "data" / data / "words.parquet"
        if not path.exists():
            raise UserError(f"{path}: no such file; {data} has no words, or copy results/data/{data} beside the runs")
        return path

    def pick(self, column: str, value: Any, table: pd.DataFrame, path: Path | None = None) -> pd.DataFrame:
        """The rows of a table with a value; refuse, naming those that there are, if none has it."""
        chosen = table.iloc[:0] if pd.api.types.is_list_like(value) else table[table[column] == value]
        if chosen.empty:
            there = ", ".join(map(str, table[column].unique()))
            raise UserError(f"{path or self.folder}: no {column} {value!r}; there are {there}")
        return chosen

    def choose_condition(self) -> str:
        """The name of the probe: the one asked for, or the only one.

        Raises:
            UserError: there is none, or several.
        """
        there = self.conditions or {
            path.stem for folder in self.checkpoints["folder"] for path in folder.glob("*.parquet")
        }
        hint = "no checkpoint was probed; only models of running text are"
        return choose("condition", self.condition, there, self.folder, hint)

    def find(self, origin: Origin, name: str, over_seeds: bool = False) -> Path:
        """A file of an experiment about a run, or about all seeds of its model.

        Raises:
            UserError: no experiment has it, or several do and none was chosen.
        """
        condition = self.choose_condition()
        place = Path(origin.data, origin.model, *([] if over_seeds else [f"seed{origin.seed}"]), condition, name)
        base = self.root / EXPERIMENTS
        there = [path.name for path in base.glob("*") if (path / place).exists()]
        hint = f"no experiment has {place}; run snakemake with an experiment that has this run"
        return base / choose("experiment", self.experiment, there, self.folder, hint) / place


def read_whole(path: Path) -> pd.DataFrame:
    """A Parquet file with all its columns."""
    return read_parquet(path, read_schema(path).names)


def put_first(columns: list[str], table: pd.DataFrame) -> pd.DataFrame:
    """The table with some columns first."""
    return table[[*columns, *(name for name in table if name not in columns)]]

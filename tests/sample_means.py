"""Means of a real run and of its control on shuffled text, small enough to keep: ``analysis/sample_means.parquet``.

It holds what claims ask for of a run on the sample and of the shuffled control of the same seed, in every epoch from
the untrained model on: a row per word with its id, count, class and samples, and a column for each mean, χ in units of
1e-5 and ℓ1 in units of 1e-3, −1 where undefined. Words that occur less than :data:`LEAST` times are left out, so that
verdicts take seconds. Beside the columns, it says after which epochs the learning rate dropped.

To make it again, train seed 3 of ``experiments/controls.yaml``, whose rate drops, then name the folders in ``results``
of the two runs and of the text::

    python tests/sample_means.py runs/sample/lstm/seed3 runs/shuffled/lstm/seed3 data/sample
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.analysis.bootstrap import Measured, Resamples
from natural_sparsity.analysis.correlate import Probes
from natural_sparsity.analysis.products import ROLES, find_drops, read_checkpoints
from natural_sparsity.analysis.tensors import sort_tensors
from natural_sparsity.analysis.values import Run
from natural_sparsity.analysis.verdicts import judge_all
from natural_sparsity.analysis.word_sets import COLUMNS
from natural_sparsity.corpus.vocabulary import SPECIALS, read_by_id
from natural_sparsity.tables.claims import measure

PATH = Path(__file__).with_name("analysis") / "sample_means.parquet"
LEAST = 8
UNITS = {"chi": 1e-5, "l1": 1e-3}
REAL, SHUFFLED = TEXTS = ["real", "shuffled"]


class Asked(Measured):
    """What was measured on a run, and which of it was asked for."""

    def __init__(self, measured: Measured):
        super().__init__(measured.means, measured.tensors, measured.measures, measured.resamples)
        self.asked: set[tuple[int, str, str, str]] = set()

    def replicate(
        self, epoch: int, role: str, tensor: str, measure: str, words: str, statistic: str
    ) -> tuple[np.ndarray, int]:
        self.asked.add((epoch, role, tensor, measure))
        return super().replicate(epoch, role, tensor, measure, words, statistic)


def pack(folders: dict[str, Path], text: Path, path: Path = PATH) -> None:
    """Write the means that claims ask for.

    Args:
        folders: of the run and of its control, by :data:`TEXTS`.
        text: the folder of the run's text.
        path: of the file.
    """
    words = read_by_id(text / "words.parquet", COLUMNS)
    resamples = Resamples(words, 1, 1)
    measured = {}
    for name, folder in folders.items():
        checkpoints = sorted(folder.glob("epoch*"))
        probes = [checkpoint / "frozen.parquet" for checkpoint in (folder / "init", *checkpoints)]
        measured[name] = Asked(measure(Probes.open(probes), resamples))
    states = read_checkpoints([folder / "state.json" for folder in sorted(folders[REAL].glob("epoch*"))])
    dropped = find_drops(states, states["epoch"])
    judge_all(Run(measured[REAL], dropped), 0.95, Run(measured[SHUFFLED], dropped))
    kept = words[(words["count"] >= LEAST) & (words["id"] >= len(SPECIALS))]
    columns = {}
    for name, run in measured.items():
        for epoch, role, tensor, measure_ in sorted(run.asked):
            values = run.means[epoch][ROLES.index(role), kept["id"], run.tensors.index(tensor)]
            scaled = values[:, run.measures.index(measure_)] / UNITS[measure_]
            columns[f"{name} {epoch} {role} {tensor} {measure_}"] = np.nan_to_num(scaled.round(), nan=-1).astype(
                np.int32
            )
    frame = pd.concat([kept.reset_index(drop=True), pd.DataFrame(columns)], axis=1)
    files.write_parquet(path, frame, {"dropped": dropped})


def unpack(resamples: int, seed: int, path: Path = PATH) -> tuple[dict[str, Measured], list[int]]:
    """The run and its control, by :data:`TEXTS`, and after which epochs the rate dropped."""
    table = pd.read_parquet(path)
    words = table[["id", *COLUMNS]].assign(id=range(len(SPECIALS), len(table) + len(SPECIALS)))
    blank = pd.DataFrame({"id": range(len(SPECIALS)), "count": 0, "matched": False, "pair": -1})
    words = pd.concat([blank, words], ignore_index=True)
    drawn = Resamples(words, resamples, seed)
    columns = {tuple(name.split()): name for name in table if name.split()[0] in TEXTS}
    tensors = sort_tensors({tensor for _, _, _, tensor, _ in columns})
    measured = {}
    for text in TEXTS:
        shape = len(ROLES), len(words), len(tensors), len(UNITS)
        means = {int(epoch): np.full(shape, np.nan) for name, epoch, *_ in columns if name == text}
        for (_, epoch, role, tensor, measure_), name in (
            (key, name) for key, name in columns.items() if key[0] == text
        ):
            values = table[name].where(table[name] >= 0) * UNITS[measure_]
            place = ROLES.index(role), slice(len(SPECIALS), None), tensors.index(tensor), list(UNITS).index(measure_)
            means[int(epoch)][place] = values
        measured[text] = Measured(means, tensors, list(UNITS), drawn)
    return measured, files.read_metadata(path)["dropped"]


if __name__ == "__main__":
    run, control, text = map(Path, sys.argv[1:])
    pack({REAL: run, SHUFFLED: control}, text)

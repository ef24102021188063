"""Readers tell the untrained model, checkpoints inside the first epoch and epochs apart."""

import pandas as pd
import pytest

from example_products import write_correlations, write_probe, write_state
from natural_sparsity.analysis.products import average_over_seeds, check_chain, read_correlations, read_probes
from natural_sparsity.errors import UserError

# Epoch and steps, in the order of training; the last has the steps of an epoch of 1000.
COURSE = [(0, 0), (0, 1), (0, 64), (1, 1000)]


@pytest.fixture
def probes(tmp_path):
    """A probe of each checkpoint, the last first, whose value is its place in training."""
    paths = []
    for i, (epoch, steps) in reversed(list(enumerate(COURSE))):
        frame = pd.DataFrame({"id": [2, 3], "role": "target", "tensor": "h_1", "chi_mean": [i, 10.0 + i]})
        paths.append(write_probe(tmp_path / f"{epoch}-{steps}.parquet", frame, epoch, steps))
    return paths


def test_probes_are_read_in_the_order_of_training(probes):
    frame = read_probes(probes, "target", "h_1", "chi")
    assert frame["value"].tolist() == [0, 10, 1, 11, 2, 12, 3, 13]
    times = frame[["epoch", "steps", "tokens"]].drop_duplicates().to_numpy().tolist()
    assert times == [[0, 0, 0], [0, 1, 70], [0, 64, 4480], [1, 1000, 70_000]]
    with pytest.raises(
        UserError, match=r"0-64\.parquet: a second probe of seed 1, step64; give one file per checkpoint"
    ):
        read_probes([*probes, probes[1]], "target", "h_1", "chi")


@pytest.mark.parametrize(("epoch", "steps"), COURSE)
def test_a_probe_is_compared_with_the_state_of_its_own_checkpoint(probes, tmp_path, epoch, steps):
    states = [write_state(tmp_path / f"{e}-{s}.json", e, s) for e, s in COURSE]
    check_chain(probes, states)
    write_state(tmp_path / f"{epoch}-{steps}.json", epoch, steps, parameters="trained again")
    with pytest.raises(UserError, match=rf"{epoch}-{steps}\.parquet: does not belong to .*{epoch}-{steps}\.json"):
        check_chain(probes, states)


@pytest.mark.parametrize("seeds", [(1,), (1, 2)])
def test_averages_have_the_same_keys_for_one_seed_and_for_several(tmp_path, seeds):
    rows = [(epoch, steps, "input", "h_1", "chi", "all", "pearson", 0.1 * steps, 0, 1, 9) for epoch, steps in COURSE]
    columns = ["epoch", "steps", "role", "tensor", "measure", "words", "statistic", "value", "low", "high", "n"]
    frame = pd.DataFrame(rows, columns=columns)
    paths = [write_correlations(tmp_path / f"{seed}.parquet", frame, seed=seed) for seed in seeds]
    keys = ["epoch", "steps", "tokens", "tensor"]
    averages = average_over_seeds(read_correlations(paths, "chi", "pearson"), keys)
    assert list(averages.columns[:4]) == keys and not {"seed", "role"} & set(averages)
    assert averages["value"].tolist() == pytest.approx([0, 0.1, 6.4, 100])
    assert averages["tokens"].tolist() == [0, 70, 4480, 70_000]


def test_seeds_of_other_words_or_checkpoints_have_no_mean(tmp_path):
    columns = ["epoch", "role", "tensor", "measure", "words", "statistic", "value", "low", "high", "n"]
    rows = [(epoch, "input", "h_1", "chi", "all", "pearson", 0.5, 0, 1, 9) for epoch in range(3)]
    frame = pd.DataFrame(rows, columns=columns)
    first = write_correlations(tmp_path / "1.parquet", frame)
    other = write_correlations(tmp_path / "2.parquet", frame, seed=2, words="tagged again")
    with pytest.raises(UserError, match=r"2\.parquet: words is 'tagged again', but in .*1\.parquet it is 'words'"):
        read_correlations([first, other], "chi", "pearson")
    shorter = write_correlations(tmp_path / "2.parquet", frame[:2], seed=2)
    for paths in ([first, shorter], [shorter, first]):
        with pytest.raises(UserError, match=rf"{paths[1]}: it or {paths[0]} lacks epoch2; give every seed's"):
            read_correlations(paths, "chi", "pearson")

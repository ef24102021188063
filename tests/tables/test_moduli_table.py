"""The table of spaces and controls: scores with t intervals, and distances."""

import numpy as np
import pytest
from scipy import stats

from example_products import SQUARES, grid_lines, write_evaluation, write_state
from example_products import tabulate as tabulate_module
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.tables import moduli, schedule

MODULI = {"method": "moduli", "space": "torus", "inhibitor": "dog", "inverted": True, "control": "none"}
MODULI |= {"strength": 0.1, "sparsity": 0.9, "ramp": 3, "role": "moduli", "family": "torus"}
DISTANCES = {"distance_kept": 2.0, "distance_all": 4.0, "k_kept": 40.0, "k_all": 66.0}
DECODING = {"measure": "decoding error (cm)", "digits": 1, "higher_is_better": False}


def write_rates(evaluations, rates=(20.0, 20.0)):
    """The states of the epochs of each evaluated model, which trained at these ``rates``."""
    paths = []
    for evaluation in evaluations:
        about = files.read_json(evaluation, ["model", "seed", "sparsify"])
        about = {key: about[key] for key in ("model", "seed", "sparsify")}
        for epoch, rate in enumerate(rates, 1):
            path = evaluation.with_name(f"{evaluation.stem}-epoch{epoch}.json")
            paths.append(write_state(path, epoch, learning_rate_in=rate, **about))
    return paths


def tabulate(evaluations, **rates):
    """The table of models that trained for two epochs."""
    return tabulate_module(moduli, evaluations=evaluations, checkpoints=write_rates(evaluations, **rates))


def test_scores_have_means_and_t_intervals(tmp_path):
    paths = []
    for seed in (1, 2, 3):
        dense = {"model": "walker", "score": 10.0 + seed}
        sparse = {"model": "torus", "score": 20.0 + seed, "density": 0.1, "sparsify": MODULI, "geometry": DISTANCES}
        for fields in (dense, sparse):
            path = tmp_path / f"{fields['model']}{seed}.json"
            paths.append(write_evaluation(path, seed=seed, cell="rnn", **DECODING, **fields))
    table = tabulate(paths)
    rows = table.frame
    assert rows["family"].tolist() == ["walker", "torus"]
    assert rows["score"].tolist() == [12.0, 22.0]
    assert (rows["score_high"] - rows["score"]).tolist() == pytest.approx([4.302653 / 3**0.5] * 2, rel=1e-5)
    # The dense model has nothing of the spaces, and Parquet wants one type of a column.
    files.write_parquet(tmp_path / "moduli.parquet", rows)
    lines = grid_lines(table)
    assert "Decoding error (cm) (95 %)" in lines[0]
    assert lines[1] == "walker (dense), rnn |  |  |  |  | 6 | 20 | 3 | 0.0 % | 12.0 (9.5 to 14.5) |  | "
    expected = (
        "torus, rnn | torus | dog, inverted | none | 0.1 | 6 | 20 | 3 | 90.0 % | 22.0 (19.5 to 24.5) | 2.00 / 4.00"
    )
    assert lines[2].startswith(expected)


def test_a_model_is_compared_with_its_controls_seed_by_seed(tmp_path):
    """By scipy's interval of the differences. The controls of another space, cell or second penalty are not its own."""
    noise = {1: 0.0, 2: 0.4, 3: -0.1}
    above = {1: 1.0, 2: 1.2, 3: 0.7}  # the model's error above its matched control's
    paths = []
    for seed, shift in noise.items():
        models = {
            "walker": ({}, 10.0),
            "none": ({"strength": 0}, 14.0),
            "torus": ({}, 12.0 + above[seed]),
            "matched": ({"control": "matched"}, 12.0),
            "permuted": ({"control": "permuted"}, 11.0),
            "circle": ({"space": "circle"}, 13.0),
            "means": ({"l1": 0.1}, 16.0),
            "matched-means": ({"l1": 0.1, "control": "matched"}, 18.0),
        }
        for name, (settings, score) in models.items():
            given = (
                {} if name == "walker" else {"sparsify": {**MODULI, "family": name, **settings}, "geometry": DISTANCES}
            )
            path = tmp_path / f"{name}{seed}.json"
            paths.append(
                write_evaluation(path, model=name, seed=seed, cell="rnn", score=score + shift, **given, **DECODING)
            )
    table = tabulate(paths)
    rows = table.frame.set_index("family")
    expected = stats.ttest_1samp([*above.values()], 0)
    interval = expected.confidence_interval(0.95)
    assert rows.loc["torus", "from_matched"] == pytest.approx(np.mean([*above.values()]))
    assert rows.loc["torus", ["from_matched_low", "from_matched_high"]].tolist() == pytest.approx([*interval])
    assert rows.loc["torus", ["from_matched_pairs", "from_matched_lower"]].tolist() == [3, 0]
    differences = rows[[*moduli.COMPARED]].round(6)
    nan = pytest.approx(float("nan"), nan_ok=True)
    assert differences.loc["walker"].tolist() == [nan] * 4
    assert differences.loc["none"].tolist() == [4, nan, nan, nan]
    assert differences.loc["matched"].tolist() == [2, -2, nan, nan]
    assert differences.loc["circle"].tolist() == [3, -1, nan, nan]
    assert differences.loc["means"].tolist() == [6, nan, nan, -2]
    line = next(line for line in grid_lines(table)[9:] if line.startswith("torus"))
    assert line.split(" | ")[-1] == "+1.0 (+0.3 to +1.6), lower in 0 of 3"


def test_of_two_dense_models_none_is_the_one_to_compare_with(tmp_path):
    paths = [write_evaluation(tmp_path / f"{name}.json", model=name) for name in ("narrow", "wide")]
    paths.append(write_evaluation(tmp_path / "torus.json", model="torus", sparsify=MODULI, geometry=DISTANCES))
    table = tabulate(paths)
    assert table.frame["from_dense"].isna().all()
    assert len(table.grids) == 1


def test_a_second_penalty_is_named(tmp_path):
    """A model with and one without it are different rows."""
    given = [(0, MODULI), (1, {**MODULI, "l1": 0.5})]
    paths = [
        write_evaluation(tmp_path / f"{i}.json", model=f"torus{i}", sparsify=each, geometry=DISTANCES)
        for i, each in given
    ]
    table = tabulate(paths)
    assert table.frame["l1"].tolist() == [0, 0.5]
    penalties = [line.split(" | ")[2] for line in grid_lines(table)[1:]]
    assert penalties == ["dog, inverted", "dog, inverted; mean weights 0.5"]


def test_perplexities_are_of_mean_and_interval_of_the_loss(tmp_path):
    """As in the other tables of language models; by hand, mean 2 and t interval ± 2.4841 of 1, 2 and 3."""
    paths = [
        write_evaluation(tmp_path / f"{seed}.json", seed=seed, loss=float(seed), score=np.exp(seed))
        for seed in (1, 2, 3)
    ]
    table = tabulate(paths)
    row = table.frame.loc[0, ["score_low", "score", "score_high"]].astype(float)
    assert np.log(row).tolist() == pytest.approx([2 - 2.484138, 2, 2 + 2.484138], rel=1e-5)
    assert "| Perplexity (95 %) |" in grid_lines(table)[0]


def test_two_dense_models_of_one_cell_have_a_row_each(tmp_path):
    paths = [
        write_evaluation(tmp_path / f"{name}.json", model=name, cell="rnn", score=score, **SQUARES)
        for name, score in (("narrow", 0.2), ("wide", 0.1))
    ]
    rows = tabulate(paths).frame.set_index("family")
    assert rows["score"].to_dict() == {"narrow": 0.2, "wide": 0.1}
    rates = schedule.read_rates(write_rates(paths))
    with pytest.raises(UserError, match=r"narrow\.json: a second evaluation of the same model and seed"):
        moduli.compare([*paths, paths[0]], rates)
    longer = write_evaluation(tmp_path / "longer.json", model="wide", seed=2, epoch=7, cell="rnn", **SQUARES)
    with pytest.raises(UserError, match=r"longer\.json: epoch is 7, but in .*wide\.json it is 6; give files of one"):
        moduli.compare([*paths, longer], rates)
    other = write_evaluation(tmp_path / "other.json")
    with pytest.raises(
        UserError, match=r"other\.json: measure is 'perplexity', but in .*narrow\.json it is 'mean squared"
    ):
        moduli.compare([*paths, other], rates)


def test_each_model_says_for_how_many_epochs_it_trained(tmp_path):
    """Runs of different lengths may stand side by side; their scores differ by more than the space."""
    torus = {"model": "torus", "sparsify": MODULI, "geometry": DISTANCES, "epoch": 9}
    paths = [write_evaluation(tmp_path / "dense.json"), write_evaluation(tmp_path / "torus.json", **torus)]
    assert [line.split(" | ")[5] for line in grid_lines(tabulate(paths))] == ["Epochs", "6", "9"]


def test_each_model_says_at_which_rates_it_trained(tmp_path):
    torus = {"model": "torus", "sparsify": MODULI, "geometry": DISTANCES}
    paths = [write_evaluation(tmp_path / "dense.json"), write_evaluation(tmp_path / "torus.json", **torus)]
    rates = [*write_rates(paths[:1]), *write_rates(paths[1:], (20.0, 5.0))]
    rows = tabulate_module(moduli, evaluations=paths, checkpoints=rates).frame
    assert rows["schedule"].tolist() == ["20", "20, 5 from epoch 2"]
    with pytest.raises(UserError, match=r"--checkpoints: none of torus, seed 1; give its state\.json"):
        tabulate_module(moduli, evaluations=paths, checkpoints=write_rates(paths[:1]))

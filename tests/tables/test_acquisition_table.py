"""The acquisition table: one seed with bootstrap intervals, several with t intervals, and what does not belong."""

import numpy as np
import pandas as pd
import pytest

from example_acquisition import write_acquisition
from example_products import grid_lines, tabulate
from natural_sparsity import files
from natural_sparsity.analysis.acquisition import SUMMARISED, summarise
from natural_sparsity.analysis.statistics import t_interval
from natural_sparsity.config.statistics import Statistics
from natural_sparsity.errors import UserError
from natural_sparsity.tables import acquisition


def make_table(folder, seeds, unit="word", **more):
    """The table of some seeds."""
    pairs = [write_acquisition(folder, seed, **more) for seed in seeds]
    return tabulate(acquisition, acquisition=[a for a, _ in pairs], partials=[q for _, q in pairs], unit=unit)


def test_one_seed_is_said_to_be_one_draw(tmp_path):
    table = make_table(tmp_path, [1])
    summary = table.frame.dropna(subset="words").set_index(["quantity", "words"])
    words = files.read_parquet(tmp_path / "a1.parquet", files.read_schema(tmp_path / "a1.parquet").names)
    expected = summarise(words, 1120, Statistics(resamples=100)).set_index(["quantity", "words"])
    pd.testing.assert_frame_equal(summary[["value", "low", "high"]], expected[["value", "low", "high"]])
    assert "one draw" in table.introduction and "100 bootstrap resamples" in table.introduction
    assert (table.frame["seeds"] == 1).all()


def test_seeds_are_averaged_on_the_scale_of_what_they_are(tmp_path):
    single = {seed: make_table(tmp_path / str(seed), [seed]).frame for seed in (1, 2, 3)}
    table = make_table(tmp_path, [3, 1, 2])
    rows = table.frame.set_index(["quantity", "words"])
    by_seed = [single[seed].set_index(["quantity", "words"])["value"] for seed in (1, 2, 3)]
    for quantity, there, back in (("age", np.log, np.exp), ("age_spearman", np.arctanh, np.tanh)):
        values = np.array([each[quantity, "all"] for each in by_seed])
        row = rows.loc[(quantity, "all")]
        assert row[["value", "low", "high"]].tolist() == pytest.approx(list(back(t_interval(there(values)))))
    shares = rows.loc[[key for key in rows.index if str(key[0]).endswith(("acquired", "leads", "changed"))]]
    assert shares["low"].dropna().ge(0).all() and shares["high"].dropna().le(1).all()
    assert "Means over 3 seeds" in table.introduction and (table.frame["seeds"] == 3).all()


def test_readers_see_every_quantity_and_the_partial_correlations_after_the_last_epoch(tmp_path):
    table = make_table(tmp_path, [1])
    lines = "\n".join(grid_lines(table))
    for name in SUMMARISED.values():
        assert name.format(measure="χ(∇h²)") in lines
    partial = table.frame[table.frame["words"].isna()]
    assert partial["epoch"].unique() == [2] and len(partial) == 8 * 2 * 4
    row = partial.query("role == 'target' and tensor == 'grad_h_2' and statistic == 'pearson_log'").set_index("given")
    value = row.loc["surprisal", "value"]
    assert f"{value:z.2f}".replace("-", "−") in next(
        line for line in grid_lines(table)[::-1] if line.startswith("ρ←(∇h²)")
    )


def test_a_text_without_classes_has_dashes(tmp_path):
    table = make_table(tmp_path, [1, 2], classes=False)
    rows = table.frame.set_index(["quantity", "words"])
    assert rows.loc[("age", "open"), "n"] == 0 and np.isnan(rows.loc[("age", "open"), "value"])
    assert np.isfinite(rows.loc[("age", "all"), "value"])
    assert "– (0)" in "\n".join(grid_lines(table))


def test_on_characters_nothing_is_said_of_words(tmp_path):
    lines = "\n".join(grid_lines(make_table(tmp_path, [1], unit="character", classes=False)))
    assert "share of acquired characters forgotten" in lines and "word" not in lines


def test_a_run_that_acquires_nothing_has_a_table(tmp_path):
    rows = make_table(tmp_path, [1], drop=0.1).frame.set_index(["quantity", "words"])
    assert rows.loc[("acquired", "all"), "value"] == 0 and np.isnan(rows.loc[("age", "all"), "value"])


def test_files_that_do_not_belong_together_are_refused(tmp_path):
    a1, q1 = write_acquisition(tmp_path, 1)
    a2, q2 = write_acquisition(tmp_path, 2)
    other = tmp_path / "other"
    a3, q3 = write_acquisition(other, 1, model="gru")
    for a, q, message in (
        ([a1, a2], [q1], r"--partials: has seeds 1, but --acquisition has seeds 1, 2"),
        ([a1, a1, a2], [q1, q2], r"second file of seed 1"),
        ([a1], [q3], r"model is 'gru'"),
    ):
        with pytest.raises(UserError, match=message):
            tabulate(acquisition, acquisition=list(map(str, a)), partials=list(map(str, q)))
    for key in ("words", "tokens"):
        odd = []
        for path in (a2, q2):
            frame, about = files.read_parquet(path, files.read_schema(path).names), files.read_metadata(path)
            odd.append(tmp_path / f"odd-{path.name}")
            files.write_parquet(odd[-1], frame, about | {key: "another"})
        with pytest.raises(UserError, match=f"{key} is 'another', but in"):
            tabulate(acquisition, acquisition=[str(a1), str(odd[0])], partials=[str(q1), str(odd[1])])
    frame, metadata = files.read_parquet(q1, files.read_schema(q1).names), files.read_metadata(q1)
    files.write_parquet(q1, frame, metadata | {"checkpoints": {"init": "another"}})
    with pytest.raises(UserError, match=r"q1.parquet: does not belong to .*a1.parquet \(different checkpoints\)"):
        tabulate(acquisition, acquisition=[a1], partials=[q1])


def test_a_median_at_the_first_trained_checkpoint_is_an_upper_bound():
    row = {"quantity": "age", "value": 1120.0000001, "low": 1120, "high": 2000, "n": 9}
    assert acquisition.format_cell(row, 1120) == "≤ 1,120 [1,120, 2,000] (9)"
    assert acquisition.format_cell(row, 1119) == "1,120 [1,120, 2,000] (9)"
    assert acquisition.format_cell(row | {"quantity": "measure_lag", "value": -1}, 1120).startswith("−1.00 [")

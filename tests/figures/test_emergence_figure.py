"""The emergence figure: every checkpoint once, on a log axis with the untrained model set apart, beside its control."""

import numpy as np
import pandas as pd
import pytest

from example_products import describe_depth, parse, write_correlations
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.figures import emergence
from natural_sparsity.figures.courses import CONTROL, OWN
from natural_sparsity.figures.emergence import CLASS_EFFECT, CORRELATION, EPOCH_END
from natural_sparsity.figures.style import BAND, Style
from natural_sparsity.figures.tokens import UNTRAINED, choose_ticks, place_tokens, write_count

COURSE = [(0, 0), (1, 1000), (2, 2000), (3, 3000)]
STEPS = [(0, 0), (0, 10), (0, 100), (1, 1000)]
SETS = ["all", "open", "closed"]


def make_correlations(path, seed, times, layers=2, scale=1.0, **metadata):
    """Correlations that depend on the seed and the checkpoint alone, so that files share those they both have."""
    rows = []
    for epoch, steps in times:
        rng = np.random.default_rng([seed, steps])
        for role in ("target", "input"):
            for tensor in describe_depth(layers):
                for words in SETS:
                    for statistic in ("pearson", "pearson_log", "mean"):
                        value = scale * rng.random() * np.log1p(steps) / 10
                        rows.append((epoch, steps, role, tensor, "chi", words, statistic, value, len(words)))
    columns = ["epoch", "steps", "role", "tensor", "measure", "words", "statistic", "value", "n"]
    frame = pd.DataFrame(rows, columns=columns)
    frame = frame.assign(low=frame["value"] - 0.01, high=frame["value"] + 0.02)
    return write_correlations(path, frame, seed=seed, **metadata)


def make_differences(path, seed, correlations):
    """The open class's mean less the closed class's, as ``correlate`` writes it."""
    frame = pd.read_parquet(correlations).query("statistic == 'mean'")
    keys = ["epoch", "steps", "tokens", "role", "tensor", "measure", "statistic"]
    sides = [frame[frame["words"] == name].set_index(keys)["value"] for name in ("open", "closed")]
    rows = (sides[0] - sides[1]).rename("value").reset_index()
    rows = rows.assign(words="open", against="closed", kind="words", n=5)
    return write_correlations(path, rows.assign(low=rows["value"] - 0.3, high=rows["value"] + 0.1), seed=seed)


@pytest.fixture
def given(tmp_path):
    """Files by option, for some seeds."""

    def make(seeds, **more):
        options = {"correlations": [], "differences": [], "first-epoch": [], "control": [], "control-first-epoch": []}
        mixed = {"data": "mixed", "scale": 0.1}
        for seed in seeds:
            course = make_correlations(tmp_path / f"c{seed}.parquet", seed, COURSE, **more)
            options["correlations"].append(course)
            options["differences"].append(make_differences(tmp_path / f"d{seed}.parquet", seed, course))
            options["first-epoch"].append(make_correlations(tmp_path / f"f{seed}.parquet", seed, STEPS, **more))
            options["control"].append(make_correlations(tmp_path / f"x{seed}.parquet", seed, COURSE, **more, **mixed))
            steps = make_correlations(tmp_path / f"y{seed}.parquet", seed, STEPS, **more, **mixed)
            options["control-first-epoch"].append(steps)
        return options

    return make


def draw(options):
    """The table and the figure."""
    style = Style()
    with style.apply():
        table, figure = emergence.draw(
            parse(emergence, **{name: each for name, each in options.items() if each}), style
        )
        figure.draw_without_rendering()
    return table, figure


def test_every_checkpoint_of_both_files_is_drawn_once(given):
    options = given([1])
    table, _ = draw(options)
    for kind, scale in ((OWN, 1), (CONTROL, 0.1)):
        lines = table[(table["kind"] == kind) & (table["quantity"] == CORRELATION)]
        drawn = dict(list(lines.groupby(["role", "tensor"])))
        assert set(drawn) == {("target", "grad_h_2"), ("input", "h_e"), ("input", "h_1")}
        for (role, tensor), line in drawn.items():
            assert line["tokens"].tolist() == [0, 700, 7000, 70_000, 140_000, 210_000]
            for path in (options["correlations"][0], options["first-epoch"][0]):
                rows = pd.read_parquet(path).query("words == 'all' and statistic == 'pearson_log'")
                rows = rows[(rows["role"] == role) & (rows["tensor"] == tensor)].set_index("steps")["value"]
                np.testing.assert_allclose(line.set_index("steps").loc[rows.index, "value"], scale * rows)


def test_differences_of_the_run_and_of_its_first_epoch_have_the_ends_in_common(given, tmp_path):
    options = given([1])
    once, _ = draw(options)
    inside = make_differences(tmp_path / "inside.parquet", 1, options["first-epoch"][0])
    table, _ = draw(options | {"differences": [*options["differences"], inside]})
    assert not table.duplicated(["kind", "quantity", "role", "tensor", "epoch", "steps"]).any()
    pd.testing.assert_frame_equal(table.drop(columns=["low", "high"]), once.drop(columns=["low", "high"]))
    assert table.loc[table["quantity"].eq(CLASS_EFFECT) & table["kind"].eq(OWN), "low"].notna().all()


def test_a_longer_control_is_drawn_until_the_runs_end(given, tmp_path):
    options = given([1])
    longer = make_correlations(tmp_path / "x.parquet", 1, [*COURSE, (4, 4000)], scale=0.1, data="mixed")
    pd.testing.assert_frame_equal(draw(options | {"control": [longer]})[0], draw(options)[0])


def test_the_class_effect_is_closed_less_open_with_its_interval_turned_round(given):
    options = given([1])
    table, _ = draw(options)
    effect = table[(table["quantity"] == CLASS_EFFECT) & (table["kind"] == OWN)].set_index("steps")
    rows = pd.read_parquet(options["differences"][0]).query("role == 'target' and tensor == 'grad_h_2'")
    rows = rows.set_index("steps")
    assert effect.index.tolist() == [0, 10, 100, 1000, 2000, 3000]
    np.testing.assert_allclose(effect.loc[rows.index, "value"], -rows["value"])
    np.testing.assert_allclose(effect.loc[rows.index, "low"], -rows["high"])
    np.testing.assert_allclose(effect.loc[rows.index, "high"], -rows["low"])
    assert effect.loc[[10, 100], ["low", "high"]].isna().all(axis=None)  # no differences were given there


def test_seeds_are_averaged_with_their_spread(given):
    table, figure = draw(given([1, 2, 3]))
    line = table[(table["kind"] == OWN) & (table["tensor"] == "h_e")].set_index("steps")
    rows = [
        pd.read_parquet(path).query("words == 'all' and statistic == 'pearson_log'")
        for path in given([1, 2, 3])["correlations"]
    ]
    values = [part[(part["role"] == "input") & (part["tensor"] == "h_e")].set_index("steps")["value"] for part in rows]
    expected = pd.concat(values, axis=1)
    np.testing.assert_allclose(line.loc[expected.index, "value"], expected.mean(axis=1))
    np.testing.assert_allclose(line.loc[expected.index, "sd"], expected.std(axis=1))
    assert any("3 seeds" in text.get_text() for text in figure.legends[0].texts)


def test_the_axis_is_of_tokens_with_the_untrained_model_set_apart(given):
    _, figure = draw(given([1]))
    above, below = figure.axes
    assert below.get_xscale() == "log" and below.get_xlabel() == "tokens seen in training"
    assert below.get_xticklabels()[0].get_text() == UNTRAINED
    [line] = [line for line in above.lines if line.get_gid() == "correlation target grad_h_2"]
    x = line.get_xdata()
    assert x[1:].tolist() == [700, 7000, 70_000, 140_000, 210_000] and 0 < x[0] < 700 / 2
    assert below.get_xticks()[0] == x[0]
    ends = [line.get_xdata()[0] for line in above.lines if line.get_gid() == EPOCH_END]
    assert ends == [70_000]
    assert any(line.get_gid() == f"{CONTROL} correlation input h_1" for line in above.lines)


def test_without_classes_there_is_one_panel(given):
    options = given([1])
    for paths in options.values():
        for path in paths:
            frame, metadata = pd.read_parquet(path), files.read_metadata(path)
            frame.loc[frame["words"] != "all", ["value", "low", "high"]] = np.nan
            write_correlations(path, frame, **metadata)
    table, figure = draw(options)
    assert len(figure.axes) == 1 and CLASS_EFFECT not in set(table["quantity"])


@pytest.mark.parametrize("layers", [1, 3])
def test_the_gradient_is_the_top_layers(given, layers):
    table, _ = draw(given([1], layers=layers))
    tensors = table.loc[table["quantity"] == CORRELATION, ["role", "tensor"]].drop_duplicates()
    assert set(map(tuple, tensors.to_numpy())) == {("target", f"grad_h_{layers}"), ("input", "h_e"), ("input", "h_1")}


def test_bands_only_if_wanted(given):
    options = given([1])
    args = parse(emergence, **options)
    style = Style(intervals=False)
    with style.apply():
        table, figure = emergence.draw(args, style)
    assert "low" not in table
    assert not [artist for ax in figure.axes for artist in ax.collections if artist.get_gid() == BAND]


def test_files_of_other_runs_are_refused(given, tmp_path):
    options = given([1])
    other = make_correlations(tmp_path / "other.parquet", 2, STEPS)
    for changed, message in (
        ({"first-epoch": [other]}, "seed 2 has no file in --correlations"),
        ({"first-epoch": [make_correlations(tmp_path / "gru.parquet", 1, STEPS, model="gru")]}, "model is 'gru'"),
        (
            {"first-epoch": [make_correlations(tmp_path / "z.parquet", 1, STEPS, checkpoints={"init": "another"})]},
            r"z.parquet: does not belong to .*c1.parquet \(different checkpoint\)",
        ),
        ({"control": []}, "--control-first-epoch: give --control"),
        ({"control": [make_correlations(tmp_path / "l1.parquet", 1, COURSE, 1, data="mixed")]}, "tensors is"),
        (
            {"correlations": [make_correlations(tmp_path / "c0.parquet", 1, [(0, 0)])], "first-epoch": []},
            "only of the untrained model",
        ),
        (
            {"correlations": [options["correlations"][0], make_correlations(tmp_path / "c2.parquet", 2, COURSE)]}
            | {"control": [], "control-first-epoch": []},
            r"f1.parquet: its option has seeds \[1\], and --correlations \[1, 2\]",
        ),
    ):
        with pytest.raises(UserError, match=message):
            draw(options | changed)


@pytest.mark.parametrize(
    ("first", "last", "ticks"),
    [
        (1400, 1.1e6, ["3 k", "10 k", "30 k", "100 k", "300 k", "1 M"]),
        (137_080, 1.1e6, ["200 k", "500 k", "1 M"]),
        (3e6, 5e9, ["10 M", "100 M", "1 G"]),
        (800, 900, ["800", "900"]),
        (18_000, 24_000, ["18 k", "24 k"]),
    ],
)
def test_ticks_are_round_and_few(first, last, ticks):
    assert [write_count(tick) for tick in choose_ticks(first, last, 6)] == ticks


def test_places_are_tokens_but_for_the_untrained_model():
    assert place_tokens([0, 10, 1000], [0, 10, 1000]).tolist() == [5, 10, 1000]
    assert place_tokens([10, 1000], [10, 1000]).tolist() == [10, 1000]

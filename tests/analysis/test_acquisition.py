"""Ages of acquisition, lead and lag, and partial correlations, each against an independent route."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit

from example_products import describe_depth, write_probe, write_words
from natural_sparsity import files
from natural_sparsity.analysis import acquisition
from natural_sparsity.analysis.acquisition import (
    DATED,
    EARLIER,
    NEVER,
    VARIABLES,
    correlate_all,
    correlate_partially,
    describe_words,
    median,
    partial,
    summarise,
)
from natural_sparsity.analysis.statistics import resampling_weights
from natural_sparsity.cli import main
from natural_sparsity.config.statistics import Statistics

TOKENS = np.array([0, 100, 200, 400, 800])
FLAT = [0.1, 0.1, 0.1, 0.1, 0.1]


def describe(surprisal, measure=FLAT, tokens=TOKENS):
    """What is found of one word, or of several."""
    surprisal, measure = np.atleast_2d(surprisal).astype(float), np.atleast_2d(measure).astype(float)
    return describe_words(surprisal, np.broadcast_to(measure, surprisal.shape), tokens)


def test_the_age_is_half_way_down_over_log_tokens():
    # Half of 9 to 1 is 5, three quarters of the way from 8 to 4.
    [word] = describe([9, 9, 8, 4, 1]).to_dict("records")
    assert word["age"] == pytest.approx(200 * 2**0.75) and word["status"] == DATED
    assert (word["surprisal_untrained"], word["surprisal_least"], word["surprisal_last"]) == (9, 1, 1)


def test_a_passing_dip_is_no_acquisition():
    # The raw curve first passes 5, half of 9 to 1, before 100 tokens; the monotone one pools the dip with what follows.
    dip = describe([9, 4.9, 8.9, 3, 1])["age"].item()
    pooled = describe([9, 6.9, 6.9, 3, 1])["age"].item()
    assert dip == pooled == pytest.approx(200 * 2 ** (1.9 / 3.9))


def test_a_rise_before_the_fall_moves_no_date():
    # Rare words first lose probability to frequent ones. Half-way is between the untrained value and the least.
    assert describe([9, 11, 9, 7, 3])["age"].item() == pytest.approx(400 * 2 ** ((3 - 2) / (6 - 2)))


@pytest.mark.parametrize(
    ("curve", "status"),
    [
        ([9, 9, 9, 8.5, 8.4], NEVER),  # a drop of less than a bit
        ([9, 9.5, 10, 11, 12], NEVER),  # a rise
        ([9, 9, 9, 9, 8.3], DATED),
        ([9, 3, 2, 1, 1], EARLIER),
        ([9, 5, 2, 1, 1], EARLIER),  # half-way at the first checkpoint: at most that age
        ([9, 5.1, 2, 1, 1], DATED),
        ([9, np.nan, 2, 1, 1], ""),
    ],
)
def test_what_is_known_of_a_date(curve, status):
    word = describe(curve)
    assert word["status"].item() == status
    assert np.isfinite(word["age"].item()) == (status == DATED)


def test_forgetting_is_the_rise_after_the_least():
    words = describe([[9, 8, 1, 1, 4.9], [9, 8, 1, 1, 5.1], [9, 9.5, 10, 11, 12], [9, 8, 4, 2, 1]])
    assert words["forgetting"].tolist() == pytest.approx([3.9, 4.1, 2.5, 0])
    # Above half-way (5) again; nothing to forget where nothing was acquired.
    assert words["forgotten"].tolist() == [False, True, pd.NA, False]


def test_a_measure_leads_where_it_is_half_way_first():
    surprisal = [9, 9, 8, 4, 1]
    leads, lags, never = (
        describe(surprisal, curve).iloc[0] for curve in ([1, 1, 2, 2, 2], [2, 2, 2, 2, 1], [1, 1, 1, 1, 1.04])
    )
    assert leads["measure_age"] == pytest.approx(100 * 2**0.5) and lags["measure_age"] == pytest.approx(400 * 2**0.5)
    assert leads["measure_lag"] == pytest.approx(0.5 - 1.75) and lags["measure_lag"] == pytest.approx(2.5 - 1.75)
    assert never["measure_status"] == NEVER and np.isnan(never["measure_lag"])


def test_what_all_words_share_is_no_lead_of_the_relative_measure():
    shared = np.array([1, 1.5, 1.5, 1.5, 1.5])
    measure = np.stack([shared + [0, 0, 0, 0, 0.3], shared, shared - [0, 0, 0, 0, 0.3]])
    words = describe([[9, 9, 8, 4, 1]] * 3, measure)
    assert words["measure_status"].tolist() == [EARLIER] * 3
    assert words["relative_status"].tolist() == [DATED, NEVER, DATED]
    assert words["relative_age"].dropna().tolist() == pytest.approx([400 * 2**0.5] * 2)


@given(
    st.lists(st.floats(-3, 3), min_size=4, max_size=12),
    st.floats(0.5, 3),
    st.integers(1, 50),
)
def test_dates_lie_in_training_and_scale_with_its_length(way, scale, factor):
    curve = 9 - np.cumsum([0.0, *np.abs(way[:1]), *way[1:]])
    tokens = np.array([0, *(100 * 2 ** np.arange(len(way)))])
    word = describe(curve, np.zeros(len(curve)), tokens)
    longer = describe(curve, np.zeros(len(curve)), tokens * factor)
    if word["status"].item() == DATED:
        lowest = 1 + np.argmin(curve[1:])
        assert tokens[1] < word["age"].item() <= tokens[lowest]
        assert longer["age"].item() == pytest.approx(factor * word["age"].item())


def test_ages_agree_with_the_sigmoids_of_chang_and_bergen():
    """Their route: a sigmoid over log steps by least squares, and where it is half-way from chance to the least."""
    rng = np.random.default_rng(0)
    tokens = np.array([0, *np.unique(np.geomspace(100, 1e6, 60).astype(int))])
    log = np.log(tokens[1:])
    middle, width, low = rng.uniform(7, 12, 40), rng.uniform(0.3, 0.8, 40), rng.uniform(1, 6, 40)

    def sigmoid(x, upper, lower, middle, width):
        return lower + (upper - lower) / (1 + np.exp((x - middle) / width))

    ratios, curves = [], []
    for each in zip(low, middle, width, strict=True):
        curve = sigmoid(log, 9, *each) + rng.normal(0, 0.1, len(log))
        fitted = curve_fit(sigmoid, log, curve, [9, each[0], 9, 0.5], maxfev=10_000)[0]
        grid = np.linspace(log[0], log[-1], 100_000)
        half = (9 + curve.min()) / 2
        ratios.append(grid[np.argmax(sigmoid(grid, *fitted) <= half)])
        curves.append([9, *curve])
    ages = describe(np.array(curves), np.zeros(len(tokens)), tokens)["age"]
    assert np.abs(np.log2(ages) - np.array(ratios) / np.log(2)).max() < 0.25  # of an octave; checkpoints are 0.23 apart


def draw_variables(n, seed=0):
    """Made-up columns by VARIABLES that depend on each other."""
    rng = np.random.default_rng(seed)
    counts = np.exp(rng.normal(2, 1, n))
    surprisal = 9 - np.log(counts) + rng.normal(0, 1, n)
    norm = 0.3 * surprisal + rng.normal(0, 1, n)
    measure = 0.1 * np.log(counts) - 0.2 * surprisal + 0.3 * norm + rng.normal(0, 1, n)
    return np.stack([counts, np.log(counts), measure, surprisal, norm], 1)


@pytest.mark.parametrize("given", [[], [3], [4], [3, 4], [4, 3]])
def test_partial_correlations_are_those_of_residuals_in_every_resample(given):
    variables = draw_variables(60)
    weights = resampling_weights(60, 20, (1,))
    correlations = correlate_all(variables, weights)
    for row, all_of_it in zip(weights, correlations, strict=True):
        drawn = np.repeat(variables, row.astype(int), axis=0)
        design = np.column_stack([np.ones(len(drawn)), drawn[:, given]])
        for x in (0, 1):
            left = [drawn[:, i] - design @ np.linalg.lstsq(design, drawn[:, i], rcond=None)[0] for i in (x, 2)]
            assert partial(all_of_it[None], x, 2, given).item() == pytest.approx(np.corrcoef(left)[0, 1])


def test_nothing_is_left_of_a_variable_that_is_given():
    variables = draw_variables(50)
    variables[:, 3] = 2 * variables[:, 1] + 1  # surprisal is log frequency
    variables[7, 4] = -np.inf  # a word whose vectors are all zero
    rows = pd.DataFrame(correlate_partially(variables, resampling_weights(50, 100, (1,)), 0.95))
    rows = rows.set_index(["statistic", "given"])
    assert rows.loc[("pearson_log", "surprisal"), ["value", "low", "high"]].isna().all()
    assert np.isfinite(rows.loc[("pearson", "surprisal"), "value"])
    assert (rows["n"] == 49).all()
    kept = np.delete(variables, 7, 0)
    expected = np.corrcoef(kept[:, VARIABLES.index("log frequency")], kept[:, VARIABLES.index("measure")])[0, 1]
    assert rows.loc[("pearson_log", ""), "value"] == pytest.approx(expected)


@settings(max_examples=50)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.integers(0, 100))
def test_the_median_is_that_of_the_words_drawn(values, seed):
    weights = resampling_weights(len(values), 10, (seed,))
    expected = [np.median(np.repeat(values, row.astype(int))) for row in weights]
    assert median(np.array(values), weights, np.zeros(len(values))) == pytest.approx(expected)


def make_words(**columns):
    """A table of words as ``acquire`` writes it: by default all dated, at 100 tokens."""
    n = len(next(iter(columns.values())))
    frame = pd.DataFrame({"id": np.arange(2, n + 2), "count": np.arange(n, 0, -1), "pos_class": "open"})
    frame = frame.assign(matched=False, pair=np.int32(-1), age=100.0, status=DATED, forgetting=0.0, forgotten=False)
    for curve in acquisition.CURVES:
        frame = frame.assign(**{f"{curve}_age": 50.0, f"{curve}_status": DATED, f"{curve}_lag": -1.0})
    return frame.assign(**columns)


def look_up(frame, quantity, words="all", resamples=200):
    """One row of the summary."""
    rows = summarise(frame, 10, Statistics(resamples=resamples)).set_index(["quantity", "words"])
    return rows.loc[(quantity, words)]


def test_shares_and_medians_count_what_is_known():
    status = [DATED, DATED, EARLIER, NEVER, ""]
    frame = make_words(status=status, age=[80.0, 20.0, np.nan, np.nan, np.nan])
    assert look_up(frame, "acquired")[["value", "n"]].tolist() == [0.75, 4]
    assert look_up(frame, "earlier")[["value", "n"]].tolist() == [0.25, 4]
    assert look_up(frame, "age")[["value", "n"]].tolist() == pytest.approx([20, 3])  # of 10 (at most), 20, 80


def test_a_word_past_half_way_at_once_has_an_order_but_no_lag():
    frame = make_words(
        status=[DATED, EARLIER, EARLIER, DATED, NEVER, DATED],
        age=[100, np.nan, np.nan, 100, np.nan, 100],
        measure_status=[EARLIER, DATED, EARLIER, DATED, DATED, NEVER],
        measure_age=[np.nan, 50, np.nan, 200, 50, np.nan],
        measure_lag=[np.nan, np.nan, np.nan, 1, np.nan, np.nan],
    )
    # It leads in the first, lags in the second and the fourth; of the others nobody knows.
    assert look_up(frame, "measure_leads")[["value", "n"]].tolist() == pytest.approx([1 / 3, 3])
    assert look_up(frame, "measure_lag")[["value", "n"]].tolist() == [1, 1]


def test_correlations_of_ages_with_frequency_are_those_of_scipy():
    from scipy.stats import pearsonr, spearmanr

    rng = np.random.default_rng(3)
    age = np.exp(rng.normal(5, 1, 40))
    early = age < 60
    frame = make_words(age=np.where(early, np.nan, age), status=np.where(early, EARLIER, DATED))
    tied = np.where(early, 10, age)
    row = look_up(frame, "age_spearman")
    assert row["value"] == pytest.approx(spearmanr(frame["count"], tied).statistic) and row["n"] == 40
    row = look_up(frame, "age_pearson_log")
    expected = pearsonr(np.log(frame["count"][~early]), np.log(age[~early])).statistic
    assert row["value"] == pytest.approx(expected) and row["n"] == (~early).sum()
    assert row["low"] < row["value"] < row["high"]


WORDS = 40
TIMES = [(0, 0), (0, 8), (0, 64), (1, 500), (2, 1000)]


@pytest.fixture
def run(tmp_path):
    """Probes of the untrained model, two steps and two epochs of a made-up run, and its words."""
    rng = np.random.default_rng(5)
    classes = np.array(["open", "closed"])[rng.integers(0, 2, WORDS)]
    frame = pd.DataFrame({"id": range(WORDS), "word": [f"w{i}" for i in range(WORDS)], "pos_class": classes})
    frame.loc[:1, "pos_class"] = None
    write_words(tmp_path / "words.parquet", frame.assign(count=rng.integers(1, 500, WORDS)))
    index = pd.MultiIndex.from_product([range(WORDS), ["target", "input"], describe_depth(2)])
    keys = index.set_names(["id", "role", "tensor"]).to_frame(index=False)
    for epoch, steps in TIMES:
        numbers = {"chi_mean": 0.08 + 0.02 * rng.random(len(keys)), "l1_mean": 1.0, "l2_mean": rng.random(len(keys))}
        surprisal = (9 - 0.006 * steps * rng.random(WORDS))[keys["id"]] - 0.01 * (keys["role"] == "input")
        name = f"epoch{epoch}" if epoch else f"step{steps}" if steps else "init"
        write_probe(tmp_path / f"{name}.parquet", keys.assign(**numbers, surprisal_mean=surprisal), epoch, steps)
    return tmp_path


def acquire(folder, names=("init", "step8", "step64", "epoch1", "epoch2"), *more):
    """Run the command; the words and partial correlations that it writes."""
    probes = [str(folder / f"{name}.parquet") for name in names]
    outputs = ["--acquisition", f"{folder}/a.parquet", "--partials", f"{folder}/q.parquet"]
    main(["acquire", "--probes", *probes, "--words", f"{folder}/words.parquet", *outputs, *more])
    return pd.read_parquet(folder / "a.parquet"), pd.read_parquet(folder / "q.parquet")


def test_given_nothing_it_is_the_correlation_that_correlate_writes(run):
    _, partials = acquire(run)
    probes = [str(run / f"{name}.parquet") for name in ("step8", "init", "epoch2", "epoch1", "step64")]
    out = run / "c.parquet"
    main(["correlate", "--probes", *probes, "--words", f"{run}/words.parquet", "--correlations", str(out)])
    keys = ["epoch", "steps", "tokens", "role", "tensor", "measure", "statistic"]
    both = partials[partials["given"] == ""].merge(pd.read_parquet(out).query("words == 'all'"), on=keys)
    assert len(both) == len(TIMES) * 2 * 4 * 2
    for name in ("value", "low", "high", "n"):
        np.testing.assert_allclose(both[f"{name}_x"], both[f"{name}_y"], rtol=1e-9, atol=1e-12)


def test_a_row_per_word_has_its_curves_in_the_order_of_training(run):
    shuffled = ("epoch2", "step64", "init", "epoch1", "step8")
    words, _ = acquire(run, shuffled)
    course = files.read_metadata(run / "a.parquet")["course"]
    assert [(time["epoch"], time["steps"]) for time in course] == TIMES
    assert words["id"].tolist() == list(range(2, WORDS))
    probe = pd.read_parquet(run / "step64.parquet").query("role == 'target' and tensor == 'grad_h_2'").set_index("id")
    for row in words.iloc[[0, 17]].to_dict("records"):
        assert row["surprisal_curve"][2] == probe.loc[row["id"], "surprisal_mean"]
        assert row["measure_curve"][2] == probe.loc[row["id"], "chi_mean"]
        assert row["surprisal_last"] == row["surprisal_curve"][-1]


@pytest.mark.parametrize(
    ("names", "more", "message"),
    [
        (["epoch1", "epoch2"], [], "epoch1.parquet: .* ages need .* untrained"),
        (["init"], [], "init.parquet: .* ages need"),
        (["init", "epoch1", "epoch1"], [], "second probe of epoch1"),
        (["init", "epoch1"], ["--expect", '{"seed": 2}'], "seed"),
    ],
)
def test_what_cannot_be_dated_is_refused_in_one_line(run, names, more, message):
    with pytest.raises(SystemExit, match=message) as refusal:
        acquire(run, names, *more)
    assert "\n" not in str(refusal.value)
    assert not (run / "a.parquet").exists()


def test_a_probe_without_surprisal_is_refused(run):
    frame = pd.read_parquet(run / "epoch1.parquet").drop(columns="surprisal_mean")
    write_probe(run / "epoch1.parquet", frame, 1, 500)
    with pytest.raises(SystemExit, match=r"epoch1.parquet: no column 'surprisal_mean'"):
        acquire(run)

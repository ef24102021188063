"""Several seeds: means and spread as numpy has them; one seed: as if there were no such thing."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from example_products import describe_depth, write_correlations, write_probe, write_state, write_words
from natural_sparsity.analysis import products as inputs
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import fig3, training
from natural_sparsity.figures.style import BAND, Style, name_measure, write_measure

TENSORS = describe_depth(2)
SETS = ["all", "open", "closed", "open_matched", "closed_matched"]
EPOCHS, SEEDS = [1, 2, 3], [4, 2, 11]
KEYS = ["epoch", "role", "tensor", "words"]
WORDS = [f"w{i}" for i in range(12)]


def values(seed, measure="chi"):
    """A value for each place in the tables, from the seed."""
    return np.random.default_rng([seed, measure == "chi"])


@pytest.fixture
def products(tmp_path):
    """Three seeds' correlations, probes and checkpoints; only seed 11's learning rate drops, after epoch 2."""
    roles = ["target", "input"]
    index = pd.MultiIndex.from_product([EPOCHS, roles, TENSORS, SETS], names=KEYS).to_frame(index=False)
    words = {
        "id": range(12),
        "word": WORDS,
        "count": range(120, 0, -10),
        "tagged": 9,
        "share": 1.0,
        "pos_class": "open",
    }
    write_words(tmp_path / "words.parquet", pd.DataFrame(words))
    for seed in SEEDS:
        frames = []
        for measure in ("chi", "gini"):
            frame = index.assign(measure=measure, statistic="pearson", value=values(seed, measure).random(len(index)))
            frames.append(frame.assign(low=0.0, high=1.0, n=50 + seed))
        write_correlations(tmp_path / f"c{seed}.parquet", pd.concat(frames), seed=seed)
        for epoch in EPOCHS:
            rng = np.random.default_rng([seed, epoch])
            frame = pd.DataFrame({"id": range(12), "role": "target", "tensor": "grad_h_2"})
            frame = frame.assign(chi_mean=rng.random(12), gini_mean=rng.random(12))
            measures = ["chi", "gini"]
            write_probe(tmp_path / f"p{seed}-{epoch}.parquet", frame, seed=seed, epoch=epoch, measures=measures)
            losses = {"train_loss": 6 / epoch + seed, "dev_loss": 7 / epoch + seed}
            rates = {"learning_rate_in": 5 if seed == 11 and epoch == 3 else 20}
            rates["learning_rate_out"] = 5 if seed == 11 and epoch > 1 else 20
            write_state(tmp_path / f"s{seed}-{epoch}.json", seed=seed, epoch=epoch, **losses, **rates)
    return tmp_path


def draw(folder, figure, seeds, *more):
    """The CSV that the command writes."""
    given = {
        "--correlations": [f"{folder}/c{seed}.parquet" for seed in seeds],
        "--probes": [f"{folder}/p{seed}-{epoch}.parquet" for seed in seeds for epoch in EPOCHS],
        "--checkpoints": [f"{folder}/s{seed}-{epoch}.json" for seed in seeds for epoch in EPOCHS],
        "--words": [f"{folder}/words.parquet"],
    }
    wanted = {"training": ["--checkpoints"], "fig2": ["--probes", "--words"], "fig5": ["--probes", "--words"]}
    wanted["fig4"] = ["--correlations", "--checkpoints", "--words"]
    flags = wanted.get(figure, ["--correlations", "--checkpoints"])
    threshold = ["--threshold", "1"] if figure in ("fig2", "fig5") else []
    paths = [part for flag in flags for part in (flag, *given[flag])]
    main(["draw", figure, *paths, *threshold, *more, "--output", f"{folder}/out"])
    return pd.read_csv(folder / "out.csv")


@pytest.mark.integration
@pytest.mark.parametrize("measure", ["chi", "gini"])
def test_fig3_has_the_mean_and_sample_deviation_over_seeds(products, measure):
    table = draw(products, "fig3a", SEEDS, "--measure", measure).query("kind == 'correlation'")
    frames = [pd.read_parquet(products / f"c{seed}.parquet") for seed in SEEDS]
    frames = [frame[frame["measure"] == measure] for frame in frames]
    expected = np.stack(
        [
            f.query("role == 'target' and words == 'all'").set_index(["tensor", "epoch"])["value"].sort_index()
            for f in frames
        ]
    )
    found = table.set_index(["tensor", "epoch"]).sort_index()
    np.testing.assert_allclose(found["rho"], expected.mean(0))
    np.testing.assert_allclose(found["sd"], expected.std(0, ddof=1))
    np.testing.assert_allclose(found["high"] - found["rho"], expected.std(0, ddof=1))
    assert set(found["seeds"]) == {3} and set(found["n"]) == {52}


def test_one_seed_has_no_spread_and_is_that_seed(products):
    table = draw(products, "fig3a", [2])
    assert not {"sd", "seeds", "low"} & set(table)
    frame = pd.read_parquet(products / "c2.parquet").query("measure == 'chi' and role == 'target' and words == 'all'")
    points = table.query("kind == 'correlation'").merge(frame, on=["tensor", "epoch"])
    assert len(points) == 24 and (points["rho"] == points["value"]).all()


def test_the_band_of_fig3_is_named_as_the_seeds_spread(products):
    correlations = inputs.read_correlations([products / f"c{seed}.parquet" for seed in SEEDS], "chi", "pearson")
    with Style().apply():
        means = inputs.average_over_seeds(correlations, KEYS).assign(kind="correlation")
        figure = fig3.plot(fig3.select_points(means, [2], "target"), Style())
    assert "mean ± 1 s.d. of 3 seeds" in [text.get_text() for text in figure.legends[0].get_texts()]
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
    bands = [c for c in figure.axes[0].collections if isinstance(c, PolyCollection) and c.get_gid() == BAND]
    assert len(bands) == len(TENSORS)


@pytest.mark.integration
@pytest.mark.parametrize("figure", ["fig2", "fig5"])
@pytest.mark.parametrize("measure", ["chi", "gini"])
def test_words_have_the_mean_over_seeds_of_the_measure_asked_for(products, figure, measure):
    table = draw(products, figure, SEEDS, "--measure", measure)
    table = table[table["epoch"] == 3] if figure == "fig2" else table.query("kind == 'word'")
    probes = [pd.read_parquet(products / f"p{seed}-3.parquet").set_index("id")[f"{measure}_mean"] for seed in SEEDS]
    found = table.set_index("id").sort_index().loc[2:]
    expected = np.stack(probes)[:, 2:]
    np.testing.assert_allclose(found[measure], expected.mean(0))
    np.testing.assert_allclose(found["sd"], expected.std(0, ddof=1))


def test_training_has_the_mean_loss_and_every_seeds_rate(products):
    table = draw(products, "training", SEEDS)
    mean = table[table["seed"] == "mean"].set_index("epoch")
    np.testing.assert_allclose(mean["dev_loss"], [7 / epoch + np.mean(SEEDS) for epoch in EPOCHS])
    np.testing.assert_allclose(mean["train_sd"], np.std(SEEDS, ddof=1))
    checkpoints = inputs.read_checkpoints(sorted(products.glob("s*.json")))
    with Style().apply():
        figure = training.plot(training.list_epochs(checkpoints), Style())
    rates = {
        line.get_gid(): list(line.get_ydata()) for line in figure.axes[1].get_lines() if "rate" in str(line.get_gid())
    }
    assert {f"learning_rate {seed}" for seed in SEEDS} <= set(rates)
    assert rates["learning_rate 11"] == [20, 20, 5] and rates["learning_rate 2"] == [20, 20, 20]


@pytest.mark.integration
def test_a_drop_is_marked_once_for_each_seed_that_had_it(products):
    assert draw(products, "fig4", SEEDS).query("kind == 'learning_rate_drop'")["epoch"].tolist() == [2]
    for epoch in EPOCHS:
        after = 5 if epoch == 2 else 20
        write_state(products / f"s2-{epoch}.json", seed=2, epoch=epoch, learning_rate_out=after)
    assert draw(products, "fig4", SEEDS).query("kind == 'learning_rate_drop'")["epoch"].tolist() == [2, 2]


def test_what_does_not_belong_together_is_refused(products):
    paths = [products / f"c{seed}.parquet" for seed in SEEDS]
    with pytest.raises(UserError, match=r"c4\.parquet: a second file of corpus/lstm, seed 4; give one per seed"):
        inputs.read_correlations([paths[0], paths[0]], "chi", "pearson")
    write_correlations(paths[1], pd.read_parquet(paths[1]), model="other", seed=2)
    with pytest.raises(UserError, match=r"c2\.parquet: model is 'other', but in .*c4\.parquet it is 'lstm'"):
        inputs.read_correlations(paths, "chi", "pearson")
    probe = products / "p4-1.parquet"
    with pytest.raises(UserError, match="was probed for chi, gini; add 'hoyer' to the probe's measures"):
        inputs.read_probes([probe], "target", "grad_h_2", "hoyer")
    write_probe(products / "dev.parquet", pd.read_parquet(probe), seed=5, condition="dev")
    with pytest.raises(UserError, match=r"dev\.parquet: condition is 'dev', but in .*p4-1\.parquet it is 'frozen'"):
        inputs.read_probes([probe, products / "dev.parquet"], "target", "grad_h_2", "chi")
    write_state(products / "s2-2.json", seed=2, epoch=2, data="news")
    with pytest.raises(UserError, match=r"s2-2\.json: data is 'news', but in .*s2-1\.json it is 'corpus'"):
        inputs.read_checkpoints([products / "s2-1.json", products / "s2-2.json"])


def test_labels_name_the_measure():
    assert write_measure("chi", "grad_h_2") == r"$\chi(\nabla h^2)$"
    assert write_measure("gini", "h_e") == "Gini index of $h^e$"
    assert name_measure("l1") == "ℓ1 norm"

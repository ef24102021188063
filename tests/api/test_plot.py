"""The figures of DataFrames are those that the commands draw of files."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

import natural_sparsity as ns
from natural_sparsity import registry

pytestmark = pytest.mark.integration  # the results take seconds to make


def describe(figure: Figure) -> list[object]:
    """What a figure shows: its texts, and every line, point and cell; not the level of an interval."""
    texts = [text.get_text() for ax in figure.axes for text in (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)]
    lines = [(line.get_gid(), line.get_xydata().round(9).tolist()) for ax in figure.axes for line in ax.get_lines()]
    areas = [each.get_array().tolist() for ax in figure.axes for each in ax.collections if each.get_array() is not None]
    bands = [
        path.vertices.round(9).tolist() for ax in figure.axes for each in ax.collections for path in each.get_paths()
    ]
    return [*texts, *map(repr, lines), *map(repr, areas), *map(repr, bands)]


@pytest.fixture(scope="module")
def drawn(results):
    """Draw a figure by its command's module; ``given`` are its options."""
    from example_products import parse
    from natural_sparsity.figures.style import Style

    def draw(name: str, **given) -> list[object]:
        module, style = registry.load(registry.FIGURES[name]), Style()
        args = parse(module, **given)
        args.figure = name
        with style.apply():
            return describe(module.draw(args, style)[1])

    return draw


@pytest.mark.parametrize("seeds", [[3], [3, 4]], ids=["one seed", "two seeds"])
def test_each_figure_is_the_commands(results, drawn, seeds):
    run = ns.open(results / "runs/d/m")
    folder, place = results / "runs/d/m", results / "experiments/e/d/m"
    words = results / "data/d/words.parquet"
    each = [folder / f"seed{seed}/{name}" for seed in seeds for name in ("init", "epoch1", "epoch2")]
    by_word = {"probes": [path / "frozen.parquet" for path in each], "words": words, "threshold": 30}
    states = [path / "state.json" for path in each if path.name != "init"]
    files = {
        name: [place / f"seed{seed}/frozen/{name}.parquet" for seed in seeds] for name in ("correlations", "claims")
    }
    differences = [place / f"seed{seed}/frozen/differences.parquet" for seed in seeds]
    probes, correlations, checkpoints, claims, changes = (
        table[table["seed"].isin(seeds)]
        for table in (run.probes(), run.correlations, run.checkpoints, run.claims, run.differences)
    )
    course = {"correlations": files["correlations"], "checkpoints": states}
    gini = {**by_word, "measure": "gini"}
    assert describe(ns.plot.fig2(probes, run.words, 30)) == drawn("fig2", **by_word)
    assert describe(ns.plot.fig2(probes, run.words, 30, "gini")) == drawn("fig2", **gini)
    assert describe(ns.plot.fig5(probes, run.words, 30)) == drawn("fig5", **by_word)
    assert describe(ns.plot.fig3a(correlations, checkpoints)) == drawn("fig3a", **course)
    assert describe(ns.plot.fig3b(correlations, checkpoints, statistic="spearman")) == drawn(
        "fig3b", **course, statistic="spearman"
    )
    assert describe(ns.plot.fig4(correlations, run.words, checkpoints)) == drawn("fig4", **course, words=words)
    assert describe(ns.plot.training(checkpoints)) == drawn("training", checkpoints=states)
    assert describe(ns.plot.claims(claims)) == drawn("claims", claims=files["claims"])
    assert describe(ns.plot.comparison(correlations)) == drawn("comparison", correlations=files["correlations"])
    given = {"correlations": files["correlations"], "differences": differences}
    assert describe(ns.plot.emergence(correlations, changes)) == drawn("emergence", **given)


def test_a_control_is_drawn_beside_the_run(results):
    correlations = ns.open(results / "runs/d/m").correlations
    figure = ns.plot.fig3a(correlations, control=correlations.assign(data="mixed", value=0.1))
    assert [0.1] * 3 in [list(line.get_ydata()) for line in figure.axes[0].get_lines()]


def test_the_style_holds_wherever_the_figure_is_drawn(results):
    checkpoints = ns.open(results / "runs/d/m").checkpoints
    figure = ns.plot.training(checkpoints, style={"width": 5, "font_size": 12})
    figure.draw_without_rendering()
    labels = [label for ax in figure.axes for label in ax.get_yticklabels() if label.get_text()]
    assert figure.get_figwidth() == 5
    assert {label.get_fontsize() for label in labels} == {10.5}


# A column of each table in which text and infinities cannot be drawn.
COLUMNS = {"probes": "chi_mean", "words": "count", "correlations": "value", "checkpoints": "dev_loss", "claims": "low"}


def draw(run, name, bad):
    """Draw a table with a bad value."""
    table = run.probes("grad_h_2") if name == "probes" else getattr(run, name)
    wrong = table.astype({COLUMNS[name]: object if isinstance(bad, str) else float})
    wrong.loc[wrong.index[0], COLUMNS[name]] = bad
    tables = {"probes": run.probes("grad_h_2"), "words": run.words, name: wrong}
    match name:
        case "probes" | "words":
            return ns.plot.fig5(tables["probes"], tables["words"])
        case "correlations":
            return ns.plot.fig3a(wrong)
        case "checkpoints":
            return ns.plot.training(wrong)
    return ns.plot.claims(wrong)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (
            lambda run: ns.plot.fig3a(run.correlations, measure="hoyer"),
            "^correlations: no 'pearson' of 'hoyer'; it has chi/",
        ),
        (lambda run: ns.plot.fig3a(run.words), "^correlations: no column 'seed'; give a table of ns.open"),
        (
            lambda run: ns.plot.fig2(run.probes(role="input"), run.words),
            "^probes of grad_h_2, role target: has no rows",
        ),
        (lambda run: ns.plot.fig5(run.probes(), run.words, measure="hoyer"), "^probes: no column 'hoyer_mean'"),
        (
            lambda run: ns.plot.training(run.checkpoints, style={"widht": 1}),
            "^style: unknown key 'widht'; did you mean",
        ),
        (
            lambda run: ns.plot.fig3a(pd.concat([run.correlations, run.correlations.assign(data="e")])),
            "^correlations: of d/m/frozen and e/m/frozen; choose the rows of one",
        ),
        (lambda run: ns.plot.fig3b(None), "^correlations: NoneType is no DataFrame; give a table of ns.open"),
        (lambda run: ns.plot.emergence(run.correlations, statistic="mean"), "^statistic: 'mean' is not one of pearson"),
        (
            lambda run: ns.plot.fig2(run.probes("grad_h_2"), run.words.assign(data="e")),
            "^words: of e, but what is drawn is of d; give the rows of d",
        ),
        (
            lambda run: ns.plot.fig5(run.probes("grad_h_2"), pd.concat([run.words] * 2)),
            "^words: an id has several rows",
        ),
        (
            lambda run: ns.plot.fig3a(run.correlations, run.checkpoints.assign(model="n")),
            "^checkpoints: of d/n, but what is drawn is of d/m; give the table of the same model",
        ),
        (
            lambda run: ns.plot.comparison(run.correlations.query("role == 'input'")),
            "^correlations of role target, words all: has no rows",
        ),
        *(
            (lambda run, name=name, bad=bad: draw(run, name, bad), f"^{name}: column '{column}' holds {said}")
            for name, column in COLUMNS.items()
            for bad, said in (
                ("x", "(object|str), not numbers; convert it"),
                (np.inf, "an infinity; leave its row out"),
            )
        ),
    ],
)
def test_a_table_that_cannot_be_drawn_is_refused_in_one_line(results, act, message):
    with pytest.raises(ns.UserError, match=message) as caught:
        act(ns.open(results / "runs/d/m"))
    assert "\n" not in str(caught.value)

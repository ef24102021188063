"""The acquisition figure draws what its files hold, over one or several seeds, and says why a panel is empty."""

import numpy as np
import pandas as pd
import pytest

from example_acquisition import TIMES, WORDS, write_acquisition
from example_products import parse
from natural_sparsity.corpus.vocabulary import SPECIALS
from natural_sparsity.figures import acquisition
from natural_sparsity.figures.acquisition import PARTIAL, SURPRISAL, WORD
from natural_sparsity.figures.style import Style


def draw(folder, seeds, **more):
    """The table and figure of some seeds."""
    pairs = [write_acquisition(folder, seed, **more) for seed in seeds]
    args = parse(acquisition, acquisition=[a for a, _ in pairs], partials=[q for _, q in pairs])
    style = Style()
    with style.apply():
        table, figure = acquisition.draw(args, style)
        figure.draw_without_rendering()
    return table, figure


def read_texts(figure):
    """All text in a figure's panels."""
    return " ".join(text.get_text() for ax in figure.axes for text in ax.texts)


def test_one_seed_is_drawn_as_its_files_have_it(tmp_path):
    table, figure = draw(tmp_path, [1])
    words = pd.read_parquet(tmp_path / "a1.parquet")
    drawn = table[table["kind"] == WORD].set_index("id")
    dated = words.set_index("id")["age"].dropna()
    np.testing.assert_allclose(drawn.loc[dated.index, "age"], dated)
    # The open class's points in the second panel are the open class's words.
    [points] = [line for line in figure.axes[1].lines if line.get_gid() == "age open class"]
    mine = words[(words["pos_class"] == "open") & words["age"].notna()]
    assert sorted(points.get_ydata()) == pytest.approx(sorted(mine["age"]))
    names = [text.get_text() for text in figure.axes[1].get_legend().texts]
    assert names[-1] == f"no age (n = {words['age'].isna().sum()})"
    band = table[(table["kind"] == SURPRISAL) & (table["band"] == 100)].sort_values("tokens")
    curves = np.array(words.loc[words["count"].between(100, 999), "surprisal_curve"].tolist())
    np.testing.assert_allclose(band["value"], curves.mean(0))
    assert (band["low"] < band["value"]).all() and (band["value"] < band["high"]).all()
    partials = pd.read_parquet(tmp_path / "q1.parquet")
    chosen = partials.query("tensor == 'grad_h_2' and role == 'target' and statistic == 'pearson_log'")
    mine = table[table["kind"] == PARTIAL]
    assert len(mine) == len(chosen) == 4 * len(TIMES)
    merged = mine.merge(chosen, on=["given", "steps"])
    np.testing.assert_allclose(merged["value_x"], merged["value_y"])
    assert "s.d." not in figure.legends[0].texts[0].get_text()


def test_seeds_are_averaged(tmp_path):
    singles = [draw(tmp_path / str(seed), [seed])[0] for seed in (1, 2)]
    table, figure = draw(tmp_path, [1, 2])
    first, second = (each[each["kind"] == WORD].set_index("id")["age"] for each in singles)
    both = table[table["kind"] == WORD].set_index("id")["age"].dropna()
    assert len(both)
    np.testing.assert_allclose(both, np.sqrt(first * second)[both.index])
    bands = [each[each["kind"] == SURPRISAL].set_index(["band", "steps"])["value"] for each in singles]
    mean = table[table["kind"] == SURPRISAL].set_index(["band", "steps"])
    np.testing.assert_allclose(mean["value"], (bands[0] + bands[1])[mean.index] / 2)
    np.testing.assert_allclose(mean["sd"], abs(bands[0] - bands[1])[mean.index] / np.sqrt(2))
    assert "mean ± 1 s.d. of 2 seeds" in figure.legends[0].texts[0].get_text()


def test_an_empty_panel_says_why(tmp_path):
    table, figure = draw(tmp_path, [1], drop=0.1)
    assert "no word was acquired" in read_texts(figure) and "no word has both dates" in read_texts(figure)
    assert set(table["kind"]) >= {SURPRISAL, PARTIAL}


def test_words_without_a_class_are_drawn_apart(tmp_path):
    _, figure = draw(tmp_path, [1], classes=False)
    names = [text.get_text() for text in figure.axes[1].get_legend().texts]
    assert [name.split(" (n = ")[0] for name in names] == ["no class", "no age"]
    assert sum(int(name.split()[-1].rstrip(")")) for name in names) == WORDS - len(SPECIALS)


def test_legends_stand_outside_the_panels_and_beside_their_letters(tmp_path):
    _, figure = draw(tmp_path, [1, 2])
    legends = [ax.get_legend() for ax in figure.axes[1:]]
    others = [ax.bbox for ax in figure.axes] + [ax._left_title.get_window_extent() for ax in figure.axes]
    for box in [text.get_window_extent() for legend in legends for text in legend.get_texts()]:
        assert not any(box.overlaps(other) for other in others)
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1

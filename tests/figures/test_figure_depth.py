"""Figures of models of one layer and of three follow the top layer and show every tensor."""

import numpy as np
import pandas as pd
import pytest

from example_products import describe_depth, write_correlations, write_probe, write_state, write_words
from natural_sparsity.cli import main
from natural_sparsity.figures import fig3
from natural_sparsity.figures.style import Style, write_symbol

pytestmark = pytest.mark.integration  # seconds each: left to make test

SETS = ["all", "open", "closed", "open_matched", "closed_matched", "open_paired", "closed_paired"]
EPOCHS = [1, 2]


def rho(epoch, tensor, words, tensors):
    """A value that names its place."""
    return 0.1 * epoch + 0.01 * tensors.index(tensor) + 0.001 * SETS.index(words)


@pytest.fixture(params=[1, 3])
def depth(request, tmp_path):
    """The number of layers, and a folder with a run's products."""
    tensors = describe_depth(request.param)
    axes = [EPOCHS, ["target", "input"], tensors, SETS]
    frame = pd.MultiIndex.from_product(axes, names=["epoch", "role", "tensor", "words"]).to_frame(index=False)
    places = frame[["epoch", "tensor", "words"]].itertuples(index=False)
    frame["value"] = [rho(*place, tensors) for place in places]
    frame = frame.assign(measure="chi", statistic="pearson", low=0.0, high=1.0, n=50)
    write_correlations(tmp_path / "c.parquet", frame)
    n = 30
    words = {"id": range(n), "word": [f"w{i}" for i in range(n)], "count": range(10 * n, 0, -10), "tagged": 9}
    classes = {"share": 1.0, "pos_class": ["open", "closed"] * (n // 2)}
    write_words(tmp_path / "words.parquet", pd.DataFrame(words | classes))
    for epoch in EPOCHS:
        parts = [
            pd.DataFrame(
                {"id": range(n), "role": "target", "tensor": tensor, "chi_mean": epoch + t / 100 + np.arange(n)}
            )
            for t, tensor in enumerate(tensors)
        ]
        write_probe(tmp_path / f"p{epoch}.parquet", pd.concat(parts), epoch=epoch)
        write_state(tmp_path / f"s{epoch}.json", epoch=epoch)
    return request.param, tmp_path


def draw(folder, figure):
    probes = ["--probes", *(f"{folder}/p{epoch}.parquet" for epoch in EPOCHS), "--words", f"{folder}/words.parquet"]
    correlations = ["--correlations", f"{folder}/c.parquet"]
    checkpoints = ["--checkpoints", *(f"{folder}/s{epoch}.json" for epoch in EPOCHS)]
    given = [*probes, "--threshold", "5"] if figure in ("fig2", "fig5") else [*correlations, *checkpoints]
    given += ["--words", f"{folder}/words.parquet"] if figure == "fig4" else []
    main(["draw", figure, *given, "--output", f"{folder}/{figure}"])
    return pd.read_csv(folder / f"{figure}.csv")


@pytest.mark.parametrize("figure", ["fig2", "fig5"])
def test_words_have_the_sparsity_of_the_top_gradient(depth, figure):
    layers, folder = depth
    table = draw(folder, figure)
    table = table.query("epoch == 2") if figure == "fig2" else table.query("kind == 'word'")
    place = describe_depth(layers).index(f"grad_h_{layers}") / 100
    np.testing.assert_allclose(table["chi"], 2 + place + table["id"])


def test_fig3_has_every_tensor_in_order(depth):
    layers, folder = depth
    tensors = describe_depth(layers)
    table = draw(folder, "fig3a").query("kind == 'correlation'")
    assert list(dict.fromkeys(table["tensor"])) == tensors
    expected = [rho(epoch, tensor, "all", tensors) for tensor in tensors for epoch in EPOCHS]
    np.testing.assert_allclose(table["rho"], expected)
    with Style().apply():
        figure = fig3.plot(pd.read_csv(folder / "fig3a.csv"), Style())
    lines = [line for line in figure.axes[0].get_lines() if line.get_gid() in tensors]
    looks = {(line.get_marker(), line.get_markerfacecolor() == "white") for line in lines}
    assert len(looks) == len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(tensors)


def test_fig4_follows_the_top_gradient(depth):
    layers, folder = depth
    tensors = describe_depth(layers)
    table = draw(folder, "fig4").query("kind == 'correlation'")
    expected = [rho(epoch, f"grad_h_{layers}", words, tensors) for words in SETS[1:] for epoch in EPOCHS]
    np.testing.assert_allclose(table["rho"], expected)


def test_symbols_name_any_layer():
    names = ["h_e", "h_12", "x", "grad_h_e", "grad_h_3", "grad_x", "grad_h_L"]
    symbols = ["h^e", "h^{12}", r"\hat{x}", r"\nabla h^e", r"\nabla h^3", r"\nabla x", r"\nabla h^L"]
    assert [write_symbol(name) for name in names] == symbols


@pytest.mark.parametrize("count", [1, 4, 9, 10, 25])
def test_palettes_are_seaborns(count):
    import seaborn as sns

    for name in ("colorblind", "husl"):
        expected = list(sns.color_palette(name, max(count, 4) + 1))
        assert Style(palette=name).colors(count) == [*expected[:3], *expected[4:]][:count]
    given = ["red", "#123456", "0.5", "C1"]
    assert Style(palette=given).colors(count) == list(sns.color_palette(given, count))


def test_a_palette_has_as_many_colours_as_there_are_layers():
    assert len(set(Style().colors(7))) == 7
    assert Style().colors(5)[:4] == Style().colors()
    assert Style(palette=["red", "blue", "green", "black"]).colors(5)[4] == Style(palette=["red"] * 4).colors()[0]

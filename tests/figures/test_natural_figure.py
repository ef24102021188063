"""The figure of sparsified models: each drawn where the dense one is drawn too."""

import numpy as np
import pytest

from example_products import describe_depth, write_family, write_member
from natural_sparsity.errors import UserError
from natural_sparsity.figures import natural
from natural_sparsity.figures.style import Style


@pytest.fixture
def given(tmp_path):
    """Correlations and checkpoints of four models, three seeds each."""
    return write_family(tmp_path)


def test_the_figure_draws_each_model_beside_the_dense_one(given):
    table = natural.select_points(*given, "chi", "pearson_log")
    assert set(table["seeds"]) == {3}
    dense = table.query("model == 'dense' and tensor == 'h_2' and epoch == 2").squeeze()
    level = table.query("model == 'imp-level1' and tensor == 'h_2' and epoch == 2").squeeze()
    assert level["rho"] - dense["rho"] == pytest.approx(0.1)
    with Style().apply():
        drawn = natural.plot(table, Style())
        drawn.canvas.draw()
    panels = [ax for ax in drawn.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["imp", "student"]
    lines = {line.get_gid(): line for ax in drawn.axes for line in ax.lines if line.get_gid()}
    assert {"imp dense 0 h_2", "imp ticket 1 h_2", "imp random_mask 1 grad_h_2", "student student 0 h_2"} <= set(lines)
    assert "student ticket 1 h_2" not in lines
    np.testing.assert_allclose(
        lines["imp ticket 1 h_2"].get_ydata(), table.query("model == 'imp-level1' and tensor == 'h_2'")["rho"]
    )
    names = [text.get_text() for text in drawn.legends[0].get_texts()]
    assert names[:3] == ["dense", "level 1", "level 1, random mask"]
    with pytest.raises(UserError, match="a dense model and one that was made from it"):
        natural.select_points(given[0][:3], given[1][:3], "chi", "pearson_log")
    with pytest.raises(UserError, match=r"dense1\.parquet: no --checkpoints file is of corpus/dense"):
        natural.select_points(given[0], given[1][3:], "chi", "pearson_log")


@pytest.mark.parametrize("layers", [1, 3])
def test_every_recurrent_layer_has_a_row(tmp_path, layers):
    tensors = describe_depth(layers)
    pairs = [write_member(tmp_path, name, 1, [4] * layers, tensors=tensors) for name in ("dense", "imp-level1")]
    table = natural.select_points(*zip(*pairs, strict=True), "chi", "pearson")
    assert set(table["tensor"]) == {name for name in tensors if name[-1].isdigit()}
    with Style().apply():
        drawn = natural.plot(table, Style())
    assert len(drawn.axes) == 2 * layers
    assert drawn.axes[layers - 1].get_ylabel() == f"$h^{layers}$"
    assert drawn.axes[-1].get_ylabel() == rf"$\nabla h^{layers}$"

"""The figure of units shows the rows of its table, of each family the first level and the last."""

import numpy as np
import pandas as pd
import pytest

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.errors import UserError
from natural_sparsity.figures import units
from natural_sparsity.figures.style import Style


@pytest.fixture
def path(tmp_path):
    rows = []
    for level in (1, 2, 3):
        for role in ("ticket", "random_mask", "random_init"):
            for layer in ("h_e", "h_1"):
                for tensor in (layer, f"grad_{layer}"):
                    for quantity in ("part", "size"):
                        value = level / 10 + (role == "ticket") / 100
                        place = {"family": "imp", "role": role, "level": level, "layer": layer, "tensor": tensor}
                        numbers = {"rho": value, "low": value - 0.1, "high": value + 0.1, "units": 20, "seeds": 3}
                        row = {
                            "model": f"imp{level}{role}",
                            **place,
                            "quantity": quantity,
                            "side": "incoming",
                            **numbers,
                        }
                        rows.append({**row, "chance_low": -0.2, "chance_high": 0.2})
    files.write_parquet(tmp_path / "units.parquet", pd.DataFrame(rows))
    return tmp_path / "units.parquet"


def test_the_first_and_the_last_level_are_drawn_with_their_random_masks(path):
    main(["draw", "units", "--units", str(path), "--output", str(path.with_name("drawn"))])
    table = pd.read_csv(path.with_name("drawn.csv"))
    assert set(table["level"]) == {1, 3}
    assert set(table["role"]) == {"ticket", "random_mask"}
    with Style().apply():
        figure = units.plot(units.read_table(path), Style())
    assert [ax.get_title() for ax in figure.axes] == ["$h^e$, 20 units", "$h^1$, 20 units"]
    bars = [container for ax in figure.axes for container in ax.containers]
    heights = sorted(container.lines[0].get_ydata()[0] for container in bars)
    np.testing.assert_allclose(heights, sorted(table["rho"]))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "imp, level 1",
        "imp, level 3",
        "chance: 95 % of permutations of units",
        "hollow: random mask",
    ]


def test_another_table_is_refused(tmp_path):
    files.write_parquet(tmp_path / "x.parquet", pd.DataFrame({"a": [1]}))
    with pytest.raises(UserError, match=r"x\.parquet: no column 'model'"):
        units.read_table(tmp_path / "x.parquet")

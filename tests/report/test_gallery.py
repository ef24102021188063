"""The page to begin with."""

import json

import pandas as pd
import pytest

from natural_sparsity import cli, files

VERDICTS = ["reproduced", "not reproduced", "undecided", "not testable here"]


@pytest.fixture
def write_gallery(tmp_path):
    """Write the page of an experiment with one figure and one run; returns its text."""
    run = tmp_path / "results/experiments/mine/sample/lstm/frozen"
    row = {"claim": "a", "statement": "∇h² < 1", "verdict": "reproduced", "seeds": 3}
    row |= {"also": "undecided without language", "seeds_also": "1 also untrained"}
    row |= dict(zip(VERDICTS, (2, 0, 1, 0), strict=True))

    def write(titles, **changes):
        files.write_parquet(run / "verdicts.parquet", pd.DataFrame([row | changes]), {})
        given = ["--figures", run / "figures/chi/fig2.png", "--tables", run / "verdicts.html"]
        given += ["--verdicts", run / "verdicts.parquet", "--provenance", run.parents[2] / "provenance.html"]
        given += ["--title", "Mine", "--titles", json.dumps(titles), "--output", run.parents[2] / "index.html"]
        cli.main(["gallery", *map(str, given)])
        return (run.parents[2] / "index.html").read_text(encoding="utf-8")

    return write


def test_the_gallery_has_verdicts_figures_and_links(write_gallery, tmp_path):
    page = write_gallery({"fig2": "2: mean χ", "verdicts": "Verdicts"})
    assert "<b>reproduced, undecided without language</b>" in page
    assert "2 of 3 seeds reproduced; 1 of 3 seeds undecided; (1 also untrained)" in page
    assert '∇h² &lt; 1 <span class="soft">a</span>' in page, "with its name: two claims may say the same"
    assert page.index("Verdicts</h2>") < page.index("<img"), "verdicts stand first"
    assert "2: mean χ (sample, lstm, frozen, chi)" in page
    for path in ("fig2.png", "fig2.pdf", "fig2.csv"):
        assert f'"sample/lstm/frozen/figures/chi/{path}"' in page
    assert 'href="provenance.html"' in page and 'href="sample/lstm/frozen/verdicts.html"' in page
    assert 'href="../../report.html"' in page and 'href="explorer/index.html"' in page
    (tmp_path / "results/report.html").touch()
    assert write_gallery({"fig2": "2: mean χ", "verdicts": "Verdicts"}) == page, "whatever was made before"


def test_a_figure_without_a_title_is_named(write_gallery):
    with pytest.raises(SystemExit, match=r"fig2\.png: --titles has no title for 'fig2'; add one"):
        write_gallery({"verdicts": "Verdicts"})


def test_one_seed_has_no_verdict_over_seeds(write_gallery):
    changes = {"verdict": None, "seeds": 1, "reproduced": 1, "undecided": 0, "also": "", "seeds_also": ""}
    page = write_gallery({"fig2": "2: mean χ", "verdicts": "Verdicts"}, **changes)
    assert '<b></b> <span class="soft">reproduced, in one seed</span>' in page
    page = write_gallery({"fig2": "2: mean χ", "verdicts": "Verdicts"}, **{**changes, "verdict": "reproduced"})
    assert '<b>reproduced</b> <span class="soft">in one seed</span>' in page, "a claim about the text needs one"

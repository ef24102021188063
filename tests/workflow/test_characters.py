"""Text whose tokens are characters: figures 4 and 5, which compare word classes, are skipped."""

import re

import pandas as pd
import pytest
import yaml
from harness import TINY, results_in

from natural_sparsity import files


def changed(fresh):
    """The tiny configuration's text, read as characters; a file on top cannot take a key away."""
    config = yaml.safe_load(TINY.read_text())
    del config["data"]["tiny"]["tagging"]
    config["data"]["tiny"] |= {"unit": "character", "max_documents": 12, "min_count": 5}
    path = fresh.folder / "characters.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def test_nothing_is_tagged_and_no_figure_of_classes_is_drawn(fresh):
    planned = fresh.planned(configfile=changed(fresh))
    assert planned["sentences"] == 2
    assert planned["words"] == planned["draw_fig2"] == planned["draw_fig3a"] == planned["tabulate_claims"] == 1
    assert not {"tag", "draw_fig4", "draw_fig5"} & set(planned)


@pytest.mark.slow
def test_a_run_of_characters_to_the_end(fresh):
    configfile = changed(fresh)
    process = fresh.snakemake(configfile=configfile)
    assert process.returncode == 0, process.stderr[-3000:]
    words = files.read_parquet(fresh.folder / "results/data/tiny/words.parquet", ["word", "pos_class"])
    assert {"e", "t", "␣"} <= set(words["word"])
    assert words["word"][2:].str.len().max() == 1
    folder = fresh.folder / "results/experiments/tiny/tiny/small"
    claims = pd.read_csv(folder / "seed1/frozen/claims.csv")
    of_classes = claims[claims["because"] == "a character has no part of speech, hence no class"]
    assert set(of_classes["verdict"]) == {"not testable here"}
    assert set(claims.loc[claims["claim"].str.contains("class|matched|paired"), "claim"]) <= set(of_classes["claim"])
    claims = claims.drop(of_classes.index)
    assert (folder / "frozen/figures/chi/fig3a.png").exists()
    texts = [*claims["statement"], *claims["rule"], *claims["claim"]]
    assert any("Frequent input characters have concentrated activations" in text for text in texts)
    assert not any("word" in text.lower() for text in texts)
    words_of = fresh.snakemake("--dry-run", "--printshellcmds", "--forceall", configfile=configfile)
    drawn = [line for line in words_of.stdout.splitlines() if re.search(r"draw (fig2|fig3|claims|comparison)", line)]
    assert len(drawn) == 5
    assert fresh.snakemake("--report", "report.html", configfile=configfile).returncode == 0
    results = results_in(fresh.folder / "report.html")
    captions = {path: re.sub("<[^>]+>", "", entry["caption"]) for path, entry in results.items()}
    of_characters = [text for path, text in captions.items() if re.search(r"fig[23]|claims|comparison", path)]
    assert len(of_characters) == 12
    assert all("character" in text and "word" not in text.replace("frequent words grow", "") for text in of_characters)
    assert all("--unit character" in line for line in drawn)
    asked = fresh.snakemake("results/experiments/tiny/tiny/small/frozen/figures/chi/fig4.png", configfile=configfile)
    assert asked.returncode != 0
    assert "nothing was tagged: characters have no part of speech" in asked.stderr + asked.stdout


def test_tagging_of_characters_is_refused(fresh):
    process = fresh.snakemake("--dry-run", changes={"data": {"tiny": {"unit": "character"}}})
    assert process.returncode != 0
    assert "data.tiny.tagging: characters have no part of speech; leave it out" in process.stderr

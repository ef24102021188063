"""The last lines: what came out, and what to open."""

import csv

import pytest

from natural_sparsity.terminal.summary import align, summarise, write_range

VERDICTS = ["reproduced", "not reproduced", "undecided", "not testable here"]


def write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The tables of an experiment: three seeds of one run, one seed of another; gini has no claims."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "results/experiments/mine"
    runs = [("sample", "1", 277.3, 0.209), ("sample", "2", 296.9, 0.202), ("sample", "3", 268.2, 0.288)]
    runs += [("other", "1", 570.4, -0.14)]
    rows = []
    for data, seed, perplexity, rho in runs:
        row = {"data": data, "model": "lstm", "seed": seed, "condition": "frozen", "layers": "2"}
        row |= {"dev_perplexity": perplexity, "grad_h_L_last": rho}
        rows += [{**row, "measure": "chi"} | dict.fromkeys(VERDICTS, 1), {**row, "measure": "gini"}]
    write(folder / "comparison.csv", rows)
    (folder / "comparison.html").touch()
    for data, seeds in (("sample", 3), ("other", 1)):
        given = [("a", "reproduced"), ("a", "reproduced"), ("b", "undecided"), ("c", "")]
        claims = [
            {"claim": claim, "verdict": verdict if seeds > 1 else "", "seeds": seeds}
            | {name: int(name == (verdict or VERDICTS[3])) for name in VERDICTS}
            for claim, verdict in given
        ]
        write(folder / data / "lstm/frozen/verdicts.csv", claims)
        (folder / data / "lstm/frozen/verdicts.html").touch()
    (folder / "sample/lstm/frozen/figures/chi").mkdir(parents=True)
    return folder.relative_to(tmp_path)


def test_each_run_has_its_perplexity_correlation_and_verdicts(experiment):
    heads, sample, other, *_ = summarise(experiment)
    assert heads.split("  ")[-1] == "not testable here"
    assert "dev perplexity" in heads and "ρ←(∇h²)" in heads
    assert sample.split()[:9] == ["sample/lstm,", "3", "seeds,", "frozen", "268", "to", "297", ".20", "to"]
    assert sample.split()[-5:] == [".29", "1", "0", "1", "1"]
    assert other.split() == ["other/lstm,", "seed", "1,", "frozen", "570", "−.14", "1", "0", "1", "1"]


def test_the_files_to_open_exist_and_are_named_once(experiment):
    lines = summarise(experiment)
    after = lines[lines.index("Open next:") + 1 :]
    assert after[0].split("  ")[1] == f"{experiment}/comparison.html"
    assert any(f"{experiment}/sample/lstm/frozen/figures/chi/" in line for line in after)
    assert sum("verdicts.html" in line for line in after) == 1, "and says how many more there are"
    assert any("(1 more like it)" in line for line in after)


def test_of_a_target_only_its_own_files_are_shown(experiment):
    asked = [f"{experiment}/fig2.{suffix}" for suffix in ("pdf", "png", "csv")]
    assert summarise(experiment, asked) == ["Open next:", f"  {experiment}/fig2.png"]
    many = [f"{experiment}/fig{i}.png" for i in range(10)]
    assert len(summarise(experiment, many)) == 8
    assert summarise(experiment, many)[-1] == "  … and 4 more"


def test_an_experiment_without_results_has_nothing_to_say(tmp_path):
    assert summarise(tmp_path) == []


def test_numbers_are_short():
    assert write_range(["268.2", "296.9", ""], 0) == "268 to 297"
    assert write_range(["-0.149", "0.021"], 2) == "−.15 to .02"
    assert write_range(["10.04", "10.04"], 2) == "10.04"
    assert write_range(["-0.001"], 2) == ".00"
    assert write_range([""], 2) == "none"
    assert align([["a", "bb"], ["ccc", ""]]) == ["a    bb", "ccc"]

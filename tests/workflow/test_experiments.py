"""Experiments in one folder: their names, what they share, and that they overwrite nothing of each other."""

import pytest
import yaml
from harness import ROOT, TINY


def write(folder, name, epochs):
    """The tiny experiment under another name, with so many epochs."""
    config = yaml.safe_load(TINY.read_text())
    config.pop("name", None)
    config["runs"][0]["epochs"] = epochs
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def snapshot(folder):
    """When each file was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_experiments_share_runs_and_overwrite_nothing(copied):
    """Real jobs: the finished experiment of two epochs, then another of three."""
    results, b = copied.folder / "results", write(copied.folder, "b", 3)
    shared, mine = snapshot(results / "data") | snapshot(results / "runs"), snapshot(results / "experiments/tiny")
    assert (results / "experiments/tiny/tiny/small/frozen/figures/chi/fig2.png") in mine

    planned = copied.planned(configfile=b, name=None)
    assert (planned.pop("train"), planned.pop("probe")) == (1, 1)
    made = {"correlate", "acquire", "gallery"} | {name for name in planned if name.startswith(("draw_", "tabulate_"))}
    assert set(planned) == made, "what is made of data alone is there"
    process = copied.snakemake(configfile=b, name=None)
    assert process.returncode == 0, process.stderr[-3000:]
    assert "Open next:\n  results/experiments/b/index.html" in process.stderr
    after = snapshot(results)
    assert {path: after[path] for path in shared} == shared
    assert {path: after[path] for path in mine} == mine
    assert (results / "runs/tiny/small/seed1/epoch3/frozen.parquet") in after
    assert {path.name for path in (results / "experiments").iterdir()} == {"tiny", "b"}

    assert copied.planned() == copied.planned(configfile=b, name=None) == {}


def experiment_of(process):
    """The experiment whose architecture is drawn."""
    [place] = {
        line.split("results/experiments/")[1].split("/")[0]
        for line in process.stdout.splitlines()
        if "output: " in line
    }
    return place


def test_an_experiment_is_called_as_the_last_file_unless_it_says_otherwise(fresh, tmp_path):
    def name_of(*arguments, **options):
        process = fresh.snakemake("--dry-run", "--verbose", "architecture", *arguments, **{"name": None, **options})
        assert process.returncode == 0, process.stderr
        return experiment_of(process)

    assert name_of(configfile=write(tmp_path, "one", 1)) == "one"
    assert name_of(configfile=write(tmp_path, "one", 1), changes={"device": "cpu"}) == "changes"
    assert name_of(configfile=write(tmp_path, "one", 1), changes={"name": "two"}) == "two"
    assert name_of(configfile=write(tmp_path, "one", 1), name="three") == "three"
    assert name_of(configfile=ROOT / "config.yaml") == "config"


def test_a_file_whose_stem_is_no_name_is_refused(fresh, tmp_path):
    process = fresh.snakemake("--dry-run", configfile=write(tmp_path, "my experiment", 1), name=None)
    assert process.returncode == 1
    assert "configuration: name: 'my experiment' cannot name a block" in process.stderr


def test_the_jobs_of_an_experiment_have_its_name(fresh, tmp_path):
    """Snakemake starts them with the same files: as processes of their own, and on a cluster."""
    config = write(tmp_path, "mine", 1)
    process = fresh.snakemake("architecture", "--force-use-threads", configfile=config, name=None)
    assert process.returncode == 0, process.stderr
    # What Snakemake starts for a job that runs elsewhere.
    target = "results/experiments/mine/figures/chi.csv"
    process = fresh.snakemake(
        target,
        "--allowed-rules",
        "draw_chi",
        "--mode",
        "subprocess",
        "--nolock",
        "--force",
        configfile=config,
        name=None,
    )
    assert process.returncode == 0, process.stderr
    assert (fresh.folder / target).exists()


@pytest.mark.parametrize("target", ["results/experiments/other/figures/chi.csv"])
def test_another_experiments_products_are_not_made(fresh, target):
    process = fresh.snakemake("--dry-run", target)
    assert process.returncode != 0
    assert f"{target}: no rule makes this file; check the experiment" in process.stderr + process.stdout


def test_a_misspelt_target_is_one_line_that_names_the_nearest(fresh):
    process = fresh.snakemake("--dry-run", "galery")
    assert process.returncode != 0
    assert "galery: no such target; did you mean gallery?" in process.stderr + process.stdout

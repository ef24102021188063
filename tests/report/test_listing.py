"""Several experiments in one folder: what each has, and which runs none of them uses."""

import re
import shlex
import subprocess

import pytest

from natural_sparsity import files
from natural_sparsity.cli import main


def add_experiment(results, name, *runs, of=None):
    """An experiment's folder with its record; ``runs``: (data, model, seed); ``of``: the text of data that shuffle."""
    rows = [{"data": data, "model": model, "seed": seed, "epochs": 4} for data, model, seed in runs]
    blocks = {data: {"kind": "text"} for data, _, _ in runs} | {data: {"of": text} for data, text in (of or {}).items()}
    configuration = {"runs": [{**row, "seeds": [row["seed"]]} for row in rows], "data": blocks}
    (results / "experiments" / name).mkdir(parents=True)
    record = {"runs": rows, "configuration": configuration}
    files.write_json(results / "experiments" / name / "provenance.json", record)


def add_verdicts(results, place, *verdicts):
    """A table of verdicts of several seeds, and its page."""
    folder = results / "experiments" / place
    folder.mkdir(parents=True)
    lines = [f"claim {i},{verdict},3" for i, verdict in enumerate(verdicts)]
    (folder / "verdicts.csv").write_text("\n".join(["claim,verdict,seeds", *lines]) + "\n")
    (folder / "verdicts.html").touch()


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Two experiments that share a seed; the second is on shuffled text as well."""
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    for run in ("a/lstm/seed1", "a/lstm/seed2", "a/other/seed1", "mixed/lstm/seed1"):
        (results / "runs" / run / "epoch4").mkdir(parents=True)
        (results / "runs" / run / "epoch4/parameters.safetensors").write_bytes(bytes(3_000_000))
    for name in ("a", "mixed"):
        (results / "data" / name).mkdir(parents=True)
    add_experiment(results, "first", ("a", "lstm", 1), ("a", "lstm", 2))
    add_experiment(results, "second", ("a", "lstm", 1), ("a", "other", 1), ("mixed", "lstm", 1), of={"mixed": "a"})
    return results


def listed(capsys, *arguments):
    """What the command prints."""
    main(["experiments", *arguments])
    return capsys.readouterr().out


def test_experiments_are_listed_with_runs_seeds_epochs_claims_and_size(results, capsys):
    add_verdicts(results, "first/a/lstm/frozen", "reproduced", "reproduced", "undecided")
    lines = [re.split(" {2,}", line) for line in listed(capsys).splitlines()]
    assert lines[0] == ["experiment", "runs", "seeds", "epochs", "changed", "disk"]
    assert [line[:4] for line in lines[1:3]] == [["first", "1", "2", "4"], ["second", "3", "1", "4"]]
    assert ["first: a/lstm", "frozen", "2", "0", "1", "0"] in lines


def test_all_that_is_used_is_left_alone(results, capsys):
    assert "rm -r" not in listed(capsys)


def test_a_deleted_experiment_leaves_runs_that_the_printed_command_deletes(results, capsys):
    subprocess.run(["rm", "-r", "results/experiments/second"], check=True)
    printed = listed(capsys)
    assert "No experiment uses these, 6 MB in all:" in printed
    command = printed.splitlines()[-1].strip()
    assert shlex.split(command) == ["rm", "-r", "results/runs/a/other", "results/runs/mixed", "results/data/mixed"]
    assert (results / "runs/a/other").exists()
    subprocess.run(shlex.split(command), check=True)
    assert {path.name for path in (results / "runs/a/lstm").iterdir()} == {"seed1", "seed2"}
    assert "Every run and all data are used" in listed(capsys)


@pytest.mark.parametrize("why", ["unfinished", "damaged"])
def test_no_run_is_called_unused_while_an_experiment_has_no_record(results, capsys, why):
    record = results / "experiments/second/provenance.json"
    if why == "unfinished":
        record.unlink()
    else:
        record.write_bytes(record.read_bytes()[:-40])
    printed = listed(capsys)
    assert "rm -r" not in printed
    assert "Runs that no experiment uses: not known, since second may use any." in printed
    assert re.search(r"^second +no record ", printed, re.MULTILINE)


def test_the_text_that_an_experiment_shuffles_is_used(results, capsys):
    (results / "data/text").mkdir()
    assert "rm -r results/data/text" in listed(capsys)
    add_experiment(results, "third", ("mixed", "lstm", 1), of={"mixed": "text"})
    assert "rm -r" not in listed(capsys)


def test_the_page_links_to_each_experiments_pages(results, capsys):
    add_verdicts(results, "first/a/lstm/frozen", "reproduced")
    (results / "experiments/second/comparison.html").touch()
    page = results / "experiments/index.html"
    listed(capsys, "--page", str(page))
    links = re.findall('href="([^"]+)"', page.read_text())
    assert links == ["first/a/lstm/frozen/verdicts.html", "second/comparison.html"]
    assert all((page.parent / link).exists() for link in links)


def test_a_folder_without_experiments_is_one_line(tmp_path):
    with pytest.raises(SystemExit, match="has no folder experiments; give the folder results of a run"):
        main(["experiments", str(tmp_path)])


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n1,2\n", b"claim,verdict,seeds\none,repro"])
def test_a_damaged_table_of_verdicts_is_one_line(results, content):
    add_verdicts(results, "first/a/lstm/frozen", "reproduced")
    (results / "experiments/first/a/lstm/frozen/verdicts.csv").write_bytes(content)
    with pytest.raises(SystemExit, match="verdicts.csv: not a whole table of verdicts; delete it and run again"):
        main(["experiments"])

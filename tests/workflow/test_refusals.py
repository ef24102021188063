"""Mistakes are refused before any job starts where that is possible, and always in a line that says what to mend."""

import bz2
import os
import re
import shutil

import pytest
from harness import ROOT, TINY


def refused(workflow, process):
    """The one line with which Snakemake stopped before any job."""
    assert process.returncode == 1
    announcements = ("Using workflow specific profile", "Config file")
    [line] = [line for line in process.stderr.splitlines() if not line.startswith(announcements)]
    assert not (workflow.folder / "results").exists()
    return line


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data": {"tiny": {"min_cuont": 1}}}, "line 3: data.tiny: unknown key 'min_cuont'; did you mean 'min_count'?"),
        ({"data": {"tiny": {"source": {"path": "a"}}}}, "line 3: data.tiny.source: give url and checksum, or path, or"),
        ({"probes": {"frozen": {"batch": 0}}}, "line 3: probes.frozen.batch: 0 is not an integer from 1 to 100000"),
    ],
)
def test_a_bad_configuration_is_one_line_and_no_job(fresh, changes, line):
    process = fresh.snakemake(changes=changes, environment={"PWD": str(ROOT)})
    assert refused(fresh, process).startswith(f"{fresh.folder}/changes.yaml, {line}")


def test_a_value_from_the_command_line_has_no_file(fresh):
    line = refused(fresh, fresh.snakemake(name="a/b"))
    assert line.startswith("configuration: name: 'a/b' cannot name a block; use up to 100 ")


def test_a_file_is_called_as_from_the_folder_that_snakemake_was_called_in(fresh):
    path = fresh.folder / "deep/mine.json"
    path.parent.mkdir()
    path.write_text('{\n\t"device": "gpu"\n}')
    line = refused(fresh, fresh.snakemake(configfile=path, environment={"PWD": str(fresh.folder)}))
    assert line == "deep/mine.json, line 2: device: 'gpu' is not auto, cpu, cuda or cuda:N"


def test_a_key_that_stands_twice_is_one_line_and_no_job(fresh):
    path = fresh.folder / "twice.yaml"
    run = "runs:\n  - {data: sample, model: lstm}\n"
    path.write_text(run + run)
    line = refused(fresh, fresh.snakemake(configfile=path, environment={"PWD": str(fresh.folder)}))
    assert line == "twice.yaml, line 3: 'runs' is set twice, first on line 1; merge the two"


@pytest.fixture
def project(tmp_path_factory):
    """The files that Snakemake reads, to be changed."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def test_the_default_configuration_is_read_before_snakemake_reads_it(fresh, project):
    (project / "config.yaml").write_text("data:\n\tsample: {}\n")
    line = refused(fresh, fresh.snakemake(root=project, environment={"PWD": str(project)}))
    assert line == "config.yaml, line 2: a tab where YAML needs spaces; indent with spaces"


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"rusn": []}, "line 1: unknown key 'rusn'; did you mean 'runs'?"),
        ({"device": "gpu"}, "line 1: device: 'gpu' is not auto, cpu, cuda or cuda:N"),
        ({"runs": [{"data": "tiny", "model": "small", "seeds": 3}]}, "write seeds: [3]"),
        ({"runs": {"data": "tiny", "model": "small"}}, "begin each entry with a dash"),
    ],
)
def test_weak_lines_of_former_versions_say_what_to_write(fresh, values, line):
    said = refused(fresh, fresh.snakemake(changes=values, environment={"PWD": str(ROOT)}))
    assert said.startswith(f"{fresh.folder}/changes.yaml, line ")
    assert said.endswith(line)
    assert "configuration:" not in said


@pytest.mark.parametrize("caption", [None, "A caption without a title.\n"])
def test_a_figure_without_its_caption_or_title_is_one_line(fresh, project, caption):
    path = project / "workflow/report/fig2.rst"
    path.unlink()
    if caption:
        path.write_text(caption)
    line = refused(fresh, fresh.snakemake(root=project, environment={"PWD": str(project)}))
    assert line == f"{path}: write a caption for fig2, with its title in the first line: .. TITLE"


@pytest.mark.parametrize("target", ["absent.yaml", "fig2"])
def test_a_configuration_file_that_is_missing_is_one_line(fresh, target):
    process = fresh.snakemake(changes={"device": "cpu"}, configfile=fresh.folder / target)
    line = refused(fresh, process)
    assert line.startswith(
        f"--configfile: {fresh.folder / target}: no such file or directory; correct the path. Targets go"
    )


def test_anchors_merges_and_json_go_on_working(fresh):
    path = fresh.folder / "merged.yaml"
    path.write_text(
        "models:\n  small: &small {architecture: {hidden: [8]}}\n  other:\n    <<: *small\n    training: {clip: 1}\n"
        "runs:\n  - &run {data: tiny, model: small, epochs: 1}\n  - {<<: *run, model: other}\n"
    )
    (fresh.folder / "more.json").write_text('{\n\t"models": {"other": {"training": {"learning_rate": 1e-1}}}\n}')
    files = ["--configfile", str(TINY), str(path), str(fresh.folder / "more.json")]
    assert fresh.planned("training", *files)["train"] == 2


def sourced(path):
    """What to change for a run on a text at a path."""
    block = {"source": {"path": str(path)}, "min_count": 1}
    return {"data": {"mine": block}, "runs": [{"data": "mine", "model": "small", "epochs": 1}]}


def test_a_source_that_no_job_could_read_is_one_line_and_no_job(fresh):
    folder = fresh.folder / "texts"
    folder.mkdir()
    os.mkfifo(folder / "fifo")
    line = refused(fresh, fresh.snakemake(changes=sourced("texts")))
    assert line.endswith(
        "changes.yaml, line 4: data.mine.source: texts/fifo is a pipe or a device, but a run reads its source more"
        " than once; save it to a file"
    )
    (folder / "fifo").unlink()
    (folder / os.fsdecode(b"caf\xe9.txt")).touch()
    line = refused(fresh, fresh.snakemake(changes=sourced("texts")))
    assert "'texts/caf\\udce9.txt': the name is not UTF-8 or has characters that cannot be printed; rename it" in line


@pytest.mark.parametrize("product", ["epoch1/state.json", "epoch1/frozen.parquet"])
def test_a_product_of_no_run_is_one_line(fresh, product):
    process = fresh.snakemake("--dry-run", f"results/runs/tiny/lstm/seed1/{product}")
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert "configuration: tiny/lstm is not among the runs" in process.stderr


def test_a_configuration_with_tags_runs_nothing(fresh):
    marker = fresh.folder / "ran"
    hostile = fresh.folder / "hostile.yaml"
    hostile.write_text(f"data: !!python/object/apply:os.system ['touch {marker}']\n")
    process = fresh.snakemake("--dry-run", configfile=hostile)
    assert process.returncode != 0
    assert "Config file is not valid JSON or YAML" in process.stdout + process.stderr
    assert not marker.exists()


def refusal_of(workflow, command, path, target, *, batch=10, **settings):
    """Run up to ``target`` of a text at ``path``; return the line in which ``command`` refused it."""
    block = {"source": {"path": str(path)}, "min_count": 1, **settings}
    changes = {"data": {"mine": block}, "runs": [{"data": "mine", "model": "small", "epochs": 1}]}
    changes["models"] = {"small": {"training": {"batch": batch}}}
    process = workflow.snakemake(f"results/{target}", changes=changes)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    start = f"natural-sparsity {command}: "
    # The failed job's log is shown twice if it is the last; each time on a line of its own.
    [line] = {line.strip() for line in process.stderr.splitlines() if line.strip().startswith(start)}
    return line.removeprefix(start)


def test_non_utf8_text_is_named_with_its_offset(fresh):
    path = fresh.folder / "latin1.txt"
    path.write_bytes("A first line.\n\nCaf\u00e9.\n".encode("latin-1"))
    line = refusal_of(fresh, "documents", path, "data/mine/documents", format="text")
    assert line.startswith(f"{path}: byte 18 ")
    assert not (fresh.folder / "results/data/mine/documents").exists()


def test_a_truncated_dump_is_named(fresh):
    path = fresh.folder / "dump.xml.bz2"
    path.write_bytes(bz2.compress(b"<mediawiki>" + b"<page></page>" * 10_000)[:-20])
    line = refusal_of(fresh, "documents", path, "data/mine/documents", format="mediawiki")
    assert line.startswith(f"{path}: ")
    assert "truncated" in line


def test_an_empty_corpus_is_named(fresh):
    path = fresh.folder / "empty.txt"
    path.write_text("\n\n")
    assert refusal_of(fresh, "documents", path, "data/mine/documents", format="text").startswith(
        f"{path}: no documents found"
    )


def write_few(workflow, number):
    """A text of so many short documents."""
    path = workflow.folder / "few.txt"
    path.write_text("\n\n".join(f"Text number {i} is short." for i in range(number)))
    return path


def test_a_min_count_that_filters_everything_away(fresh):
    few = write_few(fresh, 60)
    line = refusal_of(fresh, "filter", few, "data/mine/tokens/train.npy", format="text", min_count=1000)
    assert line == (
        "min_count: 1000 drops every sentence (the most frequent word occurs 60 times); min_count: 1 would keep 100 %"
    )


def test_a_split_too_small_to_train_on_is_named_by_its_key(fresh):
    few = write_few(fresh, 60)
    line = refusal_of(fresh, "encode", few, "runs/mine/small/seed1/epoch1/state.json", format="text")
    assert re.fullmatch(
        r"split\.dev: leaves \d+ tokens, too few for a run \(at least 80\); raise split\.dev, or add text", line
    )


def test_a_corpus_too_short_for_one_batch(fresh):
    few = write_few(fresh, 300)
    line = refusal_of(fresh, "train", few, "runs/mine/small/seed1/epoch1/state.json", format="text", batch=5000)
    assert line.startswith("results/data/mine/tokens/")
    assert "are too few for a batch of 5000, which needs 10000; lower batch, or enlarge the split: lower" in line

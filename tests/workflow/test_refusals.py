"""Mistakes are refused before any job starts where that is possible, and always in a line that says what to mend."""

import bz2

import pytest


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"data": {"tiny": {"min_cuont": 1}}}, "data.tiny: unknown key 'min_cuont'; did you mean 'min_count'?"),
        ({"data": {"tiny": {"source": {"path": "a"}}}}, "data.tiny.source: give url and checksum, or path, or"),
        ({"probes": {"frozen": {"batch": 0}}}, "probes.frozen.batch: 0 is not an integer of 1 or more"),
    ],
)
def test_a_bad_configuration_is_one_line_and_no_job(fresh, changes, line):
    process = fresh.snakemake(changes=changes)
    assert process.returncode == 1
    announcements = ("Using workflow specific profile", "Config file")
    [refusal] = [text for text in process.stderr.splitlines() if not text.startswith(announcements)]
    assert refusal.startswith(f"configuration: {line}")
    assert not (fresh.folder / "results").exists()


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
        f"{path}: holds no documents"
    )


@pytest.fixture
def few(fresh):
    path = fresh.folder / "few.txt"
    path.write_text("\n\n".join(f"Text number {i} is short." for i in range(60)))
    return path


def test_a_min_count_that_filters_everything_away(fresh, few):
    line = refusal_of(fresh, "filter", few, "data/mine/tokens/train.npy", format="text", min_count=1000)
    assert line == ("min_count: 1000 filters every sentence away (the most frequent type occurs 60 times); lower it")


def test_a_corpus_too_short_for_one_batch(fresh, few):
    line = refusal_of(fresh, "train", few, "runs/mine/small/seed1/epoch1/state.json", format="text", batch=500)
    assert line.startswith("results/data/mine/tokens/")
    assert line.endswith("too few for a batch of 500; lower the batch size")

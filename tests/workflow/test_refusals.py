"""Mistakes are refused before any job starts where that is possible, and always in a line that says what to mend."""

import bz2

import pytest


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"corpora": {"tiny": {"min_cuont": 1}}}, "corpora.tiny: unknown key 'min_cuont'; did you mean 'min_count'?"),
        ({"corpora": {"tiny": {"source": {"path": "a"}}}}, "corpora.tiny.source: give url and checksum, or path, or"),
        ({"probe": {"batch": 0}}, "probe.batch: 0 is less than the minimum of 1"),
    ],
)
def test_a_bad_configuration_is_one_line_and_no_job(fresh, changes, line):
    process = fresh.snakemake(changes=changes)
    assert process.returncode == 1
    announcements = ("Using workflow specific profile", "Config file")
    [refusal] = [text for text in process.stderr.splitlines() if not text.startswith(announcements)]
    assert refusal.startswith(f"configuration: {line}")
    assert not (fresh.folder / "results").exists()


def run_on(workflow, path, **corpus):
    """Run up to the token stream of a corpus at ``path``; return what the failed job logged."""
    block = {"source": {"path": str(path)}, "min_count": 1, **corpus}
    changes = {"corpora": {"mine": block}, "runs": [{"corpus": "mine", "model": "small"}]}
    process = workflow.snakemake("results/mine/corpus/tokens/train.npy", changes=changes)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    return process.stderr


def test_non_utf8_text_is_named_with_its_offset(fresh):
    path = fresh.folder / "latin1.txt"
    path.write_bytes("A first line.\n\nCaf\u00e9.\n".encode("latin-1"))
    output = run_on(fresh, path, format="text")
    assert "natural-sparsity documents: " in output
    assert f"{path}" in output
    assert "18" in output
    assert not (fresh.folder / "results/mine/corpus/documents").exists()


def test_a_truncated_dump_is_named(fresh):
    path = fresh.folder / "dump.xml.bz2"
    path.write_bytes(bz2.compress(b"<mediawiki>" + b"<page></page>" * 10_000)[:-20])
    assert f"{path}" in run_on(fresh, path, format="mediawiki")


def test_an_empty_corpus_is_named(fresh):
    path = fresh.folder / "empty.txt"
    path.write_text("\n\n")
    assert f"{path}" in run_on(fresh, path, format="text")


def test_a_min_count_that_filters_everything_away(fresh):
    path = fresh.folder / "few.txt"
    path.write_text("\n\n".join(f"Text number {i} is short." for i in range(60)))
    assert "min_count: 1000 filters every sentence away" in run_on(fresh, path, format="text", min_count=1000)

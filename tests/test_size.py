"""Bounds at size: texts that expand a thousandfold, ten million types, an explorer of 100,000 words."""

import gzip
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard

from natural_sparsity import files

pytestmark = pytest.mark.slow
MIB = 1 << 20
EXPANDED_MIB = 128
# What a command may use of memory and disk.
MEMORY_MIB, DISK_MIB = 1500, 64
PIECE = MIB


def pieces(kind: str) -> Iterator[bytes]:
    """A text of ``EXPANDED_MIB`` that compresses a thousandfold."""
    head, piece = {
        "one line": (b"", b"a" * PIECE),
        "one line of words": (b"", b"word " * (PIECE // 5)),
        "spaces": (b"", b" " * PIECE),
        "empty lines": (b"", b"\n" * PIECE),
        "XML text": (b"<mediawiki><page><title>A</title><ns>0</ns><revision><text>", b"a " * (PIECE // 2)),
        "XML elements": (b"<mediawiki>", b"<page>" * (PIECE // 6)),
    }[kind]
    # A line takes a microsecond, however short.
    return itertools.chain([head], itertools.repeat(piece, 8 if kind == "empty lines" else EXPANDED_MIB))


def compressed(path: Path, kind: str) -> Path:
    """Write the text; returns the file."""
    with zstandard.open(path, "wb") if path.suffix == ".zst" else gzip.open(path, "wb", 6) as file:
        for piece in pieces(kind):
            file.write(piece)
    return path


PROGRAM = """
import resource, sys
from natural_sparsity.cli import main
try: main(sys.argv[1:])
finally: print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def run(folder: Path, *words: str | Path) -> tuple[subprocess.CompletedProcess, int]:
    """Run a command in ``folder``; the process, and the most memory that it had, in MiB."""
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    process = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert process.stdout, process.stderr[-2000:]  # Killed.
    return process, int(process.stdout.split()[-1])


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        ("one line", ".gz"),
        ("one line of words", ".zst"),
        ("spaces", ".zst"),
        ("empty lines", ".gz"),
        ("XML text", ".zst"),
        ("XML elements", ".gz"),
    ],
)
def test_a_text_that_expands_a_thousandfold(tmp_path, kind, suffix):
    """It is refused in one line, or read, within bounds of memory and disk either way."""
    source = compressed(tmp_path / f"text{suffix}", kind)
    assert source.stat().st_size * 400 < (8 if kind == "empty lines" else EXPANDED_MIB) * MIB
    words = ["--input", source, "--output", tmp_path / "out.jsonl.zst", "--account", tmp_path / "account.json"]
    process, memory = run(tmp_path, "documents", *words)
    assert memory < MEMORY_MIB
    if process.returncode:
        assert process.returncode == 1 and process.stderr.count("\n") == 1
        assert process.stderr.startswith(f"natural-sparsity documents: {source}")
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path != source) < DISK_MIB * MIB
    assert not list(tmp_path.glob(".*"))
    print(f"{kind}: {memory} MiB, {process.stderr or 'read'}")


def test_ten_million_types(tmp_path):
    """Through index, filter and vocabulary. NATURAL_SPARSITY_TYPES sets another number."""
    n_types = int(os.getenv("NATURAL_SPARSITY_TYPES", "10000000"))
    with files.open_zstd(tmp_path / "text.zst") as file:
        for start in range(0, n_types, 20):
            words = " ".join(f"w{i}" for i in range(start, start + 20))
            file.write(f"{words}\n{words}\n".encode())
    used, names = {}, ["--tokens", "tokens.npy", "--lengths", "lengths.npy"]
    process, used["index"] = run(tmp_path, "index", "--text", "text.zst", "--types", "types.parquet", *names)
    assert process.returncode == 0, process.stderr
    sentences = 2 * n_types // 20
    document = {"index": [0], "id": ["0"], "title": ["A"], "split": [""], "sentences": [sentences]}
    text = {"text": files.compute_digest(tmp_path / "text.zst").hex()}
    files.write_parquet(tmp_path / "documents.parquet", pd.DataFrame(document | {"tokens": [2 * n_types]}), text)
    options = ["--documents", "documents.parquet", "--min-count", "2", "--kept", "kept.npy", "--rows", "rows.npy"]
    options += ["--output", "counts.parquet", "--thresholds", "thresholds.parquet", "--account", "account.json"]
    process, used["filter"] = run(tmp_path, "filter", "--types", "types.parquet", *names, *options)
    assert process.returncode == 0, process.stderr
    about = files.read_metadata(tmp_path / "kept.npy")
    files.write_array(tmp_path / "assignment.npy", np.zeros(sentences, np.int8), about)
    options = ["--counts", "counts.parquet", "--rows", "rows.npy", "--assignment", "assignment.npy"]
    options += ["--min-count", "2", "--output", "vocabulary.parquet"]
    process, used["vocabulary"] = run(tmp_path, "vocabulary", *names, *options)
    assert process.returncode == 0, process.stderr
    assert len(files.read_table(tmp_path / "vocabulary.parquet", ["word"])) >= n_types
    print(f"{n_types:,} types: {used} MiB")
    assert max(used.values()) < 500 + n_types / 4000


@pytest.mark.browser
def test_an_explorer_of_many_words(tmp_path):
    """100,000 words open and answer, in seconds."""
    if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")
    script = Path(__file__).parents[1] / "benchmarks/explorer.py"
    command = [sys.executable, script, "--words", "100000", "--epochs", "3", "--repeats", "1", "--output", tmp_path]
    process = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)
    assert process.returncode == 0, process.stderr
    seconds = json.loads((tmp_path / "explorer.json").read_text())["seconds"]
    print(seconds)
    assert seconds["load"] < 60 and max(seconds.values()) < 60

"""A few million characters of Wikipedia in WikiExtractor's format, through Snakemake, against plain Python."""

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard
from harness import ROOT, Workflow

from natural_sparsity.corpus.split import split_of

TEXT = Path(os.environ.get("NATURAL_SPARSITY_TEXT", ROOT.parent / "shared/corpora/enwiki-extracted")) / "part-00.xz"
DATA = "results/data/real"
MIN_COUNT = 10
FRACTIONS = {"train": 0.15, "dev": 0.05, "test": 0.8}
pytestmark = pytest.mark.skipif(
    not TEXT.exists(), reason=f"no {TEXT.name}: set NATURAL_SPARSITY_TEXT to a folder that has it"
)


def read_lines(path):
    with zstandard.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().rstrip("\n").split("\n")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The text, tagged, and one epoch of the paper's model on it."""
    workflow = Workflow(tmp_path_factory.mktemp("real"))
    source = {"source": {"path": str(TEXT)}, "format": "wikiextractor", "max_documents": 6000, "shards": 3}
    workflow.changes = {
        "data": {"real": {**source, "min_count": MIN_COUNT, "split": FRACTIONS}},
        "models": {"lstm": {}},
        "runs": [{"data": "real", "model": "lstm", "seeds": [1], "epochs": 1}],
    }
    workflow.run(
        f"{DATA}/words.parquet",
        "results/experiments/tiny/real/lstm/seed1/frozen/correlations.parquet",
        changes=workflow.changes,
    )
    return workflow


def test_the_text_stages_equal_plain_python(real):
    folder = real.folder / DATA
    documents = []
    for i in range(3):
        lines, cased = (read_lines(folder / f"sentences/{i}-of-3.{name}.zst") for name in ("txt", "cased.txt"))
        assert [re.sub("[\t ]", " ", line).lower() for line in cased] == lines
        rows = pd.read_parquet(folder / f"sentences/{i}-of-3.documents.parquet")
        ends = rows["sentences"].cumsum()
        documents += [
            (row.index, row.id, lines[end - row.sentences : end])
            for row, end in zip(rows.itertuples(index=False), ends, strict=True)
        ]
    sentences = [(id_, line.split(" ")) for _, id_, lines in sorted(documents) for line in lines]
    assert len(sentences) > 10_000

    # docs/method.md, Corpus, in ten lines.
    counts = Counter(word for _, words in sentences for word in words)
    kept = [(id_, words) for id_, words in sentences if min(counts[word] for word in words) >= MIN_COUNT]
    recount = Counter(word for _, words in kept for word in words)
    expected = []
    for id_, words in kept:
        if split_of(id_, list(FRACTIONS.values()), 1) == 1:
            expected += [word if recount[word] >= MIN_COUNT else "<unk>" for word in words] + ["<eos>"]

    table = pd.read_parquet(folder / "words.parquet")
    stream = table["word"].to_numpy()[np.load(folder / "tokens/train.npy")]
    assert stream.tolist() == expected
    assert (table["tagged"][2:] == table["count"][2:]).all()


def test_jobs_stay_within_the_memory_that_they_ask_for(real):
    """The peak of each benchmarked job, MiB, with Snakemake's own part (docs/performance.md), against its mem_mb."""
    asked = {}
    # What depends on the inputs' sizes is known only where they are not to be made again.
    for forced in ("--forceall", "--forcerun=train", "--forcerun=probe"):
        process = real.snakemake("--dry-run", "--verbose", forced, changes=real.changes)
        for rule, resources in re.findall(r"^rule (\w+):\n(?:.*\n)+? +resources: (.*)", process.stdout, re.MULTILINE):
            if mb := re.search(r"\bmem_mb=(\d+)", resources):
                asked[rule] = int(mb[1])
    used = {}
    for path in (real.folder / "results").rglob("benchmarks/**/*.tsv"):
        rule = path.as_posix().split("/benchmarks/")[1].split("/")[0]
        used.setdefault(rule.removesuffix(".tsv"), []).append(pd.read_csv(path, sep="\t")["max_rss"].item())
    assert set(used) >= {"documents", "sentences", "index", "filter", "encode", "tag", "train", "probe", "correlate"}
    for rule, peaks in used.items():
        assert 0 < (max(peaks) + 360) * 1.05 < asked[rule], (rule, peaks, asked[rule])

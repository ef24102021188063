"""A few million characters of Wikipedia in WikiExtractor's format, through Snakemake, against plain Python."""

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zstandard
from conftest import ROOT

from natural_sparsity.corpus.split import split_of

TEXT = Path(os.environ.get("NATURAL_SPARSITY_TEXT", ROOT.parent / "shared/corpora/enwiki-extracted")) / "part-00.xz"
CORPUS = "results/real/corpus"
MIN_COUNT = 10


def read_lines(path):
    with zstandard.open(path, "rt", encoding="utf-8", newline="\n") as file:
        return file.read().rstrip("\n").split("\n")


@pytest.mark.skipif(not TEXT.exists(), reason=f"no {TEXT.name}: set NATURAL_SPARSITY_TEXT to a folder that has it")
def test_the_text_stages_equal_plain_python(fresh):
    source = {"source": {"path": str(TEXT)}, "format": "wikiextractor", "max_documents": 6000, "shards": 3}
    changes = {
        "corpora": {"real": {**source, "min_count": MIN_COUNT}},
        "runs": [{"corpus": "real", "model": "small", "seeds": [1], "epochs": 1}],
    }
    fresh.run(f"{CORPUS}/tokens/train.npy", f"{CORPUS}/words.parquet", changes=changes)
    folder = fresh.folder / CORPUS
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
        if split_of(id_, [0.7, 0.1, 0.2], 1) == 1:
            expected += [word if recount[word] >= MIN_COUNT else "<unk>" for word in words] + ["<eos>"]

    table = pd.read_parquet(folder / "words.parquet")
    stream = table["word"].to_numpy()[np.load(folder / "tokens/train.npy")]
    assert stream.tolist() == expected
    assert (table["tagged"][2:] == table["count"][2:]).all()

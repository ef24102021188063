"""From sentences to token streams: what the command ``sentences`` would write, then the five commands, in turn."""

import argparse

import pandas as pd
import zstandard

from natural_sparsity import files
from natural_sparsity.corpus import encode, filter, index, split, vocabulary

FRACTIONS = [0.6, 0.2, 0.2]
TEXTS = {"text": "txt", "cased": "cased.txt"}
COLUMNS = {"index": "int64", "id": "str", "split": "str", "sentences": "int32"}


def write_shards(folder, documents, n, given=None, unit="word"):
    """Write documents {id: sentences, each a list of words}, document i to shard i % n; ``given``: {id: split}."""
    for k in range(n):
        own = [(i, key, sentences) for i, (key, sentences) in enumerate(documents.items()) if i % n == k]
        text = "".join(" ".join(words) + "\n" for _, _, sentences in own for words in sentences)
        for name in ("txt", "cased.txt"):
            (folder / f"{k}.{name}.zst").write_bytes(zstandard.compress(text.encode()))
        rows = [(i, key, (given or {}).get(key, ""), len(sentences)) for i, key, sentences in own]
        frame = pd.DataFrame(rows, columns=["index", "id", "split", "sentences"])
        about = {name: files.compute_digest(folder / f"{k}.{end}.zst").hex() for name, end in TEXTS.items()}
        files.write_parquet(folder / f"{k}.documents.parquet", frame.astype(COLUMNS), about)
        tokens = sum(len(words) for _, _, sentences in own for words in sentences)
        counts = {"sentences": sum(len(s) for _, _, s in own), "tokens": tokens, "dropped": {"tables": 2, "files": k}}
        counts |= {"documents": len(own) + 1, "documents_with_text": len(own), "unit": unit}
        files.write_json(folder / f"{k}.sentences.json", counts)
    read = {"documents": len(documents) + n, "skipped": {"redirect": 7}, "formats": {"text": 1}, "notes": ["a note"]}
    files.write_json(folder / "documents.json", read)


def list_arguments(folder, n, min_count):
    """The arguments of all commands but index, for ``n`` shards."""

    def each(suffix):
        return [folder / f"{k}.{suffix}" for k in range(n)]

    common = {
        "types": each("types.parquet"),
        "tokens": each("tokens.npy"),
        "lengths": each("lengths.npy"),
        "documents": each("documents.parquet"),
        "kept": each("kept.npy"),
        "rows": each("rows.npy"),
        "assignment": each("assignment.npy"),
        "min_count": min_count,
        "fractions": FRACTIONS,
        "seed": 1,
        "counts": folder / "types.parquet",
        "vocabulary": folder / "vocabulary.parquet",
        "train": folder / "train.npy",
        "dev": folder / "dev.npy",
        "test": folder / "test.npy",
        "document_tokens": folder / "document-tokens.parquet",
        "summary": folder / "summary.json",
        "thresholds": folder / "thresholds.parquet",
        "account": folder / "filter.json",
    }
    accounts = [folder / "documents.json", *each("sentences.json"), folder / "filter.json"]
    return {
        filter: argparse.Namespace(**common, output=folder / "types.parquet"),
        split: argparse.Namespace(**common, accounts=[accounts[0], accounts[-1]]),
        vocabulary: argparse.Namespace(**common, output=folder / "vocabulary.parquet"),
        encode: argparse.Namespace(**common, accounts=accounts),
    }


def run_passes(folder, documents, n, min_count, given=None, unit="word"):
    """Run all five commands on ``n`` shards."""
    write_shards(folder, documents, n, given, unit)
    for k in range(n):
        outputs = {
            name: folder / f"{k}.{name}.{end}" for name, end in zip(INDEX, ("parquet", "npy", "npy"), strict=True)
        }
        index.run(argparse.Namespace(text=folder / f"{k}.txt.zst", **outputs))
    for command, arguments in list_arguments(folder, n, min_count).items():
        command.run(arguments)


INDEX = ("types", "tokens", "lengths")


def read_streams(folder):
    """The words of each split's stream, by name."""
    words = files.read_parquet(folder / "vocabulary.parquet", ["word"])["word"].tolist()
    return {name: [words[i] for i in files.read_array(folder / f"{name}.npy")] for name in split.SPLITS}

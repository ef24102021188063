"""Filter, split, vocabulary and encode on a Zipf-distributed text from a seed: tokens/s on one core, and memory."""

import importlib
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from common import PeakMemory, arguments, report

from natural_sparsity import cli, files
from natural_sparsity.corpus.split import split_of

TYPES, EXPONENT, SENTENCE, DOCUMENT = 2_000_000, 1.05, 22, 25
FRACTIONS = [0.7, 0.1, 0.2]


def make_text(folder: Path, tokens: int) -> None:
    """One shard of about ``tokens`` tokens; sentences of about 22 tokens, documents of 25 sentences."""
    rng = np.random.default_rng(0)
    weights = np.arange(1, TYPES + 1, dtype=float) ** -EXPONENT
    edges = (np.cumsum(weights) / weights.sum()).astype(np.float32)
    lengths = np.maximum(rng.geometric(1 / SENTENCE, tokens // SENTENCE), 1).astype(np.uint32)
    counts = np.zeros(TYPES, np.int64)
    total, done = int(lengths.sum()), 0
    with files.atomic(folder / "tokens.npy") as path:
        writer = files.ArrayWriter(path, np.uint32)
        while done < total:
            block = np.searchsorted(edges, np.sort(rng.random(min(4_000_000, total - done), np.float32)))
            block = rng.permutation(np.minimum(block, TYPES - 1)).astype(np.uint32)  # sorted keys search faster
            counts += np.bincount(block, minlength=TYPES)
            writer.append(block)
            done += len(block)
        writer.close()
    about = {"text": "generated"}
    files.write_array(folder / "lengths.npy", lengths, about | {"tokens": files.read_digest(folder / "tokens.npy")})
    present = np.flatnonzero(counts)
    # The shard's ids are those of the types that occur; the absent ones at the tail keep theirs, with count 0.
    last = present[-1] + 1
    types = pd.DataFrame({"word": [f"w{i}" for i in range(last)], "count": counts[:last]})
    files.write_parquet(folder / "types.parquet", types, about)
    sizes = np.full(-(-len(lengths) // DOCUMENT), DOCUMENT, np.int32)
    sizes[-1] = len(lengths) - sizes[:-1].sum()
    documents = pd.DataFrame({"index": np.arange(len(sizes)), "id": [f"d{i}" for i in range(len(sizes))]})
    files.write_parquet(folder / "documents.parquet", documents.assign(split="", sentences=sizes), about)
    read = {"documents": len(sizes), "skipped": {}, "formats": {"text": 1}, "notes": []}
    files.write_json(folder / "documents.json", read)
    counted = {
        "documents_with_text": len(sizes),
        "sentences": len(lengths),
        "tokens": total,
        "dropped": {},
        "unit": "word",
    }
    files.write_json(folder / "sentences.json", {"documents": len(sizes), **counted})


def run_passes(folder: Path, min_count: int) -> dict[str, float]:
    """Seconds of each of the four commands."""
    options = {
        "filter": "--types {d}/types.parquet --documents {d}/documents.parquet --tokens {d}/tokens.npy "
        "--lengths {d}/lengths.npy --min-count {n} --kept {d}/kept.npy --rows {d}/rows.npy --output {d}/counts.parquet "
        "--thresholds {d}/thresholds.parquet --account {d}/filter.json",
        "split": "--documents {d}/documents.parquet --kept {d}/kept.npy --fractions {f} --seed 1 "
        "--accounts {d}/documents.json {d}/filter.json --assignment {d}/assignment.npy",
        "vocabulary": "--counts {d}/counts.parquet --rows {d}/rows.npy --tokens {d}/tokens.npy "
        "--lengths {d}/lengths.npy --assignment {d}/assignment.npy --min-count {n} --output {d}/vocabulary.parquet",
        "encode": "--vocabulary {d}/vocabulary.parquet --counts {d}/counts.parquet --rows {d}/rows.npy "
        "--tokens {d}/tokens.npy --lengths {d}/lengths.npy --documents {d}/documents.parquet "
        "--assignment {d}/assignment.npy --accounts {d}/documents.json {d}/sentences.json {d}/filter.json "
        "--train {d}/train.npy --dev {d}/dev.npy --test {d}/test.npy "
        "--document-tokens {d}/document-tokens.parquet --summary {d}/summary.json",
    }
    seconds = {}
    for name, template in options.items():
        command = [name, *template.format(d=folder, n=min_count, f=" ".join(map(str, FRACTIONS))).split()]
        importlib.import_module(f"natural_sparsity.corpus.{name}")
        start = time.perf_counter()
        cli.main(command)
        seconds[name] = time.perf_counter() - start
    return seconds


def python_passes(folder: Path, min_count: int) -> float:
    """Seconds of the same in loops over words; the reference."""
    words = pd.read_parquet(folder / "types.parquet")["word"].to_numpy()
    tokens, lengths = words[np.load(folder / "tokens.npy")].tolist(), np.load(folder / "lengths.npy").tolist()
    start = time.perf_counter()
    counts = Counter(tokens)
    recount: Counter[str] = Counter()
    kept, position = [], 0
    for i, length in enumerate(lengths):
        sentence = tokens[position : position + length]
        position += length
        if all(counts[word] >= min_count for word in sentence):
            recount.update(sentence)
            kept.append((i // DOCUMENT, sentence))
    known = sorted(word for word, count in recount.items() if count >= min_count)
    ids = {word: i for i, word in enumerate(known, 2)}
    streams: dict[int, list[int]] = {1: [], 2: [], 3: []}
    for document, sentence in kept:
        stream = streams[split_of(f"d{document}", FRACTIONS, 1)]
        stream.extend(ids.get(word, 0) for word in sentence)
        stream.append(1)
    seconds = time.perf_counter() - start
    assert len(streams[1]) == len(np.load(folder / "train.npy", mmap_mode="r"))
    return seconds


def main() -> None:
    args = arguments(__doc__, {"tokens": 200_000, "min_count": 5}, tokens=230_000_000, min_count=100)
    reference = 0.0
    sizes = [n for n in (2_000_000, 20_000_000) if n < args.tokens] + [args.tokens]
    for tokens in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_text(folder, tokens)
            with PeakMemory() as memory:
                seconds = run_passes(folder, args.min_count)
            total = len(np.load(folder / "tokens.npy", mmap_mode="r"))
            if not reference:
                reference = total / python_passes(folder, args.min_count)
            report(
                args.output,
                f"passes-{tokens / 1e6:g}M",
                ours=total / sum(seconds.values()),
                reference=reference,
                unit="tokens/s",
                peak_mib=memory.peak,
                **{f"{name}_s": value for name, value in seconds.items()},
            )


if __name__ == "__main__":
    main()

"""Put the tokens of each split in random order; the vocabulary and all sizes stay those of the text."""

import argparse
import shutil
from pathlib import Path

import numpy as np

from natural_sparsity import files
from natural_sparsity.corpus.split import SPLITS
from natural_sparsity.identity import check_made_from


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--vocabulary", type=Path, required=True, help="the text's vocabulary.parquet")
    for name in SPLITS:
        parser.add_argument(f"--{name}", type=Path, required=True, help=f".npy, the text's {name} stream")
    parser.add_argument("--documents", type=Path, required=True, help="Parquet train, dev, test: tokens per document")
    parser.add_argument("--summary", type=Path, required=True, help="the text's summary.json")
    parser.add_argument("--of", required=True, help="name of the text")
    help_text = "stream: tokens move anywhere in their split; document: inside their document"
    parser.add_argument("--within", choices=["stream", "document"], required=True, help=help_text)
    parser.add_argument("--seed", type=int, required=True, help="seed of the order")
    parser.add_argument("--output", type=Path, required=True, help="out: a folder, with files as in the text's")


def shuffle(tokens: np.ndarray, lengths: list[int], generator: np.random.Generator) -> np.ndarray:
    """Copy ``tokens`` (n,) with each of the consecutive pieces of these ``lengths`` in random order."""
    stream, start = np.array(tokens), 0
    for length in lengths:
        generator.shuffle(stream[start : start + length])
        start += length
    return stream


def run(args: argparse.Namespace) -> None:
    """Write the shuffled streams, a copy of the vocabulary, and a summary that names the text.

    The vocabulary is copied as it is, so that its digest is that of the text's: words are then those of the text.

    Raises:
        UserError: files do not belong to one text.
    """
    vocabulary = files.read_digest(args.vocabulary)
    summary = files.read_json(args.summary, ["made_from", "streams"])
    documents = files.read_table(args.documents, list(SPLITS))
    about = files.read_metadata(args.documents)
    check_made_from(args.documents, about, "streams", args.summary, summary["streams"])
    settings = {"of": args.of, "within": args.within, "seed": args.seed}
    digests = {}
    for name, number in SPLITS.items():
        path: Path = getattr(args, name)
        tokens, about, digest = files.open_array(path)
        check_made_from(path, about, "vocabulary", args.vocabulary, vocabulary)
        check_made_from(args.summary, summary["streams"], name, path, digest)
        pieces = documents[name].to_pylist() if args.within == "document" else [len(tokens)]
        stream = shuffle(tokens, pieces, np.random.default_rng([args.seed, number]))
        output = args.output / "tokens" / f"{name}.npy"
        files.write_array(output, stream, {"split": name, "vocabulary": vocabulary, "shuffled": settings})
        digests[name] = files.read_digest(output)
    with files.atomic(args.output / "vocabulary.parquet") as temporary:
        shutil.copyfile(args.vocabulary, temporary)
    content = {key: value for key, value in summary.items() if key not in ("format", "digest")}
    files.write_json(args.output / "summary.json", content | {"streams": digests, "shuffled": settings})

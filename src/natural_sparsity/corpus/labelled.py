"""Turn labelled texts into arrays for classification: words as ids, padded to one length, with a vocabulary.

A text is lowercased and split into words and single signs. The vocabulary holds the training split's most frequent
words; id 0 pads short texts, and id 1 stands for all other words. Texts are cut after ``length`` words.
"""

import argparse
import csv
import hashlib
import io
import re
import sys
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.errors import UserError

# Ids of the padding after a text's last word, and of every word outside the vocabulary.
PAD, UNKNOWN = 0, 1
SPECIALS = ["<pad>", "<unk>"]
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_")
SPLITS = ("train", "dev", "test")
Text = tuple[str, int, str]  # split, or "" where the data have none; class; text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="files of the data set")
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="format of the data set")
    parser.add_argument("--words", type=int, required=True, help="size of the vocabulary at most, without the specials")
    parser.add_argument("--min-occurrences", type=int, required=True, help="occurrences in training that a word needs")
    parser.add_argument("--length", type=int, required=True, help="words of a text that are read, from its start")
    help_text = "shares of the texts; TEST is not used where the data have a test split"
    parser.add_argument("--fractions", type=float, nargs=2, required=True, metavar=("DEV", "TEST"), help=help_text)
    parser.add_argument("--seed", type=int, required=True, help="seed of the hash that splits the texts")
    for split in SPLITS:
        help_text = "out: .npy, a row per text: its class, then its word ids"
        parser.add_argument(f"--{split}", type=Path, required=True, help=help_text)
    parser.add_argument("--vocabulary", type=Path, required=True, help="out: Parquet id, word, count (in training)")
    parser.add_argument("--summary", type=Path, required=True, help="out: JSON, sizes and shares of the splits")


def open_tar(path: Path, file: Any = None) -> tarfile.TarFile:
    """Open a tar archive, compressed or not; raise :class:`UserError` if it is not one."""
    try:
        return tarfile.open(path, fileobj=file)
    except (OSError, tarfile.TarError) as error:
        raise UserError(f"{path}: not a readable archive ({error}); delete it and run again") from error


def read_member(archive: tarfile.TarFile, name: str, path: Path) -> bytes:
    """Read the only member whose name ends in ``name``."""
    names = [each for each in archive.getnames() if each.endswith(name)]
    file = archive.extractfile(names[0]) if len(names) == 1 else None
    if file is None:
        raise UserError(f"{path}: has {len(names)} members {name}, not one; check that format names this data set")
    return file.read()


# Sources of the snippets of vaderSentiment (Hutto & Gilbert 2014); the film reviews are those of Pang & Lee.
SOURCES = ("movieReview", "amazonReview", "nytEditorial", "tweets")


def read_snippets(path: Path, sources: Sequence[str]) -> Iterator[tuple[int, float, str]]:
    """Yield (position in ``sources``, mean rating, text) of snippets in vaderSentiment's source distribution."""
    with open_tar(path) as outer:
        inner = io.BytesIO(read_member(outer, "/additional_resources/hutto_ICWSM_2014.tar.gz", path))
    with open_tar(path, inner) as archive:
        for position, source in enumerate(sources):
            name = source if source == "tweets" else f"{source}Snippets"
            content = read_member(archive, f"/{name}_GroundTruth.txt", path).decode("utf-8", "replace")
            for number, line in enumerate(content.split("\n"), 1):
                if not line.strip():
                    continue
                try:
                    _, rating, text = line.split("\t", 2)
                    yield position, float(rating), text
                except ValueError as error:
                    raise UserError(f"{path}: line {number} of {name} has no rating and text ({error})") from error


def read_vader(paths: Sequence[Path]) -> Iterator[Text]:
    """Yield the snippets of film reviews, classed by the sign of their rating, without those rated 0."""
    for path in paths:
        for _, rating, text in read_snippets(path, SOURCES[:1]):
            if rating:
                yield "", int(rating > 0), text


def read_vader_sources(paths: Sequence[Path]) -> Iterator[Text]:
    """Yield all snippets, classed by their source: film reviews, product reviews, editorials, tweets."""
    for path in paths:
        for label, _, text in read_snippets(path, SOURCES):
            yield "", label, text


def read_imdb(paths: Sequence[Path]) -> Iterator[Text]:
    """Yield the film reviews of aclImdb_v1.tar.gz, negative or positive, with a test split (Maas et al. 2011)."""
    for path in paths:
        with open_tar(path) as archive:
            for entry in archive:
                match = re.fullmatch(r"aclImdb/(train|test)/(neg|pos)/\d+_\d+\.txt", entry.name)
                file = archive.extractfile(entry) if match else None
                if match and file:
                    text = file.read().decode("utf-8", "replace").replace("<br />", " ")
                    yield ("test" if match[1] == "test" else ""), int(match[2] == "pos"), text


def read_ag_news(paths: Sequence[Path]) -> Iterator[Text]:
    """Yield the rows of train.csv and test.csv: topic, counted from 1, title and description (Zhang et al. 2015)."""
    if len(paths) != 2:
        raise UserError(f"ag_news: {len(paths)} files; give train.csv and test.csv")
    for path, split in zip(paths, ("", "test"), strict=True):
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if len(row) != 3 or not row[0].isdigit():
                    raise UserError(f"{path}: line {number} is not topic, title, description")
                yield split, int(row[0]) - 1, f"{row[1]} {row[2]}".replace("\\", " ")


FORMATS: dict[str, Callable[[Sequence[Path]], Iterator[Text]]] = {
    "vader": read_vader,
    "vader_sources": read_vader_sources,
    "imdb": read_imdb,
    "ag_news": read_ag_news,
}


def split_of(given: str, text: str, dev: float, test: float, seed: int) -> str:
    """Return the split of a text: as the data say, else by a hash of seed and text, so that copies stay together."""
    if given:
        return given
    digest = hashlib.blake2b(f"{seed}/{text}".encode(), digest_size=8).digest()
    position = int.from_bytes(digest, "big") / 2**64
    return "dev" if position < dev else "test" if position < dev + test else "train"


def split_words(text: str) -> list[str]:
    """Split a text into its words and signs, lowercased."""
    return WORD.findall(text.lower())


def encode_texts(texts: list[tuple[int, list[str]]], ids: dict[str, int], length: int) -> np.ndarray:
    """Return (n_texts, 1 + length) uint32: each text's class and the ids of its first ``length`` words, padded."""
    rows = np.full((len(texts), 1 + length), PAD, np.uint32)
    for row, (label, words) in zip(rows, texts, strict=True):
        row[0] = label
        row[1 : 1 + len(words[:length])] = [ids.get(word, UNKNOWN) for word in words[:length]]
    return rows


def run(args: argparse.Namespace) -> None:
    """Write the splits, the vocabulary and a summary. A test split that the data have replaces the test fraction.

    Raises:
        UserError: the data are not in the format, or a split lacks a class.
    """
    texts: dict[str, list[tuple[int, list[str]]]] = {split: [] for split in SPLITS}
    given = list(FORMATS[args.format](args.source))
    dev, test = args.fractions[0], 0.0 if any(split for split, _, _ in given) else args.fractions[1]
    for split, label, text in given:
        if words := split_words(text):
            texts[split_of(split, text, dev, test, args.seed)].append((label, words))
    classes = sorted({label for _, label, _ in given})
    for split, part in texts.items():
        lacking = set(classes) - {label for label, _ in part}
        if lacking or len(classes) < 2:
            raise UserError(
                f"{args.source[0]}: no text of some class in {split}; "
                "check that the file is complete and the fractions are large enough"
            )
    counts = Counter(word for _, words in texts["train"] for word in words)
    frequent = sorted(
        (word for word in counts if counts[word] >= args.min_occurrences), key=lambda word: (-counts[word], word)
    )
    kept = frequent[: args.words]
    ids = {word: number for number, word in enumerate(kept, len(SPECIALS))}
    for split, part in texts.items():
        files.write_array(getattr(args, split), encode_texts(part, ids, args.length))
    known = [counts[word] for word in kept]
    frame = pd.DataFrame({"word": pd.Series([*SPECIALS, *kept], dtype="str")})
    frame["count"] = np.array([0, sum(counts.values()) - sum(known), *known], np.int64)
    frame.insert(0, "id", np.arange(len(frame), dtype=np.int32))
    files.write_parquet(args.vocabulary, frame)
    summary: dict[str, Any] = {"classes": len(classes), "vocabulary": len(frame)}
    for split, part in texts.items():
        largest = max(Counter(label for label, _ in part).values())
        cut = sum(len(words) > args.length for _, words in part)
        summary[split] = {"texts": len(part), "largest_class": largest / len(part), "cut": cut / len(part)}
    files.write_json(args.summary, summary)
    sizes = ", ".join(f"{len(part):,} {split}" for split, part in texts.items())
    print(f"labelled: {sizes}; {len(classes)} classes, {len(frame):,} words", file=sys.stderr)

"""Turn labelled texts into arrays for classification: words as ids, padded to one length, with a vocabulary.

A text is lowercased and split into words and single signs. The vocabulary holds the training split's most frequent
words; id 0 pads short texts, and id 1 stands for all other words. Texts are cut after ``length`` words.
"""

import argparse
import csv
import hashlib
import io
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from natural_sparsity import files
from natural_sparsity.corpus.archives import read_member, read_members
from natural_sparsity.corpus.streams import Stream, decode, open_compressed, refuse_binary
from natural_sparsity.errors import UserError

# Ids of the padding after a text's last word, and of every word outside the vocabulary.
PAD, UNKNOWN = 0, 1
SPECIALS = ["<pad>", "<unk>"]
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_")
SPLITS = ("train", "dev", "test")
MAX_LINE = 1 << 26
Text = tuple[str, int, str]  # split, or "" where the data have none; class; text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="files of the data set")
    parser.add_argument("--format", choices=list(FORMATS), required=True, help="format of the data set")
    parser.add_argument("--words", type=int, required=True, help="maximum size of the vocabulary, without the specials")
    help_text = "how often a word must occur in training to be in the vocabulary"
    parser.add_argument("--min-occurrences", type=int, required=True, help=help_text)
    parser.add_argument("--length", type=int, required=True, help="words of a text that are read, from its start")
    help_text = "shares of the texts; TEST is not used where the data have a test split"
    parser.add_argument("--fractions", type=float, nargs=2, required=True, metavar=("DEV", "TEST"), help=help_text)
    parser.add_argument("--seed", type=int, required=True, help="seed of the hash that splits the texts")
    for split in SPLITS:
        help_text = "out: .npy, a row per text: its class, then its word ids"
        parser.add_argument(f"--{split}", type=Path, required=True, help=help_text)
    parser.add_argument("--vocabulary", type=Path, required=True, help="out: Parquet id, word, count (in training)")
    parser.add_argument("--summary", type=Path, required=True, help="out: JSON, sizes and shares of the splits")


# Sources of the snippets of vaderSentiment (Hutto & Gilbert 2014); the film reviews are those of Pang & Lee.
SOURCES = ("movieReview", "amazonReview", "nytEditorial", "tweets")


def read_snippets(path: Path, sources: Sequence[str]) -> Iterator[tuple[int, float, str]]:
    """Yield (position in ``sources``, mean rating, text) of snippets in vaderSentiment's source distribution."""
    inner = "/additional_resources/hutto_ICWSM_2014.tar.gz"
    with open_compressed(path) as stream:
        content = read_member(stream, inner)
    for position, source in enumerate(sources):
        name = source if source == "tweets" else f"{source}Snippets"
        with Stream(Path(f"{path}{inner}"), io.BytesIO(content)) as stream:
            snippets = read_member(stream, f"/{name}_GroundTruth.txt")
        for number, line in enumerate(decode(snippets, stream.path / f"{name}_GroundTruth.txt").split("\n"), 1):
            if line.strip():
                yield position, *parse_snippet(line, f"{path}: line {number} of {name}")


def parse_snippet(line: str, place: str) -> tuple[float, str]:
    """Return the rating and the text of a line ``id, rating, text``; ``place`` is for the error."""
    try:
        _, rating, text = line.split("\t", 2)
        if not math.isfinite(float(rating)):
            raise ValueError(f"the rating is {rating}")
    except ValueError as error:
        raise UserError(f"{place} has no rating and text ({error}); download the file again") from error
    return float(rating), text


def read_vader(paths: Sequence[Path], skipped: Counter[str]) -> Iterator[Text]:
    """Yield the snippets of film reviews, classed by the sign of their rating, without those rated 0."""
    for path in paths:
        for _, rating, text in read_snippets(path, SOURCES[:1]):
            if rating:
                yield "", int(rating > 0), text
            else:
                skipped["rated 0"] += 1


def read_vader_sources(paths: Sequence[Path], skipped: Counter[str]) -> Iterator[Text]:
    """Yield all snippets, classed by their source: film reviews, product reviews, editorials, tweets."""
    for path in paths:
        for label, _, text in read_snippets(path, SOURCES):
            yield "", label, text


def read_imdb(paths: Sequence[Path], skipped: Counter[str]) -> Iterator[Text]:
    """Yield the film reviews of aclImdb_v1.tar.gz, negative or positive, with a test split (Maas et al. 2011)."""
    wanted = re.compile(r"aclImdb/(train|test)/(neg|pos)/[0-9]+_[0-9]+\.txt")
    for path in paths:
        with open_compressed(path) as stream:
            members = read_members(stream, wanted)
        found = {tuple(name.split("/")[1:3]) for name, _ in members}
        for folder in (("train", "neg"), ("train", "pos"), ("test", "neg"), ("test", "pos")):
            if folder not in found:
                raise UserError(
                    f"{path}: has no member like aclImdb/{'/'.join(folder)}/0_3.txt; check that format names this data"
                    " set, and that the archive is complete"
                )
        for name, content in members:
            _, split, label, _ = name.split("/")
            text = decode(content, path / name).replace("<br />", " ")
            yield ("test" if split == "test" else ""), int(label == "pos"), text


# World, sports, business, science and technology.
TOPICS = 4


def read_ag_news(paths: Sequence[Path], skipped: Counter[str]) -> Iterator[Text]:
    """Yield the rows of train.csv and test.csv: topic, counted from 1, title and description (Zhang et al. 2015)."""
    if len(paths) != 2:
        raise UserError(f"ag_news: {len(paths)} files; give train.csv and test.csv")
    for path, split in zip(paths, ("", "test"), strict=True):
        number = 0
        for number, row in read_rows(path):
            if len(row) != 3:
                raise UserError(f"{path}: line {number} is not topic, title, description, but has {len(row)} fields")
            if row[0] not in map(str, range(1, TOPICS + 1)):
                raise UserError(
                    f"{path}: line {number}: the topic {row[0]!r} is not 1 to {TOPICS}; correct or delete the line"
                )
            yield split, int(row[0]) - 1, f"{row[1]} {row[2]}".replace("\\", " ")
        if not number:
            raise UserError(f"{path}: has no rows; download it again")


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (number of its first line, fields) of each row of a CSV file, compressed or not.

    Raises:
        UserError: quotes are not closed, a field has more than 64 Mi characters, or a line is not UTF-8.
    """
    csv.field_size_limit(MAX_LINE)
    with open_compressed(path) as stream:
        refuse_binary(stream)
        rows = csv.reader(read_lines(stream), strict=True)
        while True:
            number = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise UserError(f"{path}: line {number} does not begin a CSV row ({error}); check quotes") from error
            yield number, row


def read_lines(stream: Stream) -> Iterator[str]:
    """Yield the lines with their ends, as ``csv`` wants them, which are ``\\n``, ``\\r\\n`` or ``\\r``."""
    offset = 0
    for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE + 1), b""), 1):
        place = f"{stream.path}: line {number}"
        if len(line) > MAX_LINE:
            raise UserError(f"{place} has more than {MAX_LINE >> 20} MiB; split it")
        yield from io.StringIO(decode(line, place, offset), newline="")
        offset += len(line)


FORMATS: dict[str, Callable[[Sequence[Path], Counter[str]], Iterator[Text]]] = {
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


def describe(part: list[tuple[int, list[str]]], ids: dict[str, int], length: int) -> dict[str, Any]:
    """Describe what a split keeps of its texts.

    Returns:
        texts; largest_class, its share of the texts; cut, the share of the texts with more than ``length`` words;
        words, before the cut; read, the words that the cut leaves; unknown, the share of these outside the vocabulary.
    """
    read = [word for _, words in part for word in words[:length]]
    return {
        "texts": len(part),
        "largest_class": max(Counter(label for label, _ in part).values()) / len(part),
        "cut": sum(len(words) > length for _, words in part) / len(part),
        "words": sum(len(words) for _, words in part),
        "read": len(read),
        "unknown": sum(word not in ids for word in read) / len(read),
    }


def report(summary: dict[str, Any], length: int) -> Iterator[str]:
    """Yield the lines that tell a user what was kept; warn if that is less than half."""
    sizes = ", ".join(f"{summary[split]['texts']:,} {split}" for split in SPLITS)
    yield f"labelled: {sizes}; {summary['classes']} classes, {summary['vocabulary']:,} words"
    for reason, number in summary["skipped"].items():
        yield f"labelled: {number:,} texts skipped: {reason}"
    for split in SPLITS:
        kept = summary[split]
        unknown, cut = 100 * kept["unknown"], 100 * kept["cut"]
        yield (
            f"labelled: {split}: {kept['read']:,} of {kept['words']:,} words read, {unknown:.1f} % of them unknown; "
            f"{cut:.1f} % of the texts cut after {length} words"
        )
        if unknown > 50:
            yield f"warning: {split}: {unknown:.0f} % of the words are unknown; lower min_occurrences, or raise words"
        if cut > 50:
            yield f"warning: {split}: {cut:.0f} % of the texts are cut after {length} words; raise length"


def explain_lack(
    paths: Sequence[Path], split: str, n_texts: int, n_all: int, classes: list[int], lacking: set[int]
) -> str:
    """Say which classes a split of ``n_texts`` texts lacks, or that all ``n_all`` texts are of one class."""
    place = ", ".join(map(str, paths))
    if not classes:
        return f"{place}: has no texts; download it again"
    if len(classes) < 2:
        return f"{place}: all {n_all:,} texts are of class {classes[0]}; check that the file is complete"
    lack = f"class{'es' * (len(lacking) > 1)} {', '.join(map(str, sorted(lacking)))}"
    return (
        f"{place}: the {split} split has {n_texts:,} of {n_all:,} texts and none of {lack}; check that the file is"
        f" complete, or enlarge {split}"
    )


def run(args: argparse.Namespace) -> None:
    """Write the splits, the vocabulary and a summary. A test split that the data have replaces the test fraction.

    Raises:
        UserError: the data are not in the format, or a split lacks a class.
    """
    texts: dict[str, list[tuple[int, list[str]]]] = {split: [] for split in SPLITS}
    skipped = Counter[str]()
    given = list(FORMATS[args.format](args.source, skipped))
    dev, test = args.fractions[0], 0.0 if any(split for split, _, _ in given) else args.fractions[1]
    for split, label, text in given:
        if words := split_words(text):
            texts[split_of(split, text, dev, test, args.seed)].append((label, words))
        else:
            skipped["empty"] += 1
    classes = sorted({label for _, label, _ in given})
    for split, part in texts.items():
        lacking = set(classes) - {label for label, _ in part}
        if lacking or len(classes) < 2:
            raise UserError(explain_lack(args.source, split, len(part), len(given), classes, lacking))
    counts = Counter(word for _, words in texts["train"] for word in words)
    frequent = sorted(
        (word for word in counts if counts[word] >= args.min_occurrences), key=lambda word: (-counts[word], word)
    )
    kept = frequent[: args.words]
    ids = {word: number for number, word in enumerate(kept, len(SPECIALS))}
    known = [counts[word] for word in kept]
    frame = pd.DataFrame({"word": pd.Series([*SPECIALS, *kept], dtype="str")})
    frame["count"] = np.array([0, sum(counts.values()) - sum(known), *known], np.int64)
    frame.insert(0, "id", np.arange(len(frame), dtype=np.int32))
    files.write_parquet(args.vocabulary, frame)
    vocabulary = files.read_digest(args.vocabulary)
    for split, part in texts.items():
        about = {"split": split, "vocabulary": vocabulary}
        files.write_array(getattr(args, split), encode_texts(part, ids, args.length), about)
    summary: dict[str, Any] = {"classes": len(classes), "vocabulary": len(frame), "skipped": dict(skipped)}
    summary |= {split: describe(part, ids, args.length) for split, part in texts.items()}
    files.write_json(args.summary, summary)
    for line in report(summary, args.length):
        print(line, file=sys.stderr)

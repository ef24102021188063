"""Turn the documents of one shard into sentences: remove markup, split, tokenise.

The sentences are written twice, lowercased and in their original case.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.readers import open_compressed
from natural_sparsity.errors import UserError

CHARACTERS_PER_BATCH = 1 << 19
MAX_TYPES = 300_000  # that spaCy keeps in memory; about 100 MB
SECONDS_BETWEEN_LINES = 30.0
# Control characters, and invisible ones that would split a word into two types: soft hyphen, zero-width space, marks of
# direction.
INVISIBLE = re.compile("[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff]")
# The token for a space where tokens are characters, since spaces separate tokens; U+2423.
SPACE = "␣"
UNITS = ("word", "character")
ALPHANUMERIC = re.compile(r"[^\W_]")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--input", type=Path, required=True, help="a shard that the command 'documents' wrote")
    parser.add_argument("--text", type=Path, required=True, help="out: lowercased sentences, one per line; zstd")
    help_text = "what a token is; as a character, a space between words is ␣"
    parser.add_argument("--unit", choices=UNITS, default="word", help=help_text)
    help_text = "out: the same in original case, with a tab where the text had no space between two tokens; zstd"
    parser.add_argument("--cased", type=Path, required=True, help=help_text)
    help_text = "out: Parquet index, id, title, sentences, tokens of the documents with a sentence"
    parser.add_argument("--documents", type=Path, required=True, help=help_text)


def run(args: argparse.Namespace) -> None:
    """Write the three products of a shard; raise :class:`UserError` if the shard is damaged."""
    import spacy

    nlp: Any = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    nlp.tokenizer.max_cache_size = MAX_TYPES  # instead of 10,000 strings between two spaces
    rows: list[dict[str, Any]] = []
    n_documents = n_tokens = 0
    start = last = time.monotonic()
    with files.atomic(args.text) as text_path, files.atomic(args.cased) as cased_path:
        with files.open_zstd(text_path) as text, files.open_zstd(cased_path) as cased:
            for batch in read_batches(args.input, nlp.max_length):
                n_documents += len(batch)
                counts = [[0, 0] for _ in batch]
                numbered = (
                    (paragraph, number) for number, (_, paragraphs) in enumerate(batch) for paragraph in paragraphs
                )
                lines: list[str] = []
                # A memory zone forgets its new words but caches nothing, so enter one only once the vocabulary is full.
                with nlp.memory_zone() if len(nlp.vocab) > MAX_TYPES else nullcontext():
                    for doc, number in nlp.pipe(numbered, as_tuples=True):
                        for line, length in split_sentences(doc):
                            if args.unit == "character":
                                line, length = spell_out(line)
                            lines.append(line)
                            counts[number][0] += 1
                            counts[number][1] += length
                block = "".join(lines)
                cased.write(block.encode())
                text.write(block.replace("\t", " ").lower().encode())
                for (document, _), (n_sentences, length) in zip(batch, counts, strict=True):
                    if n_sentences:
                        rows.append({**document, "sentences": n_sentences, "tokens": length})
                    n_tokens += length
                if time.monotonic() - last > SECONDS_BETWEEN_LINES:
                    last = time.monotonic()
                    log_progress(n_documents, rows, n_tokens, last - start)
        frame = pd.DataFrame(rows, columns=["index", "id", "title", "sentences", "tokens"])
        types = {"index": "int64", "id": "str", "title": "str", "sentences": "int32", "tokens": "int64"}
        files.write_parquet(args.documents, frame.astype(types))
    log_progress(n_documents, rows, n_tokens, time.monotonic() - start)


def log_progress(n_documents: int, rows: list[dict[str, Any]], n_tokens: int, seconds: float) -> None:
    """Print how much has been tokenised, and how fast."""
    print(
        f"sentences: {n_documents:,} documents, {len(rows):,} with text, {sum(row['sentences'] for row in rows):,} "
        f"sentences, {n_tokens:,} tokens, {n_tokens / seconds:,.0f} tokens/s",
        file=sys.stderr,
    )


def read_batches(path: Path, max_length: int) -> Iterator[list[tuple[dict[str, Any], list[str]]]]:
    """Yield batches of about ``CHARACTERS_PER_BATCH``: lists of (index, id and title of a document; its paragraphs).

    Paragraphs are cleaned, and no longer than ``max_length`` characters.
    """
    batch: list[tuple[dict[str, Any], list[str]]] = []
    size = 0
    with open_compressed(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
                document = {"index": int(row["index"]), "id": str(row["id"]), "title": str(row["title"])}
                if not isinstance(row["text"], str):
                    raise TypeError("the text is not a string")
                text = plain_text(row["text"]) if row["markup"] == "mediawiki" else row["text"]
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}: line {number} is not a document ({type(error).__name__}: {error}); "
                    "delete the file and run again"
                ) from error
            paragraphs = [piece for paragraph in text.split("\n") for piece in clean(paragraph, max_length)]
            batch.append((document, paragraphs))
            size += sum(map(len, paragraphs))
            if size >= CHARACTERS_PER_BATCH:
                yield batch
                batch, size = [], 0
    if batch:
        yield batch


def clean(paragraph: str, max_length: int) -> Iterator[str]:
    """Remove invisible characters and repeated spaces from a paragraph, and cut it, at a space, if it is too long."""
    # split() removes every character that is white space to spaCy, U+2028 and the no-break space included.
    paragraph = " ".join(INVISIBLE.sub("", paragraph).split())
    while len(paragraph) > max_length:
        cut = paragraph.rfind(" ", 1, max_length + 1)
        cut = cut if cut > 0 else max_length
        yield paragraph[:cut]
        paragraph = paragraph[cut:].lstrip(" ")
    if paragraph:
        yield paragraph


def split_sentences(doc: Any) -> Iterator[tuple[str, int]]:
    """Yield (line with its end, number of tokens) of each sentence of a spaCy ``Doc`` that has a letter or digit.

    A space separates two tokens if the text had one there, else a tab.
    """
    columns = doc.to_array(["SPACY", "SENT_START"])
    parts = [token.text + (" " if spaced else "\t") for token, spaced in zip(doc, columns[:, 0].tolist(), strict=True)]
    starts = (columns[:, 1] == 1).nonzero()[0].tolist()
    for first, end in zip(starts, [*starts[1:], len(parts)], strict=True):
        line = "".join(parts[first:end])
        if ALPHANUMERIC.search(line):
            yield line[:-1] + "\n", end - first


def spell_out(line: str) -> tuple[str, int]:
    """Make the characters of a line of :func:`split_sentences` its tokens; return it and their number.

    Spaces become ``SPACE``; a ``SPACE`` in the text itself cannot be told from them.
    """
    characters = line.rstrip("\n").replace("\t", "").replace(" ", SPACE)
    return " ".join(characters) + "\n", len(characters)

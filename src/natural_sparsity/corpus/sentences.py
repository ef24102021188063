"""Turn the documents of one shard into sentences: remove markup, split, tokenise.

The sentences are written twice, lowercased and in their original case.
"""

import argparse
import json
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from natural_sparsity import files
from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.streams import open_compressed
from natural_sparsity.corpus.tokenizer import UNKNOWN, Tokenizer
from natural_sparsity.errors import UserError

CHARACTERS_PER_BATCH = 1 << 19
SECONDS_BETWEEN_LINES = 30.0
# Characters without ink that would make two types of one word: controls; soft hyphen, word joiner and their like; marks
# of direction; variation selectors, since how a character is drawn makes no other word; annotations. Not those that
# spell words and emoji: the zero-width joiner and non-joiner, the Mongolian selectors, emoji tags.
INVISIBLE = re.compile(
    "[\0-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u034f\u061c\u17b4\u17b5\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0001\U000e0100-\U000e01ef]"
)
# The token for a space where tokens are characters, since spaces separate tokens; U+2423.
SPACE = "␣"
UNITS = ("word", "character")
UNICODE = ("nfc", "none")
# Combining marks, and runs longer than in any language. NFC sorts a run in quadratic time, so they are sorted first.
MARKS = "".join(char for char in map(chr, range(0x300, 0x1F000)) if unicodedata.combining(char))
MANY_MARKS = re.compile(f"[{MARKS}]{{50,}}")
NOT_LATIN = re.compile("[^\0-\u02ff]{50,}")  # where runs can be; five times as fast to find
ALPHANUMERIC = re.compile(r"[^\W_]")
FIELDS = {"index": int, "id": str, "title": str, "text": str, "markup": str, "layout": str, "split": str}
COLUMNS = {"index": "int64", "id": "str", "title": "str", "split": "str", "sentences": "int32", "tokens": "int64"}
Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--input", type=Path, required=True, help="a shard that the command 'documents' wrote")
    help_text = "what a token is; if it is a character, a space between words becomes the token ␣"
    parser.add_argument("--unit", choices=UNITS, default="word", help=help_text)
    help_text = "nfc: convert the text to Unicode form NFC, so that é is always one character; none: leave it"
    parser.add_argument("--unicode", choices=UNICODE, default="nfc", help=help_text)
    help_text = "keep the tokens of a text in which spaces separate tokens and each line is a sentence"
    parser.add_argument("--tokenised", action="store_true", help=help_text)
    parser.add_argument("--text", type=Path, required=True, help="out: lowercased sentences, one per line; zstd")
    help_text = "out: the same in original case, with a tab where the text had no space between two tokens; zstd"
    parser.add_argument("--cased", type=Path, required=True, help=help_text)
    help_text = "out: Parquet index, id, title, split, sentences, tokens of the documents with a sentence"
    parser.add_argument("--documents", type=Path, required=True, help=help_text)
    parser.add_argument("--account", type=Path, help="out: JSON, what was kept and what was dropped")


def run(args: argparse.Namespace) -> None:
    """Write the products of a shard; raise :class:`UserError` if the shard is damaged."""
    table: list[Row] = []
    kept = Counter({"documents": 0, "documents_with_text": 0, "sentences": 0, "tokens": 0})
    dropped: Counter[str] = Counter()
    start = last = time.monotonic()
    with files.atomic(args.text) as text_path, files.atomic(args.cased) as cased_path:
        with files.open_zstd(text_path) as text, files.open_zstd(cased_path) as cased:
            for row, lines in tokenise(read_rows(args.input), args.unit, args.unicode, args.tokenised, dropped):
                block = "".join([line + "\n" for line in lines])
                cased.write(block.encode())
                block = block.replace("\t", " ")
                # Some letters meet an accent only when lowercased: H̱ is two code points in NFC, ẖ is one.
                text.write(normalise(block.lower(), args.unicode).encode())
                counts = {"sentences": len(lines), "tokens": block.count(" ") + len(lines)}
                kept.update(documents=1, documents_with_text=bool(lines), **counts)
                if lines:
                    table.append(row | counts)
                if time.monotonic() - last > SECONDS_BETWEEN_LINES:
                    last = time.monotonic()
                    log_progress(kept, last - start)
        # What is made from the sentences records these, so that no other command mixes shards.
        about = {"text": files.compute_digest(text_path).hex(), "cased": files.compute_digest(cased_path).hex()}
        files.write_parquet(args.documents, pd.DataFrame(table, columns=list(COLUMNS)).astype(COLUMNS), about)
        if args.account:
            files.write_json(args.account, {"unit": args.unit, **kept, "dropped": dict((+dropped).most_common())})
    log_progress(kept, time.monotonic() - start)


def log_progress(kept: Counter[str], seconds: float) -> None:
    """Print how much has been tokenised, and how fast."""
    print(
        f"sentences: {kept['documents']:,} documents, {kept['documents_with_text']:,} with text, "
        f"{kept['sentences']:,} sentences, {kept['tokens']:,} tokens, {kept['tokens'] / seconds:,.0f} tokens/s",
        file=sys.stderr,
    )


def read_rows(path: Path) -> Iterator[Row]:
    """Yield the documents of a shard; raise :class:`UserError` if it is damaged."""
    with open_compressed(path) as stream:
        for number, line in enumerate(stream, 1):
            try:
                row = json.loads(line)
                for name, kind in FIELDS.items():
                    if not isinstance(row[name], kind):
                        raise TypeError(f"{name} is not of type {kind.__name__}")
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(
                    f"{path}: line {number} is not a document ({type(error).__name__}: {error}); "
                    "delete the file and run again"
                ) from error
            yield row


def tokenise(
    rows: Iterable[Row], unit: str, unicode: str, tokenised: bool, dropped: Counter[str]
) -> Iterator[tuple[Row, list[str]]]:
    """Yield each document with its sentences, a line each: between two tokens a space if the text had one, else a tab.

    Args:
        rows: documents as the command ``documents`` writes them: ``text``, ``markup``, ``layout``, ``split``.
        unit: what a token is, one of ``UNITS``.
        unicode: the form of the text, one of ``UNICODE``.
        tokenised: spaces separate the tokens, and each line is a sentence.
        dropped: how often each kind of text was dropped; added to. Sentences without a letter or digit are, but not in
            given splits: these stay as they are published.
    """
    tokenizer = None if tokenised else Tokenizer()
    for batch in read_batches(rows, unicode, dropped):
        if tokenizer:
            tokenizer.learn(set().union(*(paragraph for _, paragraphs in batch for paragraph in paragraphs)))
        for row, paragraphs in batch:
            if not tokenizer:
                lines = list(map(" ".join, paragraphs))
            elif row["layout"] == "sentences":
                lines = list(map(tokenizer.join, paragraphs))
            else:
                lines = [line for paragraph in paragraphs for line in tokenizer.split_sentences(paragraph)]
            if not row["split"]:
                n_lines = len(lines)
                lines = [line for line in lines if ALPHANUMERIC.search(line)]
                dropped["sentences without a letter or digit"] += n_lines - len(lines)
            yield row, list(map(spell_out, lines)) if unit == "character" else lines


def read_batches(
    rows: Iterable[Row], unicode: str, dropped: Counter[str]
) -> Iterator[list[tuple[Row, list[list[str]]]]]:
    """Yield batches of about ``CHARACTERS_PER_BATCH``: documents, each with its paragraphs, split at white space."""
    batch: list[tuple[Row, list[list[str]]]] = []
    size = 0
    for row in rows:
        text = plain_text(row["text"], dropped) if row["markup"] == "mediawiki" else row["text"]
        text = normalise(INVISIBLE.sub("", text), unicode)
        # split() removes every character that is white space to spaCy, U+2028 and the no-break space included.
        batch.append((row, list(filter(None, map(str.split, text.split("\n"))))))
        size += len(text)
        if size >= CHARACTERS_PER_BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def normalise(text: str, unicode: str) -> str:
    """Bring a text into Unicode's form NFC if ``unicode`` is ``nfc``."""
    if unicode != "nfc":
        return text
    return unicodedata.normalize("NFC", NOT_LATIN.sub(sort_marks, text))


def sort_marks(part: re.Match[str]) -> str:
    """Sort long runs of marks as Unicode does, so that the normal form is the same."""
    return MANY_MARKS.sub(lambda marks: "".join(sorted(marks[0], key=unicodedata.combining)), part[0])


def spell_out(line: str) -> str:
    """Make the characters of a line its tokens; ``<unk>`` stays one.

    Spaces become ``SPACE``; a ``SPACE`` in the text itself cannot be told from them.
    """
    parts = UNKNOWN.split(line.replace("\t", "").replace(" ", SPACE))
    return " ".join(part if UNKNOWN.match(part) else " ".join(part) for part in parts if part)

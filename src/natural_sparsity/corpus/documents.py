"""A corpus in any supported format, read once, as shards of documents: document i is in shard i modulo their number."""

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from natural_sparsity import files
from natural_sparsity.corpus.readers import FORMATS, read_documents, text_id
from natural_sparsity.errors import UserError

SECONDS_BETWEEN_LINES = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--input", type=Path, nargs="+", required=True, help="files, or folders of them")
    parser.add_argument("--format", choices=FORMATS, default="auto")
    parser.add_argument("--max-documents", type=int, help="stop after so many documents")
    help_text = "out, a shard: JSON lines with index, id, title, text, markup; zstd"
    parser.add_argument("--output", type=Path, nargs="+", required=True, help=help_text)


def run(args: argparse.Namespace) -> None:
    """Write all shards, or none.

    Raises:
        UserError: no documents; two documents with the same id and different text; and as ``read_documents`` does.
    """
    if args.max_documents is not None and args.max_documents < 1:
        raise UserError(f"max-documents: {args.max_documents} must be positive")
    if len(set(args.output)) < len(args.output):
        raise UserError("output: a file is given twice")
    seen, skipped, n_documents, last = Seen(), Counter[str](), 0, time.monotonic()
    with ExitStack() as stack:
        # The writers come last, so that they are closed before any file gets its name.
        paths = [stack.enter_context(files.atomic(path)) for path in args.output]
        shards = [stack.enter_context(files.open_zstd(path)) for path in paths]
        for path in args.input:
            for document in read_documents(path, args.format, skipped):
                # A hash of the text cannot tell a repeated document from another of the same words: both are kept.
                given = document.id != text_id(document.text)
                other = seen.put(document.id, document.text) if given else None
                if other == "same text":
                    skipped["repeated"] += 1
                    continue
                if other:
                    raise UserError(
                        f"{path}: two documents have the id {document.id!r} and different texts; give each its own id"
                    )
                row = {"index": n_documents, **vars(document)}
                shards[n_documents % len(shards)].write((json.dumps(row, ensure_ascii=False) + "\n").encode())
                n_documents += 1
                if n_documents == args.max_documents:
                    break
                if time.monotonic() - last > SECONDS_BETWEEN_LINES:
                    last = time.monotonic()
                    print(f"documents: {n_documents:,} so far, in {path}", file=sys.stderr)
            if n_documents == args.max_documents:
                break
        if not n_documents:
            raise UserError(
                f"{' '.join(map(str, args.input))}: holds no documents{_listed(skipped)}; name the right file"
            )
    print(f"documents: {n_documents:,} read{_listed(skipped)}", file=sys.stderr)


def _listed(skipped: Counter[str]) -> str:
    return "".join(f", {count:,} {reason} skipped" for reason, count in sorted(skipped.items()))


class Seen:
    """The ids so far and their texts, as two hashes of 8 bytes each: 16 bytes a document, and a bounded dict."""

    RECENT = 1 << 18

    def __init__(self) -> None:
        self.ids, self.texts = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        self.recent: dict[int, int] = {}

    def put(self, id_: str, text: str) -> str | None:
        """Remember a document; None if its id is new, else ``"same text"`` or ``"other text"``."""
        key, value = _hash(id_), _hash(text)
        known = self.recent.get(key)
        if known is None and len(self.ids):
            at = int(np.searchsorted(self.ids, np.uint64(key)))
            if at < len(self.ids) and self.ids[at] == key:
                known = int(self.texts[at])
        if known is not None:
            return "same text" if known == value else "other text"
        self.recent[key] = value
        # In proportion to what is sorted already, so that all the sorting is a constant times the last.
        if len(self.recent) >= max(self.RECENT, len(self.ids) // 8):
            ids = np.concatenate([self.ids, np.fromiter(self.recent.keys(), np.uint64, len(self.recent))])
            texts = np.concatenate([self.texts, np.fromiter(self.recent.values(), np.uint64, len(self.recent))])
            order = np.argsort(ids)
            self.ids, self.texts, self.recent = ids[order], texts[order], {}
        return None


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

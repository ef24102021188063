"""Read a corpus in any supported format and write its documents as shards.

Document i goes to shard i modulo the number of shards.
"""

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
from natural_sparsity.corpus.readers import FORMATS, hash_text, read_documents
from natural_sparsity.errors import UserError

SECONDS_BETWEEN_LINES = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--input", type=Path, nargs="+", required=True, help="files, or folders of files")
    help_text = "format of the input; auto looks at the first bytes of each file"
    parser.add_argument("--format", choices=FORMATS, default="auto", help=help_text)
    parser.add_argument("--max-documents", type=int, help="stop after this many documents")
    help_text = "out: one file per shard, JSON lines with index, id, title, text, markup; zstd"
    parser.add_argument("--output", type=Path, nargs="+", required=True, help=help_text)


def run(args: argparse.Namespace) -> None:
    """Write all shards, or none.

    Raises:
        UserError: there are no documents, or two documents have the same id and different texts; also as
            ``read_documents`` does.
    """
    if args.max_documents is not None and args.max_documents < 1:
        raise UserError(f"max-documents: {args.max_documents} is not positive; give at least 1")
    if len(set(args.output)) < len(args.output):
        raise UserError("output: a file is given twice; give each shard its own")
    seen, skipped, n_documents, last = Seen(), Counter[str](), 0, time.monotonic()
    with ExitStack() as stack:
        # Enter the writers last: they must be closed before any file gets its final name.
        paths = [stack.enter_context(files.atomic(path)) for path in args.output]
        shards = [stack.enter_context(files.open_zstd(path)) for path in paths]
        for path in args.input:
            for document in read_documents(path, args.format, skipped):
                # An id that is a hash of the text does not tell a repeated document from another with the same words:
                # both are kept.
                has_own_id = document.id != hash_text(document.text)
                earlier = seen.put(document.id, document.text) if has_own_id else None
                if earlier == "same text":
                    skipped["repeated"] += 1
                    continue
                if earlier:
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
                f"{' '.join(map(str, args.input))}: holds no documents{list_skipped(skipped)}; name the right file"
            )
    print(f"documents: {n_documents:,} read{list_skipped(skipped)}", file=sys.stderr)


def list_skipped(skipped: Counter[str]) -> str:
    """Say how many entries were skipped for each reason, as the rest of a sentence."""
    return "".join(f", {count:,} {reason} skipped" for reason, count in sorted(skipped.items()))


class Seen:
    """The ids and texts of the documents so far.

    Each is stored as a hash of 8 bytes: 16 bytes per document, plus a dict of bounded size.
    """

    RECENT = 1 << 18

    def __init__(self) -> None:
        self.ids, self.texts = np.zeros(0, np.uint64), np.zeros(0, np.uint64)
        self.recent: dict[int, int] = {}

    def put(self, id_: str, text: str) -> str | None:
        """Remember a document; return None if its id is new, else ``"same text"`` or ``"other text"``."""
        key, value = hash_string(id_), hash_string(text)
        known = self.recent.get(key)
        if known is None and len(self.ids):
            at = int(np.searchsorted(self.ids, np.uint64(key)))
            if at < len(self.ids) and self.ids[at] == key:
                known = int(self.texts[at])
        if known is not None:
            return "same text" if known == value else "other text"
        self.recent[key] = value
        # Merge when the dict reaches a fixed share of the sorted arrays, so that all sorting together costs only a
        # constant times the last sort.
        if len(self.recent) >= max(self.RECENT, len(self.ids) // 8):
            ids = np.concatenate([self.ids, np.fromiter(self.recent.keys(), np.uint64, len(self.recent))])
            texts = np.concatenate([self.texts, np.fromiter(self.recent.values(), np.uint64, len(self.recent))])
            order = np.argsort(ids)
            self.ids, self.texts, self.recent = ids[order], texts[order], {}
        return None


def hash_string(text: str) -> int:
    """Hash a string to 64 bits."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

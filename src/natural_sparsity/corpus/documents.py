"""Read a corpus in any supported format and write its documents as shards.

Document i goes to shard i modulo the number of shards.
"""

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from natural_sparsity import files
from natural_sparsity.corpus.account import describe_reading, list_skipped
from natural_sparsity.corpus.readers.base import LINE_BREAKS, Account, Document, Options, hash_text
from natural_sparsity.corpus.readers.read import FORMATS, expand, read_documents
from natural_sparsity.errors import UserError

SECONDS_BETWEEN_LINES = 30.0
SPLITS = ["train", "dev", "test"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("--input", type=Path, nargs="+", help="files, or folders of files")
    for split in SPLITS:
        parser.add_argument(f"--{split}", type=Path, nargs="+", help=f"instead of --input: the files of {split}")
    add_reading_arguments(parser)
    parser.add_argument("--max-documents", type=int, help="stop after this many documents")
    help_text = "out: one file per shard, JSON lines with index, id, title, text, markup, layout, split; zstd"
    parser.add_argument("--output", type=Path, nargs="+", required=True, help=help_text)
    parser.add_argument("--account", type=Path, help="out: JSON, what was read and what was skipped")


def add_reading_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how to read files, for every command that reads a corpus."""
    help_text = "format of the input; auto looks at the first bytes of each file"
    parser.add_argument("--format", choices=FORMATS, default="auto", help=help_text)
    help_text = "JSON Lines and Parquet (also as lines or wikitext): the key or column that holds the text"
    parser.add_argument("--text-column", default=Options.text_column, metavar="NAME", help=help_text)
    help_text = "text, json, parquet: join the lines of a paragraph, keep them, or join them if hard-wrapped (auto)"
    parser.add_argument("--line-breaks", choices=LINE_BREAKS, default=Options.line_breaks, help=help_text)
    help_text = "lines: maximum lines per document; a blank line also ends one"
    parser.add_argument("--lines-per-document", type=int, default=Options.lines_per_document, help=help_text)
    parser.add_argument("--tokenised", action="store_true", help="keep the tokens and lines of a tokenised text")


def make_options(args: argparse.Namespace) -> Options:
    """Return the options that :func:`add_reading_arguments` declares; raise :class:`UserError` if one is wrong."""
    if args.lines_per_document < 1:
        raise UserError(f"lines-per-document: {args.lines_per_document} is not positive; give at least 1")
    return Options(args.text_column, args.line_breaks, args.lines_per_document, args.tokenised)


def run(args: argparse.Namespace) -> None:
    """Write all shards, or none.

    Raises:
        UserError: there are no documents, or two documents have the same id and different texts; also as
            ``read_documents`` does.
    """
    inputs = list_inputs(args)
    options, account = make_options(args), Account()
    if args.max_documents is not None and args.max_documents < 1:
        raise UserError(f"max-documents: {args.max_documents} is not positive; give at least 1")
    refuse_overwriting(args.output, args.account, inputs)
    n_documents, last = 0, time.monotonic()
    with ExitStack() as stack:
        # Enter the writers last: they must be closed before any file gets its final name.
        paths = [stack.enter_context(files.atomic(path)) for path in args.output]
        shards = [stack.enter_context(files.open_zstd(path)) for path in paths]
        for split, document in read_splits(inputs, args.format, options, account):
            row = {"index": n_documents, **vars(document), "split": split}
            shards[n_documents % len(shards)].write((json.dumps(row, ensure_ascii=False) + "\n").encode())
            n_documents += 1
            if n_documents == args.max_documents:
                break
            if time.monotonic() - last > SECONDS_BETWEEN_LINES:
                last = time.monotonic()
                print(f"documents: {n_documents:,} so far", file=sys.stderr)
    if args.account:
        content = {"skipped": dict(account.skipped), "formats": dict(account.formats), "notes": account.notes}
        files.write_json(args.account, {"documents": n_documents, **content, "given_splits": "" not in inputs})
    for line in [describe_reading(n_documents, account.formats, account.skipped), *account.notes]:
        print(f"documents: {line}", file=sys.stderr)


def list_inputs(args: argparse.Namespace) -> dict[str, list[Path]]:
    """Return the files by split, under an empty name if no splits are given.

    Raises:
        UserError: there are neither files nor all splits, or both.
    """
    splits = {split: getattr(args, split) for split in SPLITS if getattr(args, split)}
    if bool(args.input) == bool(splits) or 0 < len(splits) < len(SPLITS):
        raise UserError("give either --input, or all of --train, --dev and --test")
    if splits and args.max_documents is not None:
        raise UserError("max-documents: given splits are read whole; leave it out")
    return splits or {"": args.input}


def refuse_overwriting(outputs: list[Path], account: Path | None, inputs: dict[str, list[Path]]) -> None:
    """Raise :class:`UserError` if two outputs are one file, or an output is an input."""
    options = [(path, "output") for path in outputs] + ([(account, "account")] if account else [])
    taken = {os.path.realpath(file): "input" for paths in inputs.values() for path in paths for file in expand(path)}
    for path, option in options:
        earlier = taken.setdefault(os.path.realpath(path), option)
        if earlier == "input":
            raise UserError(f"{option}: {path} is one of the inputs; name another file")
        if sum(os.path.realpath(path) == os.path.realpath(other) for other, _ in options) > 1:
            raise UserError(f"{option}: {path} is given twice; name another file")


def refuse_repeated(inputs: dict[str, list[Path]]) -> None:
    """Raise :class:`UserError` if a file would be read twice: by itself, through a folder or through a link."""
    seen: dict[str, str] = {}
    for split, paths in inputs.items():
        for path in paths:
            for file in expand(path):
                found = str(file) if file == path else f"{file} (in {path})"
                found = f"{found} of {split}" if split else found
                earlier = seen.setdefault(os.path.realpath(file), found)
                if earlier is found:
                    continue
                if earlier == found:
                    raise UserError(f"{file}: is given twice; give each file once")
                raise UserError(f"{earlier} and {found} are the same file; give each file once")


def read_splits(
    inputs: dict[str, list[Path]], format: str, options: Options, account: Account
) -> Iterator[tuple[str, Document]]:
    """Yield (split, document) of all files; each document once per split.

    Raises:
        UserError: a file is given twice, a split has no documents, or two documents have the same id and different
            texts.
    """
    refuse_repeated(inputs)
    for split, paths in inputs.items():
        seen, n_documents = Seen(), 0
        for path in paths:
            for document in read_documents(path, format, options, account):
                # An id that is a hash of the text does not tell a repeated document from another with the same words:
                # both are kept.
                has_own_id = document.id != hash_text(document.text)
                earlier = seen.put(document.id, document.text) if has_own_id else None
                is_file = document.markup == "none" and path.is_dir() and (path / document.id).is_file()
                if earlier == "same text":
                    account.skipped["of the name and text of another file" if is_file else "repeated"] += 1
                    continue
                if earlier and is_file:
                    raise UserError(
                        f"{path / document.id}: another folder has a file of this name too; give the folder above them"
                    )
                if earlier:
                    raise UserError(
                        f"{path}: two documents share the id {document.id!r} but not the text; give each its own id, "
                        "or name only one version of the corpus"
                    )
                n_documents += 1
                yield split, replace(document, id=f"{split}:{document.id}") if split else document
        if not n_documents:
            names = " ".join(map(str, paths))
            raise UserError(
                f"{names}: no documents found{list_skipped(account.skipped)}; check the file name and the format"
            )


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

"""Look at a text before any run, and print what a run would make of it.

That is: the formats found, what was read and what was dropped, sentences as the model will see them, what each
``min_count`` would leave, and an experiment that suits the text.
"""

import argparse
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import yaml

from natural_sparsity.config.base import NAME
from natural_sparsity.config.configuration import RESERVED
from natural_sparsity.corpus.account import enumerate_counts, list_skipped, percent, share_kept
from natural_sparsity.corpus.documents import add_reading_arguments, make_options
from natural_sparsity.corpus.inspection.draft import draft
from natural_sparsity.corpus.inspection.hints import list_hints
from natural_sparsity.corpus.inspection.look import Look, look
from natural_sparsity.corpus.inspection.suggestion import MOST_COUNT, TO_KEEP, Suggestion, suggest
from natural_sparsity.corpus.readers.base import Account
from natural_sparsity.corpus.sentences import UNICODE, UNITS
from natural_sparsity.corpus.thresholds import mark_words
from natural_sparsity.errors import UserError

MAX_TOKENS = 5_000_000
NARROWEST, WIDEST = 80, 100
SENTENCES_SHOWN = 10
LEAST_SHOWN = 0.01  # of the tokens, in a row of the table
BAR = 20  # characters, for all tokens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("paths", metavar="FILE", type=Path, nargs="+", help="files, folders of files, or a pipe")
    add_reading_arguments(parser)
    help_text = "what a token is (default %(default)s)"
    parser.add_argument("--unit", choices=UNITS, default="word", help=help_text)
    help_text = "Unicode form that the text is brought to (default %(default)s)"
    parser.add_argument("--unicode", choices=UNICODE, default="nfc", help=help_text)
    help_text = "read about the first N tokens; 0 reads all, at 4 bytes of memory per token (default %(default)s)"
    parser.add_argument("--max-tokens", type=int, metavar="N", default=MAX_TOKENS, help=help_text)
    help_text = "show the experiment with this min_count instead of the one that suits the text"
    parser.add_argument("--min-count", type=int, metavar="N", help=help_text)
    help_text = "what to call the text in the experiment (default %(default)s)"
    parser.add_argument("--name", default="mine", help=help_text)


def run(args: argparse.Namespace) -> None:
    """Print what was found.

    Raises:
        UserError: the text cannot be read or has no sentence, or an argument is wrong.
    """
    if args.max_tokens < 0:
        raise UserError(f"max-tokens: {args.max_tokens} is negative; give 0 to read the whole text")
    if not re.fullmatch(NAME, args.name) or re.fullmatch(RESERVED, args.name):
        raise UserError(f"name: {args.name!r} is reserved, or not made of letters, digits, - and _; choose another")
    if args.min_count is not None and args.min_count < 1:
        raise UserError(f"min-count: {args.min_count} is not positive; give at least 1")
    if yaml.safe_load(args.name) != args.name:
        raise UserError(f"name: YAML does not read {args.name} as a text; choose another name")
    for path, count in Counter(path.resolve() for path in args.paths).items():
        if count > 1:
            raise UserError(f"{path}: is given {count} times; give each file once")
    if Path("-") in args.paths and not Path("-").exists():
        raise UserError("-: is no file; for the standard input, give /dev/stdin")
    options = make_options(args)
    text = look(args.paths, args.format, options, args.unit, args.unicode, args.max_tokens)
    suggestion = suggest(text, args.unit, args.min_count)
    width = min(max(shutil.get_terminal_size((WIDEST, 0)).columns, NARROWEST), WIDEST)
    hints = list_hints(args.paths, text, options, args.unit, suggestion)
    make = f"snakemake --cores {min(os.cpu_count() or 1, 4)}"
    sections = {
        "What was read": list_reading(args, text, width),
        "Warnings": [line for hint in hints for line in wrap(hint, width, "! ")],
        "Sentences, as the model will see them": list_sentences(text, suggestion, width),
        "What each min_count would leave": [
            *list_rows(suggestion),
            *wrap(explain(suggestion, args.unit, args.min_count is not None), width, ""),
        ],
        f"Paste into experiments/{args.name}.yaml": ["", *draft(args, text, suggestion)],
        "Then run": [f"  {command} --configfile experiments/{args.name}.yaml" for command in (f"{make} text", make)],
    }
    try:
        print("\n\n".join("\n".join([title, *lines]) for title, lines in sections.items() if lines), flush=True)
    except BrokenPipeError:
        # Whoever reads it, such as head, has enough. Python would try again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def list_reading(args: argparse.Namespace, text: Look, width: int) -> list[str]:
    """Say what was found in the files, and count it."""
    counts = text.counts()[mark_words(len(text.rows), text.unknown)]
    n_tokens, n_sentences, empty = len(text.tokens), len(text.lengths), text.documents - len(text.ids)
    once = percent(np.count_nonzero(counts == 1) / max(len(counts), 1))
    remarks = {
        "documents": [
            list_skipped(text.account.skipped).removeprefix("; "),
            f"{empty:,} without a sentence" if empty else "",
        ],
        "sentences": [f"{n_tokens / n_sentences:.0f} tokens each, on average"],
        "tokens": [] if text.whole else [f"not the whole text: stopped at about --max-tokens {args.max_tokens:,}"],
        "types": [f"distinct {args.unit}s; {once} of them occur only once"],
    }
    numbers = {"documents": text.documents, "sentences": n_sentences, "tokens": n_tokens, "types": len(counts)}
    lines = list_files(text.account, width) + [""]
    for key, number in numbers.items():
        lines += wrap("; ".join(filter(None, remarks[key])), width, f"{key:<10}{number:>13,}   ")
    dropped = +text.dropped
    if dropped:
        kinds = enumerate_counts(dropped) if len(dropped) > 1 else next(iter(dropped))
        lines += wrap(kinds, width, f"{'dropped':<10}{dropped.total():>13,}   ")
    lines += [""] if text.account.notes else []
    return lines + [line for note in text.account.notes for line in wrap(note, width, "")]


def list_files(account: Account, width: int) -> list[str]:
    """Name each format with the first files of it."""
    lines = []
    for format, names in account.examples.items():
        n_files = account.formats[format]
        files = ", ".join(names) + (f" and {n_files - len(names):,} more" if n_files > len(names) else "")
        lines += wrap(files, width, f"{format}: " if n_files == 1 else f"{n_files:,} × {format}: ")
    return lines


def list_sentences(text: Look, suggestion: Suggestion, width: int) -> list[str]:
    """Sentences from all over the text, each in a line; those that the filter drops are marked."""
    words, ends = text.words, np.cumsum(text.lengths, dtype=np.int64)
    n_sentences = len(ends)
    chosen = (2 * np.arange(SENTENCES_SHOWN) + 1) * n_sentences // (2 * SENTENCES_SHOWN)
    lines = []
    for sentence in np.unique(chosen).tolist():
        types = text.tokens[ends[sentence] - text.lengths[sentence] : ends[sentence]]
        kept = suggestion.kept[sentence]
        shown = [words[row] if suggestion.known[row] or not kept else "<unk>" for row in types.tolist()]
        lines.append(f"  {' ' if kept else 'x'} {cut(' '.join(shown), width - 4)}")
    if not suggestion.kept[chosen].all():
        lines.append(f"  x: dropped at min_count {suggestion.min_count}")
    return lines


def list_rows(suggestion: Suggestion) -> list[str]:
    """The table, with the suggested row marked."""
    table = suggestion.table
    before = table.iloc[0]
    shown = table[(table["tokens"] >= LEAST_SHOWN * before["tokens"]) | (table["min_count"] == suggestion.min_count)]
    lines = [f"  {'min_count':>11}  {'sentences':>9}  {'tokens':>7}  {'vocabulary':>10}  {'<unk>':>7}   tokens"]
    for row in shown.itertuples():
        share = row.tokens / before["tokens"]
        # A digit more near the half that decides: 49.6 % is less.
        kept = f"{100 * share:.1f} %" if 0.495 <= share < 0.505 and share != 0.5 else percent(share)
        values = [percent(row.sentences / before["sentences"]), kept, f"{row.types:,}"]
        values.append(percent(row.unknown_tokens / row.tokens) if row.tokens else "–")
        mark = "→" if row.min_count == suggestion.min_count else " "
        columns = "  ".join(f"{value:>{n}}" for value, n in zip(values, (9, 7, 10, 7), strict=True))
        lines.append(f"  {mark} {row.min_count:>9,}  {columns}   {'█' * round(BAR * share)}".rstrip())
    return lines


def explain(suggestion: Suggestion, unit: str, asked: bool) -> str:
    """Say what the table means, and its mark; ``asked``: whether the user chose the ``min_count``."""
    enough = percent(TO_KEEP[unit])
    if asked:
        mark = "the min_count that you asked for"
    elif share_kept(suggestion.account["filter"]) >= TO_KEEP[unit]:
        mark = f"the largest min_count up to {MOST_COUNT} that keeps at least {enough} of the tokens"
    else:
        mark = f"the suggested min_count; no value above 1 keeps {enough} of the tokens"
    train, dev, test = (f"{split['tokens']:,}" for split in suggestion.account["splits"].values())
    return (
        "Sentences with a word that occurs fewer than min_count times are dropped; words that are then too rare in the"
        f" rest become <unk>. → marks {mark}. It leaves {train} tokens for train, {dev} for dev and {test} for test."
    )


def wrap(text: str, width: int, head: str) -> list[str]:
    """Break a text into lines with ``head`` before the first, all indented by two."""
    return textwrap.wrap(
        text, width, initial_indent=f"  {head}", subsequent_indent=" " * (len(head) + 2), break_long_words=False,
        break_on_hyphens=False,
    ) or [f"  {head}".rstrip()]  # fmt: skip


def cut(text: str, width: int) -> str:
    """Cut a text to columns of a terminal, of which a Chinese character takes two and a combining one none."""
    wide = [0 if unicodedata.combining(each) else 1 + (unicodedata.east_asian_width(each) in "WF") for each in text]
    columns = np.cumsum(wide)
    return text if columns[-1] <= width else text[: int(np.searchsorted(columns, width - 1, side="right"))] + "…"

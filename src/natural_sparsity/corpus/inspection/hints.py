"""What looks wrong with a text, and what to do about it."""

import re
from pathlib import Path

from natural_sparsity.config.data.local import list_files
from natural_sparsity.corpus.account import percent, refuse_small
from natural_sparsity.corpus.inspection.look import Look
from natural_sparsity.corpus.inspection.suggestion import Suggestion
from natural_sparsity.corpus.readers.base import Options
from natural_sparsity.corpus.split import explain_empty
from natural_sparsity.errors import UserError

# The fifty most frequent words of the Brown corpus: two in five tokens of English prose.
ENGLISH = re.findall(
    r"\w+",
    "the of and to a in that is was he for it with as his on be at by i this had not are but from or have an they which"
    " one you were all her she there would their we him been has when who will no more if",
)
LEAST_ENGLISH = 0.15  # of the words
MOST_UNKNOWN = 0.1  # of the tokens
MOST_IN_ONE = 0.5  # of the tokens
LEAST_TO_JUDGE = 100  # marks, lines, sentences or words
SMALL = 50_000  # tokens in training; the default run has a few times as many
NAMES = {"train": r"\btrain", "dev": r"\b(dev|val)", "test": r"\btest"}


def list_hints(paths: list[Path], text: Look, options: Options, unit: str, suggestion: Suggestion) -> list[str]:
    """List what looks wrong, and what to do about it."""
    hints = [
        judge_tokenised(text, options) if unit == "word" else "",
        judge_lines(text) or judge_documents(text, suggestion),
        judge_language(text) if unit == "word" else "",
        judge_capitals(text) if unit == "word" else "",
        judge_unknown(text),
        judge_size(suggestion),
        judge_names(paths),
    ]
    return list(filter(None, hints))


def judge_tokenised(text: Look, options: Options) -> str:
    """Spaces before punctuation."""
    marks = text.apart + text.attached
    if options.tokenised or set(text.account.formats) == {"wikitext"}:
        return ""
    if marks < LEAST_TO_JUDGE or text.apart < 0.8 * marks:
        return ""
    return (
        f"The text seems to be tokenised already: {percent(text.apart / marks)} of its commas, full stops and n't come"
        " after a space. Inspect it again with --tokenised (tokenised: true), which keeps its tokens as they are and"
        " reads each line as a sentence."
    )


def judge_lines(text: Look) -> str:
    """A sentence per line, and few documents."""
    few = len(text.ids) <= max(1, text.lines / LEAST_TO_JUDGE)
    if not few or text.lines < LEAST_TO_JUDGE or sum(text.sentences) > 1.2 * text.lines:
        return ""
    documents = "one document" if len(text.ids) == 1 else f"{len(text.ids):,} documents"
    return (
        f"Most lines are one sentence, and all {text.lines:,} lines are in {documents}. Documents are never divided"
        " between train, dev and test. Inspect the text again with --format lines (format: lines), which reads each"
        " line as a sentence and makes a document of every hundred lines."
    )


def judge_documents(text: Look, suggestion: Suggestion) -> str:
    """Too few documents for splits, or nearly all text in one."""
    account = suggestion.account
    for name, split in account["splits"].items():
        if not split["sentences"]:
            formats = {"formats": text.account.formats}
            reason = explain_empty(name, len(text.ids), split["all_sentences"], formats, account["filter"])
            return f"A run would stop with this error: {reason}."
    sizes = text.sum_by_document(text.lengths)
    share = sizes.max() / sizes.sum()
    if share < MOST_IN_ONE:
        return ""
    return (
        f"{percent(share)} of the tokens are in one document, and documents are never divided between train, dev and"
        " test. Divide it with blank lines, or into several files in one folder."
    )


def judge_language(text: Look) -> str:
    """Few of the commonest English words."""
    counts = text.counts()
    n_words = sum(int(n) for word, n in zip(text.rows, counts, strict=True) if word[:1].isalpha())
    share = sum(int(counts[text.rows[word]]) for word in ENGLISH if word in text.rows) / max(n_words, 1)
    if n_words < LEAST_TO_JUDGE or share >= LEAST_ENGLISH:
        return ""
    return (
        f"The text does not look like English: {percent(share)} of its words are among the fifty most common English"
        " words; in English prose, about 40 % are. Tokenising and tagging follow English rules."
    )


def judge_capitals(text: Look) -> str:
    """Capital letters alone."""
    if not is_in_capitals(text):
        return ""
    return (
        "The text is in capital letters, so the tagger would take most words for names. The block below gives it"
        " lowercase words instead (tagging.case: lower)."
    )


def is_in_capitals(text: Look) -> bool:
    """Whether most sentences have capital letters alone."""
    return text.capitals >= 0.8 * len(text.lengths)


def judge_unknown(text: Look) -> str:
    """Much ``<unk>``."""
    share = 0.0 if text.unknown is None else int(text.counts()[text.unknown]) / len(text.tokens)
    if share < MOST_UNKNOWN:
        return ""
    return f"{percent(share)} of the tokens in the text are <unk>. If you can get a version with all words, use that."


def judge_size(suggestion: Suggestion) -> str:
    """Too few tokens or words for a run, or for one that learns much."""
    splits = suggestion.account["splits"]
    if not all(split["sentences"] for split in splits.values()):
        return ""  # of which there is a hint already
    try:
        refuse_small(suggestion.account)
    except UserError as error:
        return f"A run would stop with this error: {error}."
    if splits["train"]["tokens"] >= SMALL:
        return ""
    return (
        f"The text is small: a model would train on only {splits['train']['tokens']:,} tokens. Expect noisy results,"
        " and little learnt beyond the most common words."
    )


def find_given_splits(paths: list[Path]) -> dict[str, str]:
    """Return the file of each split if the names of the files tell; empty if they do not."""
    files = [file for path in paths for file in list_files(str(path))]
    found = {
        split: [file for file in files if re.search(pattern, Path(file).name.replace("_", " "), re.IGNORECASE)]
        for split, pattern in NAMES.items()
    }
    if len(files) != len(NAMES) or any(len(names) != 1 for names in found.values()):
        return {}
    return {split: names[0] for split, names in found.items()}


def judge_names(paths: list[Path]) -> str:
    """Files named after splits."""
    if not find_given_splits(paths):
        return ""
    return (
        "The files look like train, dev and test splits. The block below uses them so: no sentence is dropped, and the"
        " table above does not apply."
    )

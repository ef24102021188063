"""What became of a text, from the source to the token streams: the account, the story that a user reads, the stops.

The commands ``documents``, ``sentences`` and ``filter`` each write an account as JSON. ``encode`` puts them together.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from natural_sparsity import files
from natural_sparsity.errors import UserError

Account = dict[str, Any]

DOCUMENTS_KEYS = ["documents", "skipped", "formats", "notes"]
SENTENCES_KEYS = ["documents", "documents_with_text", "sentences", "tokens", "dropped", "unit"]
FILTER_KEYS = ["min_count", "given_splits", "before", "after", "thresholds"]
# The least that a default batch of 40 streams can use: an input and a target in each.
MIN_TOKENS = 80
MIN_WORDS = 10
# The least words of another min_count that is worth naming where the splits are given, so that no sentence is dropped.
FEW_WORDS = 100
SHOWN = 4  # kinds of what was dropped, and notes
# How a summary counts what was skipped for a reason: one, several.
REASONS = {
    "redirect": ("redirect", "redirects"),
    "other namespace": ("in another namespace", "in other namespaces"),
    "other content model": ("not in wikitext", "not in wikitext"),
    "stub": ("without its text, which the dump leaves out", "without their text, which the dump leaves out"),
    "hidden": ("hidden file or folder", "hidden files and folders"),
    "heading": ("heading", "headings"),
}


def read_accounts(paths: list[Path]) -> Account:
    """Read the accounts of ``documents``, of ``sentences`` for each shard, and of ``filter``, in this order.

    Returns:
        ``documents``; ``sentences``, summed over the shards; ``filter``.

    Raises:
        UserError: a file is missing, damaged or another one.
    """
    shards = [files.read_json(path, SENTENCES_KEYS) for path in paths[1:-1]]
    dropped = sum((Counter(shard["dropped"]) for shard in shards), Counter[str]())
    sums = {key: sum(shard[key] for shard in shards) for key in SENTENCES_KEYS[:4]}
    accounts = {
        "documents": files.read_json(paths[0], DOCUMENTS_KEYS),
        "sentences": {**sums, "dropped": dict(dropped.most_common()), "unit": shards[0]["unit"]},
        "filter": files.read_json(paths[-1], FILTER_KEYS),
    }
    return {
        stage: {key: value for key, value in account.items() if key not in ("format", "digest")}
        for stage, account in accounts.items()
    }


def percent(share: float) -> str:
    """Write a share in percent, with two digits; 0 and 100 only for none and all."""
    if share == 1:
        return "100 %"
    return f"{100 * share:.2g} %" if share < 0.995 else f"{min(100 * share, 99.9):.1f} %"


def describe_reading(n_documents: int, formats: Mapping[str, int], skipped: Mapping[str, int]) -> str:
    """Say how many documents were read, from how many files of which format, and what was skipped."""
    names = "; ".join(form if len(formats) == 1 else f"{count:,} × {form}" for form, count in formats.items())
    return f"{n_documents:,} read ({names}){list_skipped(skipped)}"


def list_skipped(skipped: Mapping[str, int]) -> str:
    """Say how many entries were skipped for each reason, as the rest of a sentence."""
    counts = [
        f"{count:,} {REASONS.get(reason, (reason, reason))[count > 1]}"
        for reason, count in Counter(skipped).most_common()
        if count
    ]
    return f"; skipped: {', '.join(counts)}" if counts else ""


def enumerate_counts(counts: dict[str, int]) -> str:
    """Write the largest of some counts of plural kinds: "512 templates, 1 table"."""
    most = Counter(counts).most_common()
    more = [f"{sum(count for _, count in most[SHOWN:]):,} more"] if len(most) > SHOWN else []
    return ", ".join([f"{count:,} {kind if count > 1 else make_singular(kind)}" for kind, count in most[:SHOWN]] + more)


def make_singular(kind: str) -> str:
    """Turn a plural kind, "files and images" or "sentences without a letter", into the singular: "file or image"."""
    nouns, *rest = re.split(r"(?= without | with | of | in )", kind, maxsplit=1)
    nouns = " or ".join(re.sub(r"s$", "", re.sub(r"ies$", "y", noun)) for noun in nouns.split(" and "))
    return "".join([nouns, *rest])


def share_kept(filtered: Account) -> float:
    """Which share of the tokens the filter kept, by its account."""
    return filtered["after"]["tokens"] / filtered["before"]["tokens"]


def share_made_unknown(filtered: Account, row: Account) -> float:
    """Which share of the tokens is ``<unk>`` in ``row`` of the filter's account, and was not in the text."""
    return (row["unknown_tokens"] - filtered["before"]["unknown_tokens"]) / filtered["before"]["tokens"]


def explain_loss(filtered: Account, unit: str = "word") -> str:
    """Say how many tokens the filter kept and why it dropped the others, by its account."""
    before, after, min_count = filtered["before"]["tokens"], filtered["after"], filtered["min_count"]
    if filtered["given_splits"]:
        made, rare = (
            percent(share_made_unknown(filtered, after)),
            f"{unit}s rarer than min_count {min_count} in training",
        )
        if filtered["before"]["unknown_tokens"]:
            total = percent(after["unknown_tokens"] / before)
            return f"all {before:,} tokens kept; {made} more became <unk>, {total} with the text's own: {rare}"
        return f"all {before:,} tokens kept; {made} became <unk>: {rare}"
    if after["tokens"] == before:
        return f"all {before:,} tokens kept"
    kept = share_kept(filtered)
    return (
        f"{after['tokens']:,} of {before:,} tokens kept ({percent(kept)}); the rest are in sentences with a"
        f" {unit} rarer than min_count {min_count}"
    )


def count_good(filtered: Account, row: Account) -> int:
    """Count the tokens of ``row`` of the filter's account that are worth having: all; with given splits, known ones."""
    return row["tokens"] - (row["unknown_tokens"] if filtered["given_splits"] else 0)


def find_lower(filtered: Account) -> Account | None:
    """Find what a lower ``min_count`` would leave that leaves more, by the filter's account; None without one.

    It is the nearest that leaves at least half of the tokens; where none does, the one that leaves most.
    """
    least = min(FEW_WORDS if filtered["given_splits"] else MIN_WORDS, filtered["thresholds"][0]["types"])
    now, half = count_good(filtered, filtered["after"]), filtered["before"]["tokens"] / 2
    lower = [
        row
        for row in filtered["thresholds"]
        if row["min_count"] < filtered["min_count"] and row["types"] >= least and count_good(filtered, row) > now
    ]
    enough = [row for row in lower if count_good(filtered, row) >= half]
    return enough[-1] if enough else lower[0] if lower else None


def suggest(filtered: Account) -> str:
    """Say what a lower ``min_count`` would keep, by the filter's account; without one, that the text is too short."""
    row = find_lower(filtered)
    if row is None:
        return "give more text"
    if filtered["given_splits"]:
        best = "" if count_good(filtered, row) >= filtered["before"]["tokens"] / 2 else ", the least possible"
        return f"min_count: {row['min_count']} would turn {percent(share_made_unknown(filtered, row))} into <unk>{best}"
    return f"min_count: {row['min_count']} would keep {percent(row['tokens'] / filtered['before']['tokens'])}"


def refuse_small(account: Account) -> None:
    """Raise :class:`UserError` if a split or the vocabulary is too small to train on; it names the key that did it.

    Args:
        account: that of :func:`read_accounts` with ``splits``: for each, by name, ``documents``, ``sentences``,
            ``tokens`` (without ``<eos>``), ``types``, ``unknown_tokens``.
    """
    filtered = account["filter"]
    for name, split in account["splits"].items():
        n_tokens = split["tokens"] + split["sentences"]
        if n_tokens >= MIN_TOKENS:
            continue
        few = f"{n_tokens} tokens, too few for a run (at least {MIN_TOKENS})"
        if filtered["given_splits"]:
            raise UserError(f"source.{name}: has {few}; name a longer text")
        if share_kept(filtered) < 0.5:
            loss = explain_loss(filtered, account["sentences"]["unit"])
            raise UserError(f"min_count: leaves {name} {few}: {loss}; {suggest(filtered)}")
        raise UserError(f"split.{name}: leaves {few}; raise split.{name}, or add text")
    refuse_few_words(filtered, account["sentences"]["unit"])


def refuse_few_words(filtered: Account, unit: str = "word", least: int = MIN_WORDS) -> None:
    """Raise :class:`UserError` if the vocabulary has too few words to train on, by the filter's account."""
    words, types = filtered["after"]["types"], filtered["before"]["types"]
    # A text of a few characters, such as DNA, is no fault of the filter.
    if not words or words < least <= types:
        row = find_lower(filtered)
        more = f"min_count: {row['min_count']} would leave {row['types']:,}" if row else "give more text"
        raise UserError(
            f"min_count: {filtered['min_count']} leaves {words} of {types:,} {unit}s in the vocabulary,"
            f" too few to train on (at least {MIN_WORDS}); {more}"
        )


def list_warnings(account: Account) -> list[str]:
    """List what a user should know before believing the results, by an account with ``splits``."""
    warnings = []
    if (kept := share_kept(account["filter"])) < 0.5:
        warnings.append(
            f"the filter kept only {percent(kept)} of the tokens, and all results describe only these; lower min_count"
            " (natural-sparsity inspect shows what each value would keep)"
        )
    before, after = account["filter"]["before"], account["filter"]["after"]
    if 2 * before["unknown_tokens"] > after["unknown_tokens"]:
        fix = "use a version of the text with all its words"
    elif account["filter"]["min_count"] > 1:
        fix = "lower min_count, or check that all splits are of the same language and format"
    else:
        fix = "check that all splits are of the same language and format"
    for name, split in account["splits"].items():
        if split["tokens"] and (unknown := split["unknown_tokens"] / split["tokens"]) > 0.5:
            warnings.append(f"{name}: {percent(unknown)} of the tokens are <unk>; {fix}")
    return warnings


def tell(account: Account) -> list[str]:
    """Tell in a few lines what was kept and dropped, by an account with ``splits`` and ``warnings``."""
    read, sentences, filtered = account["documents"], account["sentences"], account["filter"]
    unit, after = sentences["unit"], filtered["after"]
    lines = [f"documents: {describe_reading(read['documents'], read['formats'], read['skipped'])}"]
    lines += [f"note: {note}" for note in read["notes"][:SHOWN]]
    empty = sentences["documents"] - sentences["documents_with_text"]
    lines.append(
        f"sentences: {sentences['sentences']:,}, with {sentences['tokens']:,} tokens"
        + (f"; documents without text: {empty:,}" if empty else "")
        + (f"; removed from the text: {enumerate_counts(sentences['dropped'])}" if sentences["dropped"] else "")
    )
    lossless = share_kept(filtered) == 1 and not share_made_unknown(filtered, after)
    more = "" if lossless or find_lower(filtered) is None else f"; {suggest(filtered)}"
    lines.append(f"filter: {explain_loss(filtered, unit)}{more}")
    lines.append(f"vocabulary: {after['types']:,} of {filtered['before']['types']:,} {unit}s")
    splits = []
    for name, split in account["splits"].items():
        share = split["unknown_tokens"] / split["tokens"] if split["tokens"] else 0.0
        documents = f"{split['documents']:,} document{'s' * (split['documents'] != 1)}"
        splits.append(f"{name} {split['tokens']:,} tokens in {documents} ({percent(share)} <unk>)")
    lost = sentences["documents_with_text"] - sum(split["documents"] for split in account["splits"].values())
    left = f"; {lost:,} document{'s have' if lost > 1 else ' has'} no sentence left" if lost else ""
    lines.append(f"splits: {', '.join(splits)}{left}")
    return lines + [f"warning: {warning}" for warning in account["warnings"]]

"""What encode tells and stores of a text, and where it stops, against counts in plain Python."""

import re
from collections import Counter

import numpy as np
import pytest
from passes_chain import FRACTIONS, run_passes

from natural_sparsity import files
from natural_sparsity.corpus import split
from natural_sparsity.corpus.account import enumerate_counts, explain_loss, find_lower, make_singular, percent, suggest
from natural_sparsity.errors import UserError


def make_documents(n=200, per_document=20, words=400, seed=0):
    """Documents of sentences of up to eight words, drawn by Zipf's law."""
    rng = np.random.default_rng(seed)

    def draw():
        return [f"w{i}" for i in np.minimum(rng.zipf(1.3, rng.integers(1, 9)), words)]

    return {f"d{i}": [draw() for _ in range(per_document)] for i in range(n)}


def filter_plainly(documents, min_count):
    """The kept sentences by document, and the words that still reach ``min_count``."""
    counts = Counter(word for text in documents.values() for s in text for word in s)
    kept = {key: [s for s in text if all(counts[w] >= min_count for w in s)] for key, text in documents.items()}
    recount = Counter(word for text in kept.values() for s in text for word in s)
    return kept, {word for word, count in recount.items() if count >= min_count}


def count_tokens(documents):
    return sum(len(s) for text in documents.values() for s in text)


@pytest.mark.parametrize("n_shards", [1, 3])
def test_the_account_says_what_each_stage_kept(tmp_path, n_shards):
    documents = make_documents()
    kept, known = filter_plainly(documents, 5)
    run_passes(tmp_path, documents, n_shards, 5)
    account = files.read_json(tmp_path / "summary.json")["account"]
    assert account["documents"]["skipped"] == {"redirect": 7}
    assert account["sentences"] == {
        "documents": 200 + n_shards,
        "documents_with_text": 200,
        "sentences": 4000,
        "tokens": count_tokens(documents),
        "dropped": {"tables": 2} if n_shards == 1 else {"tables": 6, "files": 3},
        "unit": "word",
    }
    assert account["filter"]["before"] == {
        "sentences": 4000,
        "tokens": count_tokens(documents),
        "types": len({word for text in documents.values() for s in text for word in s}),
        "unknown_tokens": 0,
    }
    unknown = sum(word not in known for text in kept.values() for s in text for word in s)
    assert account["filter"]["after"] == {
        "sentences": sum(map(len, kept.values())),
        "tokens": count_tokens(kept),
        "types": len(known),
        "unknown_tokens": unknown,
    }
    for name, value in split.SPLITS.items():
        own = {key: text for key, text in kept.items() if text and split.split_of(key, FRACTIONS, 1) == value}
        words = [word for text in own.values() for s in text for word in s]
        strange = sum(word not in known for word in words)
        assert account["splits"][name] == {
            "documents": len(own),
            "sentences": sum(map(len, own.values())),
            "tokens": len(words),
            "types": len(set(words) & known),
            "unknown_tokens": strange,
        }


def test_the_story_says_how_much_is_left_why_and_what_would_leave_more(tmp_path, capsys):
    documents = make_documents()
    tokens = count_tokens(documents)
    left = {n: count_tokens(filter_plainly(documents, n)[0]) for n in (2, 3, 5, 10, 20, 50)}
    better = max(n for n in left if n < 50 and left[n] >= tokens / 2)
    assert left[50] < tokens / 2, "or there is no warning to test"
    run_passes(tmp_path, documents, 2, 50)
    story = capsys.readouterr().err
    kept = left[50] / tokens
    lost = "the rest are in sentences with a word rarer than min_count 50"
    more = f"min_count: {better} would keep {100 * left[better] / tokens:.0f} %"
    assert f"filter: {left[50]:,} of {tokens:,} tokens kept ({100 * kept:.0f} %); {lost}; {more}\n" in story
    assert "documents: 202 read (text); skipped: 7 redirects\nnote: a note\n" in story
    sentences = f"sentences: 4,000, with {tokens:,} tokens; documents without text: 2"
    assert f"{sentences}; removed from the text: 4 tables, 1 file\n" in story
    assert len(story.splitlines()) <= 12
    [warning] = re.findall(r"^warning: (.*)$", story, re.MULTILINE)
    assert warning.startswith(f"the filter kept only {100 * kept:.0f} % of the tokens")
    assert files.read_json(tmp_path / "summary.json")["account"]["warnings"] == [warning]


def test_no_warning_where_half_of_the_text_is_kept(tmp_path, capsys):
    documents = make_documents()
    assert count_tokens(filter_plainly(documents, 2)[0]) > count_tokens(documents) / 2
    run_passes(tmp_path, documents, 1, 2)
    assert "warning" not in capsys.readouterr().err
    assert files.read_json(tmp_path / "summary.json")["account"]["warnings"] == []


def test_a_text_that_is_kept_whole_is_said_to_be(tmp_path, capsys):
    run_passes(tmp_path, make_documents(), 1, 1)
    assert re.search(r"filter: all [\d,]+ tokens kept\n", capsys.readouterr().err)


def test_mostly_unknown_words_are_a_warning(tmp_path, capsys):
    documents = {key: [[*s, *["<unk>"] * 9] for s in text] for key, text in make_documents().items()}
    run_passes(tmp_path, documents, 1, 1)
    warnings = re.findall(r"^warning: (.*)$", capsys.readouterr().err, re.MULTILINE)
    assert [warning.split(":")[0] for warning in warnings] == ["train", "dev", "test"]
    assert all(w.endswith("% of the tokens are <unk>; use a version of the text with all its words") for w in warnings)


def test_characters_are_called_characters(tmp_path, capsys):
    run_passes(tmp_path, make_documents(), 1, 20, unit="character")
    story = capsys.readouterr().err
    assert "with a character rarer than min_count 20" in story
    assert " word" not in story


def test_a_split_that_the_filter_emptied_names_what_did_it(tmp_path):
    documents = make_documents()
    in_dev = [key for key in documents if split.split_of(key, FRACTIONS, 1) == split.SPLITS["dev"]]
    for key in in_dev:
        documents[key] = [[f"rare-{key}", *sentence] for sentence in documents[key][:1]]
    lost = rf"leaves none of the {len(in_dev)} sentences of dev"
    with pytest.raises(UserError, match=rf"^min_count: {lost}: .* kept \(.*\); .*; min_count: \d+ would keep \d+ %$"):
        run_passes(tmp_path, documents, 1, 30)
    keys = [key for key in (f"more {i}" for i in range(100)) if split.split_of(key, FRACTIONS, 1) == split.TRAIN]
    documents |= {key: [["w1"] * 9] * 50 for key in keys}
    rare = rf"each of its {len(in_dev)} sentences has a word rarer than min_count 30"
    with pytest.raises(UserError, match=rf"^split\.dev: {rare}; raise split\.dev, or add text$"):
        run_passes(tmp_path, documents, 1, 30)


@pytest.mark.parametrize(
    ("n", "cause"), [(1, "the corpus is one document, so"), (2, "none of the 2 documents that were read fell into")]
)
def test_too_few_documents_for_three_splits_name_format_lines(tmp_path, n, cause):
    """As when a sentence per line is read as paragraphs of plain text."""
    with pytest.raises(
        UserError, match=rf"^split: {cause} .*; add documents.*a document ends at a blank line: .* set format: lines$"
    ):
        run_passes(tmp_path, make_documents(n, 30), 1, 1)


def test_a_split_that_the_filter_left_small_names_min_count(tmp_path):
    few = r"leaves (train|dev|test) \d+ tokens, too few for a run \(at least 80\)"
    with pytest.raises(UserError, match=rf"^min_count: {few}: .* rarer than min_count 5; min_count: \d+ would keep"):
        run_passes(tmp_path, make_documents(12, 12), 1, 5)
    assert not (tmp_path / "summary.json").exists()


def test_a_small_split_of_a_text_that_is_kept_names_its_share(tmp_path):
    documents = make_documents(12, 40)
    for key in documents:
        if split.split_of(key, FRACTIONS, 1) == split.SPLITS["test"]:
            documents[key] = [["w1", "w1"]]
    with pytest.raises(
        UserError, match=r"^split\.test: leaves \d+ tokens, too few for a run .*; raise split\.test, or add text"
    ):
        run_passes(tmp_path, documents, 1, 1)


def test_a_vocabulary_that_the_filter_left_small_names_min_count_and_a_better_one(tmp_path):
    documents = make_documents(200, 10)
    _, known = filter_plainly(documents, 100)
    assert 0 < len(known) < 10
    with pytest.raises(
        UserError, match=rf"^min_count: 100 leaves {len(known)} of \d+ words in the vocabulary, .*"
    ) as error:
        run_passes(tmp_path, documents, 1, 100)
    better = re.search(r"min_count: (\d+) would leave ([\d,]+)$", str(error.value))
    assert len(filter_plainly(documents, int(better[1]))[1]) == int(better[2].replace(",", "")) >= 10


def test_a_text_of_four_letters_is_not_too_small(tmp_path):
    documents = make_documents(words=4)
    run_passes(tmp_path, documents, 1, 1, unit="character")
    assert files.read_json(tmp_path / "summary.json", ["vocabulary"])["vocabulary"] == 6


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.00026, "0.026 %"), (0.0412, "4.1 %"), (0.16, "16 %"), (0.9999, "99.9 %"), (1, "100 %")],
)
def test_percent(share, text):
    assert percent(share) == text


def test_only_the_largest_counts_are_enumerated():
    assert enumerate_counts({"a": 1, "b": 2000, "c": 3, "d": 4, "e": 5, "f": 6}) == "2,000 b, 6 f, 5 e, 4 d, 4 more"


@pytest.mark.parametrize(
    ("kinds", "kind"),
    [
        ("tables", "table"),
        ("categories", "category"),
        ("files and images", "file or image"),
        ("sentences without a letter or digit", "sentence without a letter or digit"),
    ],
)
def test_one_of_a_kind_is_singular(kinds, kind):
    assert make_singular(kinds) == kind


def test_documents_that_lost_all_sentences_are_counted(tmp_path, capsys):
    documents = make_documents()
    run_passes(tmp_path, documents | {"lost": [["rare"]], "lost too": [["rarer"]]}, 1, 2)
    kept, _ = filter_plainly(documents, 2)
    lost = 2 + sum(not text for text in kept.values())
    assert re.search(rf"^splits: .*; {lost} documents have no sentence left$", capsys.readouterr().err, re.MULTILINE)


def test_a_suggestion_keeps_half_and_more_than_now():
    rows = [(1, 100, 500), (2, 60, 300), (3, 45, 200), (5, 45, 100), (10, 20, 50)]
    table = [{"min_count": m, "tokens": t, "types": k, "unknown_tokens": 0} for m, t, k in rows]
    account = {"given_splits": False, "before": table[0], "thresholds": table}
    assert suggest(account | {"min_count": 10, "after": table[4]}) == "min_count: 2 would keep 60 %"
    assert suggest(account | {"min_count": 2, "after": table[1]}) == "min_count: 1 would keep 100 %"
    assert find_lower(account | {"min_count": 1, "after": table[0]}) is None


def test_a_suggestion_for_given_splits_leaves_words_and_fewer_unknown():
    rows = [(1, 500, 20), (2, 300, 20), (3, 200, 30), (5, 90, 40), (10, 50, 55)]
    table = [{"min_count": m, "tokens": 100, "types": k, "unknown_tokens": u} for m, k, u in rows]
    account = {"given_splits": True, "before": table[0] | {"unknown_tokens": 10}, "thresholds": table}
    assert suggest(account | {"min_count": 10, "after": table[4]}) == "min_count: 3 would turn 20 % into <unk>"
    assert find_lower(account | {"min_count": 2, "after": table[1]}) is None, "1 leaves as many"
    bad = [row | {"unknown_tokens": row["unknown_tokens"] + 40} for row in table]
    account |= {"before": table[0] | {"unknown_tokens": 45}, "thresholds": bad}
    expected = "min_count: 1 would turn 15 % into <unk>, the least possible"
    assert suggest(account | {"min_count": 10, "after": bad[4]}) == expected
    said = explain_loss(account | {"min_count": 10, "after": bad[4]})
    assert "50 % more became <unk>, 95 % with the text's own" in said

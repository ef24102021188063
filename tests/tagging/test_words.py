from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.tagging.words import CLOSED, OPEN, assign_majority, mark_matched, number_pairs

TAGGED_BY = {"model": "m", "model_version": "1", "case": "original"}


def vocabulary_of(counts: dict[str, int]) -> pd.DataFrame:
    words = {"<unk>": 7, "<eos>": 9, **counts}
    return pd.DataFrame({"id": range(len(words)), "word": words.keys(), "count": words.values()})


def tags_of(rows: list[tuple[int, str, int]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id", "pos", "count"])


def run_words(folder: Path, vocabulary: pd.DataFrame, shards: list[pd.DataFrame], *options: str) -> pd.DataFrame:
    assigned = [f"of shard {number}" for number in range(len(shards))]
    files.write_parquet(folder / "vocabulary.parquet", vocabulary, {"assignment": assigned})
    paths = []
    for number, shard in enumerate(shards):
        paths.append(str(folder / f"{number}.parquet"))
        about = {"vocabulary": files.read_digest(folder / "vocabulary.parquet"), "assignment": assigned[number]}
        files.write_parquet(paths[-1], shard, TAGGED_BY | about)
    command = ["words", "--vocabulary", str(folder / "vocabulary.parquet"), "--tags", *paths]
    main([*command, "--output", str(folder / "words.parquet"), *options])
    return pd.read_parquet(folder / "words.parquet")


def test_without_tags_no_word_has_a_class(tmp_path: Path, capsys) -> None:
    """Characters have no tags, and nothing warns that there are no matched samples."""
    frame = run_words(tmp_path, vocabulary_of({"␣": 50, "e": 40}), [], "--min-tagged", "1", "--matched-size", "3")
    assert frame["count"].tolist() == [7, 9, 50, 40]
    assert not frame["tagged"].any()
    assert not frame["matched"].any()
    assert frame[["pos", "pos_class", "share"]].isna().all(axis=None)
    assert [str(frame[name].dtype) for name in ("pos", "pos_class")] == ["str", "str"]
    assert "WARNING" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("counts", "pos"),
    [
        ({"NOUN": 100}, "NOUN"),
        ({"NOUN": 99}, None),  # below min_tagged
        ({"NOUN": 99, "VERB": 1}, None),  # 100 tagged, but only 99 of them nouns
        ({"NOUN": 100, "VERB": 100}, None),  # exactly half is not more than half
        ({"NOUN": 101, "VERB": 100}, "NOUN"),
        ({"NOUN": 200, "VERB": 150, "ADJ": 50}, None),  # the most frequent, with exactly half
        ({"NOUN": 201, "VERB": 150, "ADJ": 50}, "NOUN"),
        ({"NOUN": 150, "VERB": 120, "ADJ": 120}, None),  # a plurality only
        ({"NUM": 500}, "NUM"),
    ],
)
def test_majority_rule(counts: dict[str, int], pos: str | None) -> None:
    total = sum(counts.values())
    frame = assign_majority(vocabulary_of({"w": total}), tags_of([(2, *item) for item in counts.items()]), 100)
    row = frame.iloc[2]
    assert (None if pd.isna(row["pos"]) else row["pos"]) == pos
    assert row["tagged"] == total
    assert row["share"] == max(counts.values()) / total


def test_classes_partition_the_universal_tags() -> None:
    universal = [
        "ADJ",
        "ADP",
        "ADV",
        "AUX",
        "CCONJ",
        "DET",
        "INTJ",
        "NOUN",
        "NUM",
        "PART",
        "PRON",
        "PROPN",
        "PUNCT",
        "SCONJ",
        "SYM",
        "VERB",
        "X",
        "SPACE",
    ]
    frame = assign_majority(
        vocabulary_of({pos.lower(): 5 for pos in universal}),
        tags_of([(i, pos, 5) for i, pos in enumerate(universal, 2)]),
        1,
    )
    classes = frame.set_index("pos")["pos_class"].dropna()
    assert sorted(classes.index[classes == "open"]) == ["ADJ", "ADV", "INTJ", "NOUN", "PROPN", "VERB"] == OPEN
    closed = ["ADP", "AUX", "CCONJ", "DET", "PART", "PRON", "SCONJ"]
    assert sorted(classes.index[classes == "closed"]) == closed == CLOSED


def test_specials_and_untagged_words_have_no_pos() -> None:
    frame = assign_majority(vocabulary_of({"seen": 3, "unseen": 2}), tags_of([(2, "X", 3)]), 0)
    assert frame["pos"].isna().tolist() == [True, True, False, True]
    assert frame["pos_class"].isna().all()
    assert frame["tagged"].tolist() == [0, 0, 3, 0]
    np.testing.assert_array_equal(frame["share"], [np.nan, np.nan, 1.0, np.nan])


def test_shards_are_summed_before_the_rule_applies(tmp_path: Path) -> None:
    # No shard has 100 nouns; in one the verb is the majority.
    shards = [tags_of([(2, "NOUN", 60), (3, "DET", 4)]), tags_of([(2, "NOUN", 45), (2, "VERB", 50)])]
    vocabulary = vocabulary_of({"w": 155, "the": 4})
    options = ["--min-tagged", "100", "--matched-size", "1"]
    apart = run_words(tmp_path, vocabulary, shards, *options)
    assert apart[["pos", "tagged", "pos_class"]].iloc[2].tolist() == ["NOUN", 155, "open"]
    pd.testing.assert_frame_equal(run_words(tmp_path, vocabulary, shards[::-1], *options), apart)
    together = tags_of([(2, "NOUN", 105), (2, "VERB", 50), (3, "DET", 4)])
    pd.testing.assert_frame_equal(run_words(tmp_path, vocabulary, [together], *options), apart)


MIXED = pd.DataFrame(
    {
        "id": range(9),
        "count": [900, 500, 500, 400, 401, 390, 41, 400, 33],
        "pos_class": [None, "closed", "open", "closed", "open", "closed", "open", "open", "closed"],
    }
)


@pytest.mark.parametrize("rows", [list(range(9)), list(range(8, -1, -1))], ids=["in order", "reversed"])
def test_matched_words_are_ranges_of_each_class(rows: list[int]) -> None:
    frame = MIXED.iloc[rows]
    # Sums of two: open 500+401, 401+400, 400+41; closed 500+400, 400+390, 390+33. 901 and 900 are close.
    assert sorted(frame["id"][mark_matched(frame, 2)]) == [1, 2, 3, 4]


@pytest.mark.parametrize("rows", [list(range(9)), list(range(8, -1, -1))], ids=["in order", "reversed"])
def test_pairs_are_numbered_from_the_most_frequent(rows: list[int]) -> None:
    frame = MIXED.iloc[rows]
    numbers = dict(zip(frame["id"], number_pairs(frame).tolist(), strict=True))
    # Closed 500, 400 and 390 with open 500, 401 and 400: 33 has no open word within a tenth.
    assert numbers == {0: -1, 2: 0, 1: 0, 4: 1, 3: 1, 7: 2, 5: 2, 6: -1, 8: -1}


def test_the_samples_are_described_where_they_are_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary = vocabulary_of({"the": 80, "of": 40, "a": 12, "cat": 41, "dog": 39, "sees": 12, "run": 3})
    tags = tags_of([(i, pos, 3) for i, pos in enumerate(["DET", "ADP", "DET", "NOUN", "NOUN", "VERB", "VERB"], 2)])
    frame = run_words(tmp_path, vocabulary, [tags], "--min-tagged", "1", "--matched-size", "1")
    said = capsys.readouterr().err
    assert frame.set_index("word")["pair"][["of", "cat", "a", "sees"]].tolist() == [0, 0, 1, 1]
    assert "open_matched: 1 words, counts 12 to 12, mean 12.0\n" in said
    assert "open_paired: 2 words, counts 12 to 41, mean 26.5, standard deviation 20.5" in said
    samples = files.read_metadata(tmp_path / "words.parquet")["samples"]
    sd = np.std([12, 40], ddof=1)
    assert samples["closed_paired"] == {"words": 2, "mean": 26, "sd": pytest.approx(sd), "least": 12, "most": 40}
    assert samples["open_matched"]["sd"] is None
    assert list(samples) == ["open_matched", "closed_matched", "open_paired", "closed_paired"]


def test_ranges_without_close_means_are_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary, tags = vocabulary_of({"cat": 3, "the": 9}), tags_of([(2, "NOUN", 3), (3, "DET", 9)])
    frame = run_words(tmp_path, vocabulary, [tags], "--min-tagged", "1", "--matched-size", "1")
    assert not frame["matched"].any()
    assert "no range of 1 words of one class is as frequent, within 1 %, as one of the other" in capsys.readouterr().err
    assert files.read_metadata(tmp_path / "words.parquet")["samples"] == {}


def test_missing_matched_samples_are_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vocabulary, tags = vocabulary_of({"cat": 9, "the": 9}), tags_of([(2, "NOUN", 3), (3, "DET", 9)])
    frame = run_words(tmp_path, vocabulary, [tags], "--min-tagged", "1", "--matched-size", "2")
    assert not frame["matched"].any()
    assert "WARNING: no frequency-matched samples, because a class has fewer than 2 words" in capsys.readouterr().err
    frame = run_words(tmp_path, vocabulary, [tags], "--min-tagged", "1", "--matched-size", "1")
    assert frame["matched"].tolist() == [False, False, True, True]
    assert "WARNING" not in capsys.readouterr().err


def test_stored_types_and_metadata_do_not_depend_on_the_values(tmp_path: Path) -> None:
    run_words(
        tmp_path, vocabulary_of({"w": 3}), [tags_of([(2, "NOUN", 3)])], "--min-tagged", "9", "--matched-size", "1"
    )
    schema = pq.read_schema(tmp_path / "words.parquet")
    types = {name: str(schema.field(name).type) for name in schema.names}
    assert list(types) == ["id", "word", "count", "tagged", "pos", "share", "pos_class", "matched", "pair"]
    assert types["pair"] == "int32"
    assert types["tagged"] == "int64" and types["share"] == "double" and types["matched"] == "bool"
    assert "string" in types["pos"] and "string" in types["pos_class"]
    assert pq.read_table(tmp_path / "words.parquet")["pos"].null_count == 3
    metadata = files.read_metadata(tmp_path / "words.parquet")
    vocabulary = files.read_digest(tmp_path / "vocabulary.parquet")
    assert metadata == TAGGED_BY | {"vocabulary": vocabulary, "min_tagged": 9, "matched_size": 1, "samples": {}}


@pytest.mark.parametrize(
    ("shards", "message"),
    [
        ([tags_of([(2, "NOUN", 2)]), tags_of([(2, "NOUN", 2)])], "'w' occurs 3 times, but 4 were tagged"),
        ([tags_of([(5, "NOUN", 2)])], "id 5, which .*vocabulary.parquet lacks"),
    ],
)
def test_tags_of_another_vocabulary_are_refused(tmp_path: Path, shards: list[pd.DataFrame], message: str) -> None:
    with pytest.raises(SystemExit, match=message):
        run_words(tmp_path, vocabulary_of({"w": 3}), shards, "--min-tagged", "1", "--matched-size", "1")


def test_tags_made_with_another_vocabulary_are_refused(tmp_path: Path) -> None:
    """Though every id fits."""
    files.write_parquet(tmp_path / "vocabulary.parquet", vocabulary_of({"w": 3}))
    files.write_parquet(tmp_path / "0.parquet", tags_of([(2, "NOUN", 1)]), TAGGED_BY | {"vocabulary": "of other words"})
    command = ["words", "--vocabulary", str(tmp_path / "vocabulary.parquet"), "--tags", str(tmp_path / "0.parquet")]
    with pytest.raises(
        SystemExit, match=r"0\.parquet: does not belong to .*vocabulary\.parquet \(different vocabulary\)"
    ):
        main([*command, "--min-tagged", "1", "--matched-size", "1", "--output", str(tmp_path / "w.parquet")])


def test_shards_tagged_by_two_models_are_refused(tmp_path: Path) -> None:
    files.write_parquet(tmp_path / "vocabulary.parquet", vocabulary_of({"w": 3}))
    for number in range(2):
        vocabulary = files.read_digest(tmp_path / "vocabulary.parquet")
        metadata = TAGGED_BY | {"model_version": str(number), "vocabulary": vocabulary}
        files.write_parquet(tmp_path / f"{number}.parquet", tags_of([(2, "NOUN", 1)]), metadata)
    tags = [str(tmp_path / "0.parquet"), str(tmp_path / "1.parquet")]
    command = ["words", "--vocabulary", str(tmp_path / "vocabulary.parquet"), "--tags", *tags]
    with pytest.raises(SystemExit, match=r"1\.parquet: tagged with other settings than .*0\.parquet"):
        main([*command, "--min-tagged", "1", "--matched-size", "1", "--output", str(tmp_path / "w.parquet")])
    assert not (tmp_path / "w.parquet").exists()


@pytest.mark.parametrize("given", [["0"], ["0", "0"], ["0", "0", "1"]], ids=["missing", "twice", "one too many"])
def test_tags_of_each_shard_are_needed_once(tmp_path: Path, given: list[str]) -> None:
    """Though the words' counts would allow it."""
    shards = [tags_of([(2, "NOUN", 1)]), tags_of([(3, "DET", 1)])]
    run_words(tmp_path, vocabulary_of({"w": 9, "the": 9}), shards, "--min-tagged", "1", "--matched-size", "1")
    tags = [str(tmp_path / f"{name}.parquet") for name in given]
    command = ["words", "--vocabulary", str(tmp_path / "vocabulary.parquet"), "--tags", *tags]
    said = rf"its {len(given)} files are not the tags of each shard of .*vocabulary\.parquet; give each shard's once"
    with pytest.raises(SystemExit, match=said):
        main([*command, "--min-tagged", "1", "--matched-size", "1", "--output", str(tmp_path / "w.parquet")])
    assert not (tmp_path / "w.parquet").exists()


@pytest.mark.parametrize("option", ["--min-tagged", "--matched-size"])
def test_sizes_are_positive(tmp_path, capsys, option):
    vocabulary, sizes = vocabulary_of({"w": 3}), {"--min-tagged": "1", "--matched-size": "1", option: "0"}
    with pytest.raises(SystemExit):
        run_words(tmp_path, vocabulary, [tags_of([(2, "NOUN", 3)])], *(word for pair in sizes.items() for word in pair))
    assert f"argument {option}: not an integer of 1 or more: 0" in capsys.readouterr().err

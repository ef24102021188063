"""Labelled texts in the formats of the data sets, as the arrays that a classifier reads."""

import csv
import gzip
import io
import json
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from example_downloads import make_archive
from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.config.data.classification import CLASSES
from natural_sparsity.corpus import labelled


def vader(lines: list[str], **others: list[str]) -> bytes:
    of = {"movieReviewSnippets": lines, **others}
    inner = make_archive({f"hutto_ICWSM_2014/{name}_GroundTruth.txt": "\n".join(of[name]).encode() for name in of})
    return make_archive({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner})


def run(folder: Path, *sources: Path, **options) -> tuple[dict[str, np.ndarray], list[str], dict]:
    """The arrays of the splits, the vocabulary's words and the summary."""
    given = {
        "format": "vader",
        "words": 100,
        "min-occurrences": 1,
        "length": 6,
        "fractions": "0.2 0.3",
        "seed": 1,
        **options,
    }
    out = {split: folder / f"{split}.npy" for split in labelled.SPLITS}
    out |= {"vocabulary": folder / "vocabulary.parquet", "summary": folder / "summary.json"}
    arguments = [word for name, value in {**given, **out}.items() for word in (f"--{name}", *str(value).split())]
    main(["labelled", "--source", *map(str, sources), *arguments])
    arrays = {split: files.read_array(out[split], ndim=2) for split in labelled.SPLITS}
    words = files.read_parquet(out["vocabulary"], ["word"])["word"].tolist()
    return arrays, words, json.loads(out["summary"].read_text())


def decoded(row: np.ndarray, words: list[str]) -> str:
    return " ".join(words[i] for i in row[1:] if i)


def test_snippets_have_the_sign_of_their_rating(tmp_path: Path) -> None:
    lines = [f"{i}\t{(-1) ** i * (0.5 + i)}\tNumber {i}, it's GOOD" for i in range(200)] + ["200\t0.0\tneither", ""]
    (tmp_path / "v.tar.gz").write_bytes(vader(lines))
    arrays, words, summary = run(tmp_path, tmp_path / "v.tar.gz", words=1000)
    assert words[:2] == ["<pad>", "<unk>"]
    assert sum(map(len, arrays.values())) == 200
    seen = {}
    for rows in arrays.values():
        for row in rows:
            text = decoded(row, words)
            number = text.split(" ")[1]
            if number != "<unk>":
                seen[number] = int(row[0])
            assert text in (f"number {number} , it's good", "number <unk> , it's good")
    assert len(seen) == len(arrays["train"])
    assert all(label == (int(number) % 2 == 0) for number, label in seen.items())
    assert 0.4 < len(arrays["train"]) / 200 < 0.6
    assert summary["train"]["texts"] == len(arrays["train"])
    assert summary["classes"] == 2


def test_snippets_of_all_sources_have_their_source(tmp_path: Path) -> None:
    names = ["movieReviewSnippets", "amazonReviewSnippets", "nytEditorialSnippets", "tweets"]
    of = {name: [f"{i}\t{i - 20}\tfrom{k} number {i}" for i in range(40)] for k, name in enumerate(names)}
    (tmp_path / "v.tar.gz").write_bytes(vader(of.pop(names[0]), **of))
    arrays, words, summary = run(tmp_path, tmp_path / "v.tar.gz", format="vader_sources", words=1000)
    assert sum(map(len, arrays.values())) == 160
    assert all(decoded(row, words).startswith(f"from{row[0]} number") for rows in arrays.values() for row in rows)
    assert summary["classes"] == 4


def test_the_vocabulary_is_of_the_training_split_and_texts_are_cut(tmp_path: Path) -> None:
    lines = [f"{i}\t{(-1) ** i}\tthe the rare{i} a b c d e f" for i in range(60)]
    (tmp_path / "v.tar.gz").write_bytes(vader(lines))
    arrays, words, summary = run(tmp_path, tmp_path / "v.tar.gz", words=4, **{"min-occurrences": 2})
    assert words == ["<pad>", "<unk>", "the", "a", "b", "c"]
    assert {decoded(row, words) for rows in arrays.values() for row in rows} == {"the the <unk> a b c"}
    counts = files.read_parquet(tmp_path / "vocabulary.parquet", ["count"])["count"].tolist()
    n = len(arrays["train"])
    assert counts == [0, 4 * n, 2 * n, n, n, n]
    assert summary["dev"]["cut"] == 1


def test_copies_of_a_text_go_to_one_split(tmp_path: Path) -> None:
    lines = [f"{i}\t{1 if i % 2 else -1}\ttext {i % 40} {'good' if i % 2 else 'bad'}" for i in range(400)]
    (tmp_path / "v.tar.gz").write_bytes(vader(lines))
    arrays, words, _ = run(tmp_path, tmp_path / "v.tar.gz", words=1000)
    sets = [{decoded(row, words) for row in rows if decoded(row, words).find("<unk>") < 0} for rows in arrays.values()]
    assert not any(a & b for k, a in enumerate(sets) for b in sets[k + 1 :])


def test_reviews_keep_the_test_split_of_the_data(tmp_path: Path) -> None:
    members = {
        f"aclImdb/{split}/{label}/{i}_{7 if label == 'pos' else 2}.txt": f"{split} {label}<br />{i}".encode()
        for split in ("train", "test")
        for label in ("pos", "neg")
        for i in range(40)
    }
    extra = {"aclImdb/train/unsup/1_0.txt": b"x", "aclImdb/README": b"y"}
    (tmp_path / "aclImdb_v1.tar.gz").write_bytes(make_archive({**members, **extra}))
    arrays, words, _ = run(tmp_path, tmp_path / "aclImdb_v1.tar.gz", format="imdb", words=1000)
    assert len(arrays["test"]) == 80
    assert len(arrays["train"]) + len(arrays["dev"]) == 80
    for split, rows in arrays.items():
        for row in rows:
            first = decoded(row, words).split(" ")
            assert first[1] == ("pos" if row[0] else "neg")
            assert first[0] == "train" if split == "train" else first[0] in (split, "train", "<unk>")


def test_topics_come_from_two_files(tmp_path: Path) -> None:
    for name, n in (("train.csv", 80), ("test.csv", 20)):
        with (tmp_path / name).open("w", newline="") as file:
            csv.writer(file).writerows([[1 + i % 4, f"Title {i % 4}", f"a \\b {name}"] for i in range(n)])
    # Equal texts fall into one split; with these, train and dev have every class.
    (tmp_path / "train.csv").write_text(
        "".join(f'"{1 + i % 4}","Title {i}","a \\\\b"\n' for i in range(200)), encoding="utf-8"
    )
    arrays, words, summary = run(tmp_path, tmp_path / "train.csv", tmp_path / "test.csv", format="ag_news", words=1000)
    assert len(arrays["test"]) == 20
    assert summary["classes"] == 4
    assert sorted(set(arrays["test"][:, 0].tolist())) == [0, 1, 2, 3]
    assert decoded(arrays["train"][0], words).startswith("title ")
    assert "\\" not in " ".join(words)
    with pytest.raises(SystemExit, match="ag_news: 1 files; give train.csv and test.csv"):
        run(tmp_path, tmp_path / "train.csv", format="ag_news")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no archive", "v.tar.gz: is not compressed, though its name ends in .gz; rename it"),
        (gzip.compress(b"no archive"), "v.tar.gz: not a readable tar archive .truncated header.; delete it"),
        (gzip.compress(b""), "v.tar.gz: not a readable tar archive .it has no end."),
        (make_archive({"other": b"x"}), "has 0 members named /additional_resources/hutto_ICWSM_2014.tar.gz, not one"),
        (vader(["1\tgood\ttext"]), "line 1 of movieReviewSnippets has no rating and text"),
        (
            vader(["1\t1\ttext", "2\tnan\ttext"]),
            "line 2 of movieReviewSnippets has no rating and text .the rating is nan",
        ),
        (
            vader(["1\t1\ttext", "2\t1\tna\0ve"]),
            "hutto_ICWSM_2014.tar.gz/movieReviewSnippets_GroundTruth.txt: byte 15 is NUL",
        ),
        (vader([f"{i}\t1\ttext {i}" for i in range(50)]), r"v\.tar\.gz: all 50 texts are of class 1; check"),
    ],
    # Not by content, in which gzip puts the time.
    ids=["no gzip", "no archive", "no end", "no member", "no rating", "rating", "NUL", "one class"],
)
def test_what_is_no_such_data_set_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "v.tar.gz").write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        run(tmp_path, tmp_path / "v.tar.gz")


REVIEWS = {
    f"aclImdb/{split}/{label}/{i}_7.txt": f"{split} {label} {i}".encode()
    for split in ("train", "test")
    for label in ("pos", "neg")
    for i in range(20)
}


def test_an_archive_may_have_any_compression(tmp_path: Path, compressed: Callable[[Path, bytes], Path]) -> None:
    path = compressed(tmp_path / "reviews.tar", gzip.decompress(make_archive(REVIEWS)))
    _, _, summary = run(tmp_path, path, format="imdb")
    assert sum(summary[split]["texts"] for split in labelled.SPLITS) == 80


def with_member(**attributes: Any) -> bytes:
    """A tar archive of REVIEWS and one more member."""
    buffer = io.BytesIO(gzip.decompress(make_archive(REVIEWS)))
    with tarfile.open(fileobj=buffer, mode="a") as file:
        info = tarfile.TarInfo("aclImdb/train/pos/0_7.txt")
        for name, value in attributes.items():
            setattr(info, name, value)
        file.addfile(info, io.BytesIO(bytes(info.size)))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_member(), "r.tar: has two members aclImdb/train/pos/0_7.txt; delete one"),
        (
            with_member(name="aclImdb/train/pos/99_7.txt", type=tarfile.DIRTYPE),
            "aclImdb/.*/99_7.txt is not a regular file",
        ),
        (
            with_member(name="aclImdb/train/pos/99_7.txt", type=tarfile.SYMTYPE, linkname="0_7.txt"),
            "r.tar: its member aclImdb/train/pos/99_7.txt is not a regular file; pack the texts themselves",
        ),
        (with_member(name="aclImdb/train/pos/99_7.txt", size=3), "r.tar/aclImdb/train/pos/99_7.txt: byte 0 is NUL"),
        (
            gzip.decompress(make_archive({**REVIEWS, "aclImdb/test/neg/20_1.txt": b"na\xefve"})),
            "r.tar/aclImdb/test/neg/20_1.txt: byte 2 is not UTF-8; convert the file to UTF-8",
        ),
        (with_member(name="a")[:90_000].rstrip(b"\0"), "r.tar: not a readable tar archive"),
        (with_member(name="a") + b"x", "r.tar: has data after the end of the archive; delete it and run again"),
        (
            make_archive({"reviews/0_7.txt": b"x"}),
            "r.tar: has no member like aclImdb/train/neg/0_3.txt; check that format",
        ),
    ],
    ids=["twice", "folder", "link", "NUL", "Latin-1", "cut", "more", "no member"],
)
def test_an_archive_that_is_damaged_or_odd_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "r.tar").write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        run(tmp_path, tmp_path / "r.tar", format="imdb")


def test_members_elsewhere_are_not_read(tmp_path: Path) -> None:
    others = ["aclImdb/train/unsup/1_0.txt", "aclImdb/../aclImdb/train/pos/1_9.txt", "/aclImdb/train/pos/1_9.txt"]
    (tmp_path / "r.tar").write_bytes(make_archive({**REVIEWS, **dict.fromkeys(others, b"\xff")}))
    _, _, summary = run(tmp_path, tmp_path / "r.tar", format="imdb")
    assert sum(summary[split]["texts"] for split in labelled.SPLITS) == 80


ROWS = "".join(f'"{1 + i % 4}","Title {i}","some text"\n' for i in range(200))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            '"1","Title","Caf\u00e9"\n'.encode("latin-1"),
            "line 201: byte [0-9]+ is not UTF-8; convert the file to UTF-8",
        ),
        ('\n\n"\u00b2",a,b\n'.encode(), "line 201 is not topic, title, description, but has 0 fields"),
        (
            '"\u00b2","Title","Text"\n'.encode(),
            "line 201: the topic '\u00b2' is not 1 to 4; correct or delete the line",
        ),
        (b"0,Title,Text\n", "line 201: the topic '0' is not 1 to 4"),
        (b"5,Title,Text\n", "line 201: the topic '5' is not 1 to 4"),
        (b"1,Title,a text, cut by a comma\n", "line 201 is not topic, title, description, but has 4 fields"),
        (b'1,Title,"not closed\n2,Title,Text\n', r"line 201 does not begin a CSV row \(unexpected end of data\)"),
        (b'1,Title,"not closed\n2,"Title",Text\n', r"line 201 does not begin a CSV row \(',' expected after '\"'\)"),
        (b"1,Title,Te\0xt\n", "is not text, or not UTF-8 .byte 5500 is NUL"),
    ],
    ids=["Latin-1", "blank", "superscript", "0", "5", "comma", "not closed", "not closed, then quotes", "NUL"],
)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz"])
def test_topics_that_are_no_rows_are_refused_by_line(tmp_path: Path, rows: bytes, message: str, suffix: str) -> None:
    (tmp_path / f"test.{suffix}").write_bytes((gzip.compress if suffix == "csv.gz" else bytes)(ROWS.encode() + rows))
    (tmp_path / "train.csv").write_text(ROWS, encoding="utf-8")
    with pytest.raises(SystemExit, match=f"test.{suffix}: {message}"):
        run(tmp_path, tmp_path / "train.csv", tmp_path / f"test.{suffix}", format="ag_news")


def test_lines_and_quotes_of_a_table(tmp_path: Path) -> None:
    """With a byte-order mark, ends of lines of three systems, lines and quotes within a text."""
    content = '\ufeff1,"a ""b""","c\nd"\r\n2,e,f\r3,g,"h\ri"\n4,j,k'.encode()
    (tmp_path / "a.csv").write_bytes(content)
    texts = list(labelled.read_ag_news([tmp_path / "a.csv", tmp_path / "a.csv"], Counter()))
    expected = [(0, 'a "b" c\nd'), (1, "e f"), (2, "g h\ri"), (3, "j k")]
    assert texts == [(split, *row) for split in ("", "test") for row in expected]


def test_a_long_field_of_a_table_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'1,Title,"{"word " * 40_000}"\n', encoding="utf-8")
    [(_, _, text), _] = labelled.read_ag_news([tmp_path / "a.csv"] * 2, Counter())
    assert text.count("word") == 40_000


def test_an_empty_table_or_test_split_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "test.csv").write_bytes(b"")
    with pytest.raises(SystemExit, match=r"test\.csv: has no rows; download it again"):
        run(tmp_path, tmp_path / "train.csv", tmp_path / "test.csv", format="ag_news")
    (tmp_path / "test.csv").write_text("1,Title,Text\n2,Title,Text\n", encoding="utf-8")
    lack = r"test\.csv: the test split has 2 of 202 texts and none of classes 2, 3; check that the file is complete"
    with pytest.raises(SystemExit, match=lack):
        run(tmp_path, tmp_path / "train.csv", tmp_path / "test.csv", format="ag_news")


@pytest.mark.parametrize("folder", ["train/neg", "train/pos", "test/neg", "test/pos"])
def test_reviews_without_a_folder_are_refused(tmp_path: Path, folder: str) -> None:
    members = {name: text for name, text in REVIEWS.items() if folder not in name}
    (tmp_path / "r.tar").write_bytes(gzip.decompress(make_archive(members)))
    with pytest.raises(SystemExit, match=f"r.tar: has no member like aclImdb/{folder}/0_3.txt; .*archive is complete"):
        run(tmp_path, tmp_path / "r.tar", format="imdb")


def test_damage_of_the_compression_is_named_before_an_odd_member(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(with_member()))
    packed[-5] ^= 1  # of the checksum and the length
    (tmp_path / "r.tar.gz").write_bytes(packed)
    with pytest.raises(SystemExit, match=r"r\.tar\.gz: truncated or damaged"):
        run(tmp_path, tmp_path / "r.tar.gz", format="imdb")


def test_the_format_has_as_many_topics_as_the_configuration_says() -> None:
    assert CLASSES["ag_news"] == labelled.TOPICS


def test_what_is_kept_is_told_and_stored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{i}\t{(-1) ** i}\tthe a rare{i} b" for i in range(100)]
    lines += ["100\t1\t   ", "101\t-1\t \xa0", "102\t0\tneither"]
    (tmp_path / "v.tar.gz").write_bytes(vader(lines))
    _, _, summary = run(tmp_path, tmp_path / "v.tar.gz", length=3, **{"min-occurrences": 2})
    assert summary["skipped"] == {"rated 0": 1, "empty": 2}
    n = summary["train"]["texts"]
    expected = {"words": 4 * n, "read": 3 * n, "unknown": pytest.approx(1 / 3), "cut": 1}
    assert {key: summary["train"][key] for key in expected} == expected
    said = capsys.readouterr().err.splitlines()
    assert "labelled: 2 texts skipped: empty" in said
    whole = f"labelled: train: {3 * n} of {4 * n} words read, 33.3 % of them unknown; 100.0 % of the texts cut after 3"
    assert f"{whole} words" in said
    assert "warning: train: 100 % of the texts are cut after 3 words; raise length" in said
    assert not any("unknown; lower" in line for line in said)


def test_most_words_unknown_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{i}\t{(-1) ** i}\tthe the {i} {i}b {i}c" for i in range(100)]
    (tmp_path / "v.tar.gz").write_bytes(vader(lines))
    run(tmp_path, tmp_path / "v.tar.gz", words=1)
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning:")]
    assert warnings == [
        f"warning: {split}: 60 % of the words are unknown; lower min_occurrences, or raise words"
        for split in labelled.SPLITS
    ]


def test_a_test_that_is_not_of_the_data_is_of_the_fraction() -> None:
    splits = [labelled.split_of("", f"text {i}", 0.1, 0.2, 1) for i in range(3000)]
    assert splits.count("dev") / 3000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 3000 == pytest.approx(0.2, abs=0.02)
    assert labelled.split_of("test", "text", 0.9, 0.1, 1) == "test"

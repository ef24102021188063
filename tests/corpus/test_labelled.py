"""Labelled texts in the formats of the data sets, as the arrays that a classifier reads."""

import csv
import io
import json
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.corpus import labelled, sdist


def archive(members: dict[str, bytes]) -> bytes:
    """A compressed tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def vader(lines: list[str], **others: list[str]) -> bytes:
    of = {"movieReviewSnippets": lines, **others}
    inner = archive({f"hutto_ICWSM_2014/{name}_GroundTruth.txt": "\n".join(of[name]).encode() for name in of})
    return archive({"vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz": inner})


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
    (tmp_path / "aclImdb_v1.tar.gz").write_bytes(archive({**members, **extra}))
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
        (b"no archive", "not a readable archive"),
        (archive({"other": b"x"}), "has 0 members /additional_resources/hutto_ICWSM_2014.tar.gz, not one"),
        (vader(["1\tgood\ttext"]), "line 1 of movieReviewSnippets has no rating and text"),
        (vader([f"{i}\t1\ttext {i}" for i in range(50)]), "no text of some class in train"),
    ],
    ids=["no archive", "no member", "no rating", "one class"],  # not by content, in which gzip puts the time
)
def test_what_is_no_such_data_set_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "v.tar.gz").write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        run(tmp_path, tmp_path / "v.tar.gz")


def pip(content: bytes | None):
    """A pip that puts a file with this content into the folder, or fails."""

    def download(command, **_):
        if content is None:
            return subprocess.CompletedProcess(command, 1, "", "notice\nERROR: No matching  distribution\n")
        Path(command[command.index("--dest") + 1], "package-1.tar.gz").write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "", "")

    return download


def test_a_source_distribution_is_kept_if_it_has_the_digest(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(sdist.subprocess, "run", pip(b"content"))
    out = tmp_path / "a.tar.gz"
    good = ["sdist", "--package", "package==1", "--output", str(out), "--checksum"]
    main([*good, "sha1:040f06fd774092478d450774f5ba30c5da78acc8"])
    assert out.read_bytes() == b"content"
    out.unlink()
    with pytest.raises(SystemExit, match="package==1: sha1 is 040f.*check version and checksum"):
        main([*good, "sha1:" + "0" * 40])
    monkeypatch.setattr(sdist.subprocess, "run", pip(None))
    with pytest.raises(
        SystemExit, match=r"cannot download its source distribution \(ERROR: No matching distribution\)"
    ):
        main([*good, "sha1:" + "0" * 40])
    assert not out.exists()


def test_a_test_that_is_not_of_the_data_is_of_the_fraction() -> None:
    splits = [labelled.split_of("", f"text {i}", 0.1, 0.2, 1) for i in range(3000)]
    assert splits.count("dev") / 3000 == pytest.approx(0.1, abs=0.02)
    assert splits.count("test") / 3000 == pytest.approx(0.2, abs=0.02)
    assert labelled.split_of("test", "text", 0.9, 0.1, 1) == "test"

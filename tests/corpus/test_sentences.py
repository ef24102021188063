import json
from pathlib import Path

import pandas as pd
import pytest
import spacy
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from natural_sparsity.cli import main
from natural_sparsity.corpus import sentences

DOCUMENT = {"index": 0, "id": "1", "title": ""}


def run(
    folder: Path, *documents: tuple[str, str], options: tuple[str, ...] = ()
) -> tuple[list[str], list[str], pd.DataFrame]:
    """Run the command on (text, markup) documents; return the lines of text, of cased, and the documents."""
    rows = [
        {"index": 3 * i + 1, "id": f"id{i}", "title": f"T{i}", "text": text, "markup": markup}
        for i, (text, markup) in enumerate(documents)
    ]
    shard = folder / "shard.jsonl.zst"
    shard.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return run_shard(shard, folder, *options)


def run_shard(shard: Path, folder: Path, *options: str) -> tuple[list[str], list[str], pd.DataFrame]:
    paths = {name: folder / name for name in ("text", "cased", "documents")}
    outputs = [word for name in paths for word in (f"--{name}", str(paths[name]))]
    main(["sentences", "--input", str(shard), *outputs, *options])
    text, cased = (zstandard.open(paths[name], "rb").read().decode("utf-8") for name in ("text", "cased"))
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1], cased.split("\n")[:-1], pd.read_parquet(paths["documents"])


def test_characters_are_tokens_of_the_same_sentences(tmp_path: Path) -> None:
    """Joined, they give the text again, spaces included."""
    documents = [("He didn't go (alas).  Why? She asked.\n\nIt's 5\u00a0km away!", "none"), ("Ça va\u00ad?", "none")]
    words, _, _ = run(tmp_path, *documents)
    text, cased, counts = run(tmp_path, *documents, options=("--unit", "character"))
    assert [line.replace(" ", "").replace("␣", " ") for line in cased] == [
        "He didn't go (alas).",
        "Why?",
        "She asked.",
        "It's 5 km away!",
        "Ça va?",
    ]
    assert text[0] == "h e ␣ d i d n ' t ␣ g o ␣ ( a l a s ) ."
    assert text == [line.lower() for line in cased]
    assert len(text) == len(words)
    assert counts["tokens"].tolist() == [20 + 4 + 10 + 15, 6]
    assert sum(len(line.split(" ")) for line in text) == counts["tokens"].sum()


def test_sentences_in_both_cases(tmp_path: Path) -> None:
    text, cased, documents = run(
        tmp_path,
        ("He didn't go (alas). Why? She asked.\n\nIt's 5km away!", "none"),
        ("...\n – \n", "none"),
        ("'''Ada'''{{x}} wrote [[Note G|notes]].\n\n* * * *", "mediawiki"),
    )
    assert cased == [
        "He did\tn't go (\talas\t)\t.",
        "Why\t?",
        "She asked\t.",
        "It\t's 5\tkm away\t!",
        "Ada wrote notes\t.",
    ]
    assert text == [line.replace("\t", " ").lower() for line in cased]
    assert documents.to_dict("list") == {
        "index": [1, 7],
        "id": ["id0", "id2"],
        "title": ["T0", "T2"],
        "sentences": [4, 1],
        "tokens": [8 + 2 + 3 + 6, 4],
    }
    assert [str(dtype) for dtype in documents.dtypes] == ["int64", "str", "str", "int32", "int64"]


def test_white_space_and_invisible_characters(tmp_path: Path) -> None:
    text, cased, _ = run(tmp_path, ("a\u00a0b\u2028c\tD\u00ad\u200be\x07 \ufefff\u3000g\x85h\x1ci  j\r", "none"))
    assert text == ["a b c de f g h i j"]
    assert cased == ["a b c De f g h i j"]


def test_an_empty_shard_has_the_same_columns(tmp_path: Path) -> None:
    text, cased, documents = run(tmp_path)
    assert text == cased == []
    assert {name: str(dtype) for name, dtype in documents.dtypes.items()} == {
        "index": "int64",
        "id": "str",
        "title": "str",
        "sentences": "int32",
        "tokens": "int64",
    }


@pytest.mark.integration
@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
def test_any_text_stays_aligned_one_token_to_one(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    documents = [("".join(c for c in text if not 0xD800 <= ord(c) < 0xE000) + " Σας İI.", "none") for text in texts]
    text, cased, frame = run(tmp_path_factory.mktemp("x"), *documents)
    for lower, original in zip(text, cased, strict=True):
        tokens = original.replace("\t", " ").split(" ")
        assert lower.split(" ") == [token.lower() for token in tokens]
        assert all(token and not any(c.isspace() for c in token) for token in tokens)
        assert any(c.isalnum() for c in original)
    assert frame["sentences"].sum() == len(text)
    assert frame["tokens"].sum() == sum(len(line.split(" ")) for line in text)


def test_a_paragraph_beyond_spacys_limit_is_cut_at_a_space(tmp_path: Path) -> None:
    words = ["word"] * 300_000 + ["end."]
    text, _, _ = run(tmp_path, (" ".join(words), "none"))
    assert " ".join(text).split(" ") == ["word"] * 300_000 + ["end", "."]
    assert [len(piece) for piece in sentences.clean("ab cd" * 3, 4)] == [2, 4, 4, 2]  # ab|cdab|cdab|cd
    assert list(sentences.clean("abcdefghij k", 4)) == ["abcd", "efgh", "ij k"]


@pytest.mark.integration
def test_batches_and_memory_zones_change_nothing(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["documents", "--input", str(dump), "--max-documents", "6", "--output", str(tmp_path / "shard.zst")])
    expected = run_shard(tmp_path / "shard.zst", tmp_path)
    monkeypatch.setattr(sentences, "CHARACTERS_PER_BATCH", 1)
    monkeypatch.setattr(sentences, "MAX_TYPES", 3000)
    actual = run_shard(tmp_path / "shard.zst", tmp_path)
    assert actual[:2] == expected[:2]
    pd.testing.assert_frame_equal(actual[2], expected[2])


@pytest.mark.integration
def test_the_excerpt_is_split_as_spacy_splits_it(dump: Path, tmp_path: Path) -> None:
    main(["documents", "--input", str(dump), "--output", *(str(tmp_path / f"shard{i}.zst") for i in range(4))])
    text, cased, documents = run_shard(tmp_path / "shard1.zst", tmp_path)
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    rows = [json.loads(line) for line in zstandard.open(tmp_path / "shard1.zst", "rb").read().decode().split("\n")[:-1]]
    expected: list[list[str]] = []
    for row in rows:
        before = len(expected)
        for paragraph in sentences.plain_text(row["text"]).split("\n"):
            for sentence in nlp(" ".join(paragraph.replace("\u200b", "").replace("\u200e", "").split())).sents:
                if any(c.isalnum() for c in sentence.text):
                    expected.append([token.text for token in sentence])
        document = documents[documents["index"] == row["index"]].iloc[0]
        assert document["id"] == row["id"]
        assert document["sentences"] == len(expected) - before
        assert document["tokens"] == sum(map(len, expected[before:]))
    assert len(text) == len(cased) > 5000
    assert [line.replace("\t", " ").split(" ") for line in cased] == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no zstd", "truncated or damaged"),
        (zstandard.compress(b'{"index": 0}\n' * 3)[:-2], "truncated or damaged|line 1"),
        (
            zstandard.compress(b'{"index": 0, "id": "1", "title": "", "text": "x"}\n'),
            "line 1 is not a document .*markup",
        ),
        (zstandard.compress(b"{\n"), "line 1 is not a document"),
        *(
            (
                zstandard.compress(json.dumps(DOCUMENT | {"text": text, "markup": markup}).encode()),
                "line 1 is not a document .*the text is not a string",
            )
            for text in (None, 3, ["x"])
            for markup in ("none", "mediawiki")
        ),
    ],
)
def test_a_damaged_shard_is_refused_and_leaves_nothing(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "shard.zst").write_bytes(data)
    with pytest.raises(SystemExit, match=rf"shard\.zst: .*({message})"):
        run_shard(tmp_path / "shard.zst", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["shard.zst"]

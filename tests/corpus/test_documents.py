import json
import subprocess
import sys
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from wiki_pages import mediawiki, page

from natural_sparsity import files
from natural_sparsity.cli import main
from natural_sparsity.corpus.documents import Seen


def documents(*args: object, output: list[Path]) -> list[list[dict]]:
    """Run the command and return the rows of each shard."""
    main(["documents", *map(str, args), "--output", *map(str, output)])
    return [
        [json.loads(line) for line in zstandard.open(path, "rb").read().decode().split("\n")[:-1]] for path in output
    ]


def shards(folder: Path, n: int) -> list[Path]:
    return [folder / "out" / f"{i}.jsonl.zst" for i in range(n)]


def json_lines(path: Path, *rows: tuple[object, str]) -> Path:
    path.write_text("".join(json.dumps({"id": id_, "title": "T", "text": text}) + "\n" for id_, text in rows))
    return path


def test_document_i_is_in_shard_i_modulo_n_over_all_inputs(tmp_path: Path) -> None:
    first = json_lines(tmp_path / "a", *((i, f"text {i}\u2028é\nx") for i in range(4)))
    second = json_lines(tmp_path / "b", *((i, f"text {i}\u2028é\nx") for i in range(4, 7)))
    by_shard = documents("--input", first, second, output=shards(tmp_path, 3))
    assert [[row["index"] for row in rows] for rows in by_shard] == [[0, 3, 6], [1, 4], [2, 5]]
    row = {"index": 4, "id": "4", "title": "T", "text": "text 4\u2028é\nx"}
    assert by_shard[1][1] == {**row, "markup": "none", "layout": "paragraphs", "split": ""}


def test_more_shards_than_documents(tmp_path: Path) -> None:
    source = json_lines(tmp_path / "a", (1, "x"))
    assert [len(rows) for rows in documents("--input", source, output=shards(tmp_path, 3))] == [1, 0, 0]


def test_max_documents(tmp_path: Path) -> None:
    first, second = json_lines(tmp_path / "a", (1, "x"), (2, "y")), json_lines(tmp_path / "b", (3, "z"), (4, "w"))
    by_shard = documents("--input", first, second, "--max-documents", 3, output=shards(tmp_path, 1))
    assert [row["id"] for row in by_shard[0]] == ["1", "2", "3"]


def test_a_repeated_document_is_skipped_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    source = json_lines(tmp_path / "a", (1, "one"), (2, "two"), (1, "one"), (3, "three"))
    by_shard = documents("--input", source, output=shards(tmp_path, 2))
    assert [[(row["index"], row["text"]) for row in rows] for rows in by_shard] == [
        [(0, "one"), (2, "three")],
        [(1, "two")],
    ]
    assert "3 read (json); skipped: 1 repeated\n" in capsys.readouterr().err


def test_a_paragraph_of_a_text_file_may_occur_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.txt").write_text("Yes indeed.\n\nNo.\n\nYes indeed.\n\nYes indeed.\n")
    [rows] = documents("--input", tmp_path / "a.txt", "--format", "text", output=shards(tmp_path, 1))
    assert [row["text"] for row in rows] == ["Yes indeed.", "No.", "Yes indeed.", "Yes indeed."]
    # They share an id and so a split: no training text is also a test text.
    assert len({row["id"] for row in rows}) == 2
    assert capsys.readouterr().err == "documents: 4 read (text)\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, "x"), (2, "y"), (1, "z")], r"a\.json: two documents share the id '1' but not the text"),
        ([], r"a\.json: no documents found"),
        ([(1, ""), (2, " ")], r"a\.json: no documents found; skipped: 2 empty; check the file name"),
        ([(1, "x"), (2, 3.5)], r"a\.json: line 2, byte \d+: 'text' is '3.5', not text"),
    ],
)
def test_an_error_leaves_no_shard(tmp_path: Path, rows: list, message: str) -> None:
    source = json_lines(tmp_path / "a.json", *rows)
    with pytest.raises(SystemExit, match=message):
        documents("--input", source, output=shards(tmp_path, 2))
    assert list((tmp_path / "out").iterdir()) == []


def test_an_earlier_result_stays_when_a_later_run_fails(tmp_path: Path) -> None:
    documents("--input", json_lines(tmp_path / "a", (1, "x")), output=shards(tmp_path, 2))
    before = [path.read_bytes() for path in shards(tmp_path, 2)]
    with pytest.raises(SystemExit):
        documents("--input", json_lines(tmp_path / "b", (1, "x"), (1, "y")), output=shards(tmp_path, 2))
    assert [path.read_bytes() for path in shards(tmp_path, 2)] == before


@pytest.mark.parametrize("extra", [["--max-documents", "0"], ["--max-documents", "-1"]])
def test_max_documents_must_be_positive(tmp_path: Path, extra: list[str]) -> None:
    with pytest.raises(SystemExit, match="max-documents"):
        documents("--input", json_lines(tmp_path / "a", (1, "x")), *extra, output=shards(tmp_path, 1))


@given(st.lists(st.tuples(st.integers(0, 30).map(str), st.sampled_from("ab"))), st.integers(1, 5))
def test_seen_is_a_dictionary(puts: list[tuple[str, str]], recent: int) -> None:
    seen, expected = Seen(), dict[str, str]()
    seen.RECENT = recent
    for id_, text in puts:
        known = expected.setdefault(id_, text) if id_ in expected else None
        assert seen.put(id_, text) == (known and ("same text" if known == text else "other text"))
        expected.setdefault(id_, text)


def test_the_excerpt(dump: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    by_shard = documents("--input", dump, output=shards(tmp_path, 4))
    assert [len(rows) for rows in by_shard] == [27, 27, 26, 26]
    assert (by_shard[0][0]["id"], by_shard[0][0]["title"], by_shard[0][0]["markup"]) == ("12", "Anarchism", "mediawiki")
    assert (
        "documents: 106 read (mediawiki, bzip2); skipped: 99 redirects, 1 in another namespace\n"
        in capsys.readouterr().err
    )


# ---------------------------------------------------------------------------------------------------------- account


def test_the_account_says_what_was_read_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "a.xml").write_bytes(mediawiki(page(1, "text"), page(2, ""), page(3, "#REDIRECT [[T]]")))
    (corpus / "b.txt").write_text("one two\nthree four\n")
    (corpus / "README").write_text("About.")
    (corpus / ".hidden").write_text("x")
    documents("--input", corpus, "--account", tmp_path / "account.json", output=shards(tmp_path, 1))
    account = files.read_json(tmp_path / "account.json")
    notes = [
        ".hidden: hidden, so skipped",
        "README: read like the other files; move it elsewhere if it is not part of the corpus",
        "b.txt: judged not hard-wrapped, so each line is a paragraph;"
        " set line_breaks: join to join the lines between blank lines",
    ]
    assert {key: account[key] for key in ("documents", "skipped", "formats", "given_splits")} == {
        "documents": 3,
        "skipped": {"hidden": 1, "empty": 1, "redirect": 1},
        "formats": {"text": 2, "mediawiki": 1},
        "given_splits": False,
    }
    assert account["notes"] == notes
    first, *others = capsys.readouterr().err.splitlines()
    assert first == (
        "documents: 3 read (2 × text; 1 × mediawiki); skipped: 1 hidden file or folder, 1 empty, 1 redirect"
    )
    assert others == [f"documents: {note}" for note in notes]


def test_all_documents_come_through_a_pipe(tmp_path: Path) -> None:
    line = [
        sys.executable,
        "-m",
        "natural_sparsity",
        "documents",
        "--input",
        "/dev/stdin",
        "--output",
        tmp_path / "o.zst",
    ]
    content = "".join(f"Document number {i} is here.\n\n" for i in range(20_000))
    process = subprocess.run([*map(str, line)], input=content, capture_output=True, text=True, check=True)
    assert process.stderr == "documents: 20,000 read (text)\n"


def test_options_reach_the_readers(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(" = A = \n \n b @-@ c . \n")
    [rows] = documents("--input", tmp_path / "a", "--tokenised", output=shards(tmp_path, 1))
    assert [(row["text"], row["layout"]) for row in rows] == [("= A =\nb @-@ c .", "sentences")]
    (tmp_path / "b").write_text("one\ntwo\nthree")
    options = ["--format", "lines", "--lines-per-document", 2]
    [rows] = documents("--input", tmp_path / "b", *options, output=shards(tmp_path, 1))
    assert [row["text"] for row in rows] == ["one\ntwo", "three"]
    [rows] = documents("--input", tmp_path / "b", "--line-breaks", "join", output=shards(tmp_path, 1))
    assert [row["text"] for row in rows] == ["one two three"]
    (tmp_path / "c").write_text('{"body": "x"}')
    [rows] = documents("--input", tmp_path / "c", "--text-column", "body", output=shards(tmp_path, 1))
    assert [row["text"] for row in rows] == ["x"]
    with pytest.raises(SystemExit, match="lines-per-document: 0 is not positive"):
        documents("--input", tmp_path / "b", "--lines-per-document", 0, output=shards(tmp_path, 1))


def test_two_wikis_in_one_run(tmp_path: Path) -> None:
    for wiki in ("enwiki", "dewiki"):
        content = mediawiki(page(1, f"text of {wiki}"), siteinfo=f"<dbname>{wiki}</dbname>")
        (tmp_path / f"{wiki}.xml").write_bytes(content)
    [rows] = documents("--input", tmp_path / "enwiki.xml", tmp_path / "dewiki.xml", output=shards(tmp_path, 1))
    assert [(row["id"], row["text"]) for row in rows] == [("1", "text of enwiki"), ("dewiki:1", "text of dewiki")]


# ------------------------------------------------------------------------------------------------------ given splits


def three_files(folder: Path, *rows: tuple[object, str]) -> list[object]:
    return [
        option
        for name in ("train", "dev", "test")
        for option in (
            f"--{name}",
            json_lines(folder / f"{name}.json", *((id_, f"{name} {text}") for id_, text in rows)),
        )
    ]


def test_given_splits(tmp_path: Path) -> None:
    """Ids need be unique only within a split."""
    account = tmp_path / "account.json"
    [rows] = documents(*three_files(tmp_path, (1, "a"), (2, "b")), "--account", account, output=shards(tmp_path, 1))
    assert [(row["split"], row["id"], row["text"]) for row in rows] == [
        (split, f"{split}:{id_}", f"{split} {text}")
        for split in ("train", "dev", "test")
        for id_, text in ((1, "a"), (2, "b"))
    ]
    assert [row["index"] for row in rows] == list(range(6))
    assert files.read_json(account)["given_splits"] is True


def test_each_given_split_needs_documents(tmp_path: Path) -> None:
    options = three_files(tmp_path, (1, "a"))
    json_lines(tmp_path / "dev.json")
    with pytest.raises(SystemExit, match=r"dev\.json: no documents found"):
        documents(*options, output=shards(tmp_path, 1))


@pytest.mark.parametrize("taken", [slice(0, 2), slice(0, 4), slice(2, 6)])
def test_some_splits_are_not_enough(tmp_path: Path, taken: slice) -> None:
    with pytest.raises(SystemExit, match="give either --input, or all of --train, --dev and --test"):
        documents(*three_files(tmp_path, (1, "a"))[taken], output=shards(tmp_path, 1))


def test_given_splits_stand_alone(tmp_path: Path) -> None:
    options = three_files(tmp_path, (1, "a"))
    with pytest.raises(SystemExit, match="give either"):
        documents(*options, "--input", tmp_path / "train.json", output=shards(tmp_path, 1))
    with pytest.raises(SystemExit, match="given splits are read whole"):
        documents(*options, "--max-documents", 1, output=shards(tmp_path, 1))
    with pytest.raises(SystemExit, match=r"dev\.json of dev and .*dev\.json of test are the same file"):
        documents(*options[:4], "--test", tmp_path / "dev.json", output=shards(tmp_path, 1))


# -------------------------------------------------------------------------------- the same file, or name, twice


def test_no_file_is_read_twice(tmp_path: Path) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("one")
    (folder / "b.txt").write_text("two")
    file, output = folder / "a.txt", shards(tmp_path, 1)
    with pytest.raises(SystemExit, match=r"a\.txt \(in .*corpus\) and .*a\.txt are the same file; give each file once"):
        documents("--input", folder, file, output=output)
    with pytest.raises(SystemExit, match=r"a\.txt \(in .*corpus\) of train and .*a\.txt of test are the same file"):
        documents("--train", folder, "--dev", __file__, "--test", file, output=output)
    with pytest.raises(SystemExit, match=r"a\.txt: is given twice"):
        documents("--input", file, file, output=output)
    (folder / "c.txt").symlink_to(file)
    with pytest.raises(SystemExit, match=r"a\.txt \(in .*corpus\) and .*c\.txt \(in .*corpus\) are the same file"):
        documents("--input", folder, output=output)


def test_names_that_two_folders_share(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("the same text")
    (tmp_path / "x" / "b.txt").write_text("more")
    [rows] = documents("--input", tmp_path / "x", tmp_path / "y", output=shards(tmp_path, 1))
    assert len(rows) == 2
    assert "skipped: 1 of the name and text of another file" in capsys.readouterr().err
    (tmp_path / "y" / "a.txt").write_text("another text")
    with pytest.raises(SystemExit, match=r"y/a\.txt: another folder has .*; give the folder above them"):
        documents("--input", tmp_path / "x", tmp_path / "y", output=shards(tmp_path, 1))


@pytest.mark.parametrize("of_folder", [False, True])
def test_no_input_is_overwritten(tmp_path: Path, of_folder: bool) -> None:
    (tmp_path / "in").mkdir()
    source = json_lines(tmp_path / "in" / "a.json", (1, "x"))
    given, before = tmp_path / "in" if of_folder else source, source.read_bytes()
    with pytest.raises(SystemExit, match=r"output: .*a\.json is one of the inputs"):
        documents("--input", given, output=[source])
    with pytest.raises(SystemExit, match=r"account: .*a\.json is one of the inputs"):
        documents("--input", given, "--account", source, output=shards(tmp_path, 1))
    with pytest.raises(SystemExit, match=r"output: .* is given twice"):
        documents("--input", given, "--account", tmp_path / "o", output=[tmp_path / "o"])
    with pytest.raises(SystemExit, match=r"output: .* is given twice"):
        documents("--input", given, output=[tmp_path / "o", tmp_path / "in" / ".." / "o"])
    assert source.read_bytes() == before
    assert not (tmp_path / "o").exists()

import json
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

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
    assert by_shard[1][1] == {"index": 4, "id": "4", "title": "T", "text": "text 4\u2028é\nx", "markup": "none"}


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
    assert "3 read, 1 repeated skipped" in capsys.readouterr().err


def test_a_paragraph_of_a_text_file_may_occur_again(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.txt").write_text("Yes indeed.\n\nNo.\n\nYes indeed.\n\nYes indeed.\n")
    [rows] = documents("--input", tmp_path / "a.txt", "--format", "text", output=shards(tmp_path, 1))
    assert [row["text"] for row in rows] == ["Yes indeed.", "No.", "Yes indeed.", "Yes indeed."]
    # They share an id and so a split: no training text is also a test text.
    assert len({row["id"] for row in rows}) == 2
    assert capsys.readouterr().err == "documents: 4 read\n"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, "x"), (2, "y"), (1, "z")], r"a\.json: two documents have the id '1' and different texts"),
        ([], r"a\.json: holds no documents"),
        ([(1, ""), (2, " ")], r"a\.json: holds no documents, 2 empty skipped"),
        ([(1, "x"), (2, 3.5)], r"a\.json: byte \d+: the JSON object has no 'text'"),
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
    assert "106 read, 1 other namespace skipped, 99 redirect skipped" in capsys.readouterr().err

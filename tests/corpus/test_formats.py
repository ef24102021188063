"""The formats that people have: hard-wrapped prose, a sentence per line, WikiText, JSON Lines, Parquet."""

import contextlib
import gzip
import json
import os
import textwrap
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from natural_sparsity.corpus.readers.base import Account, Document, Options, hash_text
from natural_sparsity.corpus.readers.read import read_documents
from natural_sparsity.corpus.readers.text import is_wrapped
from natural_sparsity.errors import UserError


def read(
    path: Path, content: str | None = None, format: str = "auto", account: Account | None = None, **options: object
) -> list[Document]:
    if content is not None:
        path.write_text(content)
    return list(read_documents(path, format, Options(**options), account))  # type: ignore[arg-type]


def texts(*args: object, **options: object) -> list[str]:
    return [document.text for document in read(*args, **options)]  # type: ignore[arg-type]


def refusal(*args: object, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        read(*args, **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ----------------------------------------------------------------------------------------------- hard-wrapped prose

WRAPPED = """It was a bright cold day and the clocks were all about to
strike when she came up the path, carrying what she had
found. Nobody had expected her before the evening, least of
all the gardener.

The second paragraph is as wide as the
first.
"""
JOINED = [
    "It was a bright cold day and the clocks were all about to strike when she came up the path, carrying what she had"
    " found. Nobody had expected her before the evening, least of all the gardener.",
    "The second paragraph is as wide as the first.",
]
KEPT = [block.strip("\n") for block in WRAPPED.split("\n\n")]
# The beginnings of sonnet 18, of a haiku's lines in prose, of the Penn Treebank as it is tokenised.
VERSE = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
"""
SENTENCES = """no it was n't black monday
but while the new york stock exchange did n't fall apart friday as the dow jones industrial average plunged N points
some circuit breakers installed after the october N crash failed their first test traders say
the N stock specialist firms on the big board floor could n't handle the selling pressure
big investment banks refused to step up to the plate
"""
SHORT_SENTENCES = "".join(f"this sentence is of almost the same length, number {i}.\n" for i in range(20))
WORDS = "apple\nbanana\ncherry\norange\npotato\ntomato\nlemons\n"


def test_hard_wrapped_text_is_joined_and_the_account_says_so(tmp_path: Path) -> None:
    account = Account()
    assert texts(tmp_path / "a.txt", WRAPPED, account=account) == JOINED
    assert account.notes == [
        "a.txt: judged hard-wrapped, so lines are joined into paragraphs;"
        " set line_breaks: keep to make each a paragraph"
    ]


def test_line_breaks_may_be_declared(tmp_path: Path) -> None:
    account = Account()
    assert texts(tmp_path / "a.txt", WRAPPED, line_breaks="keep", account=account) == KEPT
    assert account.notes == ["a.txt: each line is a paragraph, as line_breaks: keep says"]
    account = Account()
    assert texts(tmp_path / "b.txt", VERSE, line_breaks="join", account=account) == [VERSE.strip().replace("\n", " ")]
    assert account.notes == ["b.txt: lines are joined into paragraphs, as line_breaks: join says"]


@pytest.mark.parametrize("content", [VERSE, SENTENCES, SHORT_SENTENCES, WORDS])
def test_verse_and_a_sentence_per_line_are_kept(tmp_path: Path, content: str) -> None:
    account = Account()
    assert texts(tmp_path / "a.txt", content, account=account) == [content.strip("\n")]
    assert account.notes[0].startswith(
        "a.txt: judged not hard-wrapped, so each line is a paragraph; set line_breaks: join"
    )


def test_two_breaks_tell_nothing(tmp_path: Path) -> None:
    content = WRAPPED[: WRAPPED.index("all the gardener")].strip()
    assert texts(tmp_path / "a.txt", content) == [content]


def test_paragraphs_of_one_line_need_no_note(tmp_path: Path) -> None:
    account = Account()
    assert texts(tmp_path / "a.txt", "One.\n\nTwo.\n\nThree.", account=account) == ["One.", "Two.", "Three."]
    assert account.notes == []


@pytest.mark.parametrize("width", [50, 59, 72, 100, 120])
def test_prose_is_recognised_at_every_usual_width(width: int) -> None:
    prose = " ".join(JOINED * 5)
    paragraphs = [textwrap.fill(prose[start:], width) for start in (0, 40, 90)]
    assert is_wrapped("\n\n".join(paragraphs))
    assert not is_wrapped("\n\n".join([prose] * 9))


def test_in_a_folder_each_file_is_judged_and_its_blank_lines_separate_paragraphs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(WRAPPED)
    (tmp_path / "b.txt").write_text(VERSE)
    account = Account()
    assert texts(tmp_path, account=account) == ["\n\n".join(JOINED), VERSE]
    assert [note.partition(":")[0] for note in account.notes] == ["a.txt", "b.txt"]


def test_joined_text_has_the_id_of_what_it_is(tmp_path: Path) -> None:
    assert [document.id for document in read(tmp_path / "a.txt", WRAPPED)] == [hash_text(text) for text in JOINED]


def test_a_hyphen_at_the_end_of_a_line_stays(tmp_path: Path) -> None:
    assert texts(tmp_path / "a", "a well-\nknown word\n", line_breaks="join") == ["a well- known word"]


def test_a_file_that_is_one_long_document_is_hinted_at(tmp_path: Path) -> None:
    account = Account()
    assert len(read(tmp_path / "ptb.txt", SENTENCES * 100, account=account)) == 1
    assert (
        "ptb.txt: one document of 500 lines, none blank; if each line is a sentence, set format: lines"
        in account.notes[-1]
    )


# ------------------------------------------------------------------------------------------------------------ lines


def test_lines_are_sentences_and_documents_end_after_n_of_them(tmp_path: Path) -> None:
    content = "".join(f" sentence {i} of <unk> N \n" for i in range(250))
    documents = read(tmp_path / "ptb.train.txt", content, "lines")
    assert [document.text.count("\n") + 1 for document in documents] == [100, 100, 50]
    assert documents[0].text.startswith("sentence 0 of <unk> N\nsentence 1 of")
    assert {document.layout for document in documents} == {"sentences"}
    assert len({document.id for document in documents}) == 3
    assert [len(document.text) for document in read(tmp_path / "x", "a\nb\nc\n", "lines", lines_per_document=1)] == [
        1
    ] * 3


def test_a_blank_line_ends_a_document_of_lines(tmp_path: Path) -> None:
    assert texts(tmp_path / "a", "\n\na\nb\n \t\n\nc\r\nd", "lines") == ["a\nb", "c\nd"]
    assert texts(tmp_path / "a", "a\nb\n\nc\nd\ne\n", "lines", lines_per_document=2) == ["a\nb", "c\nd", "e"]


def test_no_line_is_lost(tmp_path: Path) -> None:
    lines = [f"line {i}" for i in range(1001)]
    documents = texts(tmp_path / "a", "\n".join(lines), "lines", lines_per_document=7)
    assert "\n".join(documents).split("\n") == lines


# --------------------------------------------------------------------------------------------------------- wikitext

ARTICLES = """ 
 = Robert <unk> = 
 
 Robert <unk> had a guest @-@ starring role for $ 1 @,@ 000 @.@ 5 . 
 It goes on . 
 
 = = Career = = 
 
 = = = 2000 – 2005 = = = 
 
 a = b and c = d . 
 
 = Du Fu = 
 
 Du Fu was a poet . 
"""


def test_an_article_is_one_document(tmp_path: Path) -> None:
    account = Account()
    documents = read(tmp_path / "wiki.train.tokens", ARTICLES, account=account)
    assert [(document.title, document.text) for document in documents] == [
        ("Robert <unk>", "Robert <unk> had a guest-starring role for $ 1,000.5 .\nIt goes on .\na = b and c = d ."),
        ("Du Fu", "Du Fu was a poet ."),
    ]
    assert account.formats == {"wikitext": 1}
    assert account.skipped == {"heading": 2}
    assert {document.layout for document in documents} == {"paragraphs"}


def test_tokenised_wikitext_stays_as_it_is_published(tmp_path: Path) -> None:
    """Every token of the file but the ends of its lines, as in the published perplexities."""
    account = Account()
    documents = read(tmp_path / "wiki.train.tokens", ARTICLES, tokenised=True, account=account)
    assert " ".join(document.text for document in documents).split() == ARTICLES.split()
    assert documents[0].text.split("\n")[:2] == [
        "= Robert <unk> =",
        "Robert <unk> had a guest @-@ starring role for $ 1 @,@ 000 @.@ 5 .",
    ]
    assert {document.layout for document in documents} == {"sentences"}
    assert account.skipped == {}


def test_titles_may_repeat_and_ids_do_not_depend_on_other_articles(tmp_path: Path) -> None:
    documents = read(tmp_path / "a", " = A = \n \n one \n \n = A = \n \n two \n")
    assert [document.title for document in documents] == ["A", "A"]
    assert len({document.id for document in documents}) == 2
    assert documents[1:] == read(tmp_path / "b", " = A = \n \n two \n")


def test_a_line_between_equals_signs_within_text_is_no_title(tmp_path: Path) -> None:
    content = " = A = \n \n one \n = 5 + x = \n two \n"
    assert texts(tmp_path / "a", content) == ["one\n= 5 + x =\ntwo"]
    # Without blank lines around titles, as in copies that dropped them, nothing else tells them.
    assert texts(tmp_path / "a", " = A = \n one \n = B = \n two \n", "wikitext") == ["one", "two"]


def test_a_file_that_begins_within_an_article(tmp_path: Path) -> None:
    """As the later files of a large data set do."""
    account = Account()
    documents = read(tmp_path / "b", "the end . \n \n = A = \n \n text \n", "wikitext", account)
    assert [(document.title, document.text) for document in documents] == [("", "the end ."), ("A", "text")]
    assert account.notes == ["b: starts in the middle of an article, which gets no title"]


def test_an_article_without_text_is_empty(tmp_path: Path) -> None:
    account = Account()
    assert texts(tmp_path / "a", " = A = \n \n = = B = = \n \n = C = \n \n text \n", account=account) == ["text"]
    assert account.skipped["empty"] == 1


@pytest.mark.parametrize("content", ["= Title =\n\nAsciiDoc, say.\n", " = a\n\nText.\n", " = = Part = = \n\nText.\n"])
def test_what_only_looks_like_wikitext_is_text(tmp_path: Path, content: str) -> None:
    account = Account()
    read(tmp_path / "a", content, account=account)
    assert account.formats == {"text": 1}


# ----------------------------------------------------------------------------------------------- JSON Lines, Parquet

ROWS = [
    {"_id": "x1", "title": "A", "content": "First & text.\nSecond paragraph."},
    {"_id": "x2", "title": None, "content": ""},
    {"_id": None, "title": "C", "content": "Third &lt;text&gt;."},
    {"_id": "x4", "title": "D", "content": None},
]
EXPECTED = [
    Document("x1", "A", "First & text.\nSecond paragraph.", "none"),
    Document(hash_text("Third &lt;text&gt;."), "C", "Third &lt;text&gt;.", "none"),
]


def write_rows(path: Path, rows: list[dict], kind: str) -> Path:
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=2)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_rows_are_documents_by_the_column_of_their_text(tmp_path: Path, kind: str) -> None:
    path = write_rows(tmp_path / "train-00000-of-00001", ROWS, kind)
    for format in ("auto", kind):
        account = Account()
        assert read(path, format=format, text_column="content", account=account) == EXPECTED
        assert account.skipped == {"empty": 2}
        assert account.formats == {kind: 1}


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_the_columns_that_are_there_are_named(tmp_path: Path, kind: str) -> None:
    line = refusal(write_rows(tmp_path / "a", ROWS, kind))
    assert "there is no 'text', only '_id', 'title', 'content'; set text_column" in line


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_column_that_is_no_text_is_refused(tmp_path: Path, kind: str) -> None:
    for value in (5, ["a", "b"], {"a": "b"}, 1.5):
        line = refusal(write_rows(tmp_path / "a", [{"text": value, "body": "x"}], kind))
        assert "'text'" in line and "not text" in line and "set text_column" in line


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_numbers_may_be_ids(tmp_path: Path, kind: str) -> None:
    rows = [{"id": i, "text": f"Text {i}."} for i in range(3000)]
    documents = read(write_rows(tmp_path / "a", rows, kind))
    assert [(document.id, document.text) for document in documents] == [(str(i), f"Text {i}.") for i in range(3000)]


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_rows_without_ids_that_repeat_share_theirs(tmp_path: Path, kind: str) -> None:
    documents = read(write_rows(tmp_path / "a", [{"text": "Yes."}, {"text": " Yes. "}], kind))
    assert [document.id for document in documents] == [hash_text("Yes.")] * 2


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_hard_wrapped_rows_are_joined(tmp_path: Path, kind: str) -> None:
    """As books are published, one to a row."""
    account = Account()
    assert texts(write_rows(tmp_path / "a", [{"text": WRAPPED}], kind), account=account) == ["\n\n".join(JOINED)]
    assert account.notes[0].startswith("a: judged hard-wrapped")


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_rows_may_be_the_lines_of_a_text(tmp_path: Path, kind: str) -> None:
    """As WikiText and the Penn Treebank are published on data hubs."""
    path = write_rows(
        tmp_path / "a", [{"text": f"{line}\n" if line.strip() else ""} for line in ARTICLES.split("\n")], kind
    )
    (tmp_path / "b").write_text(ARTICLES)
    assert read(path, format="wikitext") == read(tmp_path / "b")
    assert read(path, format="wikitext", tokenised=True) == read(tmp_path / "b", tokenised=True)
    assert "set format: wikitext" in refusal(path)
    path = write_rows(tmp_path / "c", [{"sentence": "no it was n't"}, {"sentence": "but <unk>"}], kind)
    assert texts(path, format="lines", text_column="sentence") == ["no it was n't\nbut <unk>"]


@pytest.mark.parametrize(
    ("content", "mend"),
    [
        (json.dumps([{"id": "1", "text": "First text."}, {"id": "2", "text": "Second."}]), "`jq -c '.[]'`"),
        (json.dumps([{"id": "1", "text": "First text."}], indent=2), "`jq -c '.[]'`"),
        (json.dumps(["First text.", "Second."]), "`jq -c '.[]'`"),
        ("[]", "`jq -c '.[]'`"),
        (json.dumps({"id": "1", "text": "First text."}, indent=2), "`jq -c .`"),
    ],
)
@pytest.mark.parametrize("format", ["auto", "json"])
def test_other_json_is_refused_with_the_mend(tmp_path: Path, content: str, mend: str, format: str) -> None:
    assert mend in refusal(tmp_path / "a.json", content, format)


@pytest.mark.parametrize("content", ["[Illustration]\n\nText.", "[1] A note.", "[[link]] here", "{{Infobox}} x", "{a}"])
def test_text_may_begin_with_a_bracket(tmp_path: Path, content: str) -> None:
    assert "\n\n".join(texts(tmp_path / "a", content)) == content


def test_parquet_needs_a_file(tmp_path: Path) -> None:
    whole = write_rows(tmp_path / "whole", ROWS, "parquet").read_bytes()
    (tmp_path / "a.gz").write_bytes(gzip.compress(whole))
    assert "is Parquet inside gzip; decompress it" in refusal(tmp_path / "a.gz")
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(whole,), daemon=True)
    writer.start()
    assert "cannot be read from a pipe; give the file itself" in refusal(tmp_path / "pipe")
    writer.join()


def test_damaged_parquet_is_refused(tmp_path: Path) -> None:
    whole = write_rows(tmp_path / "a", ROWS, "parquet").read_bytes()
    for length in range(4, len(whole), 97):
        (tmp_path / "a").write_bytes(whole[:length])
        assert "not a readable Parquet file" in refusal(tmp_path / "a", text_column="content")


def test_parquet_is_no_text(tmp_path: Path) -> None:
    write_rows(tmp_path / "a", ROWS, "parquet")
    for format in ("text", "json", "mediawiki", "wikiextractor"):
        assert "is a Parquet table" in refusal(tmp_path / "a", format=format)
    assert "is text, not parquet; set format: text" in refusal(tmp_path / "b", "text", "parquet")


def test_json_of_one_s_own_is_not_taken_for_wikiextractor_s(tmp_path: Path) -> None:
    """Which escapes its text and repeats the title in its first line."""
    own = json.dumps({"id": "1", "url": "https://x/wiki/A", "title": "A", "text": "A\n1 &lt; 2"})
    assert texts(tmp_path / "a", own) == ["A\n1 &lt; 2"]
    theirs = own.replace("wiki/A", "wiki?curid=1")
    assert texts(tmp_path / "b", theirs) == ["1 < 2"]


def test_tables_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    first = write_rows(tmp_path / "a", [{"text": "one"}, {"text": "two"}], "parquet").read_bytes()
    second = write_rows(tmp_path / "b", [{"text": "another text " * 99}], "parquet").read_bytes()
    for both in (first + second, second + first, first + first):
        (tmp_path / "c").write_bytes(both)
        assert "is several Parquet files one after another; give them as separate files" in refusal(tmp_path / "c")


def test_a_changed_bit_in_the_contents_of_a_table_loses_no_row(tmp_path: Path) -> None:
    rows = [{"text": f"row {i}"} for i in range(6)]
    whole = write_rows(tmp_path / "a", rows, "parquet").read_bytes()
    for place in range(len(whole) - 8 - int.from_bytes(whole[-8:-4], "little"), len(whole) - 8):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            (tmp_path / "a").write_bytes(damaged)
            with contextlib.suppress(UserError):
                assert len(read(tmp_path / "a", format="parquet")) >= 6


@pytest.mark.parametrize("name", ["text", "id"])
def test_two_columns_of_one_name_are_refused(tmp_path: Path, name: str) -> None:
    names = ["text", "id", name]
    pq.write_table(pa.Table.from_arrays([pa.array(["x"])] * 3, names=names), tmp_path / "a")
    assert f"has two columns '{name}'; rename or drop one" in refusal(tmp_path / "a")


def test_a_column_of_string_views_is_text(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array(["one", "two"], pa.string_view())}), tmp_path / "a")
    assert texts(tmp_path / "a") == ["one", "two"]


def test_a_key_twice_is_refused(tmp_path: Path) -> None:
    line = refusal(tmp_path / "a", '{"text": "x"}\n\n{"text": "y", "text": "z"}\n')
    assert "line 3, byte 15: not a JSON object (it has the key 'text' twice); correct or delete the line" in line


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_a_nul_in_a_row_is_refused(tmp_path: Path, kind: str) -> None:
    line = refusal(write_rows(tmp_path / "a", [{"text": "x"}, {"text": "a\0b"}], kind))
    assert "2" in line and "'text' has a NUL, which text never has; remove it" in line


def test_half_a_surrogate_pair_becomes_a_replacement_character(tmp_path: Path) -> None:
    content = '{"text": "a \\ud800 b \\ud83d\\ude42", "title": "\\uDFFF", "id": "\\\\ud800"}'
    document = Document("\\ud800", "\ufffd", "a \ufffd b \U0001f642", "none")
    assert read(tmp_path / "a", content) == [document]


@pytest.mark.parametrize("kind", ["text", "folder", "json", "parquet"])
@pytest.mark.parametrize("line_breaks", ["auto", "keep"])
def test_the_lines_of_a_tokenised_text_are_its_sentences(tmp_path: Path, kind: str, line_breaks: str) -> None:
    path = tmp_path / "a"
    if kind in ("text", "folder"):
        path.write_text(WRAPPED)
    else:
        write_rows(path, [{"text": WRAPPED}], kind)
    account = Account()
    path = tmp_path if kind == "folder" else path
    documents = read(path, tokenised=True, line_breaks=line_breaks, account=account)
    lines = [line for document in documents for line in document.text.split("\n") if line]
    assert lines == [line for line in WRAPPED.split("\n") if line]
    assert {document.layout for document in documents} == {"sentences"}
    assert account.notes == []
    line = refusal(path, tokenised=True, line_breaks="join")
    assert "line_breaks: join contradicts tokenised" in line


@pytest.mark.parametrize("kind", ["parquet", "json"])
def test_rows_of_several_lines_that_are_kept_are_noted(tmp_path: Path, kind: str) -> None:
    account = Account()
    assert texts(write_rows(tmp_path / "a", [{"text": VERSE}], kind), account=account) == [VERSE.strip()]
    assert account.notes[0].startswith("a: judged not hard-wrapped, so each line is a paragraph")


# ------------------------------------------------------------------------------------------------- folders, line ends


def test_in_a_folder_the_most_decide_and_what_is_clear_differs(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(WRAPPED)
    (tmp_path / "short").write_text("Two lines of a note that is far too short to judge\nare joined too.\n")
    (tmp_path / "verse").write_text(VERSE)
    assert texts(tmp_path)[3:] == [
        "Two lines of a note that is far too short to judge are joined too.",
        VERSE,
    ]
    assert len(texts(tmp_path / "short")[0].split("\n")) == 2


def test_most_files_of_verse_are_kept(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).write_text(VERSE)
    (tmp_path / "prose").write_text(WRAPPED * 4)
    assert [text.count("\n") for text in texts(tmp_path)] == [4, 4, 4, 8]


def test_prose_with_many_names_is_recognised() -> None:
    line = "Anna met Boris and then Clara went to see the old Doctor\n"
    assert is_wrapped((line * 2 + "and so on they went along the river and the quiet hills\n") * 5)


@pytest.mark.parametrize("content", ["one\rtwo\r", "one\r\rtwo", '{"text": "x"}\r{"text": "y"}'])
@pytest.mark.parametrize("format", ["auto", "text", "lines"])
def test_line_ends_of_old_macs_are_refused(tmp_path: Path, content: str, format: str) -> None:
    (tmp_path / "a").write_bytes(content.encode())
    assert "its lines end in CR alone; convert them with tr" in refusal(tmp_path / "a", format=format)


# -------------------------------------------------------------------------------- a format that contradicts the file

CONTENTS = {
    "mediawiki": "<mediawiki><page><title>T</title><id>1</id><revision><text>x</text></revision></page></mediawiki>\n",
    "wikiextractor": '<doc id="1" url="u" title="T">\nT\n\nText.\n</doc>\n',
    "json": '{"text": "x"}\n',
}


@pytest.mark.parametrize(
    ("found", "format"),
    [(found, "text") for found in CONTENTS] + [("mediawiki", "lines"), ("wikiextractor", "lines")],
)
def test_markup_that_is_read_as_text_is_noted(tmp_path: Path, found: str, format: str) -> None:
    account = Account()
    assert read(tmp_path / "a", CONTENTS[found], format, account)
    assert account.notes[0] == (
        f"a: looks like {found}, but is read as {format}: its markup becomes words; set format: {found}"
    )


@pytest.mark.parametrize("found", CONTENTS)
@pytest.mark.parametrize("format", ["mediawiki", "wikiextractor", "json", "parquet"])
def test_the_right_format_is_named(tmp_path: Path, found: str, format: str) -> None:
    if found == format or (found, format) == ("json", "wikiextractor"):
        return
    assert f"is {found}, not {format}; set format: {found}" in refusal(tmp_path / "a", CONTENTS[found], format)


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.parquet", "a.xml"])
def test_text_with_the_name_of_another_format_is_noted(tmp_path: Path, name: str) -> None:
    account = Account()
    read(tmp_path / name, "Some text.\n", account=account)
    assert account.notes[0].startswith(f"{name}: named {name[1:]}, but read as plain text")

"""How a text is read, and where it comes from: what a block may say, and files and addresses that no job could read."""

import os
import shlex
from pathlib import Path

import pytest

from natural_sparsity.config.experiment import Experiment
from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError

CHECKSUM = f"md5:{'0' * 32}"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty folder to run in, but for a text."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("A text.\n")
    return tmp_path


def make(source="text.txt", **settings):
    """The validated configuration of a model on a text."""
    source = {"path": source} if isinstance(source, str | list) else source
    block = {"source": source, "unit": "character", **settings}
    return validate({"data": {"mine": block}, "models": {"lstm": {}}, "runs": [{"data": "mine", "model": "lstm"}]})


def refuse(line, source="text.txt", **settings):
    with pytest.raises(UserError) as refusal:
        make(source, **settings)
    assert str(refusal.value) == f"data.mine{line}"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"format": "text", "text_column": "body"},
            ".text_column: it is for format json, parquet, lines, wikitext or auto, and the format is text;"
            " leave it out",
        ),
        (
            {"format": "lines", "line_breaks": "join"},
            ".line_breaks: it is for format text, json, parquet or auto, and the format is lines; leave it out",
        ),
        (
            {"lines_per_document": 10},
            ".lines_per_document: it is for format lines, and the format is auto; leave it out",
        ),
        ({"lines_per_document": 0, "format": "lines"}, ".lines_per_document: 0 is not an integer from 1 to 1000000000"),
        ({"line_breaks": "wrap"}, ".line_breaks: 'wrap' is not one of auto, join, keep"),
        ({"unicode": "nfkc"}, ".unicode: 'nfkc' is not one of nfc, none"),
        ({"tokenised": "yes"}, ".tokenised: 'yes' is not true or false"),
        (
            {"tokenised": True, "line_breaks": "join"},
            ".line_breaks: join would merge the lines of tokenised text, each a sentence; leave it out",
        ),
        ({"text_column": ""}, ".text_column: '' is not a text of 1 to 1000 characters"),
    ],
)
def test_keys_that_do_not_fit_are_refused(settings, line):
    refuse(line, **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"text_column": "body"},
        {"format": "parquet", "text_column": "body"},
        {"format": "lines", "text_column": "sentence", "lines_per_document": 7, "tokenised": True},
        {"line_breaks": "keep"},
        {"format": "wikitext", "unicode": "none"},
    ],
    ids=str,
)
def test_keys_that_fit_are_taken_and_dumped(settings):
    block = make(**settings).model_dump()["data"]["mine"]
    assert {key: block[key] for key in settings} == settings
    assert ("lines_per_document" in block) == (block["format"] == "lines")


SPLITS = {
    "train": {"path": ["text.txt", "-more.txt"]},
    "dev": {"url": "https://x.org/dev.txt", "checksum": CHECKSUM},
    "test": {"package": "gensim", "file": "test/test_data/lee.cor"},
}


@pytest.fixture
def given(folder):
    (folder / "-more.txt").touch()
    return Experiment(make(SPLITS)).data["mine"]


def test_given_splits_are_read_each_from_its_own_files(given):
    [lee] = [path for path in given.inputs() if path.endswith("/gensim/test/test_data/lee.cor")]
    dev = "results/data/mine/download/source.dev/dev.txt"
    assert given.inputs() == ["text.txt", "-more.txt", dev, lee]
    assert given.options("input") == shlex.join(["--train", "text.txt", "./-more.txt", "--dev", dev, "--test", lee])
    assert given.download("source.dev") == f"obtain --url https://x.org/dev.txt --checksum {CHECKSUM}"


def test_given_splits_leave_no_shares_and_no_maximum(given):
    assert not {"split", "max_documents"} & set(given.settings.model_dump())
    refuse(".split: the source names its splits; leave it out", SPLITS, split={"seed": 2})
    refuse(".max_documents: the source names its splits; leave it out", SPLITS, max_documents=5)


def test_mistakes_in_given_splits_are_named(given):
    refuse(".source.dev: no.txt does not exist; check the path", {**SPLITS, "dev": {"path": "no.txt"}})
    refuse(
        ".source.dev: give url and checksum, or path, or package and file; here are none (files on top are merged in)",
        {**SPLITS, "dev": {}},
    )
    refuse(
        ".source.train.path: 3 is not a text or a list of at least one text",
        {**SPLITS, "train": {"path": 3}},
    )
    refuse(
        ".source: give url and checksum, or path, or package and file, or train, dev and test; here are train, test"
        " (files on top are merged in)",
        {"train": {"path": "text.txt"}, "test": {"path": "text.txt"}},
    )


@pytest.fixture
def odd(folder):
    """Paths that no job could read."""
    for name in ("empty", "hidden", "pipe", "latin", "loop", "dangling/deep", "brace", "angle", "self"):
        (folder / name).mkdir(parents=True)
    (folder / "hidden/.text").touch()
    os.mkfifo(folder / "fifo")
    os.mkfifo(folder / "pipe/deep.txt")
    (folder / "dangling/deep/link").symlink_to("nothing")
    (folder / "link").symlink_to("nothing")
    (folder / "loop/up").symlink_to("../loop")
    (folder / "round").symlink_to("round")
    (folder / os.fsdecode(b"latin/caf\xe9.txt")).touch()
    (folder / "brace/{data}.txt").touch()
    (folder / "angle/x<b>.txt").touch()
    (folder / "self/me").symlink_to("me")
    return folder


IS_STREAM = "is a pipe or a device, but a run reads its source more than once; save it to a file"
ODD = {
    "no.txt": "no.txt does not exist; check the path",
    "text.txt/x": "text.txt/x cannot be reached (Not a directory); check the path",
    "x" * 300: f"{'x' * 300} cannot be reached (File name too long); check the path",
    "round": "round is a link that leads back to itself; remove it",
    "empty": "empty is a folder without files; name the folder that holds the text",
    "hidden": "hidden is a folder without files; name the folder that holds the text",
    "fifo": f"fifo {IS_STREAM}",
    "pipe": f"pipe/deep.txt {IS_STREAM}",
    "/dev/stdin": f"/dev/stdin {IS_STREAM}",
    "/dev/fd/0": f"/dev/fd/0 {IS_STREAM}",
    "/dev/null": f"/dev/null {IS_STREAM}",
    "link": "link is a broken link; fix or remove it",
    "dangling": "dangling/deep/link is a broken link; fix or remove it",
    "loop": "loop/up is a link to a folder that contains it; remove it",
    "latin": r"'latin/caf\udce9.txt': the name is not UTF-8 or has characters that cannot be printed; rename it",
    "two\nlines": r"'two\nlines': the name is not UTF-8 or has characters that cannot be printed; rename it",
    "nul\0": r"'nul\x00': the name is not UTF-8 or has characters that cannot be printed; rename it",
    "brace": "brace/{data}.txt has {data} in its name, which Snakemake takes for a placeholder; rename it",
    "angle": "angle/x<b>.txt has <b> in its name, which Snakemake takes for a placeholder; rename it",
    "self": "self/me is a link that leads back to itself; remove it",
    "~/text.txt": "~/text.txt does not exist, since ~ is not expanded here; write the path in full",
    "$HOME/text.txt": "$HOME/text.txt does not exist, since $ is not expanded here; write the path in full",
    "https://x.org/a.txt": "https:/x.org/a.txt is an address, not a path; write it as url, with its checksum",
    ".": ". contains the results of the workflow; move the text into a folder of its own",
    "..": ".. contains the results of the workflow; move the text into a folder of its own",
}


@pytest.mark.parametrize("path", ODD, ids=lambda path: ascii(path[:20]))
def test_what_no_job_could_read_is_refused(odd, path):
    refuse(f".source: {ODD[path]}", path)
    refuse(f".source: {ODD[path]}", ["text.txt", path])


def test_each_file_is_named_once(given, folder):
    refuse(".source: text.txt is listed twice; name each file once", ["text.txt", "./text.txt"])
    (folder / "same").symlink_to("text.txt")
    refuse(
        ".source.test: same is the same file as text.txt (data.mine.source.train); name each file once",
        {**SPLITS, "test": {"path": "same"}},
    )
    refuse(
        ".source.test: text.txt is listed twice, also in data.mine.source.train; name each file once",
        {**SPLITS, "test": {"path": "text.txt"}},
    )


def test_a_file_in_a_folder_is_named_once(given, folder):
    (folder / "texts").mkdir()
    (folder / "texts/a.txt").touch()
    twice = "texts/a.txt is listed twice, as texts/a.txt and in texts"
    refuse(f".source: {twice}; name each file once", ["texts", "texts/a.txt"])
    refuse(
        f".source.test: {twice} (data.mine.source.train); name each file once",
        {**SPLITS, "train": {"path": "texts"}, "test": {"path": "texts/a.txt"}},
    )
    refuse(
        ".source.test: texts/a.txt is listed twice, as texts and in texts/a.txt (data.mine.source.train);"
        " name each file once",
        {**SPLITS, "train": {"path": "texts/a.txt"}, "test": {"path": "texts"}},
    )
    (folder / "more").mkdir()
    (folder / "more/b.txt").symlink_to("../text.txt")
    refuse(
        ".source.test: more/b.txt is the same file as text.txt (data.mine.source.train); name each file once",
        {**SPLITS, "test": {"path": "more"}},
    )
    (folder / "texts/b.txt").symlink_to("a.txt")
    refuse(".source: texts/b.txt is the same file as texts/a.txt; name each file once", "texts")


def test_a_source_without_a_block_is_shown_with_one(given):
    text = {"data": {"mine": {"source": "data/x"}}, "models": {"lstm": {}}, "runs": [{"data": "mine", "model": "lstm"}]}
    for value, hint in {
        "data/x": "path: data/x",
        "a b": 'path: "a b"',
        "https://x.org/a.txt": 'url: "https://x.org/a.txt", checksum: …',
    }.items():
        text["data"]["mine"]["source"] = value
        with pytest.raises(UserError) as refusal:
            validate(text)
        line = f"data.mine.source: {value!r} is not a block of keys; write source: {{{hint}}}"
        assert str(refusal.value) == line
    refuse(
        ".source.dev: 'dev.txt' is not a block of keys; write dev: {path: dev.txt}",
        {**SPLITS, "dev": "dev.txt"},
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused(folder):
    (folder / "text.txt").chmod(0)
    refuse(".source: text.txt cannot be read; make it readable: chmod u+r")


def test_a_file_without_permission_is_refused(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refuse(".source: text.txt cannot be read; make it readable: chmod u+r")


def test_standard_input_is_refused_though_it_is_a_file(monkeypatch):
    """As it is after ``< text.txt``, for the process that reads the configuration but not for its jobs."""
    monkeypatch.setattr("natural_sparsity.config.data.local.read_mode", lambda path: Path("text.txt").stat().st_mode)
    refuse(f".source: /dev/stdin {IS_STREAM}", "/dev/stdin")


def test_odd_names_that_every_step_can_read_are_taken(folder):
    names = [
        "a b",
        "it's",
        '"',
        "$HOME",
        "-x",
        "--format",
        "~x",
        "{}",
        "{a-b}",
        "<B>",
        "a<b",
        "#",
        "*",
        ";",
        "\\",
        "é",
        "[x]",
        "a:b",
        "!",
    ]
    for name in names:
        (folder / name).touch()
    (folder / "-folder/{}").mkdir(parents=True)
    (folder / "-folder/{}/-x").touch()
    (folder / "-folder/.hidden").touch()
    data = Experiment(make([*names, "./-folder/"])).data["mine"]
    assert data.inputs() == [*names, "-folder/{}/-x"]
    words = shlex.split(data.options("input"))
    assert words == ["--input", *(f"./{name}" if name[0] == "-" else name for name in [*names, "-folder"])]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x.org", "text"),
        ("https://x.org/", "text"),
        ("https://x.org/dumps/", "dumps"),
        ("https://x.org/a/..", "text"),
        ("https://x.org/?file=a.txt", "text"),
        ("https://x.org/a.txt?x=1&y=b.gz#part", "a.txt"),
        ("https://x.org/enwiki-2019.xml.bz2", "enwiki-2019.xml.bz2"),
        ("https://x.org/caf%C3%A9.txt", "caf_C3_A9.txt"),
        ("https://x.org/{data}/{x}.txt", "_x_.txt"),
        ("https://x.org/-rf", "rf"),
        ("https://x.org/.hidden", "hidden"),
        ("https://x.org/a b'$(ls).txt", "a_b___ls_.txt"),
        (f"https://x.org/{'a' * 300}.txt", f"{'a' * 96}.txt"),
        ("https://me:secret@x.org:8080/a.txt", "a.txt"),
    ],
)
def test_what_is_downloaded_has_a_plain_name(url, name):
    data = Experiment(make({"url": url, "checksum": CHECKSUM})).data["mine"]
    assert data.inputs() == [f"results/data/mine/download/source/{name}"]
    assert shlex.split(data.download("source")) == ["obtain", "--url", url, "--checksum", CHECKSUM]


@pytest.mark.parametrize("url", ["https://", "http:///a", "https://[::1/a"])
def test_an_address_that_is_none_is_refused(url):
    line = f".source.url: {url!r} is not the address of a file; write http:// or https://, a host and a path"
    refuse(line, {"url": url, "checksum": CHECKSUM})


def test_an_address_with_a_line_break_is_refused():
    line = ".source.url: 'https://x.org/a\\nb' has unprintable characters; delete them"
    refuse(line, {"url": "https://x.org/a\nb", "checksum": CHECKSUM})

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
        ({"lines_per_document": 0, "format": "lines"}, ".lines_per_document: 0 is not an integer of 1 or more"),
        ({"line_breaks": "wrap"}, ".line_breaks: 'wrap' is not one of auto, join, keep"),
        ({"unicode": "nfkc"}, ".unicode: 'nfkc' is not one of nfc, none"),
        ({"tokenised": "yes"}, ".tokenised: 'yes' is not true or false"),
        ({"text_column": ""}, ".text_column: '' is not a text"),
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
    refuse(".source.dev: no.txt does not exist", {**SPLITS, "dev": {"path": "no.txt"}})
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
    for name in ("empty", "hidden", "pipe", "latin", "loop", "dangling/deep", "brace"):
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
    return folder


IS_STREAM = "is a pipe or a device, and a run reads its source more than once; write it to a file"
ODD = {
    "no.txt": "no.txt does not exist",
    "text.txt/x": "text.txt/x cannot be reached (Not a directory); name another",
    "x" * 300: f"{'x' * 300} cannot be reached (File name too long); name another",
    "round": "round cannot be reached (Too many levels of symbolic links); name another",
    "empty": "empty is a folder without files; name the one that has the text",
    "hidden": "hidden is a folder without files; name the one that has the text",
    "fifo": f"fifo {IS_STREAM}",
    "pipe": f"pipe/deep.txt {IS_STREAM}",
    "/dev/stdin": f"/dev/stdin {IS_STREAM}",
    "/dev/fd/0": f"/dev/fd/0 {IS_STREAM}",
    "/dev/null": f"/dev/null {IS_STREAM}",
    "link": "link is a link to nothing; mend or remove it",
    "dangling": "dangling/deep/link is a link to nothing; mend or remove it",
    "loop": "loop/up is a link to a folder that it is in; remove it",
    "latin": r"'latin/caf\udce9.txt': the name is not UTF-8 or has characters that cannot be printed; rename it",
    "two\nlines": r"'two\nlines': the name is not UTF-8 or has characters that cannot be printed; rename it",
    "nul\0": r"'nul\x00': the name is not UTF-8 or has characters that cannot be printed; rename it",
    "brace": "brace/{data}.txt has {data} in its name, which Snakemake takes for a wildcard; rename it",
    "~/text.txt": "~/text.txt does not exist, since ~ is not expanded here; write the path in full",
    "$HOME/text.txt": "$HOME/text.txt does not exist, since $ is not expanded here; write the path in full",
    "https://x.org/a.txt": "https:/x.org/a.txt is no path; give an address as url, with its checksum",
    ".": ". has the results of the workflow in it; give the text a folder of its own",
    "..": ".. has the results of the workflow in it; give the text a folder of its own",
}


@pytest.mark.parametrize("path", ODD, ids=lambda path: ascii(path[:20]))
def test_what_no_job_could_read_is_refused(odd, path):
    refuse(f".source: {ODD[path]}", path)
    refuse(f".source: {ODD[path]}", ["text.txt", path])


def test_each_file_is_named_once(given, folder):
    refuse(".source: text.txt is there twice; name each file once", ["text.txt", "./text.txt"])
    (folder / "same").symlink_to("text.txt")
    refuse(
        ".source.test: same is also in data.mine.source.train; name each file once",
        {**SPLITS, "test": {"path": "same"}},
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_refused(folder):
    (folder / "text.txt").chmod(0)
    refuse(".source: text.txt cannot be read; give yourself the permission: chmod u+r")


def test_a_file_without_permission_is_refused(monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refuse(".source: text.txt cannot be read; give yourself the permission: chmod u+r")


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


@pytest.mark.parametrize("url", ["https://", "http:///a", "https://[::1/a", "https://x.org/a\nb"])
def test_an_address_that_is_none_is_refused(url):
    line = f".source.url: {url!r} is no address of a file; write http:// or https://, a host and a path"
    refuse(line, {"url": url, "checksum": CHECKSUM})

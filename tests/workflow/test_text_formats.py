"""Texts in the forms that people have, through Snakemake to streams of tokens; and what a changed key reads again."""

import functools
import gzip
import hashlib
import http.server
import json
import threading

import numpy as np
import pandas as pd
import pytest
from harness import Workflow

# A sentence per line, tokenised, in three splits: "heron" is in dev alone, "owl" once in train.
REST = " a big red fox ran up to its <unk> den \n" * 8
TREEBANK = {
    "train": f" the cat saw the dog \n the <unk> saw N owl \n the dog saw the N cat \n{REST}",
    "dev": f" the heron saw the cat \n{REST}",
    "test": f" the dog saw the owl \n the N saw \n{REST}",
}
# Articles with headings and with hyphens cut out of words.
WIKITEXT = "".join(
    f" = Title {i} = \n \n The well @-@ known <unk> saw . It went on . \n \n = = Part = = \n \n Part {i} of it . \n \n"
    for i in range(40)
)
WRAPPED = "".join(
    f"It was a bright cold day number {i} and the clocks were all about to\n"
    "strike when she came up the path, carrying what she had found in the\n"
    "garden.\n\n"
    for i in range(40)
)
ROWS = [{"id": i, "body": f"The text of row {i} is short. It ends here."} for i in range(40)]
# Plain text with one word in two Unicode forms.
FORMS = "".join(f"Our caf\u00e9 number {i} is here.\n\nHer cafe\u0301 number {i} is there.\n\n" for i in range(40))
ODD_NAME = "-it's {} & $HOME; #1.jsonl"
PLAIN = {"min_count": 1, "split": {"train": 0.4, "dev": 0.3, "test": 0.3}}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope="module")
def texts(tmp_path_factory, request):
    """All the texts, encoded, in one run; ``changes`` is its configuration."""
    folder = tmp_path_factory.mktemp("texts")
    for split, text in TREEBANK.items():
        (folder / f"ptb.{split}").write_text(text)
    (folder / "web/{a}").mkdir(parents=True)
    (folder / "web/{a}/%.txt").write_text(WRAPPED)
    (folder / "wiki.tokens").write_text(WIKITEXT)
    (folder / ODD_NAME).write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    (folder / "forms").mkdir()
    (folder / "forms/-a {}.txt").write_text(FORMS, encoding="utf-8")
    (folder / "forms/b.txt").write_text("Another text is here.\n\nAnd so on.", encoding="utf-8")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder / "web")))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    request.addfinalizer(server.shutdown)
    url = f"http://127.0.0.1:{server.server_port}/{{a}}/%25.txt?x={{data}}#part"
    checksum = f"sha256:{hashlib.sha256(WRAPPED.encode()).hexdigest()}"
    given = {split: {"path": f"ptb.{split}"} for split in TREEBANK}
    workflow = Workflow(folder)
    workflow.changes = {
        "data": {
            "treebank": {"source": given, "format": "lines", "tokenised": True, "min_count": 2},
            "wikitext": {"source": {"path": "wiki.tokens"}, **PLAIN},
            "wrapped": {"source": {"url": url, "checksum": checksum}, "format": "text", "shards": 2, **PLAIN},
            "rows": {"source": {"path": ODD_NAME}, "format": "json", "text_column": "body", **PLAIN},
            "forms": {"source": {"path": ["forms/-a {}.txt", "forms/b.txt"]}, "line_breaks": "keep", **PLAIN},
        },
    }
    names = list(workflow.changes["data"])
    workflow.changes["runs"] = [{"data": name, "model": "small", "epochs": 1} for name in names]
    workflow.targets = [f"results/data/{name}/tokens/train.npy" for name in names]
    workflow.process = workflow.run(*workflow.targets, changes=workflow.changes)
    return workflow


def read(workflow, name, split):
    """A split in words."""
    folder = workflow.folder / "results/data" / name
    words = pd.read_parquet(folder / "vocabulary.parquet")["word"].to_numpy()
    return " ".join(words[np.load(folder / f"tokens/{split}.npy")])


def account(workflow, name, step):
    return json.loads((workflow.folder / f"results/data/{name}/accounts/{step}.json").read_text())


def read_all(workflow, name):
    """Every sentence of a text, in no order."""
    streams = [read(workflow, name, split) for split in ("train", "dev", "test")]
    return sorted(sentence.strip() for stream in streams for sentence in stream.split("<eos>") if sentence.strip())


def test_given_splits_are_kept_whole_and_counted_in_training(texts):
    rest = " a big red fox ran up to its <unk> den <eos>" * 8
    assert read(texts, "treebank", "train") == (
        f"the cat saw the dog <eos> the <unk> saw n <unk> <eos> the dog saw the n cat <eos>{rest}"
    )
    assert read(texts, "treebank", "dev") == f"the <unk> saw the cat <eos>{rest}"
    assert read(texts, "treebank", "test") == f"the dog saw the <unk> <eos> the n saw <eos>{rest}"
    assert account(texts, "treebank", "documents")["given_splits"] is True


def test_an_article_of_wikitext_is_a_document(texts):
    assert account(texts, "wikitext", "documents")["documents"] == 40
    sentences = ["it went on .", "the well - known <unk> saw ."] * 40 + [f"part {i} of it ." for i in range(40)]
    assert read_all(texts, "wikitext") == sorted(sentences)


def test_wrapped_lines_are_joined_and_an_odd_address_is_read(texts):
    assert account(texts, "wrapped", "documents")["documents"] == 40
    start = "it was a bright cold day number 7 and the clocks were all about to strike when she came up the path ,"
    assert f"{start} carrying what she had found in the garden ." in read_all(texts, "wrapped")


def test_rows_have_their_text_in_the_column_that_is_named(texts):
    assert account(texts, "rows", "documents")["formats"] == {"json, gzip": 1}
    assert set(read_all(texts, "rows")) == {"it ends here .", *(f"the text of row {i} is short ." for i in range(40))}


def test_accents_are_written_in_one_way(texts):
    sentences = set(read_all(texts, "forms"))
    assert {"our caf\u00e9 number 7 is here .", "her caf\u00e9 number 7 is there ."} < sentences


def test_what_was_kept_is_on_the_terminal_and_in_the_log(texts):
    for name in texts.changes["data"]:
        log = (texts.folder / f"results/data/{name}/logs/encode.log").read_text()
        assert "tokens kept" in log
        assert log in texts.process.stderr


FROM_FILTER = ["filter", "split", "vocabulary", "encode"]
FROM_SENTENCES = ["sentences", "index", *FROM_FILTER]


@pytest.mark.parametrize(
    ("name", "change", "planned"),
    [
        ("forms", {}, []),
        ("forms", {"unicode": "none"}, FROM_SENTENCES),
        ("forms", {"line_breaks": "join"}, ["documents", *FROM_SENTENCES]),
        ("forms", {"min_count": 2}, FROM_FILTER),
        ("forms", {"split": {"seed": 2}}, ["split", "vocabulary", "encode"]),
        ("forms", {"tagging": {"min_tagged": 1}}, []),
        ("treebank", {"lines_per_document": 7}, ["documents", *FROM_SENTENCES]),
        ("treebank", {"tokenised": False}, ["documents", *FROM_SENTENCES]),
        ("treebank", {"min_count": 1}, FROM_FILTER),
        ("rows", {"text_column": "id"}, ["documents", *FROM_SENTENCES]),
        ("wikitext", {"format": "wikitext"}, ["documents", *FROM_SENTENCES]),
    ],
    ids=str,
)
def test_a_changed_key_reads_again_only_what_depends_on_it(texts, name, change, planned):
    blocks = texts.changes["data"]
    changes = {**texts.changes, "data": {**blocks, name: {**blocks[name], **change}}}
    jobs = texts.planned(*texts.targets, changes=changes)
    assert jobs == dict.fromkeys(planned, 1)


def test_a_changed_file_of_a_split_is_read_again(texts):
    path = texts.folder / "ptb.dev"
    path.write_text(TREEBANK["dev"] * 2)
    jobs = texts.planned(*texts.targets, changes=texts.changes)
    path.write_text(TREEBANK["dev"])
    assert set(jobs) == {"documents", *FROM_SENTENCES}

"""Extraction with tokenisation, and tagging, against spaCy used plainly, on the embedded excerpt; tokens/s a core."""

import argparse
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import spacy
import zstandard
from common import arguments, in_turn, report
from spacy.tokens import Doc

from natural_sparsity import files
from natural_sparsity.corpus import documents, index, sentences
from natural_sparsity.tagging.tag import Tagger, find_model, training_sentences

EXCERPT = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


def prepare(folder: Path) -> dict[str, Path]:
    """The excerpt as one shard of sentences; every sentence is assigned to training."""
    [package] = find_spec("gensim").submodule_search_locations
    names = ("documents", "text", "cased", "table", "types", "tokens", "lengths", "assignment")
    paths = {name: folder / f"{name}.zst" for name in names}
    source = argparse.Namespace(input=[Path(package, EXCERPT)], format="mediawiki", max_documents=None)
    documents.run(argparse.Namespace(**vars(source), output=[paths["documents"]]))
    tokenise(paths)
    index.run(argparse.Namespace(**{name: paths[name] for name in ("text", "types", "tokens", "lengths")}))
    files.write_array(paths["assignment"], np.ones(len(files.read_array(paths["lengths"])), np.uint8))
    return paths


def tokenise(paths: dict[str, Path]) -> None:
    outputs = {"text": paths["text"], "cased": paths["cased"], "documents": paths["table"]}
    sentences.run(argparse.Namespace(input=paths["documents"], **outputs))


def plain_tokenise(paragraphs: list[str]) -> int:
    """spaCy's blank pipeline with the sentencizer, as its documentation shows it; on text without markup."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return sum(len(list(sentence)) for doc in nlp.pipe(paragraphs) for sentence in doc.sents)


def tag_ours(tagger: Tagger, paths: dict[str, Path], ids: dict[str, int]) -> None:
    tagger.count(training_sentences(paths["cased"], paths["assignment"]), ids)


def tag_plainly(nlp: spacy.Language, paths: dict[str, Path]) -> None:
    """nlp.pipe over the same tokens."""
    docs = (
        Doc(nlp.vocab, words=words, spaces=[space == " " for space in spaces])
        for words, spaces in training_sentences(paths["cased"], paths["assignment"])
    )
    for doc in nlp.pipe(docs):
        [token.pos_ for token in doc]


def main() -> None:
    args = arguments(__doc__, repeats=3)
    with tempfile.TemporaryDirectory() as name:
        paths = prepare(Path(name))
        total = len(files.read_array(paths["tokens"]))
        with zstandard.open(paths["cased"], "rt", encoding="utf-8") as file:
            paragraphs = file.read().replace("\t", "").split("\n")
        seconds = in_turn(args.repeats, ours=lambda: tokenise(paths), plain=lambda: plain_tokenise(paragraphs))
        details = {"note": "ours removes the markup and writes the shards; the reference reads clean sentences"}
        rates = {key: total / value for key, value in seconds.items()}
        report("sentences", ours=rates["ours"], reference=rates["plain"], unit="tokens/s", **details)

        model = find_model("en_core_web_sm")
        ids = {word: i for i, word in enumerate(files.read_parquet(paths["types"], ["word"])["word"])}
        tagger, full = Tagger(model), spacy.load(model)
        needed = spacy.load(model, exclude=["parser", "ner", "lemmatizer"])
        seconds = in_turn(
            args.repeats,
            ours=lambda: tag_ours(tagger, paths, ids),
            full=lambda: tag_plainly(full, paths),
            needed=lambda: tag_plainly(needed, paths),
        )
        rates = {key: total / value for key, value in seconds.items()}
        report("tagging", ours=rates["ours"], reference=rates["full"], unit="tokens/s", only_needed=rates["needed"])


if __name__ == "__main__":
    main()

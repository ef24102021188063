"""Tokens of a dump and of clean text, and tags, against plain spaCy on the embedded excerpt; tokens/s per core."""

import json
import tempfile
from pathlib import Path

import numpy as np
import spacy
from common import arguments, excerpt, in_turn, report
from spacy.tokens import Doc

from natural_sparsity import cli, files
from natural_sparsity.config.spacy_models import find_model
from natural_sparsity.corpus.markup import plain_text
from natural_sparsity.corpus.sentences import read_rows
from natural_sparsity.tagging.tag import Tagger, read_training_sentences


def prepare(folder: Path, documents: int) -> dict[str, Path]:
    """The excerpt's first ``documents`` as one shard of sentences, all assigned to training."""
    names = ("documents", "text", "cased", "table", "account", "types", "tokens", "lengths", "assignment", "clean")
    paths = {name: folder / f"{name}.zst" for name in names}
    run("documents", format="mediawiki", max_documents=documents, input=excerpt(), output=paths["documents"])
    with files.open_zstd(paths["clean"]) as file:
        for row in read_rows(paths["documents"]):
            file.write(json.dumps(row | {"text": plain_text(row["text"]), "markup": "none"}).encode() + b"\n")
    tokenise(paths, "documents")
    run("index", **{name: paths[name] for name in ("text", "types", "tokens", "lengths")})
    files.write_array(paths["assignment"], np.ones(len(files.read_array(paths["lengths"])), np.uint8))
    return paths


def run(command: str, **options: object) -> None:
    """Run a command of the package in this process."""
    pairs = ((f"--{name.replace('_', '-')}", str(value)) for name, value in options.items())
    cli.main([command, *(part for pair in pairs for part in pair)])


def tokenise(paths: dict[str, Path], shard: str) -> None:
    outputs = {name: paths[name] for name in ("text", "cased", "account")}
    run("sentences", input=paths[shard], documents=paths["table"], **outputs)


def plain_tokenise(paragraphs: list[str]) -> int:
    """spaCy's blank pipeline with the sentencizer, as its documentation shows it; on text without markup."""
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    return sum(len(list(sentence)) for doc in nlp.pipe(paragraphs) for sentence in doc.sents)


def tag_ours(tagger: Tagger, paths: dict[str, Path], ids: dict[str, int]) -> None:
    tagger.count(read_training_sentences(paths["cased"], paths["assignment"]), ids)


def tag_plainly(nlp: spacy.Language, paths: dict[str, Path]) -> None:
    """nlp.pipe over the same tokens."""
    docs = (
        Doc(nlp.vocab, words=words, spaces=[space == " " for space in spaces])
        for words, spaces in read_training_sentences(paths["cased"], paths["assignment"])
    )
    for doc in nlp.pipe(docs):
        [token.pos_ for token in doc]


def main() -> None:
    args = arguments(__doc__, {"documents": 2}, repeats=3, documents=1_000_000)
    with tempfile.TemporaryDirectory() as name:
        paths = prepare(Path(name), args.documents)
        total = len(files.read_array(paths["tokens"]))
        paragraphs = [line for row in read_rows(paths["clean"]) for line in row["text"].split("\n")]
        seconds = in_turn(
            args.repeats,
            dump=lambda: tokenise(paths, "documents"),
            clean=lambda: tokenise(paths, "clean"),
            plain=lambda: plain_tokenise(paragraphs),
        )
        rates = {key: total / value for key, value in seconds.items()}
        for name, note in (
            ("dump", "ours also removes markup and writes the shard; the reference reads clean text"),
            ("clean", "ours also reads and writes the shard"),
        ):
            report(
                args.output, f"sentences_{name}", ours=rates[name], reference=rates["plain"], unit="tokens/s", note=note
            )

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
        rates |= {"only_needed": rates.pop("needed")}
        report(args.output, "tagging", unit="tokens/s", reference=rates.pop("full"), **rates)


if __name__ == "__main__":
    main()

"""An embedding that starts from word vectors: which rows they set, what is told of it, and what is refused."""

from importlib.resources import files as resources

import numpy as np
import pandas as pd
import pytest
import torch
from gensim.models import KeyedVectors

from chains import CPU, Chain, call
from natural_sparsity import files
from natural_sparsity.errors import UserError
from natural_sparsity.model import checkpoint
from natural_sparsity.training import initialise

pytestmark = pytest.mark.integration

WORDS = ["<unk>", "<eos>", "the", "film", "zyzzyva", "bad"]
COUNTS = [7, 5, 40, 20, 3, 25]
FILM_REVIEWS = resources("gensim") / "test/test_data/pang_lee_polarity_fasttext.vec"  # 1,694 words


@pytest.fixture
def vectors():
    """Vectors of width 4 of three of the words, and of one that is not in the vocabulary."""
    made = KeyedVectors(4)
    rows = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)
    made.add_vectors(["film", "the", "unheard", "bad"], rows)
    return made


@pytest.fixture
def begin(tmp_path):
    """Write epoch 0 of a model of text, with word vectors if a file is given; return its model and state."""
    files.write_parquet(
        tmp_path / "vocabulary.parquet", pd.DataFrame({"id": range(len(WORDS)), "word": WORDS, "count": COUNTS})
    )

    def begin(path=None, form="word2vec", **architecture):
        about = {"vectors": {"path": str(path), "format": form}} if path else {}
        call(
            initialise,
            data="d",
            kind="text",
            block={},
            vocabulary=tmp_path / "vocabulary.parquet",
            vectors=path,
            model="m",
            architecture={"embedding": 4, "hidden": [3], **architecture, **about},
            training={},
            seed=3,
            checkpoint=tmp_path / "init",
        )
        return checkpoint.load(tmp_path / "init", CPU)

    return begin


@pytest.mark.parametrize("form", ["word2vec", "word2vec_binary", "glove"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_words_with_a_vector_start_from_it_and_all_else_starts_as_without(begin, vectors, tmp_path, form, suffix):
    path = tmp_path / f"vectors{suffix}"
    vectors.save_word2vec_format(path, binary=form == "word2vec_binary", write_header=form != "glove")
    plain = begin()[0].state_dict()
    given = begin(path, form)[0].state_dict()
    for row, word in enumerate(WORDS):
        expected = torch.tensor(vectors[word]) if word in vectors else plain["embedding.weight"][row]
        torch.testing.assert_close(given["embedding.weight"][row], expected, rtol=1e-6, atol=1e-7)
    assert all(torch.equal(given[name], plain[name]) for name in plain if name != "embedding.weight")


def test_how_many_words_have_a_vector_is_recorded_and_printed(begin, vectors, tmp_path, capsys):
    vectors.save_word2vec_format(tmp_path / "v.txt")
    _, state = begin(tmp_path / "v.txt")
    account = state["vectors"]
    assert (account["found"], account["words"], account["share"]) == (3, 6, 0.85)
    assert account["missing"] == ["<unk>", "<eos>", "zyzzyva"], "the most frequent first"
    assert account["digest"] == files.compute_digest(tmp_path / "v.txt").hex()
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        f"vectors: 3 of 6 words, 85.0% of the training tokens, start from {tmp_path}/v.txt; 3 start at random:"
        " <unk>, <eos>, zyzzyva"
    )
    assert "vectors" not in begin()[1]


def test_a_published_file_is_read(begin):
    model, state = begin(FILM_REVIEWS, embedding=100)
    assert state["vectors"]["missing"] == ["<unk>", "<eos>", "zyzzyva"]
    line = next(line for line in FILM_REVIEWS.read_text(errors="replace").splitlines() if line.startswith("film "))
    expected = torch.tensor([float(part) for part in line.split()[1:]])
    torch.testing.assert_close(model.embedding.weight[WORDS.index("film")].detach(), expected)


def test_words_with_spaces_are_read(begin, tmp_path):
    """Such words are in glove.840B.300d, which the authors of structured sparsification start from."""
    (tmp_path / "v.txt").write_text("the 1 2 3 4\n. . . 5 6 7 8\nfilm 9 10 11 12\n")
    model, state = begin(tmp_path / "v.txt", "glove")
    assert state["vectors"]["found"] == 2
    rows = model.embedding.weight.detach()[[WORDS.index("the"), WORDS.index("film")]]
    assert rows.tolist() == [[1, 2, 3, 4], [9, 10, 11, 12]]


def test_newly_drawn_weights_keep_the_vectors(begin, vectors, tmp_path):
    """A control that also lost them would differ from its ticket in more than the draw."""
    vectors.save_word2vec_format(tmp_path / "v.txt")
    model, _ = begin(tmp_path / "v.txt")
    fresh = model.fresh()
    assert torch.equal(fresh.embedding.weight, model.embedding.weight)
    assert not torch.equal(fresh.output.weight, model.output.weight)


def write_text(text):
    return lambda vectors, path: path.write_text(text)


@pytest.mark.parametrize(
    ("write", "form", "message"),
    [
        (
            lambda vectors, path: vectors.save_word2vec_format(path),
            "glove",
            "architecture.vectors.format: .* cannot be read as glove .*; if it is word2vec or word2vec_binary, say so",
        ),
        (
            lambda vectors, path: vectors.save_word2vec_format(path, write_header=False),
            "word2vec",
            "architecture.vectors.format: .* cannot be read as word2vec .*; if it is word2vec_binary or glove, say so",
        ),
        (
            lambda vectors, path: vectors.save_word2vec_format(path),
            "word2vec_binary",
            "architecture.vectors.format: .* cannot be read as word2vec_binary .its numbers are text.; if",
        ),
        (
            lambda vectors, path: path.write_bytes(b"5 4\n" + b"\xff\xfe" * 9),
            "word2vec",
            "architecture.vectors.format: .* cannot be read as word2vec",
        ),
        (write_text("99999999999999 400\nthe 1\n"), "word2vec", "architecture.vectors.format: .* cannot be read"),
        (write_text(""), "glove", "architecture.vectors.format: .* cannot be read as glove"),
        (
            write_text("1 3\nthe 1 2 3\n"),
            "word2vec",
            "architecture.vectors: .* vectors of width 3, but architecture.embedding is 4; set embedding: 3, or give",
        ),
        (
            write_text("1 4\nder 1 2 3 4\n"),
            "word2vec",
            "architecture.vectors: none of the 6 words of the vocabulary has a vector in .*; give vectors of the same",
        ),
        (write_text("1 4\nthe 1 2 nan 4\n"), "word2vec", "architecture.vectors: .* not finite; get the file again"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(begin, vectors, tmp_path, write, form, message):
    write(vectors, tmp_path / "v")
    with pytest.raises(UserError, match=message) as refused:
        begin(tmp_path / "v", form)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "init").exists()


def test_classification_starts_from_vectors_too(tmp_path):
    """The authors of structured sparsification start classifiers from them."""
    chain = Chain(tmp_path, "classification")
    made = KeyedVectors(6)
    made.add_vectors([f"w{i}" for i in range(50)], np.full((50, 6), 0.25, np.float32))
    made.save_word2vec_format(tmp_path / "v.txt")
    about = {"path": str(tmp_path / "v.txt"), "format": "word2vec"}
    chain.initialise("given", vectors=about)
    chain.train("given", "trained")
    start, _, _ = chain.load("given")
    after, _, _ = chain.load("trained")
    assert bool((start["embedding.weight"][:50] == 0.25).all())
    assert not torch.equal(after["embedding.weight"][:50], start["embedding.weight"][:50]), "they train on"

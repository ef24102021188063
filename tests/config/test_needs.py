"""Which method works on which kind of data and which cell is what the methods declare, and what the page says."""

import re
from pathlib import Path

import pytest

from natural_sparsity.config.validation import validate
from natural_sparsity.errors import UserError
from natural_sparsity.registry import DATA, METHODS

ROOT = Path(__file__).parents[2]
ADAM = {"optimizer": "adam", "learning_rate": 0.001, "clip": 1}
# The least that each kind and each method wants.
KINDS = {
    "text": {"unit": "character"},
    "shuffled": {"of": "text"},
    "classification": {"format": "vader", "classes": 2},
    "addition": {},
    "navigation": {},
}
SPARSIFY = {
    "iterative": {"levels": 2},
    "one_shot": {"levels": 2},
    "gradual": {"levels": 2, "end": 2},
    "distil": {},
    "qat": {},
    "moduli": {"ramp": 2},
    "gradual_groups": {"levels": 2, "end": 2, "groups": "gates"},
    "group_lasso": {"strengths": {"gates": 0.1}},
    "sparse_vd": {},
    "twin": {},
}


def configuration(tmp_path, kind, method, cell="lstm", **settings):
    """A dense model and one that is made from it, on data of a kind."""
    (tmp_path / "file").write_text("x")
    block = {"kind": kind, **KINDS[kind]}
    source = {"path": str(tmp_path / "file")}
    if kind in ("text", "classification"):
        block["source"] = source
    sparse = {"sparsify": {"method": method, "of": "dense", **SPARSIFY[method], **settings}}
    if method == "distil":
        sparse["architecture"] = {"hidden": [4], "cell": cell}
    return {
        "data": {"mine": block, "text": {"unit": "character", "source": source}},
        "models": {"dense": {"architecture": {"cell": cell}, "training": ADAM}, "sparse": sparse},
        "runs": [{"data": "mine", "model": model, "epochs": 2} for model in ("dense", "sparse")],
    }


def accepts(config):
    try:
        validate(config)
    except UserError as error:
        assert "needs" in str(error)
        return False
    return True


def table():
    """The table of the page: by method, its cells and the kinds that it works on."""
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    [lines] = re.findall(r"(?m)^\| Method \| Cells .*\n\|[- |]+\n((?:\|.*\n)+)", text)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines.splitlines()]
    return {row[0].strip("`"): (row[1], dict(zip(DATA, row[2:], strict=True))) for row in rows}


def test_every_method_and_every_kind_is_tried():
    assert list(SPARSIFY) == list(METHODS) == list(table())
    assert list(KINDS) == list(DATA)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", DATA)
def test_the_page_says_which_data_a_method_works_on(tmp_path, kind, method):
    said = table()[method][1][kind]
    assert accepts(configuration(tmp_path, kind, method)) == (said == "yes")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_page_says_which_cells_a_method_works_on(tmp_path, cell, method):
    said = table()[method][0]
    assert accepts(configuration(tmp_path, "text", method, cell)) == (said == "all" or f"`{cell}`" in said)


@pytest.mark.parametrize(
    ("kind", "method", "cell", "settings", "line"),
    [
        (
            "addition",
            "distil",
            "lstm",
            {},
            "runs.1: sparse: distil needs targets that are classes, and those of addition are numbers; run it on other"
            " data",
        ),
        (
            "navigation",
            "sparse_vd",
            "lstm",
            {"groups": ["weights", "vocabulary"]},
            "runs.1: sparse: sparse_vd with groups: vocabulary needs a vocabulary, and navigation has none; run it on"
            " other data",
        ),
        (
            "text",
            "qat",
            "rnn",
            {},
            "models.sparse.sparsify: qat needs cell lstm or gru, and the cell here is rnn; change either",
        ),
    ],
)
def test_a_refusal_names_the_need(tmp_path, kind, method, cell, settings, line):
    with pytest.raises(UserError) as refusal:
        validate(configuration(tmp_path, kind, method, cell, **settings))
    assert str(refusal.value) == line


def test_the_second_moduli_penalty_is_for_data_with_a_vocabulary(tmp_path):
    for kind in DATA:
        config = configuration(tmp_path, kind, "moduli", l1=0.1)
        assert accepts(config) == (kind in ("text", "shuffled", "classification"))


def test_the_group_vocabulary_is_for_data_that_have_one(tmp_path):
    for kind in DATA:
        config = configuration(tmp_path, kind, "sparse_vd", groups=["vocabulary"])
        assert accepts(config) == (kind in ("text", "shuffled", "classification"))


@pytest.mark.parametrize("method", ["iterative", "gradual", "moduli"])
def test_to_prune_the_embedding_alone_is_for_data_that_have_one(tmp_path, method):
    for kind in DATA:
        config = configuration(tmp_path, kind, method, tensors=["embedding"])
        assert accepts(config) == (kind in ("text", "shuffled", "classification"))

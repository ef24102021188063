"""The digest changes with the code that a command runs, and with nothing else."""

import sys

import pytest

from natural_sparsity import provenance


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the same name in which ``probe`` imports ``measures``, and ``draw`` does not."""
    folder = tmp_path / "natural_sparsity"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "measures.py").write_text("def chi(v):\n    return v + 1\n")
    (folder / "probe.py").write_text("from natural_sparsity import measures\n")
    (folder / "draw.py").write_text("import json\n")
    for name in [name for name in sys.modules if name.startswith("natural_sparsity")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def digests():
    return [provenance.code_digest(f"natural_sparsity.{name}") for name in ("probe", "draw")]


def test_a_changed_import_counts_for_its_importers_alone(package):
    probe, draw = digests()
    (package / "measures.py").write_text("def chi(v):\n    return v + 2\n")
    assert digests()[0] != probe
    assert digests()[1] == draw


def test_comments_and_docstrings_do_not_count(package):
    before = digests()
    (package / "measures.py").write_text(
        '"""Module."""\n\n\ndef chi(v):\n    """Chi."""\n    return (v + 1)  # one more\n'
    )
    assert digests() == before


def test_the_real_commands():
    train = provenance.imported_modules("natural_sparsity.training.train")
    assert {"natural_sparsity.model.output_layer", "natural_sparsity.corpus.streams"} <= set(train)
    assert not any(name.startswith(("natural_sparsity.probing", "natural_sparsity.figures")) for name in train)
    assert "natural_sparsity.model.language_model" in provenance.imported_modules("natural_sparsity.probing.probe")

"""The digest changes with the code that a command runs, and with nothing else."""

import re
import sys
from pathlib import Path

import pytest

from natural_sparsity import provenance
from natural_sparsity.cli import COMMANDS
from natural_sparsity.errors import UserError

RULES = Path(__file__).parents[1] / "workflow/rules"


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


def test_a_misspelt_module_is_refused():
    with pytest.raises(UserError, match=r"natural_sparsity\.probing\.prob: no such module"):
        provenance.code_digest("natural_sparsity.probing.prob")


def test_every_rule_has_the_digest_of_the_command_that_it_runs():
    rules = [rule for path in RULES.glob("*.smk") for rule in re.split(r"^ *rule\b", path.read_text(), flags=re.M)[1:]]
    commands = [(re.search(r'"natural-sparsity ([\w-]+)', rule), rule) for rule in rules]
    # sdist is in a parameter, being one of two ways to obtain the same file.
    assert {match[1] for match, _ in commands if match} | {"sdist"} == set(COMMANDS)
    for command, rule in [(match[1], rule) for match, rule in commands if match]:
        # A changed downloader must not download again what a checksum vouches for.
        digests = re.findall(r'code_digest\("([\w.]+)"\)', rule)
        assert digests == ([] if command == "obtain" else [COMMANDS[command][0]]), rule

"""The digest changes with the code that a command runs, and with nothing else."""

import re
import sys
from pathlib import Path

import pytest

from natural_sparsity import provenance, registry
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
    assert {"natural_sparsity.model.output_layer", "natural_sparsity.data.held_out"} <= set(train)
    assert not any(name.startswith(("natural_sparsity.probing", "natural_sparsity.figures")) for name in train)
    assert "natural_sparsity.model.recurrent" in provenance.imported_modules("natural_sparsity.probing.probe")


REGISTERED = {
    "data": [entry.implementation for entry in registry.DATA.values()],
    "methods": [entry.implementation for entry in registry.METHODS.values()],
    "figures": list(registry.FIGURES.values()),
    "tables": list(registry.TABLES.values()),
}


@pytest.mark.parametrize("name", REGISTERED)
def test_what_is_found_by_name_depends_on_nothing_else_of_its_kind(name):
    """But for gradual pruning of groups, which is gradual pruning."""
    modules = {f"natural_sparsity.{module}" for module in REGISTERED[name]}
    for module in modules:
        others = modules & set(provenance.imported_modules(module)) - {module}
        assert others <= {"natural_sparsity.methods.gradual"}, module


@pytest.mark.parametrize("command", ["initialise", "train", "probe", "sparsify"])
def test_what_trains_depends_on_no_kind_of_data_and_no_method(command):
    """The rules add the digests of those that a run has."""
    modules = provenance.imported_modules(f"natural_sparsity.{COMMANDS[command][0]}")
    found = {f"natural_sparsity.{module}" for module in (*REGISTERED["data"], *REGISTERED["methods"])}
    settings = ("natural_sparsity.config.data.", "natural_sparsity.config.methods.")
    assert not found & set(modules)
    assert not [name for name in modules if name.startswith(settings)]


@pytest.mark.parametrize("module", ["registry", "errors", "files", "training.saves", "figures.draw", "tables.tabulate"])
def test_what_finds_and_writes_does_not_count(module):
    """One more entry re-digests nothing."""
    for command in ("training.train", "figures.fig2", "tables.lottery"):
        assert f"natural_sparsity.{module}" not in provenance.imported_modules(f"natural_sparsity.{command}")


def test_a_misspelt_module_is_refused():
    for name in ("probing.prob", "natural_sparsity.probing.prob"):
        with pytest.raises(UserError, match=r"natural_sparsity\.probing\.prob: no such module"):
            provenance.code_digest(name)


def test_every_rule_has_the_digest_of_the_command_that_it_runs():
    text = "".join(path.read_text() for path in RULES.glob("*.smk"))
    found = set()
    for rule in re.split(r"^ *(?:use )?rule\b", text, flags=re.MULTILINE)[1:]:
        command = re.search(r'"natural-sparsity ([\w-]+)', rule) or re.search(r'command="(\w+)"', rule)
        if command and command[1] in ("draw", "tabulate"):
            # They dispatch: the digest is that of the figure or table.
            names = command[1].replace("draw", "figure").replace("tabulate", "table")
            assert f"digest(registry.{names.upper()}S[wildcards.{names}])" in rule
        elif command:
            assert re.findall(r'code\("([\w.]+)"', rule) == [command[1]], rule
        found |= {command[1]} if command else set()
    # The two ways to obtain a file are in a parameter. A changed downloader must not download again what a checksum
    # vouches for.
    # Two commands are for people, before any run.
    assert found | {"obtain", "sdist", "inspect", "check"} == set(COMMANDS)

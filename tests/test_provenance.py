"""The digest changes with the code that a command runs, and with nothing else; the commit is the project's own."""

import re
import shutil
import subprocess
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
    return [provenance.digest_code(f"natural_sparsity.{name}") for name in ("probe", "draw")]


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


def test_imports_are_found_in_every_statement_that_can_hold_them():
    lines = ["import natural_sparsity.m0", "def f():", " import natural_sparsity.m1", "class A:", " def g(self):"]
    lines += ["  async def h():", "   import natural_sparsity.m2", "if f:", " import natural_sparsity.m3", "elif A:"]
    lines += [
        " import natural_sparsity.m4",
        "else:",
        " import natural_sparsity.m5",
        "try:",
        " import natural_sparsity.m6",
    ]
    lines += ["except E:", " import natural_sparsity.m7", "else:", " import natural_sparsity.m8", "finally:"]
    lines += [" import natural_sparsity.m9", "with f():", " import natural_sparsity.m10", "for x in f:"]
    lines += [" import natural_sparsity.m11", "else:", " import natural_sparsity.m12", "while f:"]
    lines += [" import natural_sparsity.m13", "match f:", " case 1:", "  import natural_sparsity.m14"]
    lines += ["try:", " pass", "except* E:", " import natural_sparsity.m15"]
    _, modules, _ = provenance.parse_module("\n".join(lines))
    assert sorted(modules) == sorted(f"natural_sparsity.m{number}" for number in range(16))


def test_the_real_commands():
    train = provenance.read_imported_code("natural_sparsity.training.train")
    assert {"natural_sparsity.model.output_layer", "natural_sparsity.data.held_out"} <= set(train)
    assert not any(name.startswith(("natural_sparsity.probing", "natural_sparsity.figures")) for name in train)
    assert "natural_sparsity.model.recurrent" in provenance.read_imported_code("natural_sparsity.probing.probe")


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
        others = modules & set(provenance.read_imported_code(module)) - {module}
        assert others <= {"natural_sparsity.methods.gradual"}, module


@pytest.mark.parametrize("command", ["initialise", "train", "probe", "sparsify"])
def test_what_trains_depends_on_no_kind_of_data_and_no_method(command):
    """The rules add the digests of those that a run has."""
    modules = provenance.read_imported_code(f"natural_sparsity.{COMMANDS[command][0]}")
    found = {f"natural_sparsity.{module}" for module in (*REGISTERED["data"], *REGISTERED["methods"])}
    settings = ("natural_sparsity.config.data.", "natural_sparsity.config.methods.")
    assert not found & set(modules)
    assert not [name for name in modules if name.startswith(settings)]


@pytest.mark.parametrize("module", ["registry", "errors", "files", "training.saves", "figures.draw", "tables.tabulate"])
def test_what_finds_and_writes_does_not_count(module):
    """One more entry re-digests nothing."""
    for command in ("training.train", "figures.fig2", "tables.lottery"):
        assert f"natural_sparsity.{module}" not in provenance.read_imported_code(f"natural_sparsity.{command}")


def test_a_misspelt_module_is_refused():
    for name in ("probing.prob", "natural_sparsity.probing.prob"):
        with pytest.raises(UserError, match=r"natural_sparsity\.probing\.prob: no such module"):
            provenance.digest_code(name)


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
    # Three commands are for people, before and after runs.
    assert found | {"obtain", "sdist", "inspect", "check", "experiments"} == set(COMMANDS)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in a git repository of its own, with one commit."""
    for name in provenance.REPOSITORY:
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    (folder / "src/natural_sparsity").mkdir(parents=True)
    (folder / "src/natural_sparsity/__init__.py").write_text("")
    (folder / "workflow").mkdir()
    (folder / "Snakefile").write_text("")
    (folder / ".gitignore").write_text("__pycache__/\n")
    make_repository(folder)
    return folder


def git(folder, *arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_repository(folder):
    git(folder, "init")
    git(folder, "add", ".")
    git(folder, "commit", "--message", "First")


def found(project, package=None):
    return provenance.find_commit(project, package or project / "src/natural_sparsity")


def head(folder):
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_a_clean_repository_gives_only_its_commit(project, tmp_path):
    (project / "src/natural_sparsity/__pycache__").mkdir()
    (project / "src/natural_sparsity/__pycache__/a.pyc").write_text("")
    (project / "my-text.txt").write_text("what no code reads is no change of it")
    assert found(project) == head(project)
    (tmp_path / "link").symlink_to(project)
    assert found(tmp_path / "link") == head(project)


def test_a_worktree_and_a_submodule_are_repositories_of_their_own(project, tmp_path):
    git(project, "worktree", "add", "--detach", tmp_path / "worktree")
    assert found(tmp_path / "worktree") == head(project)
    around = tmp_path / "around"
    around.mkdir()
    git(around, "init")
    git(around, "-c", "protocol.file.allow=always", "submodule", "add", project, "inner")
    assert found(around / "inner") == head(project)


@pytest.mark.parametrize("path", ["src/natural_sparsity/mine.py", "workflow/mine.smk", "Snakefile"])
def test_a_changed_or_new_file_of_code_makes_a_commit_dirty_and_the_digest_tells_which(project, path):
    (project / path).write_text("a = 1\n")
    first = found(project)
    assert re.fullmatch(f"{head(project)}-dirty, code [0-9a-f]{{16}}", first)
    assert found(project) == first
    (project / path).write_text("a = 2\n")
    assert found(project) != first


def test_settings_of_git_do_not_hide_a_new_file(project):
    git(project, "config", "status.showUntrackedFiles", "no")
    (project / "src/natural_sparsity/mine.py").write_text("")
    assert "-dirty" in found(project)


def test_a_release_inside_another_repository_does_not_take_its_commit(project, monkeypatch):
    shutil.rmtree(project / ".git")
    assert re.fullmatch("unknown: no repository, code [0-9a-f]{16}", found(project))
    make_repository(project.parent)
    assert re.fullmatch("unknown: no repository of its own, code [0-9a-f]{16}", found(project))
    # git sets them for the commands that its hooks run.
    monkeypatch.setenv("GIT_DIR", str(project.parent / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(project))
    assert "unknown: no repository of its own" in found(project)


def test_variables_that_name_another_repository_are_ignored(project, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    (other / "a").write_text("")
    make_repository(other)
    commit = head(project)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert found(project) == commit


def test_the_reason_is_given_when_git_fails(project, monkeypatch):
    empty = project.parent / "empty"
    empty.mkdir()
    git(empty, "init")
    assert "unknown: git says: " in found(empty, project)
    # As if another user owned the folder.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("HOME", str(project))
    assert "unknown: git says: detected dubious ownership in repository" in found(project)
    monkeypatch.setenv("PATH", str(project))
    assert found(project).startswith("unknown: git is not installed, code ")


@pytest.mark.parametrize("place", ["site-packages", "project/.venv/lib"])
def test_a_package_from_elsewhere_is_named(project, place):
    other = project.parent / place / "natural_sparsity"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("")
    (project / ".gitignore").write_text(".venv/\n")
    git(project, "commit", "--all", "--message", "Second")
    told = f"{head(project)}, but the package that runs is in {re.escape(str(other))}, code [0-9a-f]{{16}}"
    assert re.fullmatch(told, found(project, other))

"""What a product was made with: a digest of the code that a command runs, and the commit that is checked out.

Snakemake sees a changed rule, not a changed module behind it. So each rule has this digest among its parameters, and
a step whose code changed runs again, with all that depends on it; comments and docstrings do not count.
"""

import ast
import hashlib
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

from natural_sparsity.errors import UserError

PACKAGE = "natural_sparsity"
# The fields of a statement that hold statements, directly or inside handlers and cases.
BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
# Modules that write products, read blocks, report progress, or find kinds, methods, figures and tables by name. They do
# not change what is in a product, so a change to them must not retrain a model. What is found by name has its own
# digest among the rule's parameters.
LEFT_OUT = {
    f"{PACKAGE}.{name}"
    for name in (
        "errors",
        "files",
        "identity",
        "imports",
        "progress",
        "provenance",
        "registry",
        "settings",
        "subcommands",
        "training.saves",
    )
} | {f"{PACKAGE}.{name}" for name in ("config.base", "figures.draw", "tables.tabulate")}


def find_version(package: str) -> str:
    """The installed version of a package; "not installed" where the code runs from its folder, as on a bare machine."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def digest_code(module: str) -> str:
    """A digest (16 hexadecimal digits) of a module below the package, and of all that it imports from the package.

    Raises:
        UserError: there is no such module.
    """
    module = f"{PACKAGE}.{module.removeprefix(f'{PACKAGE}.')}"
    if not is_module(module):
        raise UserError(f"{module}: no such module; correct its name in the rule or in registry.py")
    digest = hashlib.sha256()
    for name, code in sorted(read_imported_code(module).items()):
        digest.update(f"{name}\n{code}\n".encode())
    return digest.hexdigest()[:16]


def read_imported_code(module: str) -> dict[str, str]:
    """The code of ``module`` and of all that it imports from the package, by name."""
    codes: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = find_spec(name) if name not in codes and name not in LEFT_OUT else None
        if spec is None or spec.origin is None:
            continue
        source = Path(spec.origin).read_text(encoding="utf-8") if name != PACKAGE else ""  # names for notebooks alone
        codes[name], modules, members = parse_module(source)
        waiting += [*modules, *(member for member in members if is_module(member))]
    return codes


@cache
def parse_module(source: str) -> tuple[str, list[str], list[str]]:
    """Code without comments and docstrings, the package's modules that it imports, and the names imported from them.

    Such a name may be a module too ("from package import name"). Cached, since most modules are imported by many.
    """
    tree = ast.parse(source)
    modules, members = [], []
    for node in walk_statements(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            modules.append(node.module)
            members += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names if alias.name.startswith(PACKAGE)]
        elif isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            strip_docstring(node)
    return ast.unparse(tree), modules, members


def walk_statements(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield a module and all statements in it: fewer nodes than ``ast.walk``, which goes through expressions too."""
    waiting: list[ast.AST] = [tree]
    for node in waiting:
        yield node
        waiting += chain.from_iterable(getattr(node, field, ()) for field in BLOCKS)


def is_module(name: str) -> bool:
    """Whether a dotted name below the package is a module, told from the files alone."""
    parent, _, last = name.rpartition(".")
    spec = find_spec(parent)
    folders = spec.submodule_search_locations if spec else None
    return any((Path(folder) / f"{last}.py").exists() or (Path(folder) / last).is_dir() for folder in folders or [])


def strip_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    """Remove the docstring of a module, a class or a function (a tree has no comments)."""
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:]


# Where code is. An untracked file here makes the commit dirty; elsewhere, it may be a text or an experiment.
CODE = ("Snakefile", "envs", "src", "workflow")
# Variables that point git to another repository than the folder's.
REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY")


def find_commit(project: str | Path, package: Path = Path(__file__).parent) -> str:
    """Return the commit of ``project`` (12 digits), with ``-dirty`` if files differ, or ``unknown:`` and the reason.

    If that does not identify the code that runs, a digest of the code follows, and the package's folder if it is not
    the project's own.
    """
    project, package = Path(project).resolve(), package.resolve()
    commit = read_commit(project)
    elsewhere = "" if package == project / "src" / PACKAGE else f", but the package that runs is in {package}"
    if commit.isalnum() and not elsewhere:
        return commit
    return f"{commit}{elsewhere}, code {digest_files(project, package)}"


def digest_files(project: Path, package: Path) -> str:
    """A digest (16 hexadecimal digits) of the names and bytes of all code: the project's workflow and the package."""
    digest = hashlib.sha256()
    for root, paths in (
        (project, [project / "Snakefile", *(project / "workflow").rglob("*")]),
        (package.parent, package.rglob("*")),
    ):
        for path in sorted(path for path in paths if path.is_file() and path.suffix != ".pyc"):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(root)} {content}\n".encode())
    return digest.hexdigest()[:16]


def read_commit(project: Path) -> str:
    """Return the commit of the repository whose top folder is ``project``, or ``unknown:`` and the reason."""
    try:
        if Path(ask_git(project, "rev-parse", "--show-toplevel")).resolve() != project:
            return "unknown: no repository of its own"
        commit = ask_git(project, "rev-parse", "--short=12", "HEAD")
        changed = ask_git(project, "status", "--porcelain", "--untracked-files=no")
        added = ask_git(project, "ls-files", "--others", "--exclude-standard", "--", *CODE)
    except UserError as error:
        return f"unknown: {error}"
    return f"{commit}-dirty" if changed or added else commit


def ask_git(folder: Path, *question: str) -> str:
    """Return what git prints in a folder; variables that name another repository are ignored.

    Raises:
        UserError: git is not installed, or does not answer.
    """
    environment = {name: value for name, value in os.environ.items() if name not in REPOSITORY}
    # Without optional locks, a job does not get in the way of a commit.
    command = ["git", "--no-optional-locks", "-C", str(folder), *question]
    try:
        answer = subprocess.run(
            command, env=environment | {"LC_ALL": "C"}, capture_output=True, encoding="utf-8", errors="replace"
        )
    except FileNotFoundError:
        raise UserError("git is not installed") from None
    if answer.returncode:
        reason = answer.stderr.partition("\n")[0].removeprefix("fatal: ")
        raise UserError("no repository" if reason.startswith("not a git repository") else f"git says: {reason}")
    return answer.stdout.rstrip("\n")

"""What a product was made with: a digest of the code that a command runs.

Snakemake sees a changed rule, not a changed module behind it. So each rule has this digest among its parameters, and
a step whose code changed runs again, with all that depends on it; comments and docstrings do not count.
"""

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from natural_sparsity.errors import UserError

PACKAGE = "natural_sparsity"
# How products are written, blocks are read, work is reported, and kinds, methods, figures and tables are found by name:
# none of it is in a product, so a change here, or one more method, must not train a model again. What is found by name
# has a digest of its own among the parameters of the rule.
LEFT_OUT = {
    f"{PACKAGE}.{name}"
    for name in ("errors", "files", "progress", "provenance", "registry", "settings", "subcommands", "training.saves")
} | {f"{PACKAGE}.{name}" for name in ("config.base", "figures.draw", "tables.tabulate")}


def code_digest(module: str) -> str:
    """A digest (16 hexadecimal digits) of a module below the package, and of all that it imports from the package.

    Raises:
        UserError: there is no such module.
    """
    module = f"{PACKAGE}.{module.removeprefix(f'{PACKAGE}.')}"
    if not is_module(module):
        raise UserError(f"{module}: no such module, so its code has no digest")
    digest = hashlib.sha256()
    for name, code in sorted(imported_modules(module).items()):
        digest.update(f"{name}\n{code}\n".encode())
    return digest.hexdigest()[:16]


def imported_modules(module: str) -> dict[str, str]:
    """The code of ``module`` and of all that it imports from the package, by name."""
    codes: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = find_spec(name) if name not in codes and name not in LEFT_OUT else None
        if spec is None or spec.origin is None:
            continue
        codes[name], modules, members = parse_module(Path(spec.origin).read_text(encoding="utf-8"))
        waiting += [*modules, *(member for member in members if is_module(member))]
    return codes


@cache
def parse_module(source: str) -> tuple[str, list[str], list[str]]:
    """Code without comments and docstrings, the package's modules that it imports, and the names imported from them.

    Such a name may be a module too ("from package import name"). Cached, since most modules are imported by many.
    """
    tree = ast.parse(source)
    modules, members = [], []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE):
            modules.append(node.module)
            members += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names if alias.name.startswith(PACKAGE)]
    return ast.unparse(without_docstrings(tree)), modules, members


def is_module(name: str) -> bool:
    """Whether a dotted name below the package is a module, told from the files alone."""
    parent, _, last = name.rpartition(".")
    spec = find_spec(parent)
    folders = spec.submodule_search_locations if spec else None
    return any((Path(folder) / f"{last}.py").exists() or (Path(folder) / last).is_dir() for folder in folders or [])


def without_docstrings(tree: ast.Module) -> ast.Module:
    """The tree without the docstrings of its module, classes and functions (comments are not in it anyway)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
    return tree

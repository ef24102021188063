"""Where a Python package is installed, told without importing anything."""

import site
import sys
from importlib.machinery import PathFinder
from pathlib import Path

# The name of a package at the top level: to find one below it, Python would import those above.
TOP_LEVEL = "^[A-Za-z_][A-Za-z0-9_]{0,99}$"


def find_package(name: str) -> Path | None:
    """Return the folder of an installed package; None if there is none of that name at the top level.

    Only the folders that packages are installed to are searched. What lies in the folder of a run or beside the
    Snakefile may come with somebody else's configuration, and Python would take it first.
    """
    folders = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
    # Of another environment, which a .pth file of this one adds.
    folders += [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    spec = PathFinder.find_spec(name, folders) if name.isidentifier() else None
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None

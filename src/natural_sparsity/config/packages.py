"""Find an installed Python package without importing anything."""

import site
import sys
from importlib.machinery import PathFinder
from pathlib import Path

# The name of a top-level package: to find a package inside another, Python would import the outer one.
TOP_LEVEL = "^[A-Za-z_][A-Za-z0-9_]{0,99}$"


def find_package(name: str) -> Path | None:
    """Return the folder of an installed package; None if there is none of that name at the top level.

    Only folders of installed packages are searched: a package in the run's folder or next to the Snakefile may come
    with somebody else's configuration, and Python would find it first.
    """
    folders = site.getsitepackages() + ([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])
    # Folders of another environment, which a .pth file adds.
    folders += [folder for folder in sys.path if Path(folder).name in ("site-packages", "dist-packages")]
    spec = PathFinder.find_spec(name, folders) if name.isidentifier() else None
    return Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None

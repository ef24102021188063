"""What a module imports, found in a new process."""

import subprocess
import sys
from collections.abc import Iterable

SCRIPT = """
import importlib, os, sys
libraries, *names = sys.argv[1:]
for name in libraries.split():
    importlib.import_module(name)
for name in names:
    if not os.fork():
        importlib.import_module(f"natural_sparsity.{name}")
        print(name, *sys.modules, flush=True)
        os._exit(0)
    assert os.wait()[1] == 0
"""


def import_each(names: Iterable[str], libraries: str = "pandas pyarrow.parquet") -> dict[str, set[str]]:
    """The modules that are there after each module of the package, named without it, was imported alone.

    ``libraries``: what all of them import, which takes most of the time; imported once.
    """
    command = [sys.executable, "-c", SCRIPT, libraries, *names]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {name: set(modules) for name, *modules in map(str.split, process.stdout.splitlines())}

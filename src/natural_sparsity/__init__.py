"""How sparsity emerges in a neural language model while it trains (after Saphra & Lopez 2019, arXiv 1908.01817).

``import natural_sparsity as ns`` offers the Python API: ``ns.open``, ``ns.sparsity``, ``ns.probe``, ``ns.plot``,
``ns.load``. Each is loaded when it is first used. docs/python.md shows them.
"""

import importlib
from typing import Any

# The module, and the name in it; no name for a module as a whole. __init__.pyi has the types.
API = {
    "open": ("natural_sparsity.api.results", "open_results"),
    "Results": ("natural_sparsity.api.results", "Results"),
    "sparsity": ("natural_sparsity.api.measuring", "sparsity"),
    "probe": ("natural_sparsity.api.measuring", "probe"),
    "load": ("natural_sparsity.model.exported", "load"),
    "plot": ("natural_sparsity.api.plot", ""),
    "UserError": ("natural_sparsity.errors", "UserError"),
}


def __getattr__(name: str) -> Any:
    """Load a name of the API when it is first used."""
    if name not in API:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, member = API[name]
    loaded = importlib.import_module(module)
    value = globals()[name] = getattr(loaded, member) if member else loaded
    return value


def __dir__() -> list[str]:
    """The API, for completion."""
    return sorted([*globals(), *API])

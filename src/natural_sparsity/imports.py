"""Import large libraries faster than plain imports do."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keep Python's garbage collector away from imports; this saves a third of the time to import torch and exit.

    Otherwise, the collector goes through all new modules again and again during the import and when the process ends,
    and finds nothing to free.
    """
    known, enabled = len(sys.modules), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > known:
            gc.freeze()
        if enabled:
            gc.enable()


def import_spacy() -> Any:
    """Import spaCy without torch, which spaCy's library thinc would import for models that nothing here uses."""
    with quick_imports():
        hidden = "torch" not in sys.modules
        if hidden:
            sys.modules["torch"] = None  # type: ignore[assignment]  # as if it were not installed
        try:
            import spacy
            import spacy.lang.en
        finally:
            if hidden:
                del sys.modules["torch"]
    return spacy

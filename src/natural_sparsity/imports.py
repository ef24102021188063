"""Import large libraries in less time than they take by themselves."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quick_imports() -> Iterator[None]:
    """Keep Python's collector of cycles away from what is imported: a third of the time to import torch, and to exit.

    The collector would go through all new modules again and again while they are imported, and when the process ends,
    and find nothing to free.
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
    """Import spaCy, but not torch: spaCy's library thinc would, for models of a kind that nothing here uses."""
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

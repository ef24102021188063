"""Choose the block sizes of a computation for each kind of processor: the fastest that were measured.

Sizes change the order of additions and so the last bits of a result. A model therefore keeps the sizes that it was
initialised with: its checkpoints hold them, and every epoch and probe uses them, on any CPU. A GPU has its own sizes.
To change the table, run ``benchmarks/tune.py --write``; existing models keep their sizes.
"""

import csv
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

VENDORS = {"GenuineIntel": "intel", "AuthenticAMD": "amd"}
TABLE = "tuning.csv"


class Blocks(NamedTuple):
    """How many logits one matrix product computes, and how many one pass takes at a time, to stay in the cache."""

    product: int
    chunk: int


class Tuning(NamedTuple):
    """The sizes of a model's computations.

    ``processor``: what they were chosen for. ``training`` and ``probe``: the output layer's blocks. ``probe_lstm``:
    what differentiates an LSTM by its input, the ``library`` or the ``steps`` of :mod:`natural_sparsity.probing.lstm`.
    """

    processor: str
    training: Blocks
    probe: Blocks
    probe_lstm: str

    def to_json(self) -> dict[str, Any]:
        """Return what a checkpoint's state holds."""
        return {**self._asdict(), "training": self.training._asdict(), "probe": self.probe._asdict()}

    @staticmethod
    def from_json(value: dict[str, Any]) -> "Tuning":
        """Return what :meth:`to_json` wrote. Raise TypeError, KeyError or AttributeError if it is something else."""
        blocks = {name: Blocks(**value[name]) for name in ("training", "probe")}
        return Tuning(**{**value, **blocks})


def choose(vocabulary: int, processor: str | None = None) -> Tuning:
    """Return the sizes for a vocabulary of this many words; ``processor``: ``cuda``, or by default this machine's."""
    processor = processor or find_processor()
    for row in read_table():
        if row["processor"] == processor and (not row["vocabulary"] or vocabulary <= int(row["vocabulary"])):
            return Tuning(
                processor,
                Blocks(int(row["block"]), int(row["chunk"])),
                Blocks(int(row["probe_block"]), int(row["probe_chunk"])),
                row["probe_lstm"],
            )
    raise LookupError(f"{TABLE} has no row for {processor}")


@cache
def read_table() -> list[dict[str, str]]:
    """Read the committed table. A row holds up to its ``vocabulary``; use the first that fits."""
    return list(csv.DictReader((files(__package__) / TABLE).read_text(encoding="utf-8").splitlines()))


@cache
def find_processor() -> str:
    """Return the vendor of this machine's processor: ``intel``, ``amd`` or ``other``."""
    try:
        information = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "other"
    return next((name for vendor, name in VENDORS.items() if vendor in information), "other")

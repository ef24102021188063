"""A dry run of Snakemake waits for no library that only jobs need, and a command only for the blocks that it takes."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "spacy", "matplotlib", "seaborn", "pandas", "numpy", "scipy", "jsonschema"}


def imported(module):
    code = f"import sys, natural_sparsity.{module}; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(output.split())


def test_validation_imports_no_heavy_library():
    assert imported("config.validation") & HEAVY == set()


@pytest.mark.parametrize(
    ("module", "ours"),
    [
        ("config.training", {"config.training"}),
        ("config.architecture", {"config.architecture"}),
        ("config.statistics", {"config.statistics"}),
        ("config.style", {"config.style"}),
        ("config.probe", {"config.probe", "config.training", "registry"}),
        (
            "config.methods.gradual",
            {"config.methods", "config.data", "config.data.base"}
            | {f"config.methods.{name}" for name in ("base", "gradual", "pruning")},
        ),
        ("config.data.addition", {"config.data", "config.data.base", "config.data.generated", "config.data.addition"}),
    ],
)
def test_a_block_can_be_imported_alone(module, ours):
    known = {
        name.removeprefix("natural_sparsity.") for name in imported(module) if name.startswith("natural_sparsity.")
    }
    assert known == {"config", "config.base", "errors", *ours}

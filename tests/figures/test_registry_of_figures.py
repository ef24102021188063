"""Every figure says what it shows and needs, and its code is its own."""

import re
import subprocess
import sys

import pytest

from fresh_imports import import_each
from natural_sparsity import registry
from natural_sparsity.cli import main

pytestmark = pytest.mark.integration  # seconds each: left to make test

MODULES = sorted(set(registry.FIGURES.values()))
NEEDS_TORCH = {"figures.connectivity", "figures.network"}
NO_INPUT = {"architecture", "chi"}


@pytest.mark.parametrize("name", registry.FIGURES)
def test_every_figure_names_its_required_inputs(name, capsys):
    with pytest.raises(SystemExit):
        main(["draw", name, "--help"])
    module = registry.load(registry.FIGURES[name])
    assert " ".join(module.SUMMARY.split()[:4]) in " ".join(capsys.readouterr().out.split())
    if name not in NO_INPUT:
        with pytest.raises(SystemExit):
            main(["draw", name, "--output", "nowhere"])
        assert re.search("required: --", capsys.readouterr().err)


def test_a_figure_imports_no_other_figure_and_only_two_wait_for_torch():
    found = import_each(MODULES, "pandas pyarrow.parquet matplotlib.figure matplotlib.ticker")
    assert list(found) == MODULES
    for module, modules in found.items():
        assert [other for other in MODULES if f"natural_sparsity.{other}" in modules] == [module]
        assert ("torch" in modules) == (module in NEEDS_TORCH), module


def test_a_figure_that_is_not_there_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["draw", "fig9", "--output", "nowhere"])
    assert "fig9" in capsys.readouterr().err


def test_the_list_of_figures_waits_for_none_of_them():
    code = (
        "import argparse, sys; from natural_sparsity.figures import draw;"
        " draw.add_arguments(argparse.ArgumentParser());print(*sys.modules)"
    )
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {f"natural_sparsity.{module}" for module in MODULES} & set(modules)

"""The package installed from a checkout, as others install it, and its workflow used from another folder."""

import os
import shutil
import subprocess
import sys
import venv

import pytest
from harness import ROOT, TINY

pytestmark = pytest.mark.slow


def test_a_copy_that_is_installed_runs_from_another_folder(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("src", "workflow", "profiles", "envs"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("Snakefile", "config.yaml", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    # Dependencies, which take minutes to download, are those that the tests run with.
    [packages] = (tmp_path / "venv/lib").glob("python*/site-packages")
    # Older Pythons bring a setuptools of their own, which would hide the locked one.
    for old in packages.glob("setuptools*"):
        shutil.rmtree(old)
    others = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others) + "\n")
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--force-reinstall",
        source,
    ]
    subprocess.run(install, check=True, env=variables)
    code = "import natural_sparsity; print(natural_sparsity.__file__)"
    where = subprocess.run([python, "-c", code], cwd=folder, env=variables, capture_output=True, text=True, check=True)
    assert where.stdout.strip().startswith(str(packages))
    command = [python, "-m", "snakemake", "--snakefile", source / "Snakefile", "--directory", folder, "--cores", "2"]
    command += ["training", "--configfile", TINY]
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    assert list(folder.glob("results/experiments/tiny/*/*/figures/training.png"))

"""A run gives the same bytes whatever processors it sees or is given, and whatever the environment says of threads."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT, TINY

# What differs between any two runs: times, where they are recorded.
TIMES = re.compile(rb'"(wall_time_s|digest|cores)": [^\n,]+')
LEFT_OUT = {"logs", "benchmarks"}
ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT"), "3")
ONE_PROCESSOR = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
needs_taskset = pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")


def make(folder: Path, cores: int, *prefix: str) -> dict[str, bytes]:
    """The tiny run's products, by path."""
    command = [*prefix, str(Path(sys.executable).with_name("snakemake")), "--snakefile", str(ROOT / "Snakefile")]
    command += ["all", "explorer", "--directory", str(folder), "--cores", str(cores), "--configfile", str(TINY)]
    process = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert process.returncode == 0, process.stderr[-5000:]
    return {
        str(path.relative_to(folder)): TIMES.sub(b"", path.read_bytes())
        for path in sorted((folder / "results").rglob("*"))
        if path.is_file() and not LEFT_OUT & set(path.relative_to(folder).parts)
    }


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name in one if one[name] != other[name] and not measures_time(name)]


def measures_time(name: str) -> bool:
    """Whether a product says how fast something was; the page of the provenance does, too."""
    return bool(re.search(r"/(footprint|speedup|provenance|structure)\.\w+$", name))


@pytest.mark.slow
@needs_taskset
def test_one_and_two_processors_and_any_cores_give_the_same_bytes(tmp_path):
    first = make(tmp_path / "one", 1, *ONE_PROCESSOR)
    for cores in (2, 4):
        assert differing(first, make(tmp_path / f"cores{cores}", cores)) == []


@pytest.mark.slow
@needs_taskset
def test_machine_and_environment_do_not_change_the_threads_of_a_command(finished, tmp_path):
    """By hand: Snakemake sets some of these variables itself."""
    results, products = finished.folder / "results", []
    probes = sorted(map(str, results.glob("runs/tiny/small/seed1/epoch*/frozen.parquet")))
    for number, (prefix, variables) in enumerate([(ONE_PROCESSOR, {}), ([], {}), ([], ENVIRONMENT)]):
        output = [str(tmp_path / f"{number}.{name}") for name in ("correlations", "differences")]
        command = [*prefix, sys.executable, "-m", "natural_sparsity", "correlate", "--probes", *probes]
        command += ["--words", f"{results}/data/tiny/words.parquet"]
        command += ["--correlations", output[0], "--differences", output[1]]
        environment = {name: value for name, value in os.environ.items() if not name.endswith("_THREADS")}
        subprocess.run(command, env=environment | variables, check=True)
        products.append([Path(path).read_bytes() for path in output])
    assert products[0] == products[1] == products[2]

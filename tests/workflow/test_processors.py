"""A run gives the same bytes whatever processors it sees or is given, and whatever the environment says of threads."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import differing, products

ENVIRONMENT = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT"), "3")
ONE_PROCESSOR = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
needs_taskset = pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")


@pytest.mark.slow
@needs_taskset
@pytest.mark.parametrize("cores", [1, 4])
def test_one_processor_and_any_cores_give_the_same_bytes(fresh, finished, cores):
    """One job at a time on one processor, or four, against two on all that there are."""
    process = fresh.snakemake(cores=cores, prefix=ONE_PROCESSOR)
    assert process.returncode == 0, process.stderr[-5000:]
    expected = products(finished.folder)
    assert differing(fresh.folder, expected) == []
    assert products(fresh.folder).keys() == expected.keys()


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

"""Every benchmark runs, at a size that takes seconds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted(path.stem for path in Path(__file__).parents[1].glob("benchmarks/*.py") if path.stem != "common")


@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_tiny_benchmark_leaves_its_results(name, tmp_path):
    if name == "explorer" and not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        pytest.skip("no Chromium is installed; on Debian: apt-get install chromium")
    script = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    command = [sys.executable, str(script), "--tiny", "--output", str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    results = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert results
    assert all(result["machine"] and result["versions"] for result in results)

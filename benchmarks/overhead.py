"""What the workflow costs beside the work: planning fifty epochs on the sample, and each job's start-up."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import arguments, report

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FIFTY = "runs: [{corpus: sample, model: lstm, seeds: [1], epochs: 50}]"


def seconds(command: list[str], repeats: int) -> float:
    """Median wall time of a command."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    args = arguments(__doc__, repeats=3, run="results/sample/lstm/seed1")
    states = [json.loads(path.read_text()) for path in (ROOT / args.run).glob("epoch*/state.json")]
    if not states:
        sys.exit(f"overhead: {args.run} has no epochs to compare with; make run first")
    with tempfile.TemporaryDirectory() as folder:
        fifty = Path(folder, "fifty.yaml")
        fifty.write_text(FIFTY)
        plan = seconds([f"{BIN}/snakemake", "-n", "--directory", folder, "--configfile", str(fifty)], args.repeats)
    python = seconds([sys.executable, "-c", "pass"], args.repeats)
    starts = {
        name: seconds([f"{BIN}/natural-sparsity", name, "--help"], args.repeats)
        for name in ("filter", "sentences", "tag", "train", "probe", "correlate", "draw")
    }
    work = statistics.median(state["wall_time_s"] for state in states)
    epoch = work + starts["train"]
    report(
        "overhead",
        ours=work,
        reference=epoch,
        unit="s an epoch: work, work with start-up",
        plan_50_epochs_s=plan,
        python_s=python,
        **{f"start_{name}_s": value for name, value in starts.items()},
    )


if __name__ == "__main__":
    main()

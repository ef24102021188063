"""What the workflow adds to the work: planning fifty epochs, and each job's start-up."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import BIN, ROOT, RUN, TINY, arguments, report, snakemake

FIFTY = "runs: [{data: sample, model: lstm, seeds: [1], epochs: 50}]"


def seconds(command: list[str], repeats: int) -> float:
    """Median wall time of a command."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True, cwd=ROOT)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def work_of_epochs(run: Path) -> list[float]:
    """Seconds of training in each finished epoch of a run."""
    states = [json.loads(path.read_text()) for path in run.glob("epoch*/state.json")]
    return [state["wall_time_s"] for state in states]


def main() -> None:
    args = arguments(__doc__, {}, repeats=3, run=RUN)
    with tempfile.TemporaryDirectory() as folder:
        run, configuration = ROOT / args.run, Path(folder, "fifty.yaml")
        configuration.write_text(FIFTY)
        if args.tiny:
            run, configuration = Path(folder, "results/runs/tiny/small/seed1"), TINY
            target = str(run.relative_to(folder) / "epoch1/state.json")
            seconds([*snakemake(folder, "--cores", "1", target, "--configfile", str(TINY))], 1)
        if not (epochs := work_of_epochs(run)):
            sys.exit(f"overhead: {run} has no finished epoch; run `make run` first")
        plan = seconds(snakemake(folder, "-n", "--configfile", str(configuration)), args.repeats)
    python = seconds([sys.executable, "-c", "pass"], args.repeats)
    starts = {
        name: seconds([f"{BIN}/natural-sparsity", name, "--help"], args.repeats)
        for name in ("filter", "sentences", "tag", "train", "probe", "correlate", "draw")
    }
    work = statistics.median(epochs)
    epoch = work + starts["train"]
    report(
        args.output,
        "overhead",
        ours=work,
        reference=epoch,
        unit="s per epoch: work, work with start-up",
        plan_s=plan,
        python_s=python,
        **{f"start_{name}_s": value for name, value in starts.items()},
    )


if __name__ == "__main__":
    main()

"""Timing ours and a reference in turn, in one process, and keeping the result as JSON."""

import argparse
import json
import os
import platform
import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[1] / "results/benchmarks"


def arguments(description: str, **defaults: int | str) -> argparse.Namespace:
    """A benchmark's options: ``--repeats``, ``--threads`` and ``defaults``."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    for name, value in {"repeats": 5, "threads": os.cpu_count() or 1, **defaults}.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default {value}")
    return parser.parse_args()


def in_turn(repeats: int, **functions: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each function, called in turn ``repeats`` times after one call that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for repeat in range(repeats + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


class PeakMemory:
    """The highest anonymous resident memory, MiB, in a block, and what it was before.

    Mapped files, which the system may drop, do not count.
    """

    def __enter__(self) -> "PeakMemory":
        self.before, self.peak, self.running = self.now(), 0.0, True
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self) -> None:
        while self.running:
            self.peak = max(self.peak, self.now())
            time.sleep(0.002)

    @staticmethod
    def now() -> float:
        """Anonymous resident memory, MiB."""
        return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) / 1024

    def __exit__(self, *_: object) -> None:
        self.running = False
        self.thread.join()


def report(name: str, *, ours: float, reference: float, unit: str, **details: Any) -> None:
    """Print and store one comparison. ``ratio`` is ours over the reference, in ``unit``; rates, so more is better."""
    result = {"name": name, "ours": ours, "reference": reference, "ratio": ours / reference, "unit": unit, **details}
    result |= {"machine": machine(), "date": datetime.now(UTC).isoformat(timespec="seconds")}
    result["versions"] = {package: version(package) for package in ("torch", "numpy", "spacy", "snakemake")}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n")
    more = "".join(
        f"  {key} {value:.3g}" if isinstance(value, float) else f"  {key} {value}" for key, value in details.items()
    )
    print(
        f"{name}: ours {ours:,.4g}, reference {reference:,.4g} {unit}: {ours / reference:.2f} times{more}", flush=True
    )


def machine() -> str:
    """The processor, its cores, and the GPU if there is one."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        cpu = names[0] if names else cpu
    import torch

    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{cpu}, {os.cpu_count()} cores{gpu}"

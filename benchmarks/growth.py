"""Measure how time and memory of each stage grow with the text: ``python benchmarks/growth.py FILE...``.

The workflow runs on the first 1, 2, 4 and 6 files, each time in its own folder, so that sizes that are done are
skipped. Times and peaks are Snakemake's own (``benchmark:`` in the rules). Lines fitted to them give what the paper's
text and all of Wikipedia would take. docs/scaling.md has the results.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import yaml
from common import RESULTS, excerpt, parse, snakemake, write
from scipy.optimize import brentq, nnls

DATA = "results/data/growth"
TEXT = [f"{DATA}/words.parquet", f"{DATA}/summary.json"]
TARGETS = [*TEXT, "results/experiments/growth/growth/lstm/seed1/frozen/correlations.parquet"]

# What the time of a stage grows with, besides the start of its jobs; and what its memory grows with. Rules that take
# moments at any size (split, vocabulary, words, initialise) have no benchmark.
GROWS_WITH: dict[str, tuple[list[str], str | None]] = {
    "documents": (["tokens"], "documents"),
    "sentences": (["tokens"], "cached types of a shard"),
    "index": (["tokens"], "types of a shard"),
    "filter": (["tokens"], "types"),
    "encode": (["tokens"], "types"),
    # It holds the distinct words of a block.
    "tag": (["training tokens"], None),
    # Part of the work for a token is in the LSTMs; the rest grows with the vocabulary.
    "train": (["training tokens", "training tokens × vocabulary"], "vocabulary"),
    "probe": (["training tokens", "training tokens × vocabulary"], "vocabulary"),
    "correlate": (["vocabulary"], "vocabulary"),
}
IN_SHARDS = ("sentences", "index", "tag")
OF_EPOCHS = ("train", "probe")
# Tagging is not among them: only correlations wait for tagged words.
BEFORE_TRAINING = ("documents", "sentences", "index", "filter", "encode")
CACHED_TYPES = 300_000  # that the tokeniser keeps (docs/performance.md)
EPOCHS = 50
TRAINED = 0.7  # of the tokens, by the split

# The paper's training tokens and vocabulary, and its min_count.
PAPER = {"training tokens": 227e6, "vocabulary": 19_500}
MIN_COUNT = 100
# Wikipedia's statistics count 4.5 billion words in April 2024, those of tables and references included; the dump of
# January 2020 in experiments/wikipedia.yaml has fewer articles.
WIKIPEDIA_TOKENS = 3e9

Sizes = Mapping[str, float]
# Of each stage: how many jobs, the seconds of all together, and the MiB of the largest.
Stages = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Machines:
    """Machines that run ``workers`` jobs at a time, each after waiting ``wait`` seconds; text has as many shards."""

    name: str
    workers: int
    wait: float = 0
    gpus: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", help="a corpus in any format; --tiny has one of its own")
    parser.add_argument("--sizes", nargs="+", type=int, default=[1, 2, 4, 6], help="numbers of files")
    parser.add_argument("--folder", type=Path, default=RESULTS / "growth", help="where the workflow runs")
    parser.add_argument("--text-only", action="store_true", help="neither train nor probe")
    parser.add_argument(
        "--gpu-train-tokens-per-s", type=float, help="at the paper's vocabulary; benchmarks/training.py"
    )
    parser.add_argument("--gpu-probe-tokens-per-s", type=float, help="the same; benchmarks/probe.py")
    parser.add_argument("--slurm-wait-s", type=float, default=15, help="before and after a job (docs/cluster.md)")
    tiny = {"sizes": [1, 2], "documents_per_file": 12, "min_count": 2, "hidden": 8, "matched_size": 10, "cores": 1}
    args = parse(parser, tiny, cores=2, min_count=20, matched_size=80, hidden=200, documents_per_file=0)
    if args.tiny:
        args.folder = args.output / "growth"
    files = args.files or [str(excerpt())] * (max(args.sizes) if args.tiny else 0)
    if max(args.sizes) > len(files):
        parser.error(f"give at least {max(args.sizes)} files of a corpus, or other --sizes")
    if len(set(args.sizes)) < 2:
        parser.error("--sizes: a line needs two sizes at least")
    if (args.gpu_train_tokens_per_s is None) != (args.gpu_probe_tokens_per_s is None):
        parser.error("give both --gpu-train-tokens-per-s and --gpu-probe-tokens-per-s, or neither")
    measured = []
    for size in args.sizes:
        folder = args.folder / f"files-{size}"
        run(folder, configuration(files[:size], args), args)
        measured.append(measure(folder))
    result = extrapolate(measured, args)
    write(args.output, "growth", result)
    page = "\n".join(describe(result))
    (args.output / "growth.md").write_text(page, encoding="utf-8")
    print(page)


# Measure.


def configuration(files: Sequence[str], args: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration: one epoch and its probe on the files, one shard per core."""
    data = {
        "source": {"path": sorted({str(Path(file).resolve()) for file in files})},
        "shards": args.cores,
        "min_count": args.min_count,
        "tagging": {"min_tagged": args.min_count, "matched_size": args.matched_size},
        "max_documents": args.documents_per_file * len(files) or None,
    }
    architecture = {"embedding": args.hidden, "hidden": [args.hidden, args.hidden]}
    return {
        "name": "growth",
        "data": {"growth": data},
        "models": {"lstm": {"architecture": architecture}},
        "runs": [{"data": "growth", "model": "lstm", "seeds": [1], "epochs": 1}],
        "device": "cpu",
    }


def run(folder: Path, configuration: Mapping[str, Any], args: argparse.Namespace) -> None:
    """Run the workflow in a folder, or what is left of it."""
    folder.mkdir(parents=True, exist_ok=True)
    file, text = folder / "growth.yaml", yaml.safe_dump(dict(configuration))
    if file.exists() and file.read_text(encoding="utf-8") != text:  # its shards and their times would count too
        sys.exit(f"growth: {folder} has a run with other settings; delete it, or give another --folder")
    file.write_text(text, encoding="utf-8")
    targets = TEXT if args.text_only else TARGETS
    options = [
        "--cores",
        str(args.cores),
        "--set-threads",
        "probe=1",
        "--rerun-incomplete",
        "--configfile",
        str(file.resolve()),
        "--quiet",
        "rules",
    ]
    if subprocess.run(snakemake(folder, *options, "--", *targets), check=False).returncode:
        sys.exit(f"growth: the workflow failed in {folder}; Snakemake says why above")


def measure(folder: Path) -> dict[str, Any]:
    """Return what a run read and kept, and what each of its stages took."""
    account = json.loads((folder / DATA / "accounts/documents.json").read_text())
    summary = json.loads((folder / DATA / "summary.json").read_text())
    filtered = summary["account"]["filter"]
    shards = [pq.read_metadata(path).num_rows for path in (folder / DATA / "index").glob("*.types.parquet")]
    thresholds = pd.read_parquet(folder / DATA / "thresholds.parquet")
    sizes = {
        "tokens": summary["tokens"],
        "documents": summary["documents"],
        "repeated documents": account["skipped"].get("repeated", 0),
        "types": filtered["before"]["types"],
        "types of a shard": max(shards),
        "kept tokens": filtered["after"]["tokens"],
        "vocabulary": summary["vocabulary"],
        "training tokens": summary["train_tokens"],
        "shards": len(shards),
    }
    return {"sizes": sizes, "thresholds": thresholds.to_dict("records"), "stages": read_benchmarks(folder)}


def read_benchmarks(folder: Path) -> Stages:
    """Seconds of each stage, all its jobs together, and the peak of resident memory of its largest job, MiB.

    Snakemake writes no memory for a job that ends before its first sample of it. Where it did so for all jobs of
    a stage, the peak is NaN.
    """
    stages: Stages = {}
    for path in sorted((folder / "results").rglob("benchmarks/**/*.tsv")):
        name = path.as_posix().split("/benchmarks/")[1].split("/")[0].removesuffix(".tsv")
        row = pd.read_csv(path, sep="\t").iloc[0]
        stage = stages.setdefault(name, {"jobs": 0, "seconds": 0, "mib": math.nan})
        stage["jobs"] += 1
        stage["seconds"] += float(row["s"])
        stage["mib"] = float(np.fmax(stage["mib"], row["max_rss"]))
    return {name: stages[name] for name in GROWS_WITH if name in stages}


# Fit.


def extrapolate(measured: list[dict[str, Any]], args: argparse.Namespace) -> dict[str, Any]:
    """The measurements, the lines through them, and what these give for larger texts."""
    first, last = measured[0], measured[-1]
    types = fit_power([m["sizes"]["tokens"] for m in measured], [m["sizes"]["types"] for m in measured])
    fits = {name: fit_stage(name, measured) for name in GROWS_WITH if all(name in m["stages"] for m in measured)}
    gpu = {"train": args.gpu_train_tokens_per_s, "probe": args.gpu_probe_tokens_per_s}
    machines = [Machines("2 cores", 2), Machines("16 cores", 16)]
    machines += [Machines(f"SLURM, {nodes} nodes", nodes, args.slurm_wait_s) for nodes in (8, 64, 512)]
    if all(gpu.values()):
        machines += [
            Machines("16 cores, a GPU", 16, gpus=1),
            Machines("SLURM, 64 nodes, 2 GPUs", 64, args.slurm_wait_s, 2),
        ]
    texts = {"the paper's text": as_in_paper(last), "English Wikipedia": keep(last, WIKIPEDIA_TOKENS, MIN_COUNT)}
    result: dict[str, Any] = {"measured": measured, "types": types, "fits": fits, "texts": {}}
    # How far off this rule is when applied to the smallest text to predict the largest.
    result["kept"] = {"expected": keep(first, last["sizes"]["tokens"], args.min_count), "measured": last["sizes"]}
    for name, sizes in texts.items():
        sizes["documents"] = sizes["tokens"] * last["sizes"]["documents"] / last["sizes"]["tokens"]
        sizes["types"] = raise_power(types, sizes["tokens"])
        plans = {m.name: plan(in_shards(sizes, m.workers, types), fits, m, gpu) for m in machines}
        result["texts"][name] = {"sizes": sizes, "machines": plans}
    return result


def fit_power(x: Sequence[float], y: Sequence[float]) -> dict[str, float]:
    """The power law through the points; ``residual`` is the largest relative one."""
    exponent, logarithm = np.polyfit(np.log(x), np.log(y), 1)
    law = {"factor": math.exp(logarithm), "exponent": float(exponent)}
    return law | {"residual": max(abs(raise_power(law, a) / b - 1) for a, b in zip(x, y, strict=True))}


def raise_power(law: Mapping[str, float], x: float) -> float:
    """The value of a power law."""
    return law["factor"] * x ** law["exponent"]


def fit_stage(name: str, measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The lines through the seconds and through the peaks of a stage.

    Jobs of shards have a part of the text each. Others have all of it, as the probes of two checkpoints do: of these,
    the line is that of one job.
    """
    terms, memory = GROWS_WITH[name]
    stages = [m["stages"][name] for m in measured]
    alike = [1 if name in IN_SHARDS else stage["jobs"] for stage in stages]
    jobs = [stage["jobs"] // n for stage, n in zip(stages, alike, strict=True)]
    sizes = [with_products(m["sizes"]) | {"jobs": n, "at least": 1} for m, n in zip(measured, jobs, strict=True)]
    return {
        "seconds": fit_line(["jobs", *terms], sizes, [s["seconds"] / n for s, n in zip(stages, alike, strict=True)]),
        "mib": fit_line(["at least", *([memory] if memory else [])], sizes, [stage["mib"] for stage in stages]),
    }


def fit_line(terms: list[str], sizes: Sequence[Sizes], values: Sequence[float]) -> dict[str, Any]:
    """Fit what each term adds, at least 0, by least squares of relative errors; ``residual`` is the largest.

    Values that were not measured (NaN) are left out; without any, the fit is NaN.
    """
    rows, measured = np.array([[size[term] for term in terms] for size in sizes], float), np.isfinite(values)
    if not measured.any():
        return {"factors": dict.fromkeys(terms, math.nan), "residual": math.nan}
    relative = rows[measured] / np.array(values)[measured, None]
    scale = relative.max(0)
    factors = nnls(relative / scale, np.ones(len(relative)))[0] / scale
    return {"factors": dict(zip(terms, factors.tolist(), strict=True)), "residual": abs(relative @ factors - 1).max()}


def with_products(sizes: Sizes) -> dict[str, float]:
    """The sizes, and what is derived from them."""
    cached = min(sizes["types of a shard"], CACHED_TYPES)
    product = sizes["training tokens"] * sizes["vocabulary"]
    return {**sizes, "cached types of a shard": cached, "training tokens × vocabulary": product}


# Extrapolate.


def keep(measured: Mapping[str, Any], tokens: float, min_count: float) -> dict[str, float]:
    """What the filter would leave of a larger text: its vocabulary, its tokens, those to train on.

    A word that occurs ``min_count`` times in ``tokens`` has the same share of its text as a word that occurs less often
    in the measured text. So what a lower ``min_count`` leaves of the measured text says what ``min_count`` leaves
    of the larger. A power law joins the measured values; beyond them, the last two are continued.
    """
    table = pd.DataFrame(measured["thresholds"])
    # At 1 nothing is dropped, whatever the text.
    table = table[(table["min_count"] > 1) & (table["types"] > 0)].sort_values("min_count", ascending=False)
    # By chance, a word that is counted m times is more likely to have a lower rate than a higher one.
    x = np.log(measured["sizes"]["tokens"] / (table["min_count"].to_numpy() - 0.5))
    at = math.log(tokens / (min_count - 0.5))
    dropped = math.exp(follow(at, x, np.log(1 - table["tokens"].to_numpy() / measured["sizes"]["tokens"])))
    vocabulary = math.exp(follow(at, x, np.log(table["types"].to_numpy())))
    kept = tokens * (1 - dropped)
    return {"tokens": tokens, "kept tokens": kept, "training tokens": TRAINED * kept, "vocabulary": vocabulary}


def follow(at: float, x: np.ndarray, y: np.ndarray) -> float:
    """Return the value at ``at`` of the line through the points; beyond them, its last piece goes on."""
    i = int(np.clip(np.searchsorted(x, at), 1, len(x) - 1))
    return float(y[i - 1] + (y[i] - y[i - 1]) * (at - x[i - 1]) / (x[i] - x[i - 1]))


def as_in_paper(measured: Mapping[str, Any]) -> dict[str, float]:
    """As much text as leaves the paper's training tokens at its ``min_count``, with its vocabulary."""
    wanted = PAPER["training tokens"]
    tokens = brentq(lambda n: keep(measured, n, MIN_COUNT)["training tokens"] - wanted, wanted, 100 * wanted)
    return {**keep(measured, float(tokens), MIN_COUNT), **PAPER}


def in_shards(sizes: Sizes, shards: int, types: Mapping[str, float]) -> dict[str, float]:
    """The sizes of a text and of its shards."""
    return {**sizes, "shards": shards, "types of a shard": raise_power(types, sizes["tokens"] / shards)}


def predict(fit: Mapping[str, Any], sizes: Sizes) -> float:
    """The value of a line."""
    return sum(factor * sizes[term] for term, factor in fit["factors"].items())


def plan(
    sizes: dict[str, float], fits: Mapping[str, Any], machines: Machines, gpu: Mapping[str, float | None]
) -> dict[str, Any]:
    """Seconds and MiB of each stage, and how long a model with its probes takes from text to correlations."""
    sizes, seconds, mib = {**with_products(sizes), "at least": 1}, {}, {}
    for name, fit in fits.items():
        jobs = int(sizes["shards"]) if name in IN_SHARDS else 1
        seconds[name] = predict(fit["seconds"], sizes | {"jobs": jobs}) / min(jobs, machines.workers) + machines.wait
        mib[name] = predict(fit["mib"], sizes)
        if name in OF_EPOCHS and machines.gpus:
            # Rates are at the paper's vocabulary. Most of the work is passes over logits, which are as wide.
            width = sizes["vocabulary"] / PAPER["vocabulary"]
            seconds[name] = sizes["training tokens"] * width / (gpu[name] or 1) + machines.wait
    parts = {
        "before training": sum(seconds[name] for name in BEFORE_TRAINING),
        "of it over all shards": sum(seconds[name] for name in BEFORE_TRAINING if name not in IN_SHARDS),
    }
    if "train" in seconds:
        parts["chain of epochs"] = EPOCHS * seconds["train"]
        work = EPOCHS * (seconds["train"] + seconds["probe"]) / (machines.gpus or machines.workers)
        parts["with probes"] = max(parts["chain of epochs"] + seconds["probe"], work)
        parts["total"] = parts["before training"] + parts["with probes"] + seconds["correlate"]
    return {"parts": parts, "seconds": seconds, "mib": mib}


# Describe.


def describe(result: Mapping[str, Any]) -> list[str]:
    """The results as a page of Markdown."""
    measured, fits, types = result["measured"], result["fits"], result["types"]
    columns = [f"{m['sizes']['tokens']:,} tokens" for m in measured]
    names = [name for name in measured[0]["sizes"] if name != "tokens"]
    lines = table(["Size", *columns], [[name, *(f"{m['sizes'][name]:,}" for m in measured)] for name in names])
    took = [[name, *(format_stage(m["stages"][name]) for m in measured)] for name in fits]
    lines += table(["Stage: s, MiB", *columns], took)
    laws = [
        [name, *format_line(fit["seconds"], 1e-6, "µs"), *format_line(fit["mib"], 2**-20, "B")]
        for name, fit in fits.items()
    ]
    lines += table(["Stage", "Seconds", "off by", "MiB", "off by"], laws)
    lines += [f"Types: {types['factor']:.3g} · tokens^{types['exponent']:.3f}, off by {types['residual']:.1%}.", ""]
    expected, found = result["kept"]["expected"], result["kept"]["measured"]
    pairs = (f"{expected[name]:,.0f} {name} expected, {found[name]:,} found" for name in ("vocabulary", "kept tokens"))
    lines += [f"From the first text to the last: {'; '.join(pairs)}.", ""]
    for name, text in result["texts"].items():
        plans = text["machines"]
        lines += [f"{name}: {', '.join(f'{value:,.0f} {size}' for size, value in text['sizes'].items())}.", ""]
        parts = next(iter(plans.values()))["parts"]
        lines += table(["Machines", *parts], [[m, *map(duration, p["parts"].values())] for m, p in plans.items()])
        stages = [
            [name, *(f"{duration(p['seconds'][name])}, {p['mib'][name]:,.0f}" for p in plans.values())] for name in fits
        ]
        lines += table(["Stage: time, MiB", *plans], stages)
    return lines


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    return [f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *rows]] + [""]


def format_stage(stage: Mapping[str, float]) -> str:
    """Format what a stage took: seconds, and MiB."""
    return f"{stage['seconds']:,.1f}, {stage['mib']:,.0f}"


def format_line(fit: Mapping[str, Any], unit: float, symbol: str) -> list[str]:
    """A line as text, and how far it is off."""
    terms = []
    for term, factor in fit["factors"].items():
        if term in ("jobs", "at least"):
            terms.append(f"{factor:.3g}" + " a job" * (term == "jobs"))
        elif "×" in term:
            terms.append(f"{1000 * factor / unit:.3g} {symbol} · {term} / 1,000")
        else:
            terms.append(f"{factor / unit:.3g} {symbol} · {term}")
    return [" + ".join(terms), f"{fit['residual']:.0%}"]


def duration(seconds: float) -> str:
    """Format seconds in a unit that suits them."""
    for unit, length in (("years", 365.25 * 86400), ("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


if __name__ == "__main__":
    main()

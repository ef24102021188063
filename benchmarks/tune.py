"""Find the block sizes that are fastest on this machine, for the table from which new models take them.

Prints the seconds of a training step and of a probe's window for every size, in turn, and the rows that follow from
them. ``--write`` puts these rows into the table, in place of those of the same processor.
"""

import argparse
import csv
import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import torch
from common import machine, parse, time_in_turn, write
from probe import our_pass, problem

from natural_sparsity import files
from natural_sparsity.model import tuning
from natural_sparsity.model.device import select_device
from natural_sparsity.model.tuning import Blocks, Tuning
from training import BATCH, WINDOW, models, our_runner, our_steps

# The sizes of the vocabularies to measure, and the number of words up to which each row then holds.
VOCABULARIES = {4_000: 8_192, 19_500: None}
BLOCKS, CHUNKS = (20, 21, 22, 23, 25), (16, 18, 20, 25)  # powers of two
LSTMS = ("steps", "library")
# Among sizes that are at most this much slower than the fastest, take the one that needs least memory.
NEARLY = 1.02


def training_step(vocabulary: int, blocks: Blocks) -> Callable[[], object]:
    """A training step at the paper's shape."""
    ours, _ = models(vocabulary, 0.2, torch.device("cpu"))
    ours.tuning = ours.tuning._replace(training=blocks)
    run, words = our_runner(ours), torch.randint(vocabulary, (WINDOW + 1, BATCH))
    return lambda: our_steps(run, [(words[:-1], words[1:])])


def probe_window(vocabulary: int, blocks: Blocks, lstm: str) -> Callable[[], object]:
    """A window of the probe of all tensors, on each thread."""
    model, windows = problem(vocabulary, BATCH, torch.device("cpu"))
    model.requires_grad_(False)
    model.tuning = model.tuning._replace(probe=blocks, probe_lstm=lstm)
    return lambda: our_pass(model, windows[:1] * torch.get_num_threads())


def find_least(repeats: int, functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the least seconds of each function: other load only adds to them."""
    return {name: min(seconds) for name, seconds in time_in_turn(repeats, **functions).items()}


def choose_fastest(seconds: dict[str, float], sizes: dict[str, tuple[Blocks, str]]) -> tuple[Blocks, str]:
    """Return the blocks and the LSTM that need least memory among those that are nearly the fastest."""
    fast = [name for name, value in seconds.items() if value <= NEARLY * min(seconds.values())]
    return min((sizes[name] for name in fast), key=lambda size: size[0])


def tune(vocabulary: int, repeats: int, blocks: list[Blocks]) -> tuple[Tuning, dict[str, dict[str, float]]]:
    """Return the best sizes for a vocabulary, and the least seconds of each size."""
    processor = tuning.find_processor()
    sizes = {f"{block.product:,} {block.chunk:,}": (block, "steps") for block in blocks}
    steps = find_least(repeats, {name: training_step(vocabulary, block) for name, (block, _) in sizes.items()})
    training, _ = choose_fastest(steps, sizes)
    probed = {f"{name} {lstm}": (block, lstm) for name, (block, _) in sizes.items() for lstm in LSTMS}
    windows = find_least(repeats, {name: probe_window(vocabulary, *size) for name, size in probed.items()})
    probe, lstm = choose_fastest(windows, probed)
    return Tuning(processor, training, probe, lstm), {"training": steps, "probe": windows}


def to_row(chosen: Tuning, limit: int | None) -> dict[str, object]:
    """Return a row of the table; it holds for up to ``limit`` words."""
    return {
        "processor": chosen.processor,
        "vocabulary": limit or "",
        "block": chosen.training.product,
        "chunk": chosen.training.chunk,
        "probe_block": chosen.probe.product,
        "probe_chunk": chosen.probe.chunk,
        "probe_lstm": chosen.probe_lstm,
        "date": datetime.now(UTC).date().isoformat(),
        "measured_on": machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="put the rows into the table")
    args = parse(parser, {"largest": 4_000, "blocks": 1}, repeats=5, threads=1, largest=19_500, blocks=len(BLOCKS))
    if args.write and args.largest < max(VOCABULARIES):
        parser.error(
            "--write: puts a row for every vocabulary into the table; measure all, without --tiny or --largest"
        )
    select_device("cpu", args.threads)
    pairs = [Blocks(1 << block, 1 << chunk) for block, chunk in itertools.product(BLOCKS[: args.blocks], CHUNKS)]
    pairs = [pair for pair in pairs if pair.chunk <= pair.product]
    rows, results = [], {}
    for vocabulary, limit in VOCABULARIES.items():
        if vocabulary <= args.largest:
            chosen, seconds = tune(vocabulary, args.repeats, pairs)
            for name, values in seconds.items():
                for size, value in values.items():
                    print(f"V {vocabulary} {name} {size}: {1000 * value:.1f} ms", flush=True)
            rows.append(to_row(chosen, limit))
            results[vocabulary] = {**seconds, "chosen": rows[-1]}
    for row in rows:
        print(json.dumps(row))
    write(args.output, f"tune-{args.threads}", {"sizes": results})
    if args.write:
        replace_rows(Path(tuning.__file__).with_name(tuning.TABLE), rows)


def replace_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Replace the rows of a processor in the table."""
    old = tuning.read_table()
    own = {row["processor"] for row in rows}
    with files.atomic(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows([*(row for row in old if row["processor"] not in own), *rows])


if __name__ == "__main__":
    main()

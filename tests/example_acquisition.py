"""What ``acquire`` writes of a made-up run. Any test can import this module."""

from pathlib import Path

import numpy as np
import pandas as pd

from example_products import describe_depth, write_probe, write_words
from natural_sparsity.cli import main

WORDS = 60
# Epoch and steps; a step is 70 tokens.
TIMES = {"init": (0, 0), "step16": (0, 16), "step128": (0, 128), "epoch1": (1, 1000), "epoch2": (2, 2000)}
STATISTICS = '{"resamples": 100}'


def write_acquisition(
    folder: Path, seed: int = 1, classes: bool = True, drop: float = 5.0, **metadata: str
) -> tuple[Path, Path]:
    """Both files of a seed, from probes in which frequent words are learnt first.

    Args:
        folder: where they go, as ``a1.parquet`` and ``q1.parquet`` for seed 1.
        seed: of the run.
        classes: whether words have a part of speech.
        drop: how far surprisal falls, in nats.
        metadata: of the probes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    counts = np.round(np.geomspace(3000, 2, WORDS)).astype(int)
    frame = pd.DataFrame({"id": range(WORDS), "word": [f"w{i}" for i in range(WORDS)], "count": counts})
    frame["pos_class"] = [("open", "closed")[i % 2] if classes else None for i in range(WORDS)]
    write_words(folder / "words.parquet", frame.astype({"pos_class": object}))
    index = pd.MultiIndex.from_product([range(WORDS), ["target", "input"], describe_depth(2)])
    keys = index.set_names(["id", "role", "tensor"]).to_frame(index=False)
    probes = []
    for name, (epoch, steps) in TIMES.items():
        learnt = 1 / (1 + np.exp(6 - np.log(1 + steps * counts / 50))) if steps else np.zeros(WORDS)
        surprisal = 9 - drop * learnt + 0.1 * rng.random(WORDS)
        chi = 0.08 * (1 + 0.3 * learnt[keys["id"]]) + 0.002 * rng.random(len(keys))
        numbers = {"chi_mean": chi, "l1_mean": 1.0, "l2_mean": 1 + rng.random(len(keys))}
        probe = keys.assign(**numbers, surprisal_mean=surprisal[keys["id"]])
        probes.append(write_probe(folder / f"p{seed}-{name}.parquet", probe, epoch, steps, seed=seed, **metadata))
    outputs = folder / f"a{seed}.parquet", folder / f"q{seed}.parquet"
    words = ["--probes", *map(str, probes), "--words", f"{folder}/words.parquet", "--statistics", STATISTICS]
    main(["acquire", *words, "--acquisition", str(outputs[0]), "--partials", str(outputs[1])])
    return outputs

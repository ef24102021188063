"""What the explorer's small run consists of."""

import numpy as np
import pandas as pd

from example_products import write_probe, write_state
from natural_sparsity import cli
from natural_sparsity.analysis.tensors import STATIC

TENSORS = ["h_e", "h_1", "h_2", "x", "grad_h_e", "grad_h_1", "grad_h_2", "grad_x"]
HOSTILE = ["<script>alert(1)</script>", "$x$", "&lt;b&gt;", '"quoted"', "</script>", "%{y}", "été", "日本"]
HOSTILE += ["__proto__", "constructor", "toString", "007", "1e3", "NA", "null", "true"]
WORDS = ["<unk>", "<eos>", "the", *HOSTILE, *(f"word{i}" for i in range(290))]
EPOCHS = [0, 1, 2, 3, 4, 5]  # 0 is the untrained model
LOWERED = [2, 4, 5]  # the epochs after which the rate fell; nothing was trained at that after the last
DROPS = [2, 4]
PROBE = {"weights": "frozen", "dropout": False, "batch": 40, "measures": ["chi"]}
NEVER, UNDEFINED = WORDS.index("word20"), WORDS.index("word30")


def write_inputs(folder, words, probes, seed=1, condition="frozen", **names) -> dict[str, list[str]]:
    """Write probes and states of a run, in another order than their epochs'; the arguments of ``pack``.

    ``names``: of the data and the model.
    """
    rate = 20.0
    run = {"data": "small", "model": "lstm", "seed": seed} | names
    name = f"{seed}-{condition}"
    for epoch, table in probes.items():
        after = rate / 4 if epoch in LOWERED else rate
        rates = {"learning_rate_in": rate, "learning_rate_out": after}
        losses = {"train_loss": 6 - epoch / 10 if epoch else None, "dev_loss": None}
        write_state(folder / f"{name}-{epoch}.json", **run, epoch=epoch, **rates, **losses)
        facts = {"condition": condition, "positions": 12345, "probe": PROBE}
        write_probe(folder / f"{name}-{epoch}.parquet", table, **run, epoch=epoch, **facts)
        rate = after
    return {
        "--probes": [f"{folder}/{name}-{epoch}.parquet" for epoch in reversed(EPOCHS)],
        "--checkpoints": [f"{folder}/{name}-{epoch}.json" for epoch in EPOCHS],
        "--words": [str(words)],
    }


def pack(inputs: dict[str, list[str]], output) -> None:
    """Run the command."""
    cli.main(["pack", *(part for name, values in inputs.items() for part in (name, *values)), "--output", str(output)])


def make_probes(words: pd.DataFrame, tensors=TENSORS) -> dict[int, pd.DataFrame]:
    """The probe of each epoch: χ rises with frequency, one word is never seen, one has no defined χ.

    The static gradient has target words only; surprisal is the same at every tensor.
    """
    random = np.random.default_rng(0)
    count = words["count"].to_numpy()
    tables = {}
    for epoch in EPOCHS:
        parts = []
        for r, role in enumerate(("target", "input")):
            for t, tensor in enumerate([*tensors, STATIC] if role == "target" else tensors):
                chi = 0.1 + 0.002 * epoch * (1 + t + r) * np.log(count) + random.normal(0, 0.004, len(words))
                part = pd.DataFrame({"id": words["id"], "role": role, "tensor": tensor, "count": count - r, "zeros": 1})
                part["surprisal_mean"] = 9 - epoch - r - 0.1 * np.log(count)
                part["chi_mean"], part["l1_mean"], part["l2_mean"] = chi, 10 / chi, 3 * chi
                part.loc[UNDEFINED, "chi_mean"], part.loc[UNDEFINED, "zeros"] = np.nan, count[UNDEFINED] - r
                parts.append(part.drop(index=NEVER))
        tables[epoch] = pd.concat(parts, ignore_index=True).astype({"role": "category", "tensor": "category"})
    return tables

"""Training and probe with products in bfloat16, against the same code in single precision; on a CPU."""

from collections.abc import Callable
from functools import partial

import torch
from common import arguments, in_turn, report
from probe import our_pass, problem

from natural_sparsity.model.device import select_device, set_precision
from training import BATCH, WINDOW, models, our_runner, our_steps

NAMES = {"ours": "medium", "reference": "highest"}


def run_at(precision: str, function: Callable[[], object]) -> None:
    """Call the function with matrix products at this precision."""
    set_precision(precision)
    function()


def main() -> None:
    args = arguments(__doc__, {"vocabulary": 300}, vocabulary=19_500, threads=1)
    cpu = select_device("cpu", args.threads)
    words = torch.randint(args.vocabulary, (WINDOW + 1, BATCH))
    step = our_runner(models(args.vocabulary, 0.2, cpu)[0])
    model, windows = problem(args.vocabulary, BATCH, cpu)
    model.requires_grad_(False)
    for name, function, tokens in (
        ("training", lambda: our_steps(step, [(words[:-1], words[1:])] * 2), 2 * words[1:].numel()),
        ("probe", lambda: our_pass(model, windows), len(windows) * words[1:].numel()),
    ):
        calls = {key: partial(run_at, value, function) for key, value in NAMES.items()}
        seconds = in_turn(args.repeats, **calls)
        rates = {key: tokens / value for key, value in seconds.items()}
        report(
            args.output, f"{name}-bfloat16", **rates, unit="tokens/s", vocabulary=args.vocabulary, threads=args.threads
        )


if __name__ == "__main__":
    main()

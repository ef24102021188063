"""What folding gains: a model with removed units against the smaller one that has the same outputs, in turn.

The shapes are those of ``small`` and ``w-g-n`` in experiments/structured-small.yaml (docs/structured-sparsity.md). The
arithmetic is dense, so only shapes count, and no run is needed. The dense model also runs against itself: its ratio's
distance from 1 is the machine's noise.
"""

from typing import Any

import torch
from common import arguments, in_turn, report

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.data.base import Batch
from natural_sparsity.evaluation.fold import fold
from natural_sparsity.evaluation.latency import step_by_step
from natural_sparsity.evaluation.speedup import compare_outputs, run_recurrence
from natural_sparsity.evaluation.structure import read_masks, remove_dead
from natural_sparsity.model.device import select_device
from natural_sparsity.model.exported import Exported
from natural_sparsity.model.recurrent import Interface, RecurrentModel


@torch.no_grad()
def make_model(words: int, width: int, kept: list[int]) -> RecurrentModel:
    """A model of random weights, all layers ``width`` wide, in which nothing reads the units beyond those ``kept``."""
    torch.manual_seed(0)
    architecture = Architecture(embedding=width, hidden=[width, width], dropout=0.0)
    model = RecurrentModel(Interface(outputs=words, vocabulary=words), architecture).eval()
    for name, unit in (
        ("embedding.weight", 0),
        ("recurrent.0.weight_hh_l0", 1),
        ("recurrent.1.weight_ih_l0", 1),
        ("recurrent.1.weight_hh_l0", 2),
        ("output.weight", 2),
    ):
        model.get_parameter(name)[:, kept[unit] :] = 0
    return model


@torch.no_grad()
def main() -> None:
    sizes: dict[str, Any] = {"words": 635, "width": 64, "kept": "30,29,52", "batch": 10, "window": 35, "text": 200}
    args = arguments(__doc__, {"text": 20}, repeats=25, threads=1, **sizes)
    select_device("cpu", args.threads)
    kept = [int(width) for width in args.kept.split(",")]
    model = make_model(args.words, args.width, kept)
    small = fold(model, remove_dead(read_masks(model, {}, {})))
    assert [small.architecture.embedding, *small.architecture.hidden] == kept
    inputs = torch.randint(args.words, (args.window, args.batch))
    batch, steps = Batch(inputs, inputs), inputs.flatten()[: args.text]
    difference = compare_outputs(model, small, batch)
    assert difference < 1e-5, difference

    def report_rates(name: str, words: int, unit: str, small_pass, pass_) -> None:
        seconds = in_turn(args.repeats, folded=small_pass, dense=pass_, again=pass_)
        rates = {which: words / value for which, value in seconds.items()}
        details = {"dense_against_itself": rates["again"] / rates["dense"], "difference": difference}
        report(args.output, name, ours=rates["folded"], reference=rates["dense"], unit=unit, **details)

    windows = [run_recurrence(each, batch) for each in (small, model)]
    report_rates("folding-recurrence", inputs.numel(), "words/s, embedding and recurrent layers on windows", *windows)
    single = [step_by_step(Exported(each), steps) for each in (small, model)]
    report_rates("folding-words", len(steps), "words/s, one after the other, output layer included", *single)


if __name__ == "__main__":
    main()

"""What folding gains: a model of which units are removed and the smaller one with the same outputs, in turn.

The shapes are those of ``small`` and ``w-g-n`` in experiments/structured-small.yaml (docs/structured-sparsity.md). The
arithmetic is dense, so that only shapes count, and no run is needed. The dense model also takes a turn beside itself:
how far that is from 1 is what the machine adds.
"""

import torch
from common import arguments, in_turn, report

from natural_sparsity.model.device import select_device
from natural_sparsity.model.language_model import Architecture, LanguageModel
from natural_sparsity.sparsify.fold import folded
from natural_sparsity.sparsify.folding import difference, recurrence, word_by_word
from natural_sparsity.sparsify.structure import masks_of, settled


@torch.no_grad()
def with_removed(words: int, width: int, kept: list[int]) -> LanguageModel:
    """A model of random weights, all layers ``width`` wide; what leads out of units beyond those ``kept`` is 0."""
    torch.manual_seed(0)
    model = LanguageModel(words, Architecture(width, [width, width], dropout=0.0)).eval()
    first, second = model.recurrent
    model.embedding.weight[:, kept[0] :] = 0
    first.weight_hh_l0[:, kept[1] :] = second.weight_ih_l0[:, kept[1] :] = 0
    second.weight_hh_l0[:, kept[2] :] = model.output.weight[:, kept[2] :] = 0
    return model


def main() -> None:
    args = arguments(
        __doc__, repeats=25, threads=1, words=635, width=64, kept="30,29,52", batch=10, window=35, text=200
    )
    select_device("cpu", args.threads)
    kept = list(map(int, args.kept.split(",")))
    model = with_removed(args.words, args.width, kept)
    small = folded(model, settled(masks_of(model, {}, {})))
    assert [small.architecture.embedding, *small.architecture.hidden] == kept
    inputs = torch.randint(args.words, (args.window, args.batch))
    apart = difference(model, small, inputs)
    assert apart < 1e-5, apart
    passes = {
        "folding-recurrence": (recurrence, inputs, "words/s, embedding and recurrent layers on windows"),
        "folding-words": (
            word_by_word,
            inputs.flatten()[: args.text],
            "words/s, one after the other, output layer and all",
        ),
    }
    for name, (of, words, unit) in passes.items():
        with torch.no_grad():
            seconds = in_turn(args.repeats, folded=of(small, words), dense=of(model, words), again=of(model, words))
        rates = {which: words.numel() / value for which, value in seconds.items()}
        beside = {"dense_beside_itself": rates["again"] / rates["dense"], "difference": apart}
        report(name, ours=rates["folded"], reference=rates["dense"], unit=unit, **beside)


if __name__ == "__main__":
    main()

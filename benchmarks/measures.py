"""What each measure of sparsity adds to the probe: tokens/s with it beside chi, against chi alone, in turn."""

import torch
from common import arguments, in_turn, report
from probe import STEPS, WINDOW, our_pass, problem

from natural_sparsity.model.device import select_device
from natural_sparsity.registry import MEASURES


def main():
    args = arguments(__doc__, {"vocabulary": 300, "batch": 4}, vocabulary=19_500, batch=40, device="auto")
    device = select_device(args.device, args.threads)
    model, windows = problem(args.vocabulary, args.batch, device)
    model.requires_grad_(False)
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    chosen = {"chi": ["chi"]} | {name: ["chi", name] for name in MEASURES if name != "chi"} | {"all": list(MEASURES)}
    passes = {
        name: lambda measures=measures: (our_pass(model, windows, measures), finish())
        for name, measures in chosen.items()
    }
    seconds = in_turn(args.repeats, **passes)
    tokens = STEPS * args.batch * WINDOW
    for name in list(chosen)[1:]:
        report(
            args.output,
            f"measures-{args.vocabulary}-{name}",
            ours=tokens / seconds[name],
            reference=tokens / seconds["chi"],
            unit="tokens/s",
            threads=args.threads,
            vocabulary=args.vocabulary,
            batch=args.batch,
        )


if __name__ == "__main__":
    main()

"""A training step at the paper's shape against the plain word-level recipe, and against the machine's limit."""

import torch
from common import arguments, in_turn, report
from peer import Recipe
from torch import nn

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.training import Training
from natural_sparsity.data.base import Batch, open_data
from natural_sparsity.methods.base import Place, make_method
from natural_sparsity.model.device import select_device, set_precision
from natural_sparsity.model.recurrent import Interface, RecurrentModel
from natural_sparsity.model.replay import EAGER_STEPS, Replayed
from natural_sparsity.training.steps import make_step

WIDTH, BATCH, WINDOW = 200, 40, 35
# The limit takes the faster of these layouts for its products.
ALIGNMENTS = (1, 16)


def reference_steps(model, windows, learning_rate=20.0):
    """One pass over the windows; the losses."""
    criterion, losses = nn.NLLLoss(), []
    hidden = tuple(torch.zeros(2, BATCH, WIDTH, device=windows[0][0].device) for _ in range(2))
    model.train()
    for x, y in windows:
        model.zero_grad()
        hidden = tuple(h.detach() for h in hidden)
        output, hidden = model(x, hidden)
        loss = criterion(output, y.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-learning_rate)
        losses.append(loss.detach())
    return torch.stack(losses)


def our_runner(model, learning_rate=20.0, eager=False):
    """Our step; on CUDA captured as a graph and replayed, unless ``eager``."""
    dense = make_method({}, model, {}, Place(epoch=1, steps=1, examples=BATCH * WINDOW, batch=BATCH))
    step = make_step(model.train(), open_data("text", {}), Training(), learning_rate, BATCH, dense)
    return Replayed(step) if step.total.is_cuda and not eager else step


def our_steps(run, windows):
    """The losses of the windows."""
    return torch.stack([run(Batch(*window)).clone() for window in windows])


def models(vocabulary, dropout, device):
    """Ours and the reference with the same weights."""
    torch.manual_seed(0)
    architecture = Architecture(embedding=WIDTH, hidden=[WIDTH, WIDTH], dropout=dropout)
    ours = RecurrentModel(Interface(outputs=vocabulary, vocabulary=vocabulary), architecture).to(device)
    reference = Recipe(vocabulary, WIDTH, dropout).to(device)
    assert ours.embedding is not None
    reference.encoder.load_state_dict(ours.embedding.state_dict())
    reference.decoder.load_state_dict(ours.output.state_dict())
    for layer, lstm in enumerate(ours.recurrent):
        for name, value in lstm.state_dict().items():
            getattr(reference.rnn, name.replace("l0", f"l{layer}")).data.copy_(value)
    return ours, reference


def products(vocabulary, device, alignment):
    """The three matrix products of the output layer, which every exact method needs.

    Rows start at multiples of ``alignment`` elements.
    """
    rows = BATCH * WINDOW

    def draw(height, width):
        return torch.randn(height, -(-width // alignment) * alignment, device=device)[:, :width]

    h, w, p = draw(rows, WIDTH), draw(vocabulary, WIDTH), draw(rows, vocabulary)
    gh, gw = torch.empty(rows, WIDTH, device=device), torch.empty(vocabulary, WIDTH, device=device)

    def run():
        torch.mm(h, w.T, out=p)
        torch.mm(p, w, out=gh)
        torch.mm(p.T, h, out=gw)

    return run


def lstms(device):
    """Both LSTMs, forward and backward."""
    layers = [nn.LSTM(WIDTH, WIDTH).to(device) for _ in range(2)]
    x = torch.randn(WINDOW, BATCH, WIDTH, device=device, requires_grad=True)

    def run():
        h = layers[1](layers[0](x)[0])[0]
        h.sum().backward()

    return run


def main():
    args = arguments(__doc__, {"vocabulary": 300}, vocabulary=19_500, device="auto", precision="highest")
    device = select_device(args.device, args.threads)
    set_precision(args.precision)
    cuda = device.type == "cuda"
    finish = torch.cuda.synchronize if cuda else lambda: None
    steps, checked = (200, 2 * EAGER_STEPS) if cuda else (3, 3)
    torch.manual_seed(1)
    tokens = [torch.randint(args.vocabulary, (WINDOW + 1, BATCH), device=device) for _ in range(steps)]
    windows = [(t[:-1], t[1:]) for t in tokens]
    ours, reference = models(args.vocabulary, 0.0, device)
    losses = our_steps(our_runner(ours, 1.0), windows[:checked])
    expected = reference_steps(reference, windows[:checked], 1.0)
    torch.testing.assert_close(losses, expected, rtol=0, atol=1e-4 if args.precision == "highest" else 1e-2)
    ours, reference = models(args.vocabulary, 0.2, device)
    layouts = {f"products_{alignment}": products(args.vocabulary, device, alignment) for alignment in ALIGNMENTS}
    lstm = lstms(device)
    run = our_runner(ours)
    our_steps(run, windows[: EAGER_STEPS + 1])  # and the capture
    on_gpu = {}
    if cuda:
        eager = our_runner(models(args.vocabulary, 0.2, device)[0], eager=True)
        on_gpu["eager"] = lambda: (our_steps(eager, windows), finish())
    seconds = in_turn(
        args.repeats,
        **on_gpu,
        ours=lambda: (our_steps(run, windows), finish()),
        reference=lambda: (reference_steps(reference, windows), finish()),
        **{name: lambda product=product: (product(), finish()) for name, product in layouts.items()},
        lstms=lambda: (lstm(), finish()),
    )
    rows = BATCH * WINDOW
    flops = 3 * 2 * rows * args.vocabulary * WIDTH
    product = min(seconds[name] for name in layouts)
    limit = rows / (product + seconds["lstms"])
    rate = steps * rows / seconds["ours"]
    name = "training" if args.vocabulary == 19_500 else f"training-{args.vocabulary}"
    report(
        args.output,
        name if args.precision == "highest" else f"{name}-{args.precision}",
        ours=rate,
        reference=steps * rows / seconds["reference"],
        unit="tokens/s",
        threads=args.threads,
        vocabulary=args.vocabulary,
        precision=args.precision,
        step_ms=1000 * seconds["ours"] / steps,
        gemm_gflops=flops / product / 1e9,
        limit=limit,
        fraction_of_limit=rate / limit,
        **({"eager_step_ms": 1000 * seconds["eager"] / steps} if cuda else {}),
    )


if __name__ == "__main__":
    main()

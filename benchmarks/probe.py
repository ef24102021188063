"""The probe of all eight tensors in both roles against hooks, autograd and index_add_; speed and peak memory."""

import json
import subprocess
import sys

import torch
from common import PeakMemory, arguments, in_turn, report
from torch.nn import functional

from natural_sparsity.config.architecture import Architecture
from natural_sparsity.config.probe import Probe
from natural_sparsity.model.device import one_thread, select_device, set_precision
from natural_sparsity.model.recurrent import Interface, RecurrentModel
from natural_sparsity.probing.gathering import ROLES, Gathering
from natural_sparsity.probing.lstm import use_input_gradients
from natural_sparsity.probing.measures import choose
from natural_sparsity.probing.windows import probe_windows

WIDTH, WINDOW, STEPS = 200, 35, 10


def reference_window(model, inputs, targets, state):
    """Every tensor kept with its gradient, as hooks see them; χ, ℓ1, ℓ2 of each position, (positions, 8, 3)."""
    kept = [model.embedding(inputs)]
    next_state = []
    for lstm, layer_state in zip(model.recurrent, state, strict=True):
        hidden, last = lstm(kept[-1], layer_state)
        kept.append(hidden)
        next_state.append(tuple(part.detach() for part in last))
    logits = model.output(kept[-1])
    for tensor in (*kept, logits):
        tensor.retain_grad()
    loss = functional.nll_loss(torch.log_softmax(logits, -1).flatten(0, 1), targets.flatten(), reduction="sum")
    model.zero_grad()
    loss.backward()
    tensors = [*kept, torch.softmax(logits, -1), *(t.grad for t in kept), logits.grad]
    values = []
    for tensor in tensors:
        rows = tensor.detach().flatten(0, 1)
        l1, l2 = rows.abs().sum(1), rows.norm(dim=1)
        values.append(torch.stack([l2 / l1, l1, l2], 1))
    return torch.stack(values, 1), next_state


def reference_pass(model, windows):
    """Sums and counts by word, for both roles."""
    vocabulary, device = len(model.output.weight), model.output.weight.device
    sums = {role: torch.zeros(vocabulary, 8, 3, dtype=torch.float64, device=device) for role in ROLES}
    state = model.zero_state(windows[0][0].shape[1])
    for inputs, targets in windows:
        values, state = reference_window(model, inputs, targets, state)
        sums["target"].index_add_(0, targets.flatten(), values.double())
        sums["input"].index_add_(0, inputs.flatten(), values.double())
    return sums


def our_pass(model, windows, measures=("chi",)):
    gathering = Gathering(model, choose(list(measures), Probe()))
    model.recurrent = use_input_gradients(model)
    with one_thread() as threads:
        for _ in probe_windows(model, windows, windows[0][0].shape[1], gathering, threads):
            pass
    return gathering


def problem(vocabulary, batch, device):
    torch.manual_seed(0)
    architecture = Architecture(embedding=WIDTH, hidden=[WIDTH, WIDTH])
    model = RecurrentModel(Interface(outputs=vocabulary, vocabulary=vocabulary), architecture).to(device).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    tokens = [torch.randint(vocabulary, (WINDOW + 1, batch), device=device) for _ in range(STEPS)]
    return model, [(t[:-1], t[1:]) for t in tokens]


def peak(which, args):
    """Mebibytes that one pass adds to a fresh process's peak."""
    command = [sys.executable, __file__, "--memory", which]
    options = [f"--{name}={getattr(args, name)}" for name in ("vocabulary", "batch", "precision", "threads")]
    return json.loads(subprocess.run([*command, *options], capture_output=True, check=True, text=True).stdout)


def main():
    tiny = {"vocabulary": 300, "batch": 4}
    args = arguments(__doc__, tiny, vocabulary=19_500, batch=40, precision="highest", device="auto", memory="")
    device = select_device(args.device, args.threads)
    set_precision(args.precision)
    model, windows = problem(args.vocabulary, args.batch, device)
    if args.memory:
        model.requires_grad_(args.memory == "reference")
        warm_up, small = problem(100, args.batch, device)
        run = our_pass if args.memory == "ours" else reference_pass
        run(warm_up, small)  # the libraries' own workspaces are the same for both
        with PeakMemory() as used:
            run(model, windows)
        print(used.peak - used.before)
        return
    frozen = problem(args.vocabulary, args.batch, device)[0].requires_grad_(False)
    ours, reference = our_pass(frozen, windows).sums, reference_pass(model, windows)
    for role, sums in reference.items():
        torch.testing.assert_close(
            ours[role].sums.view(args.vocabulary, 8, -1)[:, :, 3],
            sums[:, :, 0],
            rtol=1e-5 if args.precision == "highest" else 0.05,
            atol=0,
        )
    finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    seconds = in_turn(
        args.repeats,
        ours=lambda: (our_pass(frozen, windows), finish()),
        reference=lambda: (reference_pass(model, windows), finish()),
    )
    tokens = STEPS * args.batch * WINDOW
    memory = {which: peak(which, args) for which in ("ours", "reference")} if device.type == "cpu" else {}
    changed = [f"{value}" for value, usual in ((args.vocabulary, 19_500), (args.batch, 40)) if value != usual]
    changed += [args.precision] if args.precision != "highest" else []
    report(
        args.output,
        "-".join(["probe", *changed]),
        ours=tokens / seconds["ours"],
        reference=tokens / seconds["reference"],
        unit="tokens/s",
        threads=args.threads,
        vocabulary=args.vocabulary,
        batch=args.batch,
        precision=args.precision,
        **{f"{which}_peak_mib": value for which, value in memory.items()},
    )


if __name__ == "__main__":
    main()

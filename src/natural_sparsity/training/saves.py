"""Saves inside an epoch, so that one that is killed goes on from there when it is run again.

The save is one safetensors file beside the epoch's outputs. It holds every tensor that the epoch changes and the state
of the random numbers, so that the resumed epoch is the uninterrupted one, bit for bit. It is used only by an epoch with
the same checkpoint before it, tokens, settings and code, and removed when the epoch is done.
"""

import hashlib
import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors
import torch
from safetensors.torch import save_file
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGINT)  # a preemption, a time limit, a cancelled job; Control-C


class Interruption:
    """Which of the signals came since the block began, if one did; the second time, it works as before the block."""

    came: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self.before = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; the step that is under way ends first."""
        self.came = signal.Signals(number)
        signal.signal(number, self.before[self.came])

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Saves:
    """The saves of one epoch of ``steps`` steps, to ``path``, ``interval`` seconds apart.

    ``origin``: what the epoch follows from, as JSON can hold it. ``tensors``: all that the steps change, by name; they
    are saved, and overwritten in place when an epoch is resumed.
    """

    def __init__(
        self,
        path: Path,
        label: str,
        origin: dict[str, Any],
        tensors: dict[str, Tensor],
        steps: int,
        interval: float,
        interruption: Interruption,
    ):
        self.path, self.label, self.tensors, self.steps, self.interval = path, label, tensors, steps, interval
        self.origin = json.dumps(origin, sort_keys=True)
        self.device = next(iter(tensors.values())).device
        self.interruption = interruption
        self.saved, self.before = 0, 0.0
        self.last = self.start = time.monotonic()

    def seconds(self) -> float:
        """Seconds that the epoch has taken, those before it was interrupted included."""
        return self.before + time.monotonic() - self.start

    def resume(self) -> int:
        """Take what a former run saved; the number of steps that it holds, 0 if there is none that can be used."""
        if not self.path.exists():
            return 0
        try:
            with safetensors.safe_open(self.path, "pt") as file:
                metadata, stored = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError) as error:
            return self.ignore(f"not readable ({error})")
        if metadata.get("digest") != digest(metadata, stored):
            return self.ignore("damaged")
        if metadata["origin"] != self.origin:
            return self.ignore("of another checkpoint, other tokens, settings or code")
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(stored[name])
        set_random_state(stored, self.device)
        self.saved, self.before = int(metadata["steps"]), float(metadata["seconds"])
        print(f"{self.label}: goes on after step {self.saved} of {self.steps}, from {self.path}", file=sys.stderr)
        return self.saved

    def ignore(self, reason: str) -> int:
        """Say that the epoch starts anew."""
        print(f"{self.label}: starts anew, since {self.path} is {reason}", file=sys.stderr)
        return 0

    def after(self, step: int) -> None:
        """To be called after each step: save if it is time; if a signal came, save and exit.

        Raises:
            UserError: it is time, and a tensor is not finite; the save before it stays.
            SystemExit: a signal came; the status is a shell's for it.
        """
        stop = self.interruption.came
        if not stop and time.monotonic() - self.last < self.interval:
            return
        if step != self.saved:
            self.save(step)
        if stop:
            of = f"after step {step} of {self.steps}"
            print(f"{self.label}: stopped by {stop.name} {of}; run again, it goes on from {self.path}", file=sys.stderr)
            raise SystemExit(128 + stop)

    def save(self, step: int) -> None:
        """Write the file anew."""
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        for name, tensor in stored.items():
            if not tensor.isfinite().all():
                raise UserError(f"{self.label}, step {step}: {name} is not finite any more; lower the learning rate")
        stored |= random_state(self.device)
        metadata = {"origin": self.origin, "steps": str(step), "seconds": str(self.seconds())}
        with files.atomic(self.path) as temporary:
            try:
                save_file(stored, temporary, metadata | {"digest": digest(metadata, stored)})
            except safetensors.SafetensorError as error:
                raise UserError(f"{self.path}: cannot be written ({error})") from error
        self.saved, self.last = step, time.monotonic()

    def remove(self) -> None:
        """Remove the save, and what a save that was killed in its writing has left."""
        for path in [self.path, *self.path.parent.glob(f".{self.path.name}.*.part")]:
            path.unlink(missing_ok=True)


def digest(metadata: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the metadata less its digest, and of the tensors' names and bytes."""
    rest = {key: value for key, value in metadata.items() if key != "digest"}
    result = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(tensors):
        result.update(name.encode())
        result.update(tensors[name].numpy().tobytes())
    return result.hexdigest()


def random_state(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's generators, on the CPU and on ``device``, as bytes."""
    state = {"random.cpu": torch.get_rng_state()}
    return state | ({"random.cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Set what :func:`random_state` gave."""
    torch.set_rng_state(state["random.cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["random.cuda"], device)

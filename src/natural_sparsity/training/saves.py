"""Save inside an epoch, so that a killed epoch resumes from its last save when it is run again.

A save is one safetensors file among the epoch's outputs. It holds every tensor that the epoch changes and the state of
the random numbers, so a resumed epoch equals an uninterrupted one bit for bit. Only an epoch that starts from the same
checkpoint, with the same data, settings and code, uses it; it is removed at the end of the epoch.
"""

import json
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import safetensors.torch
import torch
import xxhash
from torch import Tensor

from natural_sparsity import files
from natural_sparsity.errors import UserError

SIGNALS = (signal.SIGTERM, signal.SIGINT)  # preemption, time limit, cancelled job; Ctrl-C


class Interruption:
    """Notes a signal that arrives inside the block instead of ending the process.

    ``came`` is the signal, or None. When it arrives a second time, it acts as it did before the block.
    """

    came: signal.Signals | None = None

    def __enter__(self) -> "Interruption":
        self.before = {number: signal.signal(number, self.note) for number in SIGNALS}
        return self

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note the signal, so that the current step can end first."""
        self.came = signal.Signals(number)
        signal.signal(number, self.before[self.came])

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Saves:
    """Saves of one epoch of ``steps`` steps, written to ``path`` every ``interval`` seconds.

    ``origin``: everything that determines the epoch, as JSON can hold it. ``tensors``: everything that the steps
    change, by name; they are saved, and overwritten in place when the epoch is resumed.
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
        """Return the seconds that the epoch has taken, including those before an interruption."""
        return self.before + time.monotonic() - self.start

    def resume(self) -> int:
        """Restore the save of an earlier run and return how many steps it covers; 0 if there is none to use."""
        if not self.path.exists():
            return 0
        try:
            with safetensors.safe_open(self.path, "pt") as file:
                metadata, stored = file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, safetensors.SafetensorError) as error:
            return self.start_over(f"not readable ({error})")
        if metadata.get("digest") != compute_digest(metadata, stored):
            return self.start_over("damaged")
        if metadata["origin"] != self.origin:
            return self.start_over("of another checkpoint, other tokens, settings or code")
        with torch.no_grad():
            for name, tensor in self.tensors.items():
                tensor.copy_(stored[name])
        set_random_state(stored, self.device)
        self.saved, self.before = int(metadata["steps"]), float(metadata["seconds"])
        print(f"{self.label}: goes on after step {self.saved} of {self.steps}, from {self.path}", file=sys.stderr)
        return self.saved

    def start_over(self, reason: str) -> int:
        """Say why the save is not used; return 0 steps."""
        print(f"{self.label}: starts over, since {self.path} is {reason}", file=sys.stderr)
        return 0

    def after(self, step: int) -> None:
        """Save if it is time; if a signal came, save and exit. Call it after each step.

        Raises:
            UserError: a tensor to be saved is not finite; the earlier save stays.
            SystemExit: a signal came; the exit status is the one that a shell reports for it.
        """
        stop = self.interruption.came
        if not stop and time.monotonic() - self.last < self.interval:
            return
        if step != self.saved:
            self.save(step)
        if stop:
            progress = f"stopped by {stop.name} after step {step} of {self.steps}"
            print(f"{self.label}: {progress}; run again to go on from {self.path}", file=sys.stderr)
            raise SystemExit(128 + stop)

    def save(self, step: int) -> None:
        """Replace the save by the state after ``step``."""
        stored = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        for name, tensor in stored.items():
            if not tensor.isfinite().all():
                raise UserError(f"{self.label}, step {step}: {name} is not finite any more; lower the learning rate")
        stored |= get_random_state(self.device)
        metadata = {"origin": self.origin, "steps": str(step), "seconds": str(self.seconds())}
        with files.atomic(self.path) as temporary:
            whole = metadata | {"digest": compute_digest(metadata, stored)}
            temporary.write_bytes(safetensors.torch.save(stored, whole))
        self.saved, self.last = step, time.monotonic()

    def remove(self) -> None:
        """Remove the save, and the leftovers of saves that were killed while being written."""
        for path in [self.path, *self.path.parent.glob(f".{self.path.name}.*.part")]:
            path.unlink(missing_ok=True)


def compute_digest(metadata: dict[str, str], tensors: dict[str, Tensor]) -> str:
    """Compute the 128-bit XXH3 of the metadata without their digest and of the tensors' names and bytes."""
    rest = {key: value for key, value in metadata.items() if key != "digest"}
    result = xxhash.xxh3_128(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(tensors):
        result.update(name.encode())
        result.update(tensors[name].numpy().tobytes())
    return result.hexdigest()


def get_random_state(device: torch.device) -> dict[str, Tensor]:
    """Return the states of torch's generators, on the CPU and on ``device``, as bytes."""
    state = {"random.cpu": torch.get_rng_state()}
    return state | ({"random.cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_state(state: dict[str, Tensor], device: torch.device) -> None:
    """Set the states that :func:`get_random_state` returned."""
    torch.set_rng_state(state["random.cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state["random.cuda"], device)

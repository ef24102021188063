"""How far jobs are: from their logs, in which training and probing write their progress."""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path

# What natural_sparsity.progress writes.
LINE = re.compile(r"^(.+?): +(\d+)%  loss .*  ([\d,]+) s left$", re.MULTILINE)
TAIL = 4096  # bytes
KIND = re.compile(r"(train|probe)(?:_|$)")


@dataclass
class Job:
    """A job that runs.

    ``checkpoints``: the names of those that it makes or probes, in order. ``started``: by ``time.time``.
    """

    name: str
    rule: str
    logs: list[str]
    checkpoints: list[str]
    started: float = field(default_factory=time.time)
    speaks: bool = False  # it writes to the terminal itself

    @property
    def kind(self) -> str:
        """``train`` or ``probe``, which have a bar; empty for others. Rules for several epochs have longer names."""
        match = KIND.match(self.rule)
        return match[1] if match else ""

    def share(self, now: float) -> float:
        """How much of it is done, from 0 to 1, as its log says; between two lines of the log, as these let expect."""
        for log in self.logs:
            try:
                path = Path(log)
                written = path.stat().st_mtime
                with path.open("rb") as file:
                    file.seek(max(0, path.stat().st_size - TAIL))
                    text = file.read().decode(errors="replace")
            except OSError:
                continue
            lines = LINE.findall(text)
            if lines and written >= self.started - 1:  # not the log of an earlier try
                label, percent, left = lines[-1]
                return self.place(label, int(percent) / 100, int(left.replace(",", "")), now - written)
        return 0.0

    def place(self, label: str, share: float, left: float, since: float) -> float:
        """The share of the whole job, if ``since`` seconds ago ``share`` of one checkpoint was done."""
        if left:
            share += (1 - share) * min(since / left, 0.99)
        # "epoch 3" and "probe of epoch3" name the same checkpoint.
        ends = label.replace(" ", "")
        before = [i for i, name in enumerate(self.checkpoints) if ends.endswith(name)]
        return (before[0] + share) / len(self.checkpoints) if before else share


@dataclass
class Pace:
    """How far all jobs of a kind are."""

    total: int
    done: int = 0
    started: float = 0.0

    def position(self, running: list[Job], now: float) -> float:
        """How many jobs are done; those that run count by their share."""
        return min(self.total, self.done + sum(job.share(now) for job in running))

    def left(self, position: float, now: float) -> float | None:
        """Seconds until all are done, if they go on as since the first began; None if nothing is known yet."""
        return (now - self.started) * (self.total - position) / position if position else None

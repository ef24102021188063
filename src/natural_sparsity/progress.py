"""Show progress: a bar on a terminal, sparse lines in a log, from which ``terminal.pace`` reads how far a job is."""

import sys
import time

from tqdm import tqdm

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between lines; each pause is twice as long as the one before
SECONDS_BETWEEN_DRAWINGS = 0.5


class Progress:
    """Counts ``unit``, tokens or others, and shows their rate, the time left and the mean loss.

    ``done`` of the ``total`` were done by an earlier process.
    """

    def __init__(self, label: str, total: int, done: int = 0, unit: str = "tokens"):
        self.label, self.total, self.done, self.before, self.unit = label, total, done, done, unit
        self.start = self.last = time.monotonic()
        self.pause = FIRST_PAUSE
        self.bar = (
            tqdm(total=total, initial=done, desc=label, unit=unit[:3], unit_scale=True) if sys.stderr.isatty() else None
        )

    def due(self) -> bool:
        """Tell whether it is time to show something; reading a loss to show may wait for the device."""
        pause = SECONDS_BETWEEN_DRAWINGS if self.bar else self.pause
        return time.monotonic() - self.last > pause or self.done >= self.total

    def advance(self, count: int) -> None:
        """Count ``count`` more as done."""
        self.done += count
        if self.bar:
            self.bar.update(count)

    def show(self, loss: float) -> None:
        """Show the mean loss so far, with rate and time left."""
        self.last = time.monotonic()
        if self.bar:
            self.bar.set_postfix(loss=f"{loss:.3f}")
            return
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        rate = (self.done - self.before) / max(self.last - self.start, 1e-9)
        left = (self.total - self.done) / max(rate, 1e-9)
        share = self.done / self.total
        print(
            f"{self.label}: {share:4.0%}  loss {loss:.4f}  {rate:,.0f} {self.unit}/s  {left:,.0f} s left",
            file=sys.stderr,
        )

    def close(self) -> None:
        """End the bar."""
        if self.bar:
            self.bar.close()

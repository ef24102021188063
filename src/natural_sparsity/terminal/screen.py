"""Where the lines go: a terminal, with bars below them, or a file or pipe, with a word on what takes long."""

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from tqdm import tqdm

from natural_sparsity.terminal.pace import Job, Pace
from natural_sparsity.terminal.wording import write_seconds

SECONDS_BETWEEN_LOOKS = 0.5
FIRST_WORD, LAST_WORD = 120.0, 3600.0  # seconds: the first word on a job that runs, and the longest silence after it
FORMAT = "{bar:24} {desc}"
WIDTH = 100  # of a terminal that does not tell its own


def find_width(stream: TextIO) -> int:
    """The columns that a bar may take, so that its line does not break."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:  # no terminal; io.UnsupportedOperation is one too
        columns = 0
    return (columns or WIDTH) - 1


class Paper:
    """A file or a pipe."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.due: dict[str, float] = {}  # when to say that a job still runs

    def write(self, text: str) -> None:
        """Write a line or several."""
        print(text, file=self.stream, flush=True)

    def show(self, done: int, total: int, running: Sequence[Job], paces: Mapping[str, Pace], now: float) -> None:
        """Say how far jobs are that take long: first after two minutes, then ever more rarely."""
        for job in running:
            ran = now - job.started
            if ran >= self.due.get(job.name, FIRST_WORD):
                self.due[job.name] = ran + min(ran, LAST_WORD)
                share = job.share(now)
                left = f", {share:.0%}, about {write_seconds(ran * (1 - share) / share)} left" if share else ""
                self.write(f"        {job.name} has run for {write_seconds(ran)}{left}")

    def hide(self) -> None:
        """Nothing: what was written stays."""


class Screen:
    """A terminal: below the lines, a bar for all jobs, one for training and one for probing."""

    def __init__(self, stream: TextIO):
        self.stream = stream
        self.bars: dict[str, tqdm] = {}

    def write(self, text: str) -> None:
        """Write a line or several above the bars."""
        tqdm.write(text, file=self.stream)

    def show(self, done: int, total: int, running: Sequence[Job], paces: Mapping[str, Pace], now: float) -> None:
        """Draw the bars again. While a job writes to the terminal itself, hide them."""
        if any(job.speaks for job in running):
            self.hide()
            return
        names = "; ".join(job.name for job in running)
        self.draw("jobs", done, total, f"{done} of {total} jobs" + (f"; now {names}" if names else ""))
        for kind, pace in paces.items():
            position = pace.position([job for job in running if job.kind == kind], now)
            if pace.started and position < pace.total:
                left = pace.left(position, now)
                rest = f", about {write_seconds(left)} left" if left is not None else ""
                self.draw(kind, position, pace.total, f"{kind}: {position:.1f} of {pace.total}{rest}")
            elif kind in self.bars:  # all bars, or its line would stay empty
                self.hide()

    def draw(self, name: str, position: float, total: int, text: str) -> None:
        """Draw one bar."""
        if name not in self.bars:
            # With a height of its own, tqdm does not ask the terminal, and hides no bar if that does not tell.
            self.bars[name] = tqdm(total=total, bar_format=FORMAT, leave=False, file=self.stream, ncols=WIDTH, nrows=9)
        bar = self.bars[name]
        bar.n, bar.total, bar.ncols = position, total, find_width(self.stream)
        bar.set_description_str(text, refresh=False)
        bar.refresh()

    def hide(self) -> None:
        """Remove the bars."""
        while self.bars:
            self.bars.popitem()[1].close()

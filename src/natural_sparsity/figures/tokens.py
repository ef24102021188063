"""An axis of the tokens seen in training, logarithmic, with the untrained model set apart at its left end."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

UNTRAINED = "un-\ntrained"
# Ticks in a decade.
DIGITS = ((1,), (1, 3), (1, 2, 5))
# The room between the untrained model and the first checkpoint, as a share of the others' extent.
ROOM = 0.15


def place_tokens(tokens: Sequence[int], course: Sequence[int]) -> np.ndarray:
    """Where ``tokens`` stand on the axis of a whole ``course``: as they are, but for the untrained model's 0."""
    trained = [count for count in course if count > 0]
    first, last = min(trained), max(trained)
    untrained = first / max(2.0, (last / first) ** ROOM)
    return np.where(np.asarray(tokens) > 0, tokens, untrained)


def set_token_axis(ax: Axes, course: Sequence[int], most: int = 6) -> None:
    """Scale, limits and ticks for a ``course`` of tokens seen; its gap to the untrained model is marked as a break.

    ``most``: of the ticks, how many fit.
    """
    places = place_tokens(sorted(set(course)), course)
    trained = places[1:] if 0 in course else places
    first, last = trained[0], trained[-1]
    ax.set_xscale("log")
    room = (last / places[0]) ** 0.03 if last > places[0] else 1.2
    ax.set_xlim(places[0] / room, last * room)
    ticks = choose_ticks(first, last, most)
    names = [write_count(tick) for tick in ticks]
    if 0 in course:
        ticks, names = [float(places[0]), *ticks], [UNTRAINED, *names]
        low, high = np.log(ax.get_xlim())
        mark_break(ax, float((np.log(places[0] * first) / 2 - low) / (high - low)))
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_major_formatter(FixedFormatter(names))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("tokens seen in training")


def choose_ticks(first: float, last: float, most: int) -> list[float]:
    """Round numbers from ``first`` to ``last``, as many as possible up to ``most``; if none or one, the two."""
    decades = 10.0 ** np.arange(np.floor(np.log10(first)), np.ceil(np.log10(last)) + 1)
    best: list[float] = []
    for digits in DIGITS:
        ticks = np.outer(decades, digits).ravel()
        inside = ticks[(ticks >= first) & (ticks <= last)].tolist()
        if len(best) < len(inside) <= most:
            best = inside
    return best if len(best) > 1 else sorted({first, last})


def write_count(count: float) -> str:
    """A count in few characters: 500, 20 k, 1 M, 2 G."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:.3g}"


def mark_break(ax: Axes, place: float) -> None:
    """Cut the axis at a ``place`` along it, from 0 to 1: a gap between two short strokes."""
    look: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False, "zorder": 3}
    ends = [place - 0.011, place + 0.011]
    ax.plot(ends, [0, 0], color="white", linewidth=1.5, solid_capstyle="butt", **look)
    ax.plot(
        ends, [0, 0], color="0.15", linestyle="none", marker=[(-0.6, -1), (0.6, 1)], markersize=5, markeredgewidth=0.6,
        **look,
    )  # fmt: skip

"""The geometry of a small chart with one mark a cycle. The template draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 8, 20, 26

LABELS = 12
"""A chart of at most so many marks writes the value and the name beside each."""

_STEPS = (1, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Point:
    """A value, None when it is missing. ``open``: it is not final yet."""

    name: str
    value: float | None
    open: bool = False


@dataclass(frozen=True)
class Mark:
    """A point's place in the drawing: its middle and its height. Units of the view box."""

    x: float
    y: float
    width: float
    height: float
    text: str
    open: bool


@dataclass(frozen=True)
class Line:
    """A grid line or the name of a mark, with its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A drawing. ``path``: the marks joined, for an SVG path; a missing value is a gap."""

    marks: Sequence[Mark]
    grid: Sequence[Line]
    names: Sequence[Line]
    path: str

    width, height, left, right = WIDTH, HEIGHT, LEFT, WIDTH - RIGHT
    bottom = HEIGHT - BOTTOM


def chart(points: Sequence[Point], *, decimals: int = 0, unit: str = "") -> Chart:
    """Lay points out from left to right, on a scale from zero to a round number above the largest."""
    top = round_up(max([point.value for point in points if point.value is not None], default=0.0))
    step = (WIDTH - LEFT - RIGHT) / max(1, len(points))
    scale = (HEIGHT - TOP - BOTTOM) / top
    few = len(points) <= LABELS
    marks, names, path, pen = [], [], [], "M"
    every = math.ceil(len(points) / LABELS)
    for index, point in enumerate(points):
        x = round(LEFT + step * (index + 0.5), 1)
        if index % every == 0:
            names.append(Line(x, point.name))
        if point.value is None:
            pen = "M"
            continue
        height = round(max(0.0, point.value) * scale, 1)
        y = round(HEIGHT - BOTTOM - height, 1)
        text = f"{point.value:,.{decimals}f}{unit}" if few else ""
        marks.append(Mark(x, y, round(min(step * 0.6, 46), 1), height, text, point.open))
        path.append(f"{pen}{x} {y}")
        pen = "L"
    grid = [
        Line(round(HEIGHT - BOTTOM - top * share * scale, 1), f"{top * share:,.{decimals_of(top)}f}{unit}")
        for share in (0.0, 0.5, 1.0)
    ]
    return Chart(marks, grid, names, " ".join(path))


def round_up(value: float) -> float:
    """A round number that is at least ``value``; 1 for zero."""
    if value <= 0:
        return 1.0
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def decimals_of(top: float) -> int:
    """The decimals that the largest grid value and half of it need."""
    return next((places for places in range(6) if round(top / 2, places) == top / 2), 6)

"""The geometry of charts that the server draws as SVG. Templates write it out; a table beside has the
numbers.

A chart needs no script, so it prints, works without one, and breaks no content security policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pressroom.ui.mission.chart import decimals_of, round_up

WIDTH, HEIGHT = 480, 220
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 14, 28
TICKS = 8
"""A scale has at most so many names."""
SPARK_WIDTH, SPARK_HEIGHT = 160, 36


@dataclass(frozen=True)
class Series:
    """A line of a chart. ``points``: (x, y, what a reader who points at it sees), in order of x."""

    name: str
    points: Sequence[tuple[float, float, str]]


@dataclass(frozen=True)
class Dot:
    """A point of a line. Units of the view box."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Curve:
    """A drawn line. ``path``: for an SVG path. ``number``: which of the styles of lines it has, from 0."""

    name: str
    number: int
    path: str
    dots: Sequence[Dot]


@dataclass(frozen=True)
class Tick:
    """A grid line or a name on an axis. ``at``: its place."""

    at: float
    text: str


@dataclass(frozen=True)
class Bar:
    """A column. ``text``: what a reader who points at it sees."""

    x: float
    y: float
    width: float
    height: float
    text: str


@dataclass(frozen=True)
class Plot:
    """A drawing of lines or of columns, with its axes."""

    curves: Sequence[Curve]
    bars: Sequence[Bar]
    rows: Sequence[Tick]
    columns: Sequence[Tick]
    width, height, left, right, bottom = WIDTH, HEIGHT, LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM


@dataclass(frozen=True)
class Spark:
    """A small line without axes. ``target``: the height of the target's line, None outside of the drawing."""

    path: str
    last: Dot | None
    target: float | None
    width, height = SPARK_WIDTH, SPARK_HEIGHT


def plot(series: Sequence[Series], *, unit: str = "", names: Sequence[str] | None = None) -> Plot:
    """Lines over a common scale: x from 0 to the last point's next whole number, y from 0 to a round number.

    ``names``: of places in a row, whose numbers, from 0 on, are the points' x; left out: x is a measure.
    """
    points = [point for each in series for point in each.points]
    inset = 0.0 if names is None else 0.5
    far = max(1, math.ceil(max((x for x, _, _ in points), default=1.0))) if names is None else len(names)
    top = round_up(max((y for _, y, _ in points), default=0.0))
    across, up = (WIDTH - LEFT - RIGHT) / far, (HEIGHT - TOP - BOTTOM) / top
    curves = []
    for number, each in enumerate(series):
        dots = [
            Dot(round(LEFT + (x + inset) * across, 1), round(HEIGHT - BOTTOM - max(0.0, y) * up, 1), text)
            for x, y, text in each.points
        ]
        curves.append(Curve(each.name, number, _path(dots), dots))
    texts = [str(number) for number in range(far + 1)] if names is None else names
    every = math.ceil(len(texts) / TICKS)
    columns = [
        Tick(round(LEFT + (number + inset) * across, 1), texts[number])
        for number in range(0, len(texts), every)
    ]
    return Plot(curves, (), _rows(top, unit), columns)


def bars(values: Sequence[tuple[str, float, str]]) -> Plot:
    """A column for each (name, value, text), on a scale from 0 to a round number."""
    top = round_up(max((value for _, value, _ in values), default=0.0))
    step, up = (WIDTH - LEFT - RIGHT) / max(1, len(values)), (HEIGHT - TOP - BOTTOM) / top
    every = math.ceil(len(values) / (2 * TICKS)) or 1
    drawn, columns = [], []
    for index, (name, value, text) in enumerate(values):
        height = round(max(0.0, value) * up, 1)
        width = round(step * 0.7, 1)
        x = round(LEFT + step * (index + 0.15), 1)
        drawn.append(Bar(x, round(HEIGHT - BOTTOM - height, 1), width, height, text))
        if index % every == 0:
            columns.append(Tick(round(LEFT + step * (index + 0.5), 1), name))
    return Plot((), drawn, _rows(top, ""), columns)


def spark(values: Sequence[float], target: float | None = None) -> Spark:
    """The course of a value, from left to right."""
    top = max([*values, target or 0.0, 1e-9])
    across, up = (SPARK_WIDTH - 8) / max(1, len(values) - 1), (SPARK_HEIGHT - 8) / top
    dots = [
        Dot(round(4 + index * across, 1), round(SPARK_HEIGHT - 4 - max(0.0, value) * up, 1), "")
        for index, value in enumerate(values)
    ]
    line = None if target is None else round(SPARK_HEIGHT - 4 - target * up, 1)
    return Spark(_path(dots), dots[-1] if dots else None, line)


def _rows(top: float, unit: str) -> list[Tick]:
    height = HEIGHT - TOP - BOTTOM
    places = decimals_of(top)
    return [
        Tick(round(HEIGHT - BOTTOM - height * share, 1), f"{top * share:,.{places}f}{unit}")
        for share in (0.0, 0.5, 1.0)
    ]


def _path(dots: Sequence[Dot]) -> str:
    return " ".join(f"{'L' if index else 'M'}{dot.x} {dot.y}" for index, dot in enumerate(dots))

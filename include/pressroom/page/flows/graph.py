"""A flow's steps as a drawing: one below the other, with an arc for each jump. Pure functions.

Jumps lead forward only, so a column with arcs beside it shows every way. It is as narrow as a telephone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pressroom.api.resources.outcomes.steps import END, FlowStepView

WIDTH, NODE_WIDTH, NODE_HEIGHT, GAP, MARGIN = 350, 230, 52, 30, 6
END_HEIGHT = 28
LANES = 6
"""So many arcs run beside each other; further ones share the outermost lane."""
NAME_CHARS = 24


@dataclass(frozen=True)
class GraphNode:
    """A step's box. ``name``: cut to its width; ``step`` None: the end of the flow. ``y``: its upper edge."""

    name: str
    step: FlowStepView | None
    y: int
    height: int


@dataclass(frozen=True)
class GraphArc:
    """A way from one box to another. ``path`` and ``head``: for SVG paths; ``text``: what it means."""

    path: str
    head: str
    text: str
    failing: bool


@dataclass(frozen=True)
class Graph:
    """The drawing. Units of the view box."""

    nodes: Sequence[GraphNode]
    arcs: Sequence[GraphArc]
    height: int
    left, width, node_width = MARGIN, WIDTH, NODE_WIDTH


def graph(steps: Sequence[FlowStepView]) -> Graph:
    """The drawing of the steps that the flow has now."""
    own = [step for step in steps if not step.gone]
    nodes = [
        GraphNode(_cut(step.name), step, MARGIN + number * (NODE_HEIGHT + GAP), NODE_HEIGHT)
        for number, step in enumerate(own)
    ]
    nodes.append(GraphNode(END, None, MARGIN + len(own) * (NODE_HEIGHT + GAP), END_HEIGHT))
    names = [*(step.name for step in own), END]
    places = {name: number for number, name in enumerate(names)}
    arcs: list[GraphArc] = []
    taken: list[list[tuple[int, int]]] = [[] for _ in range(LANES)]
    for (start, end), whys in sorted(
        _ways(own, places).items(), key=lambda way: (way[0][1] - way[0][0], way[0])
    ):
        said = "; ".join(why for why in whys if why)
        text = f"{names[start]} to {names[end]}" + (f": {said}" if said else "")
        failing = all(why.startswith("on failure") for why in whys)
        if end == start + 1 and not failing:
            arcs.append(_straight(nodes[start], nodes[end], text))
        else:
            arcs.append(_arc(nodes[start], nodes[end], _lane(taken, start, end), text, failing=failing))
    last = nodes[-1]
    return Graph(nodes, arcs, last.y + last.height + MARGIN)


def _ways(steps: Sequence[FlowStepView], places: Mapping[str, int]) -> dict[tuple[int, int], list[str]]:
    """(from, to) → why, of all ways between the same two boxes; '' for the usual one."""
    ways: dict[tuple[int, int], list[str]] = {}
    for start, step in enumerate(steps):
        for way in step.ways:
            ways.setdefault((start, places.get(way.to, len(steps))), []).append(way.why)
    return ways


def _lane(taken: list[list[tuple[int, int]]], start: int, end: int) -> int:
    for number, lane in enumerate(taken):
        if all(end <= other_start or start >= other_end for other_start, other_end in lane):
            lane.append((start, end))
            return number
    return LANES - 1


def _straight(start: GraphNode, end: GraphNode, text: str) -> GraphArc:
    x, top, bottom = MARGIN + NODE_WIDTH // 2, start.y + start.height, end.y
    return GraphArc(
        f"M{x} {top} L{x} {bottom - 7}", f"M{x - 5} {bottom - 8} L{x + 5} {bottom - 8} L{x} {bottom} Z", text,
        failing=False,
    )  # fmt: skip


def _arc(start: GraphNode, end: GraphNode, lane: int, text: str, *, failing: bool) -> GraphArc:
    edge = MARGIN + NODE_WIDTH
    x = edge + 16 + lane * 15
    top, bottom = start.y + start.height - 14, end.y + min(14, end.height // 2)
    path = (
        f"M{edge} {top} L{x - 8} {top} Q{x} {top} {x} {top + 8} L{x} {bottom - 8}"
        f" Q{x} {bottom} {x - 8} {bottom} L{edge + 8} {bottom}"
    )
    head = f"M{edge + 8} {bottom - 5} L{edge + 8} {bottom + 5} L{edge} {bottom} Z"
    return GraphArc(path, head, text, failing)


def _cut(name: str) -> str:
    return name if len(name) <= NAME_CHARS else f"{name[: NAME_CHARS - 1]}…"

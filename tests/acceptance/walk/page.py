"""docs/any-button.md, made of the table of the walk: ``python -m tests.acceptance.walk.page`` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.walk.table import BUTTONS, STATES, Pair, Route, walked

PAGE = Path(__file__).parents[3] / "docs" / "any-button.md"
HEAD = """\
# Any button at any moment

Whatever is pressed in Airflow or in Pressroom, and whatever the run does at that moment, it ends, and both
systems say the same of it:

| the run | its DAG run |
|---|---|
| completed, partial, cancelled | success |
| failed | failed |

After each row below, no lock is left, what was charged is what was done, nothing is reserved, nothing is
published twice, and the next run of the same workflow works. `make walk` presses every one of these buttons
in a real Airflow, which takes about ten minutes; this page is made of its table. `make test` walks the rows
in **bold**: each state and each button at least once, and flows where any kind of workflow will do, because
their runs are the shortest. So every change is walked, and the walk costs it little.
"""


def page() -> str:
    """The page as it is to be."""
    parts = [HEAD]
    for kind in ("site", "mission", "flow"):
        rows = [(route, pair) for route, _, pair in walked() if route.kind == kind]
        order = sorted(
            rows, key=lambda row: (list(STATES).index(row[1].state), list(BUTTONS).index(row[1].button))
        )
        parts.append(
            f"\n## A {kind}\n\n| the run is | pressed | it ends | its DAG run | |\n|---|---|---|---|---|\n"
            + "".join(_row(route, pair) for route, pair in order)
        )
    return "".join(parts)


def _row(route: Route, pair: Pair) -> str:
    pressed = f"**{BUTTONS[pair.button]}**" if route.short else BUTTONS[pair.button]
    why = "; ".join(filter(None, (pair.why, f'"{pair.reason}"' if pair.reason else "")))
    return f"| {STATES[pair.state]} | {pressed} | {pair.end} | {pair.dag_run} | {why} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

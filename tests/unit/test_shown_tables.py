"""Tables of the command line: what stands in a cell is text."""

from __future__ import annotations

import pytest
from rich.console import Console

from pressroom.cli import common

CELL = "refused [hidden] and [/b] :smile:\nand [red]this[/red]"


def test_a_terminal_shows_brackets_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        common, "Console", lambda **options: Console(force_terminal=True, width=100, **options)
    )
    common.show(["error"], [[CELL]], title="[last]")
    shown = capsys.readouterr().out
    for line in CELL.splitlines():
        assert line in shown
    assert "[last]" in shown


def test_a_pipe_gets_a_line_for_each_row(capsys: pytest.CaptureFixture[str]) -> None:
    common.show(["run", "error"], [[1, CELL], [2, None]])
    assert capsys.readouterr().out.splitlines()[1:] == [f"1    {CELL.replace(chr(10), ' ')}", "2"]

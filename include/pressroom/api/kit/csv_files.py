"""Tables as CSV that spreadsheets open, and in which no cell is a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from decimal import Decimal

from fastapi import Response

BYTE_ORDER_MARK = "\ufeff"
"""Spreadsheets read UTF-8 by it."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | int | Decimal | None


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Response:
    """A table to download. Numbers are as they are; a text that a spreadsheet would take for a formula gets
    an apostrophe in front.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return Response(
        BYTE_ORDER_MARK + text.getvalue(), media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.csv"'},
    )  # fmt: skip


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        # A blank in front does not keep a spreadsheet from calculating.
        return f"'{value}" if value.lstrip().startswith(_FORMULA) or value.startswith(_FORMULA) else value
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)

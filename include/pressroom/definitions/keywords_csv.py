"""Keyword lists as people export them: bytes → rows and the lines that cannot be used. Pure."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from charset_normalizer import from_bytes

from pressroom.adapters.http.bodies import marked_encoding
from pressroom.domain.errors import DefinitionError
from pressroom.domain.text import did_you_mean, normalize

COLUMNS = ("keyword", "volume", "difficulty", "intent")
INTENTS = ("informational", "commercial", "transactional", "navigational")
LONGEST_KEYWORD = 200
LARGEST_VOLUME = 2**31 - 1
DELIMITERS = (",", ";", "\t", "|")
# The delimiter of a file with one column: the whole line is the keyword, with its punctuation.
NO_DELIMITER = "\x1f"
# A quoted cell may hold line breaks, but a quote that is never closed must not swallow the rest of the file.
LONGEST_ROW_LINES = 20

# The encodings that spreadsheets save in. Among all encodings, a guess on short lines picks rare ones.
LEGACY_ENCODINGS = [
    "cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "shift_jis", "gb18030", "big5",
    "euc_kr", "euc_jp",
]  # fmt: skip

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,3}(?:\.\d{3}){2,}|\d{1,3}(?:['’\u00a0\u202f ]\d{3})+")
_SHORT = re.compile(r"(\d+(?:[.,]\d+)?)\s*([km])", re.IGNORECASE)
_NOTHING = frozenset({"", "-", "–", "—", "n/a", "na", "none", "null"})


@dataclass(frozen=True)
class KeywordRow:
    """One good row. ``line`` counts from 1; ``volume``: searches a month; ``difficulty``: 0 to 100."""

    line: int
    text: str
    normalized: str
    volume: int | None = None
    difficulty: Decimal | None = None
    intent: str | None = None


@dataclass(frozen=True)
class BadRow:
    """A row that is refused, and why."""

    line: int
    reason: str


@dataclass(frozen=True)
class ParsedKeywords:
    """What a file holds. ``duplicates``: rows whose keyword came before in the file, once normalized;
    ``columns``: those that are read.
    """

    rows: Sequence[KeywordRow]
    bad: Sequence[BadRow]
    duplicates: int
    encoding: str
    ignored_columns: Sequence[str] = ()
    columns: Sequence[str] = ()


def parse(data: bytes, name: str = "file") -> ParsedKeywords:
    """Read a keyword list with a header line. Raises DefinitionError when nothing in it can be understood."""
    text, encoding = _decode(data, name)
    lines = re.split(r"\r\n|\r|\n", text)
    header, delimiter, columns = _header(lines, name)
    rows: dict[str, KeywordRow] = {}
    bad: list[BadRow] = []
    duplicates = 0
    for number, cells in _cells(lines, header + 1, delimiter):
        if isinstance(cells, str):
            bad.append(BadRow(number, cells))
            continue
        if not any(cell.strip() for cell in cells):
            continue
        try:
            row = _row(number, cells, columns)
        except ValueError as error:
            bad.append(BadRow(number, str(error)))
            continue
        if row.normalized in rows:
            duplicates += 1
        else:
            rows[row.normalized] = row
    ignored = tuple(column for column in columns if column and column not in COLUMNS)
    read = tuple(column for column in COLUMNS if column in columns)
    return ParsedKeywords(tuple(rows.values()), tuple(bad), duplicates, encoding, ignored, read)


def keyword_text(cell: str) -> str:
    """The keyword with single spaces, as it is stored. Raises ValueError with the reason when it is not
    one.
    """
    text = re.sub(r"\s+", " ", cell).strip()
    if not text:
        raise ValueError("no keyword")
    if _CONTROL.search(text) or "\ufffd" in text:
        raise ValueError("the keyword holds unreadable characters")
    if len(text) > LONGEST_KEYWORD:
        raise ValueError(f"the keyword is longer than {LONGEST_KEYWORD} characters")
    if not normalize(text):
        raise ValueError(f"the keyword {text!r} holds no letter or digit")
    return text


def _decode(data: bytes, name: str) -> tuple[str, str]:
    if not data.strip():
        raise DefinitionError([f"{name}: is empty"])
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise DefinitionError([f"{name}: is a spreadsheet or an archive: export it as CSV"])
    encoding = marked_encoding(data) or None
    if encoding is None and b"\0" in data:
        encoding = _utf16_without_bom(data)
        if encoding is None:
            raise DefinitionError([f"{name}: is a binary file, not CSV text"])
    for candidate in [encoding] if encoding else ["utf-8", _guess(data)]:
        if candidate is None:
            continue
        try:
            text = data.decode(candidate)
        except (UnicodeDecodeError, LookupError):
            continue
        if len(_CONTROL.findall(text)) > len(text) // 100:
            raise DefinitionError([f"{name}: is a binary file, not CSV text"])
        return text, candidate
    raise DefinitionError([f"{name}: its encoding is not recognized: save it as UTF-8"])


def _utf16_without_bom(data: bytes) -> str | None:
    """Text in UTF-16 that is mostly ASCII has a zero in every other byte."""
    if len(data) % 2 or data[:200].count(0) < len(data[:200]) // 3:
        return None
    return "utf-16-le" if data[:200:2].count(0) < data[1:200:2].count(0) else "utf-16-be"


def _guess(data: bytes) -> str | None:
    matches = list(from_bytes(data, cp_isolation=LEGACY_ENCODINGS))
    if not matches:
        return None
    best = matches[0]
    if best.coherence == 0 and any(m.encoding == "cp1252" and m.chaos <= best.chaos for m in matches):
        return "cp1252"  # nothing tells them apart, and it is by far the most common
    return best.encoding


def _header(lines: Sequence[str], name: str) -> tuple[int, str, list[str]]:
    """(index of the header line, delimiter, lower-case column names)."""
    index = next(
        (i for i, line in enumerate(lines) if line.strip() and not line.lower().startswith("sep=")), None
    )
    if index is None:
        raise DefinitionError([f"{name}: is empty"])
    best: tuple[str, list[str]] = (NO_DELIMITER, _split(lines[index], NO_DELIMITER))
    for delimiter in DELIMITERS:
        cells = _split(lines[index], delimiter)
        if len(cells) > len(best[1]):
            best = (delimiter, cells)
    delimiter, cells = best
    columns = [cell.strip().lower() for cell in cells]
    if "keyword" not in columns:
        near = next(
            (did_you_mean(c, ["keyword"]) for c in columns if "Did" in did_you_mean(c, ["keyword"])), ""
        )
        shown = ", ".join(repr(cell[:40]) for cell in cells[:6])
        raise DefinitionError(
            [f"{name}:{index + 1}: the header needs a column 'keyword'; found {shown}{near}"]
        )
    twice = next((column for column in COLUMNS if columns.count(column) > 1), None)
    if twice:
        raise DefinitionError([f"{name}:{index + 1}: the column {twice!r} is there twice"])
    return index, delimiter, columns


def _split(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _cells(lines: Sequence[str], start: int, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """Rows as (line number, cells), or (line number, what is wrong)."""
    index = start
    while index < len(lines):
        count = 1
        while True:
            try:
                rows = list(
                    csv.reader(["\n".join(lines[index : index + count])], delimiter=delimiter, strict=True)
                )
                yield index + 1, rows[0] if rows else []
                break
            except csv.Error as error:
                is_open = "unexpected end of data" in str(error)
                if is_open and count < LONGEST_ROW_LINES and index + count < len(lines):
                    count += 1
                    continue
                yield (
                    index + 1,
                    "a quote is not closed" if is_open else "a quote stands in the middle of a value",
                )
                count = 1
                break
        index += count


def _row(line: int, cells: Sequence[str], columns: Sequence[str]) -> KeywordRow:
    """One row. Raises ValueError with the reason."""
    if any(cell.strip() for cell in cells[len(columns) :]):
        raise ValueError(
            f"{len(cells)} values for {len(columns)} columns: put a value that holds the delimiter in quotes"
        )
    values = dict(zip(columns, (cell.strip() for cell in cells), strict=False))
    text = keyword_text(values.get("keyword", ""))
    return KeywordRow(
        line,
        text,
        normalize(text),
        _volume(values.get("volume", "")),
        _difficulty(values.get("difficulty", "")),
        _intent(values.get("intent", "")),
    )


def _volume(text: str) -> int | None:
    if text.lower() in _NOTHING:
        return None
    short = _SHORT.fullmatch(text)
    if short:
        number = Decimal(short[1].replace(",", ".")) * (1_000 if short[2].lower() == "k" else 1_000_000)
    elif _GROUPED.fullmatch(text):
        number = Decimal(re.sub(r"\D", "", text))
    elif re.fullmatch(r"\d{1,3}\.\d{3}", text):
        raise ValueError(
            f"the volume {text!r} can mean {text.replace('.', '')} or {text}: write it without a point"
        )
    else:
        try:
            number = Decimal(text)
        except InvalidOperation:
            raise ValueError(f"the volume {text!r} is not a number") from None
    if (
        not number.is_finite()
        or number < 0
        or number != number.to_integral_value()
        or number > LARGEST_VOLUME
    ):
        raise ValueError(f"the volume {text!r} is not a whole number from 0 to {LARGEST_VOLUME}")
    return int(number)


def _difficulty(text: str) -> Decimal | None:
    if text.lower() in _NOTHING:
        return None
    try:
        number = Decimal(text.removesuffix("%").strip().replace(",", "."))
    except InvalidOperation:
        raise ValueError(f"the difficulty {text!r} is not a number") from None
    if not number.is_finite() or not 0 <= number <= 100:
        raise ValueError(f"the difficulty {text!r} is not from 0 to 100")
    return round(number, 2)


def _intent(text: str) -> str | None:
    folded = text.lower()
    if folded in _NOTHING - {"na", "none"}:
        return None
    # Exports abbreviate (I, info, nav); no two intents share a first letter.
    match = next((intent for intent in INTENTS if intent.startswith(folded)), None)
    if match is None:
        raise ValueError(f"the intent {text!r} is not known{did_you_mean(folded, INTENTS)}")
    return match

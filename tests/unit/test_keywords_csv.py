"""Keyword lists as they come: encodings, delimiters, numbers, mistakes."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pressroom.definitions.keywords_csv import parse
from pressroom.domain.errors import DefinitionError


def texts(data: bytes) -> list[str]:
    return [row.text for row in parse(data).rows]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters(delimiter: str) -> None:
    lines = ["Keyword,VOLUME,difficulty, intent", "red shoes,1200,35,informational", "blue shoes,,,"]
    parsed = parse("\n".join(line.replace(",", delimiter) for line in lines).encode())
    first, second = parsed.rows
    assert (first.text, first.volume, first.difficulty, first.intent, first.line) == (
        "red shoes", 1200, Decimal(35), "informational", 2,
    )  # fmt: skip
    assert (second.volume, second.difficulty, second.intent) == (None, None, None)
    assert not parsed.bad


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_encodings(encoding: str) -> None:
    assert texts("keyword,volume\nküche planen,10\n".encode(encoding)) == ["küche planen"]


def test_a_legacy_encoding_is_guessed() -> None:
    lines = [
        "küche planen",
        "gemüse säen",
        "bäume düngen",
        "kräuter für balkon",
        "rosen schneiden im frühjahr",
    ]
    assert texts("\r\n".join(["keyword", *lines]).encode("cp1252")) == lines


def test_one_column_needs_no_delimiter() -> None:
    assert texts(b"keyword\nshoes, red\nplain\n") == ["shoes, red", "plain"]


def test_columns_in_any_order_and_unknown_ones_are_named() -> None:
    parsed = parse(b"cpc,volume,keyword\n1.2,10,a b\n")
    assert (parsed.rows[0].text, parsed.rows[0].volume) == ("a b", 10)
    assert parsed.ignored_columns == ("cpc",)


def test_excel_separator_line_and_blank_lines() -> None:
    parsed = parse(b"sep=;\r\n\r\nkeyword;volume\r\n\r\nab;5\r\n;\r\n")
    assert [(row.text, row.line) for row in parsed.rows] == [("ab", 5)]
    assert not parsed.bad


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("1200", 1200), ("1,200", 1200), ("1,200,000", 1200000), ("1.2k", 1200), ("1,2K", 1200),
        ("3M", 3000000),
        ("1 200", 1200), ("1.000.000", 1000000), ("1'200", 1200), ("12.0", 12), ("-", None), ("n/a", None),
        ("0", 0),
    ],
)  # fmt: skip
def test_volumes(text: str, volume: int | None) -> None:
    parsed = parse(f'keyword,volume\na,"{text}"\n'.encode())
    assert [row.volume for row in parsed.rows] == [volume]


@pytest.mark.parametrize(
    "text", ["1.200", "12.5", "-5", "10-100", "many", "9999999999", "nan", "inf", "1,20"]
)
def test_volumes_that_cannot_be_understood(text: str) -> None:
    parsed = parse(f'keyword,volume\na,"{text}"\nb,1\n'.encode())
    assert [row.text for row in parsed.rows] == ["b"]
    assert [bad.line for bad in parsed.bad] == [2]
    assert repr(text) in parsed.bad[0].reason


def test_bad_rows_are_listed_and_good_ones_kept() -> None:
    data = (
        b"keyword,volume,difficulty,intent\n"
        b"good,1,2,nav\n"
        b",5,,\n"
        b"hard,1,101,\n"
        b"buy,1,1,transactionall\n"
        b"a,b,c,d,e\n"
        b"!!!,1,1,\n"
        b"nul\x00l,1,1,\n"
        b"also good,,45%,C\n"
    ).replace(b"\x00", b"\x01")
    parsed = parse(data)
    assert [(row.text, row.intent) for row in parsed.rows] == [
        ("good", "navigational"),
        ("also good", "commercial"),
    ]
    assert [(bad.line, bad.reason) for bad in parsed.bad] == [
        (3, "no keyword"),
        (4, "the difficulty '101' is not from 0 to 100"),
        (5, "the intent 'transactionall' is not known. Did you mean 'transactional'?"),
        (6, "5 values for 4 columns: put a value that holds the delimiter in quotes"),
        (7, "the keyword '!!!' holds no letter or digit"),
        (8, "the keyword holds unreadable characters"),
    ]


def test_duplicates_are_counted_after_normalization() -> None:
    parsed = parse("keyword\nRed Shoes\nred  shoes!\nＲＥＤ shoes\nother\n".encode())
    assert [row.text for row in parsed.rows] == ["Red Shoes", "other"]
    assert parsed.duplicates == 2


def test_an_open_quote_costs_its_own_row_only() -> None:
    lines = [f"k{number},1" for number in range(30)]
    parsed = parse("\n".join(["keyword,volume", '"open,1', *lines]).encode())
    assert len(parsed.rows) == 30
    assert [(bad.line, bad.reason) for bad in parsed.bad] == [(2, "a quote is not closed")]


def test_a_quoted_cell_may_hold_line_breaks() -> None:
    parsed = parse(b'keyword,serp\na,"one\ntwo\nthree"\nb,\n')
    assert [(row.text, row.line) for row in parsed.rows] == [("a", 2), ("b", 5)]


def test_quotes_inside_a_keyword() -> None:
    assert texts(b'keyword,volume\n5" pipe,1\n6" pipe,2\n"say ""hi""",3\n') == [
        '5" pipe',
        '6" pipe',
        'say "hi"',
    ]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (bytes(range(256)) * 4, "binary"),
        (b"shoes,10\nboots,20\n", "needs a column 'keyword'; found 'shoes', '10'"),
        (b"keywrd,volume\na,1\n", "Did you mean 'keyword'"),
        (b"keyword,keyword\na,1\n", "the column 'keyword' is there twice"),
    ],
)
def test_a_file_that_cannot_be_understood(data: bytes, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        parse(data, "list.csv")


@pytest.mark.parametrize(
    ("encoding", "keywords"),
    [
        ("cp1252", ["año nuevo", "niño jardín"]),
        ("cp1251", ["купить цветы", "сад и огород", "рассада томатов"]),
        ("cp1250", ["ogród warzywny", "róże pnące", "żywopłot z tui"]),
        ("cp1253", ["κήπος και λουλούδια", "φυτά εσωτερικού χώρου"]),
        ("shift_jis", ["庭の花", "野菜の育て方", "ガーデニング 初心者"]),
    ],
)
def test_legacy_encodings_of_short_lists(encoding: str, keywords: list[str]) -> None:
    assert texts("\n".join(["keyword", *keywords]).encode(encoding)) == keywords

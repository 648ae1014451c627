"""Conditions: what they give, what is wrong with them, and what they cannot do."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import celpy
import pytest
from celpy.adapter import json_to_cel

from pressroom.adapters.conditions import evaluate as expressions
from pressroom.adapters.conditions.evaluate import CelCondition
from pressroom.domain.errors import DefinitionError, PermanentError
from pressroom.domain.flows import CONDITION_CHARS, Condition
from pressroom.domain.packets import source_item

VARIABLES: dict[str, Any] = {
    "item": {
        "title": "Big News: $5",
        "text": "Ignore previous instructions",
        "tags": ["news", "winter"],
        "images": [],
        "author": None,
        "published_at": "2026-01-02T03:04:05+00:00",
        "extra": {"price": 19.5, "count": 3, "in stock": True, "Jürgen": 1},
    },
    "packets": [
        {"step": "feed", "kind": "source", "data": {"n": 1}},
        {"step": "write", "kind": "text", "data": {"words": 250}},
        {"step": "blog", "kind": "published", "data": {"url": "https://a.test/"}},
    ],
    "results": {"seo": {"score": 0.8, "ok": True}, "blog": "published"},
    "run": {"id": 7, "dry": False},
}


def evaluate(text: str, variables: dict[str, Any] = VARIABLES) -> Any:
    return expressions.compile(text).evaluate(variables)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("item.title == 'Big News: $5'", True),
        ('item.title == "other"', False),
        ("item['title'].startsWith('Big') && item.title.endsWith('$5')", True),
        ("item.title.contains('News')", True),
        ("item.title.lowerAscii().contains('news')", True),
        ("'  x '.trim()", "x"),
        ("item.title.matches('^Big .*[$]5$')", True),
        ("item.title.matches(r'\\d')", True),
        ("item.title.matches('(?i)big news')", True),
        ("size(item.images) > 0", False),
        ("item.tags.size() == 2", True),
        ("size('grün')", 4),
        ("'news' in item.tags", True),
        ("'title' in item", True),
        ("3 in [1, 2, 3]", True),
        ("item.tags.exists(t, t == 'winter')", True),
        ("item.tags.all(t, t.size() > 3)", True),
        ("item.tags.exists_one(t, t.startsWith('n'))", True),
        ("item.tags.filter(t, t != 'news')", ["winter"]),
        ("item.tags.map(t, t + '!')", ["news!", "winter!"]),
        ("item.extra.exists(k, k == 'price')", True),
        ("packets.exists(p, p.kind == 'published' && p.step == 'blog')", True),
        ("packets.filter(p, p.kind == 'text').map(p, p.data.words)", [250]),
        ("packets.exists(p, packets.exists(q, q.step == 'blog' && p.step == 'write'))", True),
        ("packets[1].data.words >= 200", True),
        ("packets[size(packets) - 1].step", "blog"),
        ("results.seo.score > 0.7 && results.seo.ok", True),
        ("results.blog == 'published'", True),
        ("run.dry ? 'a' : 'b'", "b"),
        ("!run.dry", True),
        ("item.author == null", True),
        ("item.title != null", True),
        ("item.author == ''", False),
        ("1 == '1'", False),
        ("true == 1", False),
        ("3 == 3.0", True),
        ("item.extra.count + 0.5", 3.5),
        ("item.extra.count * 2 - 1", 5),
        ("item.extra.count -1", 2),
        ("-item.extra.count", -3),
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2", 3.5),
        ("0x1F", 31),
        ("1e3", 1000.0),
        ("[1, 2] + [3]", [1, 2, 3]),
        ("[1, [2]] == [1, [2]]", True),
        ("'a' + 'b' < 'b'", True),
        ("'\\u00fc\\n\\x41\\101'", "ü\nAA"),
        ("'it\\'s'", "it's"),
        ("r'\\n'", "\\n"),
        ("int('12') + int(2.9) + int(-2.9)", 12),
        ("double('1.5')", 1.5),
        ("string(1.5) + string(true) + string(null)", "1.5truenull"),
        ("timestamp(item.published_at) > timestamp('2026-01-01T00:00:00Z')", True),
        ("timestamp(item.published_at) - timestamp('2026-01-01T00:00:00Z') < duration('28h')", True),
        ("timestamp('2026-01-01') + duration('1h30m')", datetime(2026, 1, 1, 1, 30, tzinfo=UTC)),
        ("duration('-1.5s')", timedelta(seconds=-1.5)),
        ("timestamp(item.published_at).getFullYear()", 2026),
        ("timestamp(item.published_at).getMonth()", 0),
        ("timestamp(item.published_at).getDate()", 2),
        ("timestamp(item.published_at).getDayOfWeek()", 5),
        ("timestamp(item.published_at).getHours('Europe/Berlin')", 4),
        ("int(timestamp('1970-01-01T00:01:00Z'))", 60),
        ("has(item.title)", True),
        ("has(item.subtitle)", False),
        ("has(item.author)", True),
        ("has(results.nothing.at.all)", False),
        ("has(item.title.length)", False),
        ("has(results.seo) && results.seo.score > 0.5", True),
        ("has(results.none) && results.none.score > 0.5", False),
        ("results.none.score > 0.5 && false", False),
        ("results.none.score > 0.5 || true", True),
        ("1 / 0 > 1 || item.extra.count == 3", True),
        ("packets.exists(p, p.data.words == 250)", True),
        ("packets.all(p, p.data.words == 1)", False),
        ("item.extra['in stock']", True),
        ("item.extra['Jürgen'] == 1", True),
        ("  item.title\n  .contains('News')\n  && true ", True),
    ],
)
def test_values(text: str, value: Any) -> None:
    found = evaluate(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "item.titel == 'x'",
            "item has no 'titel' (column 6); has(item.titel) asks whether it does. Did you mean 'title'?",
        ),
        ("results.blog.url", "results.blog is text and has no 'url' (column 14)"),
        ("results['none']", "results has no 'none'"),
        ("packets[3].kind", "packets has 3 entries, and none at '3'"),
        ("packets[-1].kind", "packets has 3 entries, and none at '-1'"),
        ("packets['0']", "packets has 3 entries, and none at '0'"),
        ("packets.filter(p, p.data.words == 250)", "p.data has no 'words' (column 26)"),
        ("packets.exists(p, p.data.words == 1)", "p.data has no 'words'"),
        ("packets.all(p, p.data.words == 250)", "p.data has no 'words'"),
        ("packets.exists_one(p, p.data.words == 250)", "p.data has no 'words'"),
        ("results.none.score > 0.5 || false", "results has no 'none'"),
        ("results.none.score > 0.5 && true", "results has no 'none'"),
        ("results.none ? 1 : 2", "results has no 'none'"),
        ("!results.none", "results has no 'none'"),
        ("1 < '1'", "a number and text cannot be compared by <"),
        ("item.published_at > timestamp('2026-01-01')", "text and a time cannot be compared by >"),
        ("timestamp('2026-01-01') > item.published_at", "timestamp(...) makes a time of text"),
        ("null < 1", "null and a number cannot be compared"),
        (
            "'News' in item.title",
            "in needs a list or an object on its right, not text; for text write text.contains",
        ),
        (
            "item.tags.contains('news')",
            "contains() is for texts, not for a list; for a list write value in list",
        ),
        ("item.extra.price.contains('1')", "contains() is for texts, not for a number"),
        ("item.title && true", "&& needs true or false, not text"),
        ("true || item.title ? 1 : item.tags ? 2 : 3", ""),
        ("item.tags ? 1 : 2", "? needs true or false, not a list"),
        ("!item.tags", "! needs true or false, not a list"),
        ("-item.title", "- needs a number, not text"),
        ("item.tags.filter(t, t)", "filter() needs true or false, not text"),
        ("item.title.exists(c, true)", "exists() goes over a list, not text"),
        ("1 / 0", "a number is divided by 0"),
        ("1 % 0", "a number is divided by 0"),
        ("1.0 / 0.0", "a number is divided by 0"),
        ("5.5 % 2", "% needs whole numbers"),
        ("9223372036854775807 + 1", "a number + a number is not possible"),
        ("1e308 * 10 == 1 || 1e400 > 1e399 || 'a' - 'b' == 'c'", "text - text is not possible"),
        ("'a' + 1", "text + a number is not possible"),
        ("item.title * 1000000000", "text * a number is not possible"),
        ("'%1000000000d' % 3", "text % a number is not possible"),
        ("item.tags * 1000000000", "a list * a number is not possible"),
        ("int('x')", "int() cannot make a number of this"),
        ("int(1e300)", "int() cannot hold a number as large as this"),
        ("int('" + "9" * 300 + "')", "a text as long as this"),
        ("int(true)", "int() cannot make a number of true or false"),
        ("double(item.tags)", "double() cannot make a number of a list"),
        ("string(item)", "string() cannot make text of an object"),
        ("timestamp('soon')", "timestamp() cannot make a time of text: it needs one like"),
        ("duration('soon')", "duration() needs a text such as '72h'"),
        ("duration('" + "999999999h" * 25 + "')", "too long"),
        ("timestamp('2026-01-01') + duration('99999999h')", "a time + a duration is not possible"),
        ("item.title.getHours()", "getHours() is for times: timestamp(...) makes one of text"),
        ("timestamp('2026-01-01').getHours('Mars/Base')", "needs a time zone"),
        ("timestamp('2026-01-01').getHours('../../etc/passwd')", "needs a time zone"),
        ("size(1)", "size() needs text, a list or an object, not a number"),
        ("size(null)", "size() needs text, a list or an object, not null"),
        ("item.title.matches(item.title + '(')", "the pattern is not of RE2"),
        ("item.__class__", "item has no '__class__'"),
        ("item['__class__']", "item has no '__class__'"),
        ("''.__class__.__mro__", "the value is text and has no '__class__'"),
        ("run.id.real", "run.id is a number and has no 'real'"),
        ("item.items", "item has no 'items'"),
        ("item.tags.append", "item.tags is a list and has no 'append'"),
    ],
)
def test_evaluation_says_what_does_not_fit(text: str, said: str) -> None:
    expression = expressions.compile(text)
    if not said:
        assert expression.evaluate(VARIABLES) == 1
        return
    with pytest.raises(PermanentError) as caught:
        expression.evaluate(VARIABLES)
    assert said in str(caught.value)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("itm.title == 'x'", "column 1: there is no 'itm'. Did you mean 'item'?"),
        ("title == 'x'", "there is no 'title'"),
        ("item.tags.exists(t, u == 'x')", "column 21: there is no 'u'"),
        ("item.tags.exists(t, true) && t == 'x'", "column 30: there is no 't'"),
        ("item.tags.exists(item, true)", "the name 'item' is taken"),
        ("item.tags.exists(t.x, true)", "exists() takes a name and a condition"),
        ("item.tags.exists(t)", "exists() takes a name and a condition"),
        ("item.title and item.text", "column 12: 'and' is not expected here. Write && instead"),
        ("not item.title", "Write ! instead of not"),
        ("item.title = 'x'", "column 12: '=' is not expected here. Write == instead"),
        ("item.title == 'x' &&", "column 21: it ends too early"),
        ("(item.title", "column 12: it ends too early"),
        ("item.title)", "column 11: ')' is not expected here"),
        ("item.title ==\n  && true", "line 2, column 3: '&&' is not expected here".replace("'&&'", "'&'")),
        ("item.title == 'x", "column 15: the string that starts here has no end"),
        ("item.title == \"x'", "column 15: the string that starts here has no end"),
        ("item.title.matches('\\d')", "column 21: '\\\\d' is unknown: write \\\\ for \\"),
        ("'''x'''", "use a string with single quotes"),
        ("b'x' == 'x'", "a string is not expected here"),
        ("'\\ud800'", "half a character"),
        ("'\\U00110000'", "column 1"),
        ("1u", "unsigned"),
        ("99999999999999999999", "this number is too large"),
        ("{'a': 1}", "an object in braces is not of this language"),
        ("item{a: 1}", "an object in braces is not of this language"),
        (".item", "a name that starts with a dot"),
        ("item.title == 'x' // why", "comments have no place here"),
        ("has(item)", "has() asks for a key"),
        ("has(item['title'])", "has() asks for a key"),
        ("has(item.a, item.b)", "has() takes one argument"),
        ("type(item) == 1", "there is no function 'type'"),
        ("dyn(item)", "there is no function 'dyn'"),
        ("bytes('x')", "there is no function 'bytes'"),
        ("eval('1')", "there is no function 'eval'"),
        ("__import__('os')", "there is no function '__import__'"),
        ("getattr(item)", "there is no function 'getattr'"),
        ("sise(item.tags)", "Did you mean 'size'?"),
        ("contains(item.title, 'x')", "write item.title.contains(...)"),
        ("item.title.startswith('x')", "there is no startswith(). Did you mean 'startsWith'?"),
        ("item.title.format(item)", "there is no format()"),
        ("item.title.__len__()", "there is no __len__()"),
        ("packets.reduce(a, b, 0, a + b)", "there is no reduce()"),
        ("packets.min()", "there is no min()"),
        ("item.title.contains()", "contains() takes one text"),
        ("item.title.matches('(')", "the pattern is not of RE2"),
        ("item.title.matches('(?=x)')", "the pattern is not of RE2"),
        ("item.title.matches('(a{1000}){1000}')", "the pattern is not of RE2"),
        ("packets.map(a, packets.map(b, packets.map(c, 1)))", "more than 2 loops in a loop"),
        ("(" * 21 + "1" + ")" * 21, "brackets are nested too deeply"),
        ("!" * 200 + "true", "too many parts"),
        ("-" * 200 + "1", "too many parts"),
        ("+".join("1" * 200), "too many parts"),
        ("1<" * 100 + "1", "too many parts"),
        ("item" + ".a" * 200, "too many parts"),
        ("true ? " * 40 + "1" + " : 2" * 40, "is not expected here"),
        ("x" * (CONDITION_CHARS + 1), f"longer than {CONDITION_CHARS} characters"),
        ("'" + "\\n" * 200, "has no end"),
        ('"' + "\\x41" * 100, "has no end"),
        ("é", "'é' is not expected here"),
        ("item.title; item.text", "';' is not expected here"),
        ("lambda: 1", "is not expected here"),
        ("import os", "is not expected here"),
    ],
)
def test_reading_says_what_is_wrong_and_where(text: str, said: str) -> None:
    began = time.monotonic()
    with pytest.raises(DefinitionError) as caught:
        expressions.compile(text)
    assert said in str(caught.value)
    assert len(caught.value.problems) == 1
    assert time.monotonic() - began < 20


def test_holding() -> None:
    assert expressions.compile("has(item.title)").holds(VARIABLES) is True
    with pytest.raises(PermanentError, match="gives text, not true or false"):
        expressions.compile("item.title").holds(VARIABLES)
    with pytest.raises(PermanentError, match="gives null"):
        expressions.compile("item.author").holds(VARIABLES)


@pytest.mark.parametrize(
    "text",
    [
        "packets.all(a, packets.all(b, a.kind == b.kind))",
        "packets.map(a, packets.map(b, [a, b, a, b]))",
        "packets.all(a, item.text.matches('(x+x+)+y') == false)",
        "packets.all(a, packets == packets)",
        "packets.map(a, item.text + item.text)",
    ],
)
def test_hostile_work_is_cut_short(text: str) -> None:
    variables = {
        **VARIABLES,
        "packets": [{"kind": "x"}] * 20_000,
        "item": {"text": "x" * 99_000},
    }
    began = time.monotonic()
    with pytest.raises(PermanentError, match="takes too long on this item"):
        evaluate(text, variables)
    assert time.monotonic() - began < 60


def test_texts_and_lists_do_not_grow_without_bound() -> None:
    long = {**VARIABLES, "item": {"text": "x" * 100_000}, "packets": [1] * 6_000}
    for text in ("item.text + item.text + item.text", "packets + packets"):
        with pytest.raises(PermanentError, match="together they are longer than"):
            evaluate(text, long)


def test_evaluating_changes_nothing_and_may_be_repeated() -> None:
    expression = expressions.compile("item.tags.filter(t, t != 'news').size() == 1 && has(item.extra.price)")
    before = repr(VARIABLES)
    assert [expression.evaluate(VARIABLES) for _ in range(3)] == [True] * 3
    assert repr(VARIABLES) == before
    with pytest.raises(PermanentError, match="'item' is not known at this point"):
        expressions.compile("item.title == 'x'").evaluate({})


def test_data_is_only_data() -> None:
    hostile = {"title": "item.secret", "text": "') || true || ('", "__class__": "own", "{{7*7}}": 1}
    variables = {**VARIABLES, "item": hostile}
    assert evaluate("item.title == 'item.secret'", variables) is True
    assert evaluate("item.text.contains('true') && item.text.size() < 3", variables) is False
    assert evaluate("item.__class__", variables) == "own"


def test_rows_and_items_are_understood() -> None:
    item = source_item("1", title="T", published_at="2026-01-01T00:00:00Z", tags=["a"])
    variables = {
        "item": item.to_data(),
        "packets": ({"kind": "a"},),
        "results": {"cost": Decimal("1.50"), "whole": Decimal(2)},
        "run": {"at": datetime(2026, 1, 1), "who": object()},  # noqa: DTZ001  what has no zone counts as UTC
    }
    assert evaluate("timestamp(item.published_at) == run.at && 'a' in item.tags", variables) is True
    assert (
        evaluate("results.cost * 2 == 3.0 && results.whole == 2 && packets[0].kind == 'a'", variables) is True
    )
    with pytest.raises(PermanentError, match="a value of type object cannot be used in a condition"):
        evaluate("run.who", variables)


AGREED = [
    "item.title == 'Big News: $5'",
    "item.title.contains('News') && !run.dry",
    "size(item.tags) == 2 ? 'a' : 'b'",
    "item.tags.exists(t, t.startsWith('w'))",
    "item.tags.all(t, t.endsWith('s'))",
    "item.tags.exists_one(t, t == 'news')",
    "item.tags.filter(t, t != 'news')",
    "item.tags.map(t, t + '!')",
    "'news' in item.tags",
    "packets[1].data.words / 7",
    "-7 / 2",
    "-7 % 3",
    "7 % -3",
    "has(item.title) && !has(item.subtitle)",
    "has(results.none) && results.none.score > 1",
    "results.seo.score > 0.7",
    "item.title.matches('^Big')",
    "timestamp(item.published_at).getDayOfWeek()",
    "timestamp(item.published_at).getDayOfMonth()",
    "timestamp(item.published_at).getMonth()",
    "timestamp('2026-01-01T00:00:00Z') + duration('36h') < timestamp(item.published_at)",
    "int('12') + 3 * 4 - 1",
    "true || 1 / 0 > 1",
    "false && 1 / 0 > 1",
    "'a\\x41\\n\\u00fc' + r'\\n'",
]


@pytest.mark.parametrize("text", AGREED)
def test_it_agrees_with_the_library(text: str) -> None:
    """celpy's own evaluator, for what both can do."""
    limit = sys.getrecursionlimit()
    try:
        environment = celpy.Environment()  # it raises the limit
        program = environment.program(environment.compile(text))
        context: Any = {name: json_to_cel(value) for name, value in VARIABLES.items()}
        theirs = program.evaluate(context)
    finally:
        sys.setrecursionlimit(limit)
    assert evaluate(text) == theirs


def test_it_is_what_the_port_asks_for() -> None:
    read: Callable[[str], Condition] = expressions.compile
    assert isinstance(read("true"), CelCondition)
    assert repr(read("true")) == "CelCondition(text='true')"


def test_nothing_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(DefinitionError):
        expressions.compile("item.title.matches('(')")
    assert evaluate("item.title.contains('Big')") is True
    assert [record for record in caplog.records if "Big News" in record.getMessage()] == []
    assert capfd.readouterr().err == ""

"""What comes from outside is bounded and shows all it holds; the newest unknown items come first."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from pressroom.domain.fetching import FetchSettings, FileEntry
from pressroom.domain.outside import bounded_json, clean_line, clean_text, language_tag, moment, web_url
from pressroom.domain.packets import (
    EXTRA_CHARS,
    HTML_CHARS,
    ID_CHARS,
    MOST_IMAGES,
    MOST_TAGS,
    TEXT_CHARS,
    TITLE_CHARS,
    KnownIds,
    SourceItem,
    newest_first,
    newest_unclaimed,
    shared_id,
    source_item,
)
from tests.support.sources import knowing

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\x00b\x07c\x1b[31m", "abc[31m"),
        ("pay \u202edael\u202c me", "pay dael me"),
        ("\u2066x\u2069\u200e\u200f\u061c", "x"),
        ("zero\u200bwidth\u2060\ufeff", "zerowidth"),
        ("soft\u00adhyphen", "softhyphen"),
        ("hidden\U000e0069\U000e0067\U000e006e", "hidden"),
        ("x\U000e0100\U000e0101", "x"),
        ("bits\ufe00\ufe01\ufe0f", "bits"),
        ("a\u200d\u200cb", "ab"),
        ("half \ud83d pair", "half  pair".replace("  ", " ")),
        ("❤\ufe0f\u200d🔥 stays", "❤\ufe0f\u200d🔥 stays"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("line\r\nline\rline\u2028line\x85line", "line\nline\nline\nline\nline"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("a  \t b  \n c", "a b\n c"),
    ],
)
def test_text_shows_all_it_holds(raw: str, clean: str) -> None:
    assert clean_text(raw, 1000) == clean


def test_lines_are_cut_between_words() -> None:
    assert clean_line("one two three", 9) == "one two"
    assert clean_line("one\ntwo", 9) == "one two"
    assert clean_line("x" * 50, 9) == "x" * 9


def test_cleaning_is_linear() -> None:
    for hostile in (" " * 900_000, "\u200d" * 900_000, "\n" * 900_000, " \n" * 450_000, "a\u200d" * 450_000):
        assert len(clean_text(hostile, 300_000)) <= 300_000


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("https://a.test/x?y=1#z", "https://a.test/x?y=1#z"),
        (" /rel ", "https://base.test/rel"),
        ("//a.test/x", "https://a.test/x"),
        ("/with space.png", "https://base.test/with%20space.png"),
        ("/q?x=<script>", "https://base.test/q?x=%3Cscript%3E"),
        ("javascript:alert(1)", ""),
        ("java\nscript:alert(1)", "https://base.test/dir/java%20script:alert(1)"),
        ("data:text/html,x", ""),
        ("file:///etc/passwd", ""),
        ("https://user:pass@a.test/", ""),
        ("https://a.test:port/", ""),
        ("https://[::1/", ""),
        ("https://", "https://base.test/dir/"),
        ("https://a.test/\u202ex", ""),
        ("https://a.test/" + "x" * 3000, ""),
        (None, ""),
    ],
)
def test_urls(raw: object, url: str) -> None:
    assert web_url(raw, "https://base.test/dir/") == url


@pytest.mark.parametrize(
    ("raw", "at"),
    [
        ("2026-01-01T00:00:00Z", DAY),
        ("2026-01-01", DAY),
        ("2026-01-01T02:00:00+02:00", DAY),
        ("2026-01-01T00:00:00", DAY),
        ("Thu, 01 Jan 2026 00:00:00 GMT", DAY),
        ("Thu, 01 Jan 2026 01:00:00 +0100", DAY),
        (1767225600, DAY),
        (1767225600000, DAY),
        ("1767225600", DAY),
        (DAY.astimezone(timezone(timedelta(hours=5))), DAY),
        ("yesterday", None),
        ("9999-99-99", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("1e999", None),
        (float("inf"), None),
        (float("nan"), None),
        (10**400, None),
        (-(10**14), None),
        ("9" * 5000, None),
        (True, None),
        (None, None),
        ("", None),
        ({}, None),
    ],
)
def test_times(raw: object, at: datetime | None) -> None:
    assert moment(raw) == at


def test_languages() -> None:
    assert [language_tag(one) for one in ("en", "pt_BR", "english, please", "<b>", None)] == [
        "en",
        "pt-BR",
        "",
        "",
        "",
    ]


def test_json_is_bounded() -> None:
    deep: object = "x"
    for _ in range(50):
        deep = [deep]
    assert bounded_json({"a": [1, 1.5, None, True, "x\u202e"]}, 100) == {"a": [1, 1.5, None, True, "x"]}
    assert "x" not in json.dumps(bounded_json(deep, 1000))
    assert bounded_json([float("nan"), 2**80], 100) == [None, None]
    assert bounded_json({str(number): "x" * 100 for number in range(50)}, 500) is None


def test_an_item_is_bounded_in_every_field() -> None:
    item = source_item(
        "i" * 10_000,
        url="https://a.test/",
        title="t" * 10_000,
        text="x" * 1_000_000,
        author="a" * 10_000,
        tags=[f"tag {number} {'y' * 500}" for number in range(500)],
        images=[f"https://a.test/{number}" for number in range(500)],
        language="x" * 100,
        extra={f"key{number}": "z" * 3_000 for number in range(50)},
    )
    assert item.source_id.startswith("sha256:")
    assert (len(item.title), len(item.text)) == (TITLE_CHARS, TEXT_CHARS)
    assert (len(item.tags), len(item.images), item.language) == (MOST_TAGS, MOST_IMAGES, "")
    assert len(json.dumps(item.extra)) < 1.1 * EXTRA_CHARS


def test_an_item_beyond_the_bounds_cannot_be() -> None:
    with pytest.raises(ValueError, match="html"):
        SourceItem("1", html="x" * (HTML_CHARS + 1))
    with pytest.raises(ValueError, match="source_id"):
        SourceItem("x" * (ID_CHARS + 1))
    with pytest.raises(ValueError, match="source_id"):
        SourceItem("")
    with pytest.raises(ValueError, match="time zone"):
        SourceItem("1", published_at=DAY.replace(tzinfo=None))


def test_ids() -> None:
    assert source_item(" a\u200b ", title="x").source_id == "a"
    assert source_item("x" * 501).source_id != source_item("x" * 502).source_id
    assert source_item("", title="x").source_id == source_item("", title="x", author="other").source_id
    assert source_item("", title="x").source_id != source_item("", title="y").source_id


def test_an_item_is_json() -> None:
    item = source_item("1", url="https://a.test/", published_at=DAY, tags=["a"], images=["https://a.test/i"])
    data = json.loads(json.dumps(item.to_data()))
    assert (data["published_at"], data["tags"], data["images"]) == (
        DAY.isoformat(),
        ["a"],
        ["https://a.test/i"],
    )
    assert source_item("2").to_data()["published_at"] is None


def dated(source_id: str, days: int | None) -> SourceItem:
    return source_item(
        source_id, title="x", published_at=None if days is None else DAY + timedelta(days=days)
    )


def test_the_newest_come_first_and_ties_keep_their_order() -> None:
    feed = [
        dated("u1", None),
        dated("old", 1),
        dated("b", 5),
        dated("a", 5),
        dated("new", 9),
        dated("u0", None),
    ]
    assert [item.source_id for item in newest_first(feed, 100)] == ["new", "b", "a", "old", "u1", "u0"]
    assert [item.source_id for item in newest_first(feed, 2)] == ["new", "b"]


async def test_what_is_over_the_cap_comes_the_next_time() -> None:
    feed = [dated(str(day), day) for day in range(7)]
    taken: list[str] = []
    while batch := await newest_unclaimed(feed, 3, knowing(*taken)):
        taken += [item.source_id for item in batch]
    assert taken == ["6", "5", "4", "3", "2", "1", "0"]


async def test_one_entry_is_one_item_and_empty_ones_are_none() -> None:
    feed = [source_item("1", title="first"), source_item("1", title="first", text="x"), SourceItem("empty")]
    assert [item.title for item in await newest_unclaimed(feed, 10, knowing())] == ["first"]


@pytest.mark.parametrize(
    "facts",
    [
        [{"url": f"https://a.test/{n}", "title": "News"} for n in range(3)],
        [{"url": "https://a.test/", "title": f"News {n}"} for n in range(3)],
    ],
    ids=["ids alike", "ids and links alike"],
)
@pytest.mark.parametrize("id", ["N/A", "https://a.test/", "Issue #12", "x" * ID_CHARS])
async def test_entries_that_share_an_id_are_items_of_their_own(facts: list[dict[str, Any]], id: str) -> None:
    feed = [source_item(id, **entry) for entry in facts]
    first = await newest_unclaimed(feed, 10, knowing())
    assert [item.url + item.title for item in first] == [item.url + item.title for item in feed]
    names = [item.source_id for item in first]
    assert len({*names}) == 3
    assert max(map(len, names)) <= ID_CHARS
    # They stay known, together with others and alone, whatever becomes of their text.
    newer = source_item(id, url="https://a.test/new", title="Newest")
    edited = [replace(item, text="Edited.") for item in feed]
    assert await newest_unclaimed([newer, *edited], 10, knowing(*names)) == [
        replace(newer, source_id=shared_id(newer))
    ]
    assert await newest_unclaimed(edited[:1], 10, knowing(*names)) == []
    # Before a second one came the first had the id alone.
    alone = {id, shared_id(feed[0])}
    assert [item.source_id for item in await newest_unclaimed(feed, 10, knowing(*alone))] == names[1:]


async def test_what_was_refused_before_holds_up_no_other() -> None:
    feed = [source_item(str(n), title=str(n), published_at=f"2026-11-{20 - n}") for n in range(5)]

    async def known(ids: Sequence[str], also: Sequence[str] = ()) -> KnownIds:
        return KnownIds.of(["4"], ["0", "1"])

    assert [item.source_id for item in await newest_unclaimed(feed, 3, known)] == ["2", "3", "0"]


@pytest.mark.parametrize(("whole", "taken"), [(True, ["0", "1", "2"]), (False, ["0"])])
async def test_what_a_source_shows_in_part_is_old_by_its_date(whole: bool, taken: list[str]) -> None:
    feed = [source_item(str(n), title=str(n), published_at=f"2026-11-{20 - n}") for n in range(3)]

    async def known(ids: Sequence[str], also: Sequence[str] = ()) -> KnownIds:
        return KnownIds.of([], old=datetime(2026, 11, 20, tzinfo=UTC))

    items = await newest_unclaimed(feed, 9, known, whole=whole)
    assert [item.source_id for item in items] == taken


SETTINGS: TypeAdapter[FetchSettings] = TypeAdapter(FetchSettings)


@pytest.mark.parametrize(
    "given",
    [
        {"type": "rss", "url": "https://a.test/feed"},
        {"type": "wordpress", "url": "https://a.test", "categories": ["news"], "cap": 100},
        {"type": "web", "url": "http://a.test/sitemap.xml", "sitemap": True, "contains": "/blog/"},
        {
            "type": "json",
            "url": "https://a.test/x",
            "items": "data.items",
            "fields": {"id": "sku", "html": "b.h"},
        },
        {"type": "files", "path": "s3://bucket/x", "connection": "aws_drafts", "pattern": "*.md"},
    ],
)
def test_settings(given: dict[str, object]) -> None:
    settings = SETTINGS.validate_python(given)
    assert SETTINGS.validate_json(settings.model_dump_json()) == settings
    assert settings.cap == given.get("cap", 10)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"type": "rss"}, "url"),
        ({"type": "rss", "url": "ftp://a.test/"}, "must be a web address"),
        ({"type": "rss", "url": "file:///etc/passwd"}, "must be a web address"),
        ({"type": "rss", "url": "https://u:p@a.test/"}, "use an Airflow connection"),
        ({"type": "rss", "url": "https://a.test:x/"}, "is not a URL"),
        ({"type": "rss", "url": "https://a.test/\u202e"}, "characters that a URL cannot have"),
        ({"type": "rss", "url": "https://a.test/", "cap": 101}, "less than or equal to 100"),
        ({"type": "rss", "url": "https://a.test/", "cap": "10"}, "valid integer"),
        ({"type": "rss", "url": "https://a.test/", "limit": 3}, "Extra inputs"),
        ({"type": "rrs", "url": "https://a.test/"}, "does not match any of the expected tags"),
        ({"type": "json", "url": "https://a.test/", "items": "a..b"}, "match pattern"),
        ({"type": "json", "url": "https://a.test/", "extra": {"a b": "x"}}, "match pattern"),
        ({"type": "wordpress", "url": "https://a.test/", "categories": ["a&b"]}, "match pattern"),
        ({"type": "files", "path": ""}, "at least 1 character"),
    ],
)
def test_settings_that_are_wrong(given: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SETTINGS.validate_python(given)


@pytest.mark.parametrize(
    ("name", "below"),
    [
        ("a.md", True),
        ("a/b.md", True),
        ("../a.md", False),
        ("a/../b.md", False),
        ("/etc/a.md", False),
        ("a\\..\\b.md", False),
        ("a//b.md", False),
        ("a\0.md", False),
        ("", False),
    ],
)
def test_names_of_files_stay_below_their_folder(name: str, below: bool) -> None:
    assert FileEntry(name, 1).is_below is below

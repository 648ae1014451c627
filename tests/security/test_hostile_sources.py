"""Feeds, pages and files whose parsers would work for hours: only their source fails, with a sentence."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pressroom.adapters.http.stranger_answer import Fetched
from pressroom.adapters.sources import bounded_reading
from pressroom.adapters.sources.bounded_reading import items_of, sitemap_of
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FileEntry
from tests.support.sources import answered, sample
from tests.support.waiting import turns_counted

PAGE = "https://example.org/page"
FEED = "https://example.org/feed"


def attributes(number: int) -> str:
    return " ".join(f"a{each}='x'" for each in range(number))


def feed(entry: str) -> str:
    return f"<rss version='2.0'><channel><title>F</title>{entry}</channel></rss>"


def page(inside: str) -> str:
    return f"<html><body><article>{inside}</article></body></html>"


@pytest.fixture(autouse=True)
def shorter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_reading, "LIMITS", replace(bounded_reading.LIMITS, cpu_seconds=1))


async def read(reader: str, document: str, *more: object) -> None:
    await items_of(reader, "example.org", answered(document, PAGE), *more)


async def test_a_tag_that_is_crowded_is_refused_unread() -> None:
    """Of a feed, 209 KB took 4 seconds, and of a page, 1.4 MB took five minutes."""
    for reader, document, more in (
        ("feed:read_feed", feed(f"<item {attributes(20_000)}><title>x</title></item>"), ()),
        ("page:read_page", page(f"<p {attributes(150_000)}>x</p>"), ("id",)),
        ("page:read_page", page(f"<p {' '.join(map('a{}'.format, range(150_000)))}>x</p>"), ("id",)),
    ):
        with pytest.raises(PermanentError, match="attributes: 500 at most"):
            await read(reader, document, *more)


async def test_one_that_hides_its_attributes_is_ended() -> None:
    hidden = page(f"<p a='>' {attributes(100_000)}>x</p>")
    with pytest.raises(PermanentError, match="cannot be read within the limits: it takes more than 1 second"):
        await read("page:read_page", hidden, "id")


async def test_a_feed_that_hides_its_attributes_is_ended() -> None:
    hidden = feed(f"<item b='>' {attributes(60_000)}><title>x</title></item>")
    with pytest.raises(PermanentError, match="cannot be read within the limits: it takes more than 1 second"):
        await read("feed:read_feed", hidden)


async def test_what_needs_too_much_memory_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        bounded_reading, "LIMITS", replace(bounded_reading.LIMITS, cpu_seconds=60, memory_bytes=16 << 20)
    )
    many = feed(f"<item><title>{'x' * 300}</title></item>" * 60_000)
    with pytest.raises(PermanentError, match="it needs more than 16 MB of memory"):
        await read("feed:read_feed", many)
    with pytest.raises(PermanentError, match="it needs more than 16 MB of memory"):
        await sitemap_of(
            b"<urlset>" + b"<url><loc>https://example.org/a</loc></url>" * 400_000 + b"</urlset>", "it"
        )


async def test_the_others_go_on() -> None:
    """One that is ended, one behind it, and the event loop with what looks for cancel and pause."""
    async with turns_counted() as turns:
        hidden = page(f"<p a='>' {attributes(100_000)}>x</p>")
        hostile = asyncio.create_task(read("page:read_page", hidden, "id"))
        fetched = Fetched(FEED, 200, "", "", sample("news.rss"))
        entries = await items_of("feed:read_feed", "example.org", fetched)
        assert len(entries) == 3
        with pytest.raises(PermanentError, match="within the limits"):
            await hostile
    assert turns.number > 5


async def test_what_is_read_comes_back_whole() -> None:
    """Through JSON and back: times, tags, pictures, whatever else an entry has."""
    from pressroom.adapters.sources.reading.feed import read_feed
    from pressroom.adapters.sources.reading.sitemap import read_sitemap

    for name in ("news.rss", "notes.atom", "old.rdf", "feed.json"):
        fetched = answered(sample(name), FEED)
        assert await items_of("feed:read_feed", "it", fetched) == read_feed(fetched)
    entry = FileEntry("a.md", 20, None)
    [item] = await items_of("file:read_file", "it", entry, b"# A title\n\nA text", "one")
    assert (item.source_id, item.title) == ("one", "A title")
    body = b"<urlset><url><loc>https://a.test/x</loc><lastmod>2026-01-02</lastmod></url></urlset>"
    assert await sitemap_of(body, "it") == read_sitemap(body, "it")

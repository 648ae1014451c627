"""JSON documents become items by the paths that a user gives."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pressroom.adapters.sources import json_api as fetch_json
from pressroom.adapters.sources.reading.entries import dig, parse
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FieldPaths, JsonFetch
from tests.support.sources import HOST, knowing, reaching
from tests.support.web_server import Reply, serve

DOCUMENT = {
    "data": {
        "items": [
            {
                "sku": 17,
                "name": "A <b>kettle</b>",
                "body": {"html": "<p onclick=x>Boils<script>x</script> <a href='/buy'>here</a></p>"},
                "link": "/kettle",
                "at": 1767225600000,
                "maker": {"name": "Ann"},
                "labels": "kitchen, steel",
                "pictures": ["/k.png", "https://cdn.test/k.jpg", "javascript:x"],
                "price": {"eur": 19.5},
            },
            {"sku": "b", "name": "Pot", "at": "2026-01-02", "pictures": "/p.png"},
            "no entry",
            {"name": None, "at": []},
        ]
    }
}
FIELDS = FieldPaths(
    id="sku", title="name", text=None, html="body.html", url="link", published_at="at", author="maker.name",
    tags="labels", image="pictures",
)  # fmt: skip


async def fetched(document: Any, **settings: Any) -> list[Any]:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with serve({"/x": Reply(body, {"Content-Type": "application/json"})}) as web:
        async with reaching(web) as http:
            known = settings.pop("known", knowing())
            source = JsonFetch(type="json", url=web.url("/x", HOST), **settings)
            items = list(await fetch_json.fetch(source, http, known))
        for item in items:  # the port is another one each time
            object.__setattr__(item, "url", item.url.replace(f":{web.port}", ""))
            images = tuple(image.replace(f":{web.port}", "") for image in item.images)
            object.__setattr__(item, "images", images)
        return items


async def test_entries_by_paths() -> None:
    extra = {"price": "price.eur", "nothing": "price.usd"}
    pot, kettle = await fetched(DOCUMENT, items="data.items", fields=FIELDS, extra=extra)
    assert (kettle.source_id, kettle.title, kettle.url) == ("17", "A kettle", "http://site.test/kettle")
    assert kettle.text == "Boils here"
    assert "onclick" not in kettle.html
    assert "script" not in kettle.html
    assert kettle.published_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (kettle.author, kettle.tags) == ("Ann", ("kitchen", "steel"))
    assert kettle.images == ("http://site.test/k.png", "https://cdn.test/k.jpg")
    assert kettle.extra == {"price": 19.5, "nothing": None}
    assert (pot.source_id, pot.title, pot.images) == ("b", "Pot", ("http://site.test/p.png",))


async def test_a_bare_list_and_ids_of_content() -> None:
    first, second = await fetched([{"title": "a", "text": "Tom & <b>"}, {"title": "b"}], known=knowing())
    assert first.html == "<p>Tom &amp; &lt;b&gt;</p>"
    assert first.source_id != second.source_id
    again = await fetched(
        [{"title": "a", "text": "Tom & <b>"}, {"title": "b"}], known=knowing(first.source_id)
    )
    assert [item.title for item in again] == ["b"]


@pytest.mark.parametrize(
    ("document", "settings", "said"),
    [
        (b"{nope", {}, r"this is not JSON: .* \(line 1, column 2\)"),
        (b"", {}, "this is not JSON"),
        (b"[" * 100_000, {}, "cannot be read: RecursionError"),
        ({"items": []}, {}, "the document should be a list of entries and is dict"),
        ({"items": {}}, {"items": "items"}, "'items' should be a list of entries and is dict"),
        ({"a": 1}, {"items": "data.items"}, "'data.items' should be a list of entries and is nothing"),
    ],
)
async def test_documents_that_are_not_as_described(
    document: Any, settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(PermanentError, match=said):
        await fetched(document, **settings)


def test_digging() -> None:
    document = {"a": [{"b": 1}], "c": "text"}
    paths = {
        "a.0.b": 1,
        "a.1.b": None,
        "a.b": None,
        "c.0": None,
        "c.length": None,
        "__class__": None,
        "x.y": None,
    }
    assert {path: dig(document, path) for path in paths} == paths
    assert dig(document, None) is None


def test_numbers_that_json_does_not_have() -> None:
    assert parse('[NaN, Infinity, "\\ud800"]', "x") == [None, None, "\ud800"]
    with pytest.raises(PermanentError, match="cannot be read"):
        parse("9" * 5000, "x")

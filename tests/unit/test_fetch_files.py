"""Files below a folder become items, each by its kind."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.sources import files as fetch_files
from pressroom.adapters.sources import registry as fetching
from pressroom.adapters.sources.files import MOST_BYTES
from pressroom.domain.errors import PermanentError
from pressroom.domain.fetching import FileEntry, FilesFetch, FileSource
from pressroom.domain.packets import FindClaimed, SourceItem
from tests.support.sources import knowing

DAY = datetime(2026, 1, 1, tzinfo=UTC)


class Folder:
    """Files in memory, each an hour newer than the one before."""

    def __init__(self, **files: bytes | str) -> None:
        self.files = {
            name.replace("__", "/").replace("_dot_", "."): body if isinstance(body, bytes) else body.encode()
            for name, body in files.items()
        }
        self.read_names: list[str] = []
        self.sizes: dict[str, int] = {}
        self.moved = timedelta()

    def entries(self) -> Sequence[FileEntry]:
        return [
            FileEntry(name, self.sizes.get(name, len(body)), DAY + timedelta(hours=number) + self.moved)
            for number, (name, body) in enumerate(self.files.items())
        ]

    def read(self, name: str, most: int) -> bytes:
        self.read_names.append(name)
        return self.files[name][:most]


async def fetched(folder: Folder, known: FindClaimed | None = None, **settings: Any) -> list[SourceItem]:
    source = FilesFetch(type="files", path="memory://x", **settings)
    return list(await fetch_files.fetch(source, folder, known or knowing()))


async def test_each_kind() -> None:
    front = '---\ntitle: "From front matter"\ndate: 2025-05-05\ntags: [a, b]\n---\n'
    facts = {
        "title": "R",
        "text": "T",
        "url": "https://a.test/r",
        "published_at": "2024-01-01",
        "tags": ["x"],
    }
    folder = Folder(
        notes_dot_txt="Plain <b>\n\ntext & more",
        drafts__post_dot_md=f"{front}# Heading\n\nBody",
        page_dot_html="<title>A &amp; B</title><body><p onclick=x>Hi<script>x()</script></p></body>",
        record_dot_json=json.dumps(facts),
        picture_dot_png=b"\x89PNG",
    )
    items = {item.source_id: item for item in await fetched(folder)}
    assert list(items) == ["record.json", "page.html", "drafts/post.md", "notes.txt"]
    text, post = items["notes.txt"], items["drafts/post.md"]
    assert (text.title, text.text) == ("notes", "Plain <b>\n\ntext & more")
    assert text.html == "<p>Plain &lt;b&gt;</p>\n<p>text &amp; more</p>"
    assert text.published_at == DAY
    assert (post.title, post.tags, post.published_at) == (
        "From front matter",
        ("a", "b"),
        datetime(2025, 5, 5, tzinfo=UTC),
    )
    assert post.text == "# Heading\n\nBody"
    assert (items["page.html"].title, items["page.html"].html) == ("A & B", "<p>Hi</p>")
    record = items["record.json"]
    assert (record.title, record.url, record.tags) == ("R", "https://a.test/r", ("x",))
    assert record.published_at == datetime(2024, 1, 1, tzinfo=UTC)


async def test_the_newest_unknown_files_that_fit() -> None:
    folder = Folder(a_dot_md="# A\n\nx", b_dot_md="# B\n\nx", sub__c_dot_md="# C\n\nx", d_dot_txt="x")
    assert [item.title for item in await fetched(folder, cap=2, pattern="*.md")] == ["C", "B"]
    assert folder.read_names == ["sub/c.md", "b.md"]
    assert [item.title for item in await fetched(folder, knowing("sub/c.md"), cap=1, pattern="*.md")] == ["B"]
    assert [item.title for item in await fetched(folder, pattern="sub/*")] == ["C"]


async def test_a_file_that_was_modified() -> None:
    folder = Folder(a_dot_txt="x")
    (item,) = await fetched(folder, changes=True)
    assert await fetched(folder, knowing(item.source_id), changes=True) == []
    folder.moved = timedelta(days=1)
    assert len(await fetched(folder, knowing(item.source_id), changes=True)) == 1
    (item,) = await fetched(folder)
    folder.moved = timedelta(days=2)
    assert await fetched(folder, knowing(item.source_id)) == []


async def test_names_that_lead_elsewhere_are_never_read() -> None:
    folder = Folder()
    names = ["../x.txt", "/etc/x.txt", "a/../../x.txt", ".hidden.txt", ".git/x.txt", "ok.txt"]
    folder.files = dict.fromkeys(names, b"x")
    assert [item.source_id for item in await fetched(folder)] == ["ok.txt"]
    assert folder.read_names == ["ok.txt"]


async def test_what_cannot_be_read_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    folder = Folder(
        good_dot_txt="x",
        bad_dot_json="{nope",
        list_dot_json="[]",
        empty_dot_txt="",
        lies_dot_txt=bytes(2 * MOST_BYTES),
    )
    folder.files["said.txt"] = b"x"
    folder.sizes = {"lies.txt": 1, "said.txt": 2 * MOST_BYTES}
    assert [item.source_id for item in await fetched(folder)] == ["good.txt"]
    assert {record.getMessage().partition("'")[2].partition("'")[0] for record in caplog.records} == {
        "bad.json", "list.json", "empty.txt", "lies.txt", "said.txt",
    }  # fmt: skip
    assert "said.txt" not in folder.read_names
    del folder.files["good.txt"]
    with pytest.raises(PermanentError, match="larger than 1,000,000 bytes"):
        await fetched(folder)


async def test_the_kind_of_source_decides() -> None:
    def folder(source: FilesFetch) -> FileSource:
        assert source.path == "memory://drafts"
        return Folder(a_dot_txt="x")

    async with SafeHttp() as http:
        source = FilesFetch(type="files", path="memory://drafts")
        assert [item.source_id for item in await fetching.fetch(source, http, folder)] == ["a.txt"]

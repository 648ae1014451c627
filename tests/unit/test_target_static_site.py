"""A static site is whole at every moment, has each key once, and lists what has appeared."""

from __future__ import annotations

import asyncio
import errno
import io
import multiprocessing
import os
import stat
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import feedparser  # type: ignore[import-untyped]
import pytest
import yaml
from PIL import Image

from pressroom.adapters.targets.article import LinkedArticleArguments
from pressroom.adapters.targets.static_site import folder as files
from pressroom.adapters.targets.static_site.target import StaticSite, StaticSiteSettings
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.publishing import Content, Delivery, Picture, Piece

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def png(color: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), color).save(buffer, "PNG")
    return buffer.getvalue()


RED = Picture(png("red"), "image/png", 'Red "square"')
BLUE = Picture(png("blue"), "image/png", "Blue", "https://media.test/blue.png")


def site(folder: Path, clock: Clock | None = None, **extra: Any) -> StaticSite:
    settings = StaticSiteSettings(connection="site", folder=folder, **extra)
    return StaticSite(settings, now=clock or Clock())


def piece(key: str = "k1", **changes: Any) -> Piece[LinkedArticleArguments]:
    fields = {"title": "A title", "html": "<h2>H</h2><p>Text</p>", **changes.pop("fields", {})}
    return Piece(key, LinkedArticleArguments(**fields), **changes)


def listed(folder: Path) -> list[str]:
    root = ET.fromstring((folder / "rss.xml").read_bytes())  # noqa: S314  # our own
    titles = [item.findtext("title") or "" for item in root.iter("item")]
    index = (folder / "index.html").read_text("utf-8")
    assert index.count('<li class="card">') == len(titles)
    return titles


def below(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.rglob(pattern))


def folders(site: Path) -> list[str]:
    return sorted(path.name for path in site.iterdir() if path.is_dir())


def front_matter(folder: Path, slug: str) -> dict[str, Any]:
    _, head, _ = (folder / slug / "index.md").read_text("utf-8").split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(head)
    return found


async def test_a_piece_becomes_a_folder(tmp_path: Path) -> None:
    fields = {
        "title": 'Tea & "Cups": <b>all</b>',
        "html": '<h2>One</h2><p>T<img src="https://media.test/blue.png" alt="b"> &lt;script&gt;</p>',
        "excerpt": "Short – and <good>",
        "tags": ["tea", "Tea", "tea"],
        "categories": ["Kitchen"],
        "link": "https://source.test/?a=1&b=2",
    }
    target = site(tmp_path, base_url="https://site.test/blog/", title="Cups & co")
    placed = await target.publish(piece(fields=fields, pictures=[RED, BLUE]))
    assert placed.url == "https://site.test/blog/tea-cups-b-all-b/"
    assert (placed.external_id, placed.delivery) == ("k1", Delivery.PUBLISHED)
    folder = tmp_path / "tea-cups-b-all-b"
    matter = front_matter(tmp_path, folder.name)
    red, blue = (one["file"] for one in matter["pictures"])
    assert sorted(path.name for path in folder.iterdir()) == sorted([red, blue, "index.html", "index.md"])
    assert (folder / red).read_bytes() == RED.data
    assert matter == {
        "key": "k1",
        "title": 'Tea & "Cups": <b>all</b>',
        "date": "2026-11-24T09:00:00+00:00",
        "description": "Short – and <good>",
        "meta_description": "",
        "categories": ["Kitchen"],
        "tags": ["tea", "Tea"],
        "link": "https://source.test/?a=1&b=2",
        "pictures": [{"file": red, "alt": 'Red "square"'}, {"file": blue, "alt": "Blue"}],
    }
    markdown = (folder / "index.md").read_text("utf-8")
    assert f"## One\n\nT![b]({blue}) \\<script\\>" in markdown
    page = (folder / "index.html").read_text("utf-8")
    assert "<h1>Tea &amp; &#34;Cups&#34;: &lt;b&gt;all&lt;/b&gt;</h1>" in page
    assert f'<figure><img src="{red}" alt="Red &#34;square&#34;"></figure>' in page
    assert page.count(blue) == 1
    assert '<link rel="canonical" href="https://site.test/blog/tea-cups-b-all-b/">' in page
    assert "<script" not in page
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o644}, 0o755)


async def test_the_feed_is_one_that_readers_take(tmp_path: Path) -> None:
    clock = Clock()
    target = site(tmp_path, clock, base_url="https://site.test", title="A & B", language="de")
    await target.publish(
        piece(fields={"title": "Eins & <zwei>", "excerpt": "Kurz <b>", "tags": ["t"]}, pictures=[RED])
    )
    clock.now += timedelta(hours=1)
    await target.publish(piece("k2", fields={"title": "Zwei"}))
    read = feedparser.parse((tmp_path / "rss.xml").read_bytes())
    assert not read.bozo
    assert (read.version, read.feed.title, read.feed.link) == ("rss20", "A & B", "https://site.test/")
    assert read.feed.language == "de"
    newest, oldest = read.entries
    assert (newest.title, newest.link) == ("Zwei", "https://site.test/zwei/")
    assert newest.published_parsed[:5] == (2026, 11, 24, 10, 0)
    assert (oldest.title, oldest.summary) == ("Eins & <zwei>", "Kurz &lt;b&gt;")
    assert oldest.enclosures[0].type == "image/png"
    assert int(oldest.enclosures[0].length) == len(RED.data)
    assert [tag.term for tag in oldest.tags] == ["t"]
    root = ET.fromstring((tmp_path / "rss.xml").read_bytes())  # noqa: S314  # our own
    assert root.findall("channel/item")[1].findtext("title") == "Eins & <zwei>"
    assert len({item.findtext("guid") for item in root.iter("item")}) == 2


async def test_the_same_key_is_updated_in_place(tmp_path: Path) -> None:
    clock = Clock()
    target = site(tmp_path, clock)
    first = await target.publish(piece(pictures=[RED]))
    clock.now += timedelta(days=1)
    again = await target.publish(piece(fields={"title": "Another", "slug": "other"}, pictures=[BLUE]))
    assert again == first
    assert listed(tmp_path) == ["Another"]
    matter = front_matter(tmp_path, "a-title")
    assert matter["date"] == NOW.isoformat()
    (picture,) = (path for path in (tmp_path / "a-title").iterdir() if path.suffix == ".png")
    assert (picture.name, picture.read_bytes()) == (matter["pictures"][0]["file"], BLUE.data)


async def test_files_of_others_in_a_pieces_folder_stay(tmp_path: Path) -> None:
    target = site(tmp_path)
    await target.publish(piece(pictures=[RED]))
    (tmp_path / "a-title" / "mine.png").write_bytes(b"x")
    await target.publish(piece())
    assert sorted(path.name for path in (tmp_path / "a-title").iterdir()) == [
        "index.html",
        "index.md",
        "mine.png",
    ]


async def test_slugs_of_different_keys_do_not_collide(tmp_path: Path) -> None:
    target = site(tmp_path)
    (tmp_path / "a-title-2").mkdir(parents=True)
    for key in ("k1", "k2", "k3"):
        await target.publish(piece(key))
    assert [front_matter(tmp_path, slug)["key"] for slug in ("a-title", "a-title-3", "a-title-4")] == [
        "k1",
        "k2",
        "k3",
    ]


@pytest.mark.parametrize("slug", ["../../etc/passwd", "..", ".", "/", "index.html", ".pressroom-lock", "🙂"])
async def test_no_slug_leads_out_of_the_folder(tmp_path: Path, slug: str) -> None:
    target = site(tmp_path / "site")
    await target.publish(piece(fields={"title": "🙂", "slug": slug}))
    (source,) = below(tmp_path, "index.md")
    assert source.parent.parent == tmp_path / "site"
    assert source.parent.name.replace("-", "").isalnum()


async def test_find_is_by_key(tmp_path: Path) -> None:
    target = site(tmp_path)
    await target.publish(piece("k1"))
    placed = await target.publish(piece("k10", fields={"title": "Other"}))
    assert await site(tmp_path).find(piece("k10")) == placed
    assert placed.url == (tmp_path / "other" / "index.html").as_uri()
    assert await target.find(piece("k")) is None
    (tmp_path / "other").rename(tmp_path / "renamed")
    found = await target.find(piece("k10"))
    assert found is not None
    assert found.url.endswith("/renamed/index.html")


async def test_a_scheduled_piece_is_listed_from_its_time_on(tmp_path: Path) -> None:
    clock = Clock()
    target = site(tmp_path, clock)
    await target.publish(piece("now"))
    later = piece("later", fields={"title": "Later"}, at=NOW + timedelta(hours=2))
    placed = await target.publish(later)
    assert (placed.delivery, placed.url) == (Delivery.PENDING, "")
    assert (tmp_path / "later" / "index.html").is_file()
    assert listed(tmp_path) == ["A title"]
    clock.now += timedelta(hours=2)
    found = await target.find(later)
    assert found is not None
    assert (found.delivery, found.url) == (
        Delivery.PUBLISHED,
        (tmp_path / "later" / "index.html").as_uri(),
    )
    assert listed(tmp_path) == ["Later", "A title"]


async def test_a_time_that_is_over_means_at_once(tmp_path: Path) -> None:
    placed = await site(tmp_path).publish(piece(at=NOW - timedelta(days=1)))
    assert placed.delivery is Delivery.PUBLISHED
    assert front_matter(tmp_path, "a-title")["date"] == NOW.isoformat()


async def test_unpublish_removes_folder_and_entry(tmp_path: Path) -> None:
    target = site(tmp_path)
    await target.publish(piece("k1", pictures=[RED]))
    await target.publish(piece("k2", fields={"title": "Other"}))
    assert await target.unpublish("k1")
    assert not (tmp_path / "a-title").exists()
    assert listed(tmp_path) == ["Other"]
    assert await target.find(piece("k1")) is None
    assert await target.unpublish("k1")
    assert await target.unpublish("../..")
    assert listed(tmp_path) == ["Other"]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("update", [False, True], ids=["new", "update"])
@pytest.mark.parametrize("step", range(8))
async def test_a_writer_that_dies_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int, update: bool
) -> None:
    target = site(tmp_path)
    if update:
        await target.publish(piece(fields={"title": "A title", "html": "<p>Old</p>"}))
    real, calls = files._write, 0

    def write(path: Path, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            (path.parent / f"{files._PART}left").write_bytes(data[:3])
            raise Killed
        real(path, data)

    monkeypatch.setattr(files, "_write", write)
    new = piece(fields={"title": "A title", "html": "<p>New</p>"}, pictures=[RED])
    try:
        await target.publish(new)
        assert step >= 7
    except Killed:
        assert step < 7
    monkeypatch.setattr(files, "_write", real)
    for page in below(tmp_path, "index.html"):
        assert page.read_text("utf-8").rstrip().endswith("</html>")
    placed = await site(tmp_path).find(new)
    if placed is not None:
        assert listed(tmp_path) == ["A title"]
    assert await site(tmp_path).publish(new) == await site(tmp_path).find(new)
    assert "New" in (tmp_path / "a-title" / "index.html").read_text("utf-8")
    assert listed(tmp_path) == ["A title"]
    assert folders(tmp_path) == ["a-title"]
    assert not below(tmp_path, f"{files._PART}*")


def publish_some(folder: Path, worker: int, count: int) -> None:
    async def run() -> None:
        target = StaticSite(StaticSiteSettings(folder=folder))
        await asyncio.gather(*(target.publish(piece(f"{worker}-{n}")) for n in range(count)))
        await target.publish(piece("shared", fields={"title": "Shared"}))

    asyncio.run(run())


def test_writers_in_several_processes_do_not_harm_each_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=publish_some, args=(tmp_path, worker, 5)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    folders = [path for path in tmp_path.iterdir() if path.is_dir()]
    keys = sorted(front_matter(tmp_path, folder.name)["key"] for folder in folders)
    assert keys == sorted([*(f"{worker}-{n}" for worker in range(3) for n in range(5)), "shared"])
    assert len(listed(tmp_path)) == 16


async def test_a_lock_that_stays_taken_is_a_passing_trouble(tmp_path: Path) -> None:
    first, second = site(tmp_path), site(tmp_path, lock_seconds=0.05)
    with first._files.locked(), pytest.raises(TransientError, match="others are writing"):
        await second.publish(piece())


async def test_a_front_matter_that_somebody_broke_is_never_published_twice(tmp_path: Path) -> None:
    target = site(tmp_path)
    await target.publish(piece("key-one"))
    await target.publish(piece("key-two", fields={"title": "Two"}))
    source = tmp_path / "a-title" / "index.md"
    source.write_text(source.read_text("utf-8").replace("title: A title", "title: [A title"), "utf-8")
    with pytest.raises(PermanentError, match="repair"):
        await target.publish(piece("key-one"))
    await target.publish(piece("key-two", fields={"title": "Two"}))
    assert listed(tmp_path) == ["Two"]


@pytest.mark.parametrize(
    "text", ["", "---\n", "no matter", "---\n- a\n---\n", "---\nkey: k\ntitle: t\n---\n"]
)
async def test_other_markdown_in_the_folder_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "index.md").write_text(text)
    await site(tmp_path).publish(piece("key-one"))
    assert listed(tmp_path) == ["A title"]


async def test_what_people_write_into_a_front_matter_is_data(tmp_path: Path) -> None:
    target = site(tmp_path)
    await target.publish(piece(fields={"title": "Old"}))
    source = tmp_path / "old" / "index.md"
    text = source.read_text("utf-8").replace("pictures: []", "pictures: [{file: ../../x.png, alt: <b>}]")
    text = text.replace("link: ''", "link: javascript:x()").replace("title: Old", "title: <script>1</script>")
    source.write_text(text, "utf-8")
    await target.publish(piece("k2"))
    index = (tmp_path / "index.html").read_text("utf-8")
    assert "<script" not in index
    assert 'src="old/x.png"' in index


async def test_a_site_of_somebody_elses_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html>Mine</html>")
    for call in (site(tmp_path).check(), site(tmp_path).publish(piece())):
        with pytest.raises(ConfigurationError, match="another folder"):
            await call
    assert (tmp_path / "index.html").read_text() == "<html>Mine</html>"


async def test_check_makes_an_empty_site(tmp_path: Path) -> None:
    await site(tmp_path / "new" / "site").check()
    assert "No articles yet" in (tmp_path / "new" / "site" / "index.html").read_text("utf-8")
    assert listed(tmp_path / "new" / "site") == []


async def test_a_picture_that_could_hold_a_script_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="image/svg"):
        await site(tmp_path).publish(piece(pictures=[Picture(b"<svg/>", "image/svg+xml")]))
    assert below(tmp_path, "*") == []


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, TransientError),
        (errno.EDQUOT, TransientError),
        (errno.EACCES, ConfigurationError),
        (errno.EROFS, ConfigurationError),
        (errno.EIO, TransientError),
    ],
)
async def test_every_error_of_the_disk_is_one_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "_write", fail)
    with pytest.raises(kind, match="'site'") as caught:
        await site(tmp_path).publish(piece())
    assert type(caught.value) is kind


async def test_a_folder_that_is_a_file_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        await site(tmp_path / "file").check()


@pytest.mark.parametrize(
    ("fields", "folder"),
    [
        ({"host": "/srv/site"}, "/srv/site"),
        ({"host": "file:///srv/my%20site"}, "/srv/my site"),
        ({"host": "file://localhost/srv"}, "/srv"),
        ({"extra": {"path": "/srv/site"}}, "/srv/site"),
    ],
)
def test_a_connection_is_read(fields: dict[str, Any], folder: str) -> None:
    found = StaticSiteSettings.from_connection("site", **fields)
    assert (found.folder, found.connection) == (Path(folder), "site")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "not a folder"),
        ({"host": "srv/site"}, "not a folder"),
        ({"host": "https://site.test"}, "not a folder"),
        ({"host": "file://server/share"}, "not a folder"),
        ({"host": "/srv", "extra": {"titel": "x"}}, "did you mean 'title'"),
        ({"host": "/srv", "extra": {"base_url": "site"}}, "base_url"),
        ({"host": "/srv", "extra": {"language": "<b>"}}, "language"),
    ],
)
def test_a_wrong_setting_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StaticSiteSettings.from_connection("site", **fields)


async def test_content_is_published_as_it_is(tmp_path: Path) -> None:
    target = site(tmp_path)
    content = Content(title="T" * 400, text="x", html="<p>x</p>", tags=["a"] * 99, categories=["c"], slug="s")
    made = target.from_content(content)
    assert (len(made.title), len(made.tags), made.slug) == (300, 30, "s")
    await target.publish(Piece("k", made))
    assert listed(tmp_path) == ["T" * 300]
    assert target.arguments.limits.schedules


async def test_on_a_shared_site_an_address_has_its_account_and_published_ones_stay(tmp_path: Path) -> None:
    shared = site(tmp_path)
    await shared.publish(piece("before"))  # of a version that kept no account
    await shared.publish(piece("a1", account="acme", fields={"title": "Prices"}))
    assert folders(tmp_path) == ["a-title", "prices"]
    await shared.publish(piece("b1", account="beta", fields={"title": "Prices"}))
    await shared.publish(piece("a1", account="acme", fields={"title": "Other prices"}))
    await shared.publish(piece("a2", account="acme", fields={"title": "About"}))
    assert folders(tmp_path) == ["a-title", "acme-about", "beta-prices", "prices"]
    assert front_matter(tmp_path, "prices")["title"] == "Other prices"
    assert front_matter(tmp_path, "beta-prices")["account"] == "beta"

"""Media in a folder: by content, whole or not at all, clear about what is wrong."""

from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pressroom.adapters.storage.media import MediaFiles, is_local, media_name, read_local
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError

PNG = "image/png"


def path_of(url: str) -> Path:
    parts = urlsplit(url)
    assert parts.scheme == "file"
    return Path(unquote(parts.path))


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.is_file()]


def test_named_by_content_and_stored_once(tmp_path: Path) -> None:
    media = MediaFiles(tmp_path / "a folder")
    path = path_of(media.put(b"one", PNG))
    digest = hashlib.sha256(b"one").hexdigest()
    assert path == tmp_path / "a folder" / digest[:2] / digest[2:4] / f"{digest}.png"
    assert path.read_bytes() == b"one"
    before = path.stat().st_mtime_ns, path.stat().st_ino
    assert path_of(media.put(b"one", PNG)) == path
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    media.put(b"two", PNG)
    assert len(files(tmp_path)) == 2


def test_a_file_cut_short_is_written_again(tmp_path: Path) -> None:
    media = MediaFiles(tmp_path)
    path = path_of(media.put(b"whole", PNG))
    path.write_bytes(b"wh")
    media.put(b"whole", PNG)
    assert path.read_bytes() == b"whole"


def test_unknown_types_have_an_ending_too() -> None:
    assert media_name(b"x", "application/x-odd").endswith(".bin")
    assert media_name(b"x", "image/jpeg").endswith(".jpg")


@pytest.mark.parametrize(
    ("number", "wanted"),
    [
        (errno.ENOSPC, TransientError),
        (errno.EDQUOT, TransientError),
        (errno.EIO, TransientError),
        (errno.EACCES, ConfigurationError),
        (errno.EROFS, ConfigurationError),
    ],
)
def test_a_failed_write_is_clear_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, wanted: type[Exception]
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(wanted, match=os.strerror(number)) as caught:
        MediaFiles(tmp_path).put(b"data", PNG)
    assert type(caught.value) is wanted
    assert files(tmp_path) == []


def test_a_file_in_the_folders_place_is_a_setup_error(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("not a folder")
    with pytest.raises(ConfigurationError, match="media"):
        MediaFiles(tmp_path / "media").put(b"data", PNG)


def test_a_medium_is_read_without_knowing_the_root(tmp_path: Path) -> None:
    url = MediaFiles(tmp_path / "a folder").put(b"one", PNG)
    assert is_local(url)
    assert read_local(url) == b"one"


def test_what_is_not_what_its_name_says_is_not_read(tmp_path: Path) -> None:
    url = MediaFiles(tmp_path).put(b"one", PNG)
    path_of(url).write_bytes(b"two")
    with pytest.raises(PermanentError, match="is not what it was"):
        read_local(url)
    path_of(url).unlink()
    with pytest.raises(PermanentError, match="no longer exists"):
        read_local(url)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        f"https://media.example/ab/ab/{'ab' * 32}.png",
        f"s3://bucket/ab/ab/{'ab' * 32}.png",
        f"file:///ab/cd/{'ab' * 32}.png",
        f"/x/ab/ab/{'ab' * 32}.png",
        "",
    ],
)
def test_other_places_are_not_read(url: str) -> None:
    assert not is_local(url)
    with pytest.raises(PermanentError, match="not one of a medium in a local folder"):
        read_local(url)


def test_checks_at_once_get_on_with_each_other_and_leave_nothing(tmp_path: Path) -> None:
    media = MediaFiles(tmp_path / "media")
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(media.check) for _ in range(100)]:
            done.result()
    assert files(tmp_path) == []

"""Media by way of Airflow's object storage path."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath

from pressroom.adapters.storage.media import MediaFiles
from pressroom.domain.errors import ConfigurationError, TransientError
from pressroom.orchestration.tools.files import ObjectStorageMedia, media_store


def test_a_folder_is_kept_by_the_adapter_that_renames(tmp_path: Path) -> None:
    assert isinstance(media_store(tmp_path.as_uri()), MediaFiles)
    assert isinstance(media_store(str(tmp_path)), MediaFiles)


def test_other_storage_gets_the_bytes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    media = media_store("memory://media/site")
    assert isinstance(media, ObjectStorageMedia)
    url = media.put(b"picture", "image/png")
    assert url.startswith("memory://")
    assert url.endswith(".png")
    assert ObjectStoragePath(url).read_bytes() == b"picture"

    def refuse(*_: object) -> None:
        raise AssertionError("written twice")

    monkeypatch.setattr(ObjectStoragePath, "write_bytes", refuse)
    assert media.put(b"picture", "image/png") == url


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (PermissionError(13, "Permission denied"), ConfigurationError),
        (FileNotFoundError(2, "no such bucket"), ConfigurationError),
        (OSError(28, "No space left on device"), TransientError),
        (ConnectionError("reset"), TransientError),
    ],
)
def test_errors_of_the_storage_are_ours(
    monkeypatch: pytest.MonkeyPatch, error: OSError, expected: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ObjectStoragePath, "write_bytes", fail)
    with pytest.raises(expected, match="media cannot be written under memory://"):
        ObjectStorageMedia("memory://elsewhere").put(b"another picture", "image/png")


def test_a_scheme_nobody_serves_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="nowhere://"):
        media_store("nowhere://media").put(b"x", "image/png")


def test_a_check_leaves_nothing_and_needs_no_right_to_delete(monkeypatch: pytest.MonkeyPatch) -> None:
    media = ObjectStorageMedia("memory://checked")
    root = ObjectStoragePath("memory://checked")
    media.check()
    assert not any(path.is_file() for path in root.rglob("*"))

    def refuse(*_: object) -> None:
        raise PermissionError(13, "objects are kept")

    monkeypatch.setattr(ObjectStoragePath, "unlink", refuse)
    media.check()
    media.check()
    assert len([path for path in root.rglob("*") if path.is_file()]) == 1  # however often it is checked


@pytest.mark.parametrize(
    ("error", "expected"),
    [(PermissionError(13, "no"), ConfigurationError), (OSError(28, "full"), TransientError)],
)
def test_a_check_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, error: OSError, expected: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ObjectStoragePath, "write_bytes", fail)
    with pytest.raises(expected, match="media cannot be written under memory://"):
        ObjectStorageMedia("memory://unchecked").check()

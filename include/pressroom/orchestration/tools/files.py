"""Files that flows read, from any storage that Airflow knows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import ObjectStoragePath

from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.fetching import FileEntry, FilesFetch
from pressroom.orchestration.tools.connections import FILE_ROOTS

MOST_FILES = 10_000


class ObjectStorageFiles:
    """A FileSource on any storage that Airflow reaches."""

    def __init__(self, settings: FilesFetch) -> None:
        self._root = ObjectStoragePath(settings.path, conn_id=settings.connection)

    def check(self) -> None:
        """Check that the folder exists. Raises PermanentError or TransientError."""
        with self._folder():
            pass

    def entries(self) -> Sequence[FileEntry]:
        """The files below the folder. Raises PermanentError when the folder does not exist."""
        with self._folder() as base:
            entries: list[FileEntry] = []
            for path in self._root.rglob("*"):
                if len(entries) >= MOST_FILES:
                    raise PermanentError(f"{base}: holds more than {MOST_FILES} files")
                if path.is_file():
                    stat: Any = path.stat()
                    entries.append(
                        FileEntry(str(path).removeprefix(f"{base}/"), int(stat.st_size), _when(stat))
                    )
            return entries

    @contextmanager
    def _folder(self) -> Iterator[str]:
        base = str(self._root).rstrip("/")
        try:
            if not self._root.is_dir():
                raise PermanentError(f"{base}: there is no such folder")
            yield base
        except PermissionError:
            raise PermanentError(f"{base}: may not be read") from None
        except OSError as error:
            raise TransientError(
                f"{base}: cannot be read: {error.strerror or type(error).__name__}"
            ) from None

    def read(self, name: str, most: int) -> bytes:
        path = self._root / name
        try:
            with path.open("rb") as file:
                return bytes(file.read(most))
        except (FileNotFoundError, PermissionError):
            raise PermanentError(f"{name}: is not there any more, or may not be read") from None
        except OSError as error:
            raise TransientError(
                f"{name}: cannot be read: {error.strerror or type(error).__name__}"
            ) from None


def _when(stat: Any) -> datetime | None:
    moment = getattr(stat, "st_mtime", None)
    return datetime.fromtimestamp(moment, UTC) if moment else None


def file_source(settings: FilesFetch, *, permitted: Sequence[str]) -> ObjectStorageFiles:
    """The files below a fetch step's folder. Raises ConfigurationError when it is in no ``permitted`` one."""
    roots = [root.rstrip("/") for root in permitted]
    path = settings.path.rstrip("/")
    if ".." in path.split("/") or not any(path == root or path.startswith(f"{root}/") for root in roots):
        raise ConfigurationError(
            f"flows may not read {settings.path}: add its root to the Airflow variable {FILE_ROOTS}"
        )
    return ObjectStorageFiles(settings)

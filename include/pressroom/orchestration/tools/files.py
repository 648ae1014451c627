"""Files that flows read, and media, in any storage that Airflow knows: a local folder, s3://, gs://…"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from airflow.sdk import ObjectStoragePath

from pressroom.adapters.storage.media import MediaFiles, media_name, public_url
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError
from pressroom.domain.fetching import FileEntry, FilesFetch
from pressroom.domain.grants.access import within
from pressroom.orchestration.tools.connections import FILE_ROOTS

MOST_FILES = 10_000


class ObjectStorageFiles:
    """A FileSource on any storage that Airflow reaches. Of this machine's files, those that are below
    ``top`` when all links are followed; None: no bound.
    """

    def __init__(self, settings: FilesFetch, top: Path | None = None) -> None:
        self._root = ObjectStoragePath(settings.path, conn_id=settings.connection)
        self._local = local_path(settings.path)
        self._top = top

    def _leads_out(self, name: str) -> bool:
        """Whether a link on the way to a file leads out of what may be read."""
        if self._local is None or self._top is None:
            return False
        return not (self._local / name).resolve().is_relative_to(self._top)

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
                    name = str(path).removeprefix(f"{base}/")
                    if self._leads_out(name):
                        continue
                    stat: Any = path.stat()
                    entries.append(FileEntry(name, int(stat.st_size), _when(stat)))
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
        if self._leads_out(name):
            raise PermanentError(f"{name}: is a link that leads out of the folders that may be read")
        try:
            with path.open("rb") as file:
                return bytes(file.read(most))
        except (FileNotFoundError, PermissionError):
            raise PermanentError(f"{name}: is not there any more, or may not be read") from None
        except OSError as error:
            raise TransientError(
                f"{name}: cannot be read: {error.strerror or type(error).__name__}"
            ) from None


def local_path(url: str) -> Path | None:
    """The path of a file or a folder on this machine; None for one elsewhere."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _when(stat: Any) -> datetime | None:
    moment = getattr(stat, "st_mtime", None)
    return datetime.fromtimestamp(moment, UTC) if moment else None


def file_source(
    settings: FilesFetch, *, permitted: Sequence[str], account: str = "ACCOUNT"
) -> ObjectStorageFiles:
    """The files below a fetch step's folder. Raises ConfigurationError when it is in no ``permitted`` one."""
    path = settings.path.rstrip("/")
    root = next((root.rstrip("/") for root in permitted if within(path, root)), None)
    if root is None:
        raise ConfigurationError(
            f"flows may not read {settings.path}: add its root to the Airflow variable {FILE_ROOTS}, and"
            f" where there are several accounts grant it: pressroom grant {account} --files ROOT"
        )
    folder, top = local_path(path), local_path(root)
    if folder is None or top is None:
        return ObjectStorageFiles(settings)
    # The root itself may be a link: that is the operator's.
    if not folder.resolve().is_relative_to(top.resolve()):
        raise ConfigurationError(
            f"flows may not read {settings.path}: a link on the way leads out of {root}, which the Airflow"
            f" variable {FILE_ROOTS} permits"
        )
    return ObjectStorageFiles(settings, top.resolve())


def media_store(root: str, public_base: str = "") -> MediaFiles | ObjectStorageMedia:
    """The store at a URL; ``public_base``: its public URL, '' when it has none. A local folder has an adapter
    without Airflow, because a file written through Airflow's path can appear half.
    """
    local = local_path(root)
    if local is not None:
        return MediaFiles(local, public_base)
    return ObjectStorageMedia(root, public_base)


class ObjectStorageMedia:
    """A MediaStore under a root URL. The same bytes have the same name, so they are stored once."""

    def __init__(self, root: str, public_base: str = "") -> None:
        self._public_base = public_base
        try:
            self._root = ObjectStoragePath(root)
        except (ValueError, ImportError) as error:
            scheme = urlsplit(root).scheme
            raise ConfigurationError(
                f"media cannot be kept at {scheme}://…: install the Airflow provider for it"
            ) from error

    def put(self, data: bytes, media_type: str) -> str:
        """Store and return the URL. See MediaStore."""
        path = self._root / media_name(data, media_type)
        with self._writing():
            # Object storage shows a whole object or none, so one that is there is complete.
            if not path.exists():
                path.write_bytes(data)
        return str(path)

    def check(self) -> None:
        """See that an object can be written. Raises as ``put``."""
        # One name, so that no check leaves more than one object, however it ends.
        path = self._root / "check"
        with self._writing():
            path.write_bytes(b"check")
        # A run deletes nothing, so it needs no right to; and another check may be as far.
        with suppress(OSError):
            path.unlink()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (PermissionError, FileNotFoundError) as error:
            raise ConfigurationError(
                f"media cannot be written under {self._root}: {error.strerror or 'refused'}"
            ) from error
        except OSError as error:
            raise TransientError(
                f"media cannot be written under {self._root}: {error.strerror or type(error).__name__}"
            ) from error

    def get(self, url: str) -> bytes:
        if not url.startswith(f"{str(self._root).rstrip('/')}/"):
            raise PermanentError(f"the URL is not one of the media root {self._root}")
        path = ObjectStoragePath(url)
        try:
            return bytes(path.read_bytes())
        except FileNotFoundError:
            raise PermanentError(f"the medium {path.name} no longer exists in the media root") from None
        except OSError as error:
            raise TransientError(f"the medium {path.name} cannot be read: {type(error).__name__}") from error

    def public_url(self, url: str) -> str:
        return public_url(url, str(self._root), self._public_base)

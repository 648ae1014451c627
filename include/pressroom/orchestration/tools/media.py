"""Media in Airflow's object storage: a local folder, s3://, gs:// and whatever else it is set up for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from airflow.sdk import ObjectStoragePath

from pressroom.adapters.storage.media import MediaFiles, media_name, public_url
from pressroom.domain.errors import ConfigurationError, PermanentError, TransientError


def media_store(root: str, public_base: str = "") -> MediaFiles | ObjectStorageMedia:
    """The store at a URL; ``public_base``: its public URL, '' when it has none. A local folder has an adapter
    without Airflow, because a file written through Airflow's path can appear half.
    """
    parts = urlsplit(root)
    if parts.scheme in ("", "file"):
        return MediaFiles(Path(unquote(parts.path)), public_base)
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
        """See that an object can be written and deleted. Raises as ``put``."""
        path = self._root / f"check-{uuid4().hex}"
        with self._writing():
            path.write_bytes(b"check")
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

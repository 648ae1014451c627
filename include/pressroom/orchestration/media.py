"""Media in Airflow's object storage: a local folder, s3://, gs:// and whatever else it is set up for."""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath

from pressroom.adapters.media_files import media_name
from pressroom.domain.errors import ConfigurationError, TransientError


class ObjectStorageMedia:
    """A MediaStore under a root URL. The same bytes have the same name, so they are stored once."""

    def __init__(self, root: str) -> None:
        self._root = ObjectStoragePath(root)

    def put(self, data: bytes, media_type: str) -> str:
        """Store and return the URL. See MediaStore."""
        path = self._root / media_name(data, media_type)
        try:
            if not path.exists() or path.stat().st_size != len(data):
                path.parent.mkdir(parents=True, exist_ok=True)
                # Written aside and renamed where the storage has folders: a reader never sees half an image.
                if path.protocol in ("", "file"):
                    aside = path.with_name(f".{path.name}.part")
                    aside.write_bytes(data)
                    aside.rename(path)
                else:
                    path.write_bytes(data)
        except PermissionError as error:
            raise ConfigurationError(
                f"media cannot be written under {self._root}: permission denied"
            ) from error
        except OSError as error:
            raise TransientError(
                f"media cannot be written under {self._root}: {error.strerror or error}"
            ) from error
        return path.as_uri() if path.protocol in ("", "file") else str(path)

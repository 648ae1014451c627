"""Media in a local folder, named by content: the same bytes are one file, however often they are stored."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pressroom.domain.errors import ConfigurationError, PressroomError, TransientError

_ENDINGS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
    "text/html": ".html",
}
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SHUT = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT}


def media_name(data: bytes, media_type: str) -> str:
    """Where these bytes live below any media root: ``ab/cd/<sha-256>.png``."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{digest[:2]}/{digest[2:4]}/{digest}{_ENDINGS.get(media_type, '.bin')}"


class MediaFiles:
    """A MediaStore on a folder. A file appears whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def put(self, data: bytes, media_type: str) -> str:
        """Store and return a ``file://`` URL. Raises TransientError (full) or ConfigurationError (shut)."""
        path = self._root / media_name(data, media_type)
        try:
            # A file of another size was cut short by something other than us: write it again.
            if not (path.is_file() and path.stat().st_size == len(data)):
                path.parent.mkdir(parents=True, exist_ok=True)
                self._write(path, data)
        except OSError as error:
            raise self._error(error) from error
        return path.as_uri()

    def _write(self, path: Path, data: bytes) -> None:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)  # mkstemp's mode would hide it from a web server
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise

    def _error(self, error: OSError) -> PressroomError:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        if error.errno in _FULL:
            return TransientError(f"no room for media in {self._root}: {reason}")
        if error.errno in _SHUT:
            return ConfigurationError(f"the media folder {self._root} cannot be written: {reason}")
        return TransientError(f"media could not be written to {self._root}: {reason}")

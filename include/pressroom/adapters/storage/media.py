"""Media in a local folder. Files are named by their content, so the same bytes are stored once."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pressroom.adapters.whole_files import not_written, write_whole
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.markup.html import suffix_of

_LOCAL = re.compile(r"file:///.+/([0-9a-f]{2})/([0-9a-f]{2})/\1\2[0-9a-f]{60}\.[a-z]+")


def media_name(data: bytes, media_type: str) -> str:
    """The path of these bytes below any media root: ``ab/cd/<sha-256>.png``."""
    digest = hashlib.sha256(data).hexdigest()
    return f"{digest[:2]}/{digest[2:4]}/{digest}.{suffix_of(media_type)}"


def is_local(url: str) -> bool:
    """Whether a URL is a file of ``MediaFiles`` with any root."""
    return _LOCAL.fullmatch(url) is not None


def read_local(url: str) -> bytes:
    """The bytes of a URL that ``is_local``, for readers that do not know its root.

    Raises PermanentError when the file is missing or its hash is not its name; TransientError.
    """
    if not is_local(url):
        raise PermanentError("the URL is not one of a medium in a local folder")
    path = Path(unquote(urlsplit(url).path))
    data = MediaFiles(path.parents[2]).get(url)
    if hashlib.sha256(data).hexdigest() != path.stem:
        raise PermanentError(f"the medium {path.name} is not what it was")
    return data


def public_url(url: str, root: str, public_base: str) -> str:
    """The public URL of ``url``, which is below a root that is served at ``public_base``.

    An http(s) URL is returned unchanged. Raises ConfigurationError when the root is not served.
    """
    if url.startswith(("https://", "http://")):
        return url
    root = root.rstrip("/") + "/"
    if not public_base or not url.startswith(root):
        raise ConfigurationError(
            "pictures are fetched from the web, and the media root is not served there: set the Airflow"
            " variable pressroom_media_public_url, or PRESSROOM_MEDIA_PUBLIC_URL, to the URL where it is"
        )
    return f"{public_base.rstrip('/')}/{url.removeprefix(root)}"


class MediaFiles:
    """A MediaStore on a folder. A file appears whole or not at all.

    ``public_base``: the URL under which the folder is served; '' when it is not served.
    """

    def __init__(self, root: Path, public_base: str = "") -> None:
        self._root = root.absolute()
        self._public_base = public_base

    def put(self, data: bytes, media_type: str) -> str:
        """Store and return a ``file://`` URL. Raises TransientError (full) or ConfigurationError (shut)."""
        path = self._root / media_name(data, media_type)
        try:
            # A file of another size is damaged: write it again.
            if not (path.is_file() and path.stat().st_size == len(data)):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, data, prefix=".", suffix=".part")
        except OSError as error:
            raise self._error(error) from error
        return path.as_uri()

    def check(self) -> None:
        """See that a file can be written and deleted. Raises as ``put``."""
        # One name, so that no check leaves more than one file, however it ends.
        path = self._root / ".check"
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            write_whole(path, b"check", prefix=".", suffix=".part")
            path.unlink(missing_ok=True)  # another check may be as far
        except OSError as error:
            raise self._error(error) from error

    def get(self, url: str) -> bytes:
        path = Path(unquote(urlsplit(url).path)).resolve()
        if not path.is_relative_to(self._root.resolve()):
            raise PermanentError(f"the URL is not one of the media root {self._root}")
        try:
            return path.read_bytes()
        except FileNotFoundError:
            raise PermanentError(f"the medium {path.name} no longer exists in the media root") from None
        except OSError as error:
            raise TransientError(f"the medium {path.name} cannot be read: {error.strerror}") from None

    def public_url(self, url: str) -> str:
        return public_url(url, self._root.as_uri(), self._public_base)

    def _error(self, error: OSError) -> PressroomError:
        return not_written(
            error,
            full=f"no room for media in {self._root}",
            shut=f"the media folder {self._root} cannot be written",
            other=f"media could not be written to {self._root}",
        )

"""Files that appear whole or not at all, and what it means when one cannot be written."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from pressroom.domain.errors import ConfigurationError, PressroomError, TransientError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SHUT = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENOENT}


def write_whole(path: Path, data: bytes, *, prefix: str, suffix: str = "") -> None:
    """Write, or replace, a file. ``prefix`` and ``suffix`` are of the name that it has until it is whole.

    Raises OSError, and leaves nothing then.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=suffix)
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


def not_written(error: OSError, *, full: str, shut: str, other: str) -> PressroomError:
    """Our error for one of the system's. The texts are of a full disk, of missing rights, and of all else."""
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    if error.errno in _FULL:
        return TransientError(f"{full}: {reason}")
    if error.errno in _SHUT:
        return ConfigurationError(f"{shut}: {reason}")
    return TransientError(f"{other}: {reason}")

"""Folders for local services that are to leave nothing behind."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def throwaway_root() -> Iterator[Path]:
    """A temporary folder that Postgres's user can reach, so that its data stays inside. Gone at the end."""
    with tempfile.TemporaryDirectory(prefix="pressroom-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        root = path / "root"
        root.mkdir(mode=0o755)
        yield root

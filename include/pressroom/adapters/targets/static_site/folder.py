"""A static site's folder: one folder a piece, written whole or not at all, by one writer at a time.

``index.html`` and ``rss.xml`` are rebuilt from all front matters. ``.pressroom-lists`` holds the time of the
next rebuild: at once while a change is in progress, so the next writer rebuilds them if this one dies.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from pressroom.adapters.targets.static_site.pages import (
    GENERATED,
    SitePage,
    StaticSiteSettings,
    feed_of,
    from_markdown,
    index_of,
)
from pressroom.adapters.whole_files import not_written, write_whole
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.outside import moment

log = logging.getLogger(__name__)

PAGE, SOURCE, FRONT, FEED = "index.html", "index.md", "index.html", "rss.xml"
LOCK, LISTS = ".pressroom-lock", ".pressroom-lists"

_PART, _GONE = ".pressroom-part-", ".pressroom-gone-"
_PICTURE = re.compile(r"[0-9a-f]{16}\.(png|jpg|webp|gif)")
_POLL_SECONDS = 0.02


class SiteFolder:
    """The folder of one site. All methods block; all but ``locked`` require the lock."""

    def __init__(self, site: StaticSiteSettings) -> None:
        self._site = site
        self._root = site.folder
        self.where = f"connection {site.connection!r}" if site.connection else f"the site in {site.folder}"
        self._read: dict[Path, tuple[tuple[int, int, int], SitePage | None]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only writer of all processes. Removes what a writer that died left behind.

        Maps every OSError inside. Raises TransientError when others keep the lock, ConfigurationError when
        the folder cannot be written to, or holds a site that is not ours.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with (self._root / LOCK).open("ab") as lock:
                self._wait_for(lock.fileno())
                self._check_ours()
                self._clear_leftovers()
                yield
        except OSError as error:
            raise self._error(error) from error

    def pages(self) -> list[SitePage]:
        """All pieces whose front matter can be read, newest first."""
        pages = [page for source in self._sources() if (page := self._page(source)) is not None]
        return sorted(pages, key=lambda page: (page.date, page.folder), reverse=True)

    def page_of(self, key: str) -> SitePage | None:
        """The piece with this key. Raises PermanentError when it may be one whose front matter is broken."""
        for source in self._sources():
            page = self._page(source)
            if page is not None and page.key == key:
                return page
            if page is None and key in source.read_text("utf-8", errors="replace"):
                raise PermanentError(
                    f"{self.where}: {source} has a front matter that cannot be read: repair it"
                )
        return None

    def free_folder(self, slug: str) -> str:
        """The slug, or the slug with the first number that makes it unique."""
        taken = {entry.name for entry in self._root.iterdir()}
        number = 1
        while (name := slug if number == 1 else f"{slug}-{number}") in taken:
            number += 1
        return name

    def put(self, page: SitePage, page_html: str, source: str, pictures: Mapping[str, bytes]) -> None:
        """Write a piece. A new one appears whole; of one that is there each file is exchanged whole.

        Its front matter comes last: until it is there, the piece counts as what it was before.
        """
        self._lists_due("")
        folder = self._root / page.folder
        files = {**pictures, PAGE: page_html.encode(), SOURCE: source.encode()}
        if folder.is_dir():
            for name, data in files.items():
                _write(folder / name, data)
            for path in folder.iterdir():
                unused = _PICTURE.fullmatch(path.name) and path.name not in pictures
                if unused or path.name.startswith(_PART):
                    path.unlink()
            return
        part = Path(tempfile.mkdtemp(dir=self._root, prefix=_PART))
        for name, data in files.items():
            _write(part / name, data)
        part.chmod(0o755)  # mkdtemp's mode would hide it from a web server
        part.rename(folder)
        _sync(self._root)

    def remove(self, page: SitePage) -> None:
        """Delete a piece with its whole folder."""
        self._lists_due("")
        gone = self._root / f"{_GONE}{page.folder}"
        (self._root / page.folder).rename(gone)
        shutil.rmtree(gone)

    def write_lists(self, now: datetime) -> None:
        """Write the front page and the feed of the pieces whose time has come."""
        pages = self.pages()
        shown = [page for page in pages if page.date <= now]
        _write(self._root / FRONT, index_of(self._site, shown).encode())
        _write(self._root / FEED, feed_of(self._site, shown, self._sizes(shown), now).encode())
        next_date = min((page.date for page in pages if page.date > now), default=None)
        self._lists_due(next_date.isoformat() if next_date else "never")

    def lists_are_due(self, now: datetime) -> bool:
        """Whether a writer died before it was done, or a piece's time has come since."""
        try:
            text = (self._root / LISTS).read_text("utf-8").strip()
        except FileNotFoundError:
            return True
        due = moment(text)
        return text != "never" and (due is None or due <= now)

    def _lists_due(self, at: str) -> None:
        """``at``: a time as ISO 8601; '' for at once."""
        _write(self._root / LISTS, f"{at}\n".encode())

    def _sources(self) -> list[Path]:
        return sorted(path for path in self._root.glob(f"*/{SOURCE}") if not path.parent.name.startswith("."))

    def _page(self, source: Path) -> SitePage | None:
        """What the front matter says; None when it cannot be read. A file that did not change is not read
        again.
        """
        status = source.stat()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        cached = self._read.get(source)
        if cached is None or cached[0] != stamp:
            try:
                page = from_markdown(source.read_text("utf-8"), source.parent.name)
            except ValueError as error:
                log.warning("%s is left out of the lists: %s", source, error)
                page = None
            self._read[source] = cached = (stamp, page)
        return cached[1]

    def _sizes(self, pages: Sequence[SitePage]) -> dict[str, int]:
        sizes = {}
        for page in pages:
            for picture in page.pictures[:1]:
                with suppress(FileNotFoundError):
                    place = f"{page.folder}/{picture.file}"
                    sizes[place] = (self._root / place).stat().st_size
        return sizes

    def _wait_for(self, lock: int) -> None:
        deadline = time.monotonic() + self._site.lock_seconds
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TransientError(f"{self.where}: others are writing to the folder") from None
                time.sleep(_POLL_SECONDS)

    def _check_ours(self) -> None:
        front = self._root / FRONT
        if front.exists() and GENERATED not in front.read_text("utf-8", errors="replace"):
            raise ConfigurationError(
                f"{self.where}: {front} is not of this program, and would be written over: use another folder"
            )

    def _clear_leftovers(self) -> None:
        for path in self._root.glob(".pressroom-*"):
            if path.name.startswith((_PART, _GONE)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _error(self, error: OSError) -> PressroomError:
        return not_written(
            error,
            full=f"{self.where}: no room in {self._root}",
            shut=f"{self.where}: {self._root} cannot be written",
            other=f"{self.where}: {self._root} could not be written",
        )


def now_utc() -> datetime:
    """This machine's time, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def _write(path: Path, data: bytes) -> None:
    write_whole(path, data, prefix=_PART)


def _sync(folder: Path) -> None:
    """Let a rename outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

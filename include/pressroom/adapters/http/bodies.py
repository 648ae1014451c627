"""Bodies of answers: unpacked without ever holding more than a bound, and decoded by harmless codecs only."""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterator, Mapping

from pressroom.domain.errors import PermanentError, TransientError

_PIECE = 65_536
_GZIP_OR_ZLIB = 47
_GZIP_MAGIC = b"\x1f\x8b"
_MOST_MEMBERS = 100

# Python also has codecs that take quadratic time, or that are no character sets.
_CHARSETS = re.compile(
    r"(utf-(8|16|32)(-(le|be|sig))?|ascii|iso8859-\d+|cp\d+|koi8-[rtu]|gb\w+|big5\w*|shift_jis\w*|euc_\w+"
    r"|iso2022_\w+|mac-\w+|johab|hz|tis-620|ptcp154|kz1048)"
)
# That of UTF-32 begins as that of UTF-16 does.
_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}["']([\w.:-]{1,40})["']|<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}"""
    rb"""["']?([\w.:-]{1,40})""",
    re.IGNORECASE,
)


class Inflater:
    """Unpacks gzip or zlib bit by bit; several gzip members in a row are one body."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._started = False
        self._members = 1

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """What comes out of ``packed``, in pieces of at most 64 KiB. Raises TransientError: broken."""
        try:
            more = bool(packed)
            while more:
                if self._stream.eof:
                    if not packed.startswith(_GZIP_MAGIC):
                        return  # padding after the end
                    self._members += 1
                    if self._members > _MOST_MEMBERS:
                        raise PermanentError("the compressed body is in too many parts")
                    self._stream = zlib.decompressobj(_GZIP_OR_ZLIB)
                self._started = True
                piece = self._stream.decompress(packed, _PIECE)
                packed = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
                yield piece
                # A full piece may leave more inside although all input went in.
                more = bool(packed) or (len(piece) == _PIECE and not self._stream.eof)
        except zlib.error:
            raise TransientError("the compressed body is broken") from None

    def finish(self) -> None:
        """Raises TransientError when the end is missing."""
        if self._started and not self._stream.eof:
            raise TransientError("the compressed body ends too early")


class BoundedBody:
    """The body of an answer: unpacked as it comes, and never more than ``most`` bytes of it.

    ``cut``: what is more is left out; otherwise it raises PermanentError.
    """

    def __init__(self, headers: Mapping[str, str], most: int, *, cut: bool = False) -> None:
        self._most, self._cut, self._enough = most, cut, False
        length = headers.get("content-length", "")
        if not cut and length.isdecimal() and int(length[:18]) > most:
            raise self._too_large()
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise PermanentError(f"its encoding {encoding[:40]!r} was not asked for")
        self._inflater = None if encoding in ("", "identity") else Inflater()
        self._body, self._packed = bytearray(), 0

    def feed(self, chunk: bytes) -> bool:
        """Take what came. True when no more is needed. Raises TransientError when it is broken."""
        self._packed += len(chunk)
        for piece in [chunk] if self._inflater is None else self._inflater.feed(chunk):
            self._body += piece
            if max(len(self._body), self._packed) > self._most:
                if not self._cut:
                    raise self._too_large()
                self._enough = True
                break
        return self._enough

    def finish(self) -> bytes:
        """The body. Raises TransientError when its end is missing."""
        if self._inflater is not None and not self._enough:
            self._inflater.finish()
        return bytes(self._body[: self._most])

    def _too_large(self) -> PermanentError:
        return PermanentError(f"larger than {self._most:,} bytes")


def gunzip(packed: bytes, most: int) -> bytes:
    """A whole gzip file, unpacked. Raises PermanentError when that gives more than ``most`` bytes."""
    inflater = Inflater()
    body = bytearray()
    for piece in inflater.feed(packed):
        body += piece
        if len(body) > most:
            raise PermanentError(f"unpacked it is larger than {most:,} bytes")
    inflater.finish()
    return bytes(body)


def decode(body: bytes, charset: str = "") -> str:
    """Text of bytes: by their byte order mark, the server's ``charset``, what they declare, or UTF-8."""
    marked = marked_encoding(body)
    if marked:
        return body.decode(marked, "replace").removeprefix("\ufeff")  # some have two
    declared = _DECLARED.search(body[:2048])
    own = (declared.group(1) or declared.group(2)).decode("ascii") if declared else ""
    for name in (charset, own, "utf-8"):
        codec = _codec(name)
        if codec:
            try:
                return body.decode(codec)
            except (UnicodeDecodeError, UnicodeError):
                continue
    return body.decode(_codec(charset) or _codec(own) or "utf-8", "replace")


def marked_encoding(data: bytes) -> str:
    """The encoding that a byte order mark names, '' without one. Decoding by it takes the mark off."""
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), "")


def _codec(name: str) -> str:
    """The codec of that name, '' when there is none or it is not for character sets."""
    try:
        codec = codecs.lookup(name.strip("\"' ")[:40]).name if name else ""
    except (LookupError, ValueError):
        return ""
    return codec if _CHARSETS.fullmatch(codec) else ""

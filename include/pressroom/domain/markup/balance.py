"""Markup from outside, rewritten so that no HTML parser has more work with it than its length says.

An HTML parser opens a formatting element again in each block that follows when it was not closed in its
own, and moves those that are closed out of order: 2,000 open ``<b>`` and 2,000 ``<p>`` become millions of
elements. Nested elements cost the square of their depth. Here each tag is read as the HTML standard reads it
and written again so that neither happens: every element is closed within the element that it was opened in,
and no more than ``MOST_OPEN`` are open. What is written has at most one end tag for each start tag.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

MOST_OPEN = 50
"""Elements within each other. Tags of deeper elements are left out; what they hold stays."""

VOID = frozenset({"br", "hr", "img"})

# Gone with all that is in them. The first ones to the end of the text when nothing closes them; a formula to
# the next block.
_ENDLESS = frozenset({"script", "style", "math", "plaintext"})
UNSEEN = _ENDLESS | {
    "svg", "template", "noscript", "iframe", "object", "textarea", "select", "title", "noembed", "noframes",
    "xmp", "audio", "video", "canvas",
}  # fmt: skip

_PARTS = frozenset({"caption", "thead", "tbody", "tfoot", "tr", "th", "td"})
_BLOCKS = _PARTS | {
    "p", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "dl", "dt", "dd", "blockquote", "pre", "hr",
    "table", "figure", "figcaption", "address", "article", "aside", "body", "center", "details", "dialog",
    "dir", "div", "fieldset", "footer", "form", "header", "hgroup", "html", "main", "menu", "nav", "search",
    "section", "summary",
}  # fmt: skip
_CELLS = frozenset({"table", "caption", "th", "td"})
_LISTS = _BLOCKS - {"p", "li", "dt", "dd"}
_ROWS = frozenset({"table", "thead", "tbody", "tfoot"})
_BETWEEN_CELLS = _ROWS | {"tr"}
# A start tag closes the nearest of the first, unless one of the second is nearer.
_CLOSES: Mapping[str, tuple[Collection[str], Collection[str]]] = {
    "li": ({"li"}, _LISTS),
    "dt": ({"dt", "dd"}, _LISTS),
    "dd": ({"dt", "dd"}, _LISTS),
    "a": ({"a"}, _CELLS),
}
# A part of a table closes what is open within the nearest of these.
_BELONGS: Mapping[str, Collection[str]] = {
    **{part: {"table"} for part in _PARTS},
    "tr": _ROWS,
    "th": _BETWEEN_CELLS,
    "td": _BETWEEN_CELLS,
}

_NAME = re.compile(r"[a-zA-Z][^\s/>]*+")
_ATTRIBUTE = re.compile(
    r"[\s/]*+([^\s/>][^\s/>=]*+)"
    r"(?:\s*+=\s*+(?:\"([^\"]*+)(?:\"|\Z)|'([^']*+)(?:'|\Z)|([^\s>\"'][^\s>]*+)?))?+"
)
_TAG_END = re.compile(r"[\s/]*+>")
_BLOCK_TAG = re.compile(r"</?(?:p|h[1-6]|ul|ol|dl|blockquote|pre)(?=[\s/>])", re.IGNORECASE)
_COMMENT_END = re.compile(r"--!?>")
_QUOTED = str.maketrans({'"': "&quot;", "<": "&lt;", ">": "&gt;"})


def balanced(markup: str, attributes: Mapping[str, Collection[str]], *, unseen: Collection[str]) -> str:
    """The markup with the tags named in ``attributes`` only, and of their attributes those that stand there.

    ``unseen``: elements that go with all that is in them. What is not a tag stays as it is, a stray ``<`` as
    ``&lt;``.
    """
    return _Rewriting(markup, attributes, unseen).done()


class _Rewriting:
    def __init__(
        self, markup: str, attributes: Mapping[str, Collection[str]], unseen: Collection[str]
    ) -> None:
        self._markup = markup
        self._attributes = attributes
        self._unseen = unseen
        self._out: list[str] = []
        self._open: list[str] = []
        self._never_closed: set[str] = set()

    def done(self) -> str:
        markup, at = self._markup, 0
        while (start := markup.find("<", at)) >= 0:
            if start > at:
                self._out.append(markup[at:start])
            at = self._tag(start)
        self._out.append(markup[at:])
        self._close_to(0)
        return "".join(self._out)

    def _tag(self, start: int) -> int:
        """Rewrites what the ``<`` at ``start`` begins. Returns where it ends."""
        markup = self._markup
        if markup.startswith("<!--", start):
            comment = _COMMENT_END.search(markup, start + 2)
            return comment.end() if comment else len(markup)
        ends = markup.startswith("/", start + 1)
        name = _NAME.match(markup, start + 1 + ends)
        if name is None:
            if not ends and markup[start + 1 : start + 2] not in ("!", "?"):
                self._out.append("&lt;")
                return start + 1
            end = markup.find(">", start)
            return end + 1 if end >= 0 else len(markup)
        values, at, whole = self._attributes_at(name.end())
        if not whole:
            return len(markup)
        tag = name[0].lower()
        if ends:
            self._end(tag)
        elif tag in self._unseen:
            # A slash before the end closes the element in XML.
            return at if markup[at - 2] == "/" else self._after(tag, at)
        else:
            self._start(tag, values)
        return at

    def _attributes_at(self, at: int) -> tuple[dict[str, str], int, bool]:
        """A tag's attributes, where it ends, and whether it does."""
        values: dict[str, str] = {}
        while (end := _TAG_END.match(self._markup, at)) is None:
            match = _ATTRIBUTE.match(self._markup, at)
            if match is None:
                return values, len(self._markup), False
            values.setdefault(match[1].lower(), match[2] or match[3] or match[4] or "")
            at = match.end()
        return values, end.end(), True

    def _after(self, tag: str, at: int) -> int:
        """Where an element ends of which nothing is kept."""
        if tag not in self._never_closed:  # one search says it for all that follow
            end = re.compile(rf"</{tag}(?=[\s/>])[^>]*+>?", re.IGNORECASE).search(self._markup, at)
            if end:
                return end.end()
            self._never_closed.add(tag)
        if tag == "math" and (block := _BLOCK_TAG.search(self._markup, at)):
            return block.start()
        return len(self._markup) if tag in _ENDLESS else at

    def _start(self, tag: str, values: Mapping[str, str]) -> None:
        if tag in _PARTS and "table" not in self._open:
            self._gap(tag)
            return
        self._make_room(tag)
        if tag not in self._attributes:
            self._gap(tag)
        elif tag in _PARTS or not self._open or self._open[-1] not in _BETWEEN_CELLS:
            self._write(tag, values)  # a parser would move what stands between cells to before the table

    def _make_room(self, tag: str) -> None:
        """Close what a start tag ends, and open the parts of a table that it implies."""
        if tag in _PARTS:
            self._close_within(_BELONGS[tag])
            if tag in ("td", "th") and self._open[-1] != "tr":
                self._start("tr", {})
            elif tag == "tr" and self._open[-1] == "table":
                self._start("tbody", {})
        elif tag in _BLOCKS:
            self._close({"p"}, _CELLS)
        if tag in _CLOSES:
            self._close(*_CLOSES[tag])

    def _write(self, tag: str, values: Mapping[str, str]) -> None:
        if tag not in VOID:
            if len(self._open) >= MOST_OPEN:
                self._gap(tag)
                return
            self._open.append(tag)
        own = self._attributes[tag]
        kept = (f' {name}="{value.translate(_QUOTED)}"' for name, value in values.items() if name in own)
        self._out.append(f"<{tag}{''.join(kept)}>")

    def _end(self, tag: str) -> None:
        if tag == "br":
            self._start(tag, {})
        elif tag in self._attributes:
            self._close({tag}, () if tag == "table" else {"table"} if tag in _PARTS else _CELLS)
        elif tag in _BLOCKS:
            self._close({"p"}, _CELLS)
            self._gap(tag)

    def _gap(self, tag: str) -> None:
        """The words of two blocks or lines stay apart where the tags between them are left out."""
        if (tag in _BLOCKS or tag == "br") and self._out and not self._out[-1].endswith("\n"):
            self._out.append("\n")

    def _close(self, tags: Collection[str], bounds: Collection[str]) -> None:
        """Close the innermost of some elements, and all that is open in it."""
        for index in range(len(self._open) - 1, -1, -1):
            if self._open[index] in tags:
                self._close_to(index)
                return
            if self._open[index] in bounds:
                return

    def _close_within(self, tags: Collection[str]) -> None:
        index = max(index for index, tag in enumerate(self._open) if tag in tags)
        self._close_to(index + 1)

    def _close_to(self, index: int) -> None:
        self._out.extend(f"</{tag}>" for tag in reversed(self._open[index:]))
        del self._open[index:]

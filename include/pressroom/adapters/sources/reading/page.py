"""Reads web pages: the main text of a page, without what is around it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import trafilatura
from trafilatura.htmlprocessing import build_html_output

from pressroom.adapters.http.stranger_answer import Fetched, shown
from pressroom.adapters.sources.reading.limits import refuse_crowded_tags
from pressroom.domain.errors import PermanentError
from pressroom.domain.markup.html import line_of, sanitize, text_of
from pressroom.domain.outside import same_site, web_url
from pressroom.domain.packets import TITLE_CHARS, SourceItem, source_item

_PAGE_ELEMENTS = 20_000

_TIMES = (
    "//meta[@property='article:published_time']/@content",
    "//meta[@property='og:published_time']/@content",
    "//meta[@itemprop='datePublished']/@content",
    "//time[@pubdate]/@datetime",
    "//time[@itemprop='datePublished']/@datetime",
)


def read_page(page: Fetched, source_id: str, at: datetime | None = None) -> list[SourceItem]:
    """The article on a page, one item. ``at``: its date, unless the page has one.

    Raises PermanentError when the page has no main text.
    """
    where = shown(page.url)
    text = page.text
    if text.count("<") > 2 * _PAGE_ELEMENTS:
        raise PermanentError(f"{where}: more than {_PAGE_ELEMENTS:,} elements are no article")
    refuse_crowded_tags(text, where)
    try:
        tree: Any = trafilatura.load_html(text)
        times = [str(value) for path in _TIMES for value in tree.xpath(path)] if tree is not None else []
        document: Any = tree is not None and trafilatura.bare_extraction(
            tree, url=page.url, with_metadata=True, include_comments=False, include_links=True, fast=True,
            include_formatting=True, output_format="html",
        )  # fmt: skip
        markup = build_html_output(document) if document else ""
    except MemoryError:
        raise  # the limit's verdict, and not the parser's
    except Exception as error:  # noqa: BLE001  any failure of the extraction is this page's fault
        raise PermanentError(f"{where}: this page cannot be read: {type(error).__name__}") from None
    html = sanitize(markup, base=page.url)
    words = text_of(html)
    if not words:
        raise PermanentError(f"{where}: no main text was found on this page")
    canonical = web_url(next(iter(tree.xpath("//link[@rel='canonical']/@href")), ""), page.url)
    item = source_item(
        source_id,
        # A page can claim any address as its canonical one.
        url=canonical if canonical and same_site(canonical, page.url) else page.url,
        title=line_of(document.title or "", TITLE_CHARS),
        text=words,
        html=html,
        published_at=times[0] if times else (document.date or at),
        author=document.author or "",
        tags=[*(document.tags or []), *(document.categories or [])],
        images=[web_url(document.image, page.url)],
        language=document.language or next(iter(tree.xpath("/html/@lang")), ""),
        extra={"site": document.sitename or "", "description": document.description or ""},
    )
    return [item]

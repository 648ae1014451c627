"""An article's meta description reaches the targets, and a brand's visual style the site's pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pressroom.adapters.targets.article import META_CHARS, LinkedArticleArguments, article_of
from pressroom.adapters.targets.static_site.target import StaticSite, StaticSiteSettings
from pressroom.adapters.targets.webhook import payload
from pressroom.adapters.targets.wordpress.wire import lacking
from pressroom.domain.definitions import BrandContext
from pressroom.domain.publishing import Content, Piece
from pressroom.pipelines.site import image_prompts, images
from pressroom.pipelines.site.image_prompts import DraftToIllustrate
from pressroom.pipelines.site.images import PendingImage
from pressroom.testing import FakeImages, FakeText, tools

META, EXCERPT = "When to cut hedges, and how.", "A long excerpt of two hundred characters and more."


def piece(**fields: Any) -> Piece[LinkedArticleArguments]:
    return Piece("k1", LinkedArticleArguments(title="Hedges", html="<p>Cut.</p>", **fields))


@pytest.mark.parametrize(
    ("fields", "meta"),
    [
        ({"excerpt": EXCERPT, "meta_description": META}, META),
        ({"excerpt": EXCERPT}, EXCERPT),
        ({"meta_description": META}, META),
    ],
)
async def test_a_page_has_it_for_search_engines_and_shows_the_excerpt(
    tmp_path: Path, fields: dict[str, Any], meta: str
) -> None:
    async with StaticSite(StaticSiteSettings(folder=tmp_path)) as site:
        await site.publish(piece(**fields))
        await site.publish(piece(**fields))  # read back from its front matter, and written again
    page = (tmp_path / "hedges" / "index.html").read_text("utf-8")
    assert f'<meta name="description" content="{meta}">' in page
    assert ('<p class="lead">' in page) is ("excerpt" in fields)
    sent = json.loads(payload(piece(**fields), "connection 'x'"))
    assert sent["meta_description"] == meta


def test_it_is_part_of_what_an_article_becomes() -> None:
    made = article_of(Content("T", "text", excerpt=EXCERPT, meta_description="m" * 400))
    assert (made["excerpt"], len(made["meta_description"])) == (EXCERPT, META_CHARS)


LACKS = "meta field seo"


@pytest.mark.parametrize(
    ("kept", "lacks"), [({"seo": META}, ""), ({}, LACKS), ({"seo": "x"}, LACKS), ([], LACKS), (None, LACKS)]
)
def test_a_site_that_does_not_keep_the_field_is_noticed(kept: Any, lacks: str) -> None:
    assert lacking({"id": 1, "meta": kept}, {"meta": {"seo": META}}) == lacks


STYLE = "Ink drawings on white, two colours."


async def test_a_sites_pictures_are_drawn_in_the_brands_style() -> None:
    brand = BrandContext(account="acme", slug="acme-voice", name="Acme", visual_style=STYLE)
    drawn = FakeImages()
    image = PendingImage(1, 2, 0, "A hedge in June.", "A hedge", "Hedges")
    await images.process(image, tools(brand=brand, images=drawn))
    await images.process(image, tools(images=drawn))
    assert [request.prompt for request in drawn.requests] == [
        "A hedge in June. Ink drawings on white, two colours",
        "A hedge in June",
    ]


async def test_who_describes_pictures_knows_the_style() -> None:
    text = FakeText()
    draft = DraftToIllustrate(1, "Hedges", "All on hedges", "<h2>June</h2><p>Cut.</p>")
    brand = BrandContext(account="acme", slug="acme-voice", name="Acme", visual_style=STYLE)
    await image_prompts.process(draft, tools(brand=brand, text=text))
    await image_prompts.process(draft, tools(text=text))
    with_style, without = (prompt.user for prompt in text.prompts)
    assert STYLE in with_style
    assert "How pictures look" not in without

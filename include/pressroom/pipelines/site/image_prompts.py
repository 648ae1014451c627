"""Content → image prompts: what to draw for each draft, and the alternative texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from pydantic import create_model

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.markup.cutting import in_sentences
from pressroom.domain.markup.html import clip, plain, says_something
from pressroom.domain.run import Run
from pressroom.domain.text import counted, quoted
from pressroom.pipelines.answers import Answer, Chars, Items, tokens_for
from pressroom.pipelines.needs import TEXT
from pressroom.pipelines.prompts import render
from pressroom.pipelines.site.article import headings_of
from pressroom.pipelines.stage import Saved, Stage, rows_of_site
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "image_prompts"
PROMPT_CHARS = 240
ALT_CHARS = 125
"""Some screen readers cut off longer alternative texts."""


@dataclass(frozen=True)
class DraftToIllustrate:
    """An article without images."""

    id: int
    title: str
    excerpt: str
    html: str


@dataclass(frozen=True)
class ImagePlan:
    """An image to draw."""

    prompt: str
    alt: str


class ProposedImage(Answer):
    """One image of the answer."""

    prompt: str
    alt: str


class ImagePrompts(Answer):
    """The answer: the featured image first."""

    images: list[ProposedImage]


@lru_cache(maxsize=64)
def answer_type(number: int) -> type[ImagePrompts]:
    """The answer type for ``number`` images."""
    image = create_model(
        "ProposedImage",
        __base__=ProposedImage,
        prompt=(Annotated[str, Chars(PROMPT_CHARS, 10)], ...),
        alt=(Annotated[str, Chars(ALT_CHARS, 5)], ...),
    )
    return create_model(
        "ImagePrompts", __base__=ImagePrompts, images=(Annotated[list[image], Items(number, number)], ...)
    )


pending, load = rows_of_site("drafts_without_images", "drafts_to_illustrate", DraftToIllustrate)
"""Drafts without images."""


async def process(draft: DraftToIllustrate, tools: Tools) -> Sequence[ImagePlan]:
    """Ask for prompts. Returns as many as the site has images per article, the featured one first."""
    number = tools.site.images.per_article
    headings = headings_of(draft.html)
    prompt = await render(
        NAME,
        account=tools.account,
        workflow=tools.site,
        brand=tools.brand,
        max_tokens=tokens_for(number * (PROMPT_CHARS + ALT_CHARS + 40)),
        title=draft.title,
        excerpt=draft.excerpt,
        headings=headings[:20],
        count=number,
        style=tools.brand.visual_style if tools.brand else "",
    )
    answer = await tools.text.generate(prompt, answer_type(number))
    return complete(draft.title, headings, answer.images, number)


def complete(
    title: str, headings: Sequence[str], answered: Sequence[ProposedImage], number: int
) -> list[ImagePlan]:
    """Exactly ``number`` images: the answered ones, then images of the article's headings in order."""
    plans: list[ImagePlan] = []
    for image in answered[:number]:
        prompt = in_sentences(plain(image.prompt), PROMPT_CHARS)
        alt = in_sentences(plain(image.alt), ALT_CHARS)
        if says_something(prompt, 5):
            plans.append(ImagePlan(prompt, alt if says_something(alt) else in_sentences(prompt, ALT_CHARS)))
    for index in range(len(plans), number):
        # Image n belongs to section n. After the last heading, the first one follows again.
        subject = headings[(index - 1) % len(headings)] if index and headings else title
        about = subject if subject == title else f"{subject} ({title})"
        plans.append(ImagePlan(clip(f"An illustration of: {about}", PROMPT_CHARS), clip(subject, ALT_CHARS)))
    return plans


def save(tx: Tx, run: Run, draft: DraftToIllustrate, output: Sequence[ImagePlan]) -> Saved:
    """Insert pending images, at position 0 (featured) and up."""
    if tx.value("draft_lock_without_images", site=run.site_id, content=draft.id) is None:
        raise AlreadyDone(f"article {draft.id} no longer waits for image prompts")
    rows = [
        {
            "site": run.site_id,
            "content": draft.id,
            "role": "in_article" if position else "featured",
            "position": position,
            **vars(plan),
        }
        for position, plan in enumerate(output)
    ]
    tx.many("image_insert", rows)
    return Saved(created=len(rows), label=f"{quoted(draft.title)}: {counted(len(rows), 'image prompt')}")


STAGE: Stage[DraftToIllustrate, Sequence[ImagePlan]] = Stage(
    name=NAME,
    title="Content → image prompts",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda draft: draft.title,
    result_fields={
        "content_processed": "processed",
        "prompts_created": "created",
        "batches_run": "batches",
        "credits_used": "credits",
    },
    charge=lambda run, draft: run.account.charges.prompt_set,
    batch_items=lambda site: site.automation.batch_sizes.image_prompts,
    pool="pressroom_text",
    by_batch=True,
    needs=lambda run: (TEXT,),
)

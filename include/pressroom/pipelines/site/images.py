"""Image prompts → images, drawn by the site's provider. An article goes to review with its last image."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.model import ImageRequest
from pressroom.domain.run import Run
from pressroom.domain.text import quoted
from pressroom.pipelines.needs import IMAGES, MEDIA
from pressroom.pipelines.site.approval import to_review
from pressroom.pipelines.stage import Saved, Stage, rows_of_site
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "images"


@dataclass(frozen=True)
class PendingImage:
    """An image to draw, with its article."""

    id: int
    content_id: int
    position: int
    prompt: str
    alt: str
    title: str


@dataclass(frozen=True)
class Drawn:
    """An image that is drawn and stored. Sizes in pixels."""

    media_url: str
    media_type: str
    width: int
    height: int
    model: str


pending, load = rows_of_site("images_waiting", "images_to_draw", PendingImage)
"""Images that are pending."""


async def process(image: PendingImage, tools: Tools) -> Drawn:
    """Draw and store. Files are named by content hash, so a repeat stores one file."""
    settings = tools.site.images
    style = tools.brand.visual_style.strip() if tools.brand else ""
    result = await tools.images.draw(
        ImageRequest(
            prompt=". ".join(text.rstrip(" .") for text in (image.prompt, style) if text),
            title=image.alt if image.position else image.title,
            width=settings.width,
            height=settings.height,
            colors=tuple(tools.brand.colors) if tools.brand else (),
            label=tools.site.name,
        )
    )
    url = await asyncio.to_thread(tools.media.put, result.data, result.media_type)
    return Drawn(url, result.media_type, result.width, result.height, result.model)


def save(tx: Tx, run: Run, image: PendingImage, output: Drawn) -> Saved:
    """Set the image to generated. The last one moves its article from draft to review."""
    # Lock the article first: of two last images at once, the second waits here and then sees the first.
    tx.value("content_lock", site=run.site_id, content=image.content_id)
    if not tx.run("image_generated", site=run.site_id, image=image.id, **vars(output)):
        raise AlreadyDone(f"image {image.id} no longer waits to be drawn")
    to_review(tx, run.site_id, image.content_id, auto_publish=run.site.publish.auto_publish)
    which = f"image {image.position}" if image.position else "featured image"
    return Saved(created=1, label=f"{which} of {quoted(image.title)}")


STAGE: Stage[PendingImage, Drawn] = Stage(
    name=NAME,
    title="Image prompts → images",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda image: image.title,
    result_fields={"images_processed": "processed", "images_generated": "created", "batches_run": "batches"},
    charge=lambda run, image: run.account.charges.image,
    batch_items=lambda site: site.automation.batch_sizes.images,
    pool="pressroom_images",
    needs=lambda run: (IMAGES, MEDIA),
)

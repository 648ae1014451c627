"""A run's tools, put together once for a batch: engine, image provider, media store, similarity."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from pressroom.adapters.images_card import CardImages
from pressroom.adapters.images_openai import OpenAIImages
from pressroom.adapters.images_runware import RunwareImages
from pressroom.adapters.openai_text import OpenAIText
from pressroom.adapters.similarity import WordLlamaSimilarity
from pressroom.domain.definitions import ImageSettings
from pressroom.engine.images import ImageEngine, PricedImages
from pressroom.engine.ledger import Scope
from pressroom.engine.text import TextEngine
from pressroom.orchestration import connections
from pressroom.orchestration.media import media_store
from pressroom.pipelines.stage import Run, Tools
from pressroom.store.database import Store


@asynccontextmanager
async def toolbox(store: Store, run: Run) -> AsyncIterator[Callable[[Scope], Tools]]:
    """Yields what binds the tools to an item. Raises ConfigurationError for a missing or wrong connection."""
    site = run.site
    async with AsyncExitStack() as stack:
        settings = connections.model_settings(site.text.connection)
        model = await stack.enter_async_context(OpenAIText(settings, site.text.model))
        text = TextEngine(model, store, settings)
        images = ImageEngine(await _image_provider(site.images, stack), store)
        media = media_store(connections.media_root())
        similarity = WordLlamaSimilarity()

        def tools_for(scope: Scope) -> Tools:
            return Tools(
                account=run.account,
                site=site,
                brand=run.brand,
                text=text.bound(scope, site.text.temperature),
                images=images.bound(scope),
                media=media,
                similarity=similarity,
            )

        yield tools_for


async def _image_provider(images: ImageSettings, stack: AsyncExitStack) -> PricedImages:
    if images.provider == "card":
        return CardImages()
    settings = connections.model_settings(images.connection)
    if images.provider == "openai":
        return await stack.enter_async_context(OpenAIImages(settings, images.model))
    return await stack.enter_async_context(RunwareImages(settings, images.model))

"""A run's tools, put together once for a batch: engine, images, media store, similarity, platforms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

from pressroom.adapters.models.card_images import CardImages
from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.runware_images import RunwareImages
from pressroom.adapters.models.settings import text_price
from pressroom.adapters.models.similarity import WordLlamaSimilarity
from pressroom.adapters.targets.metricool.api import Metricool, MetricoolClock, MetricoolSettings
from pressroom.domain.definitions import ImageSettings
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission
from pressroom.domain.run import Run
from pressroom.domain.social import Clock
from pressroom.engine.models.images import ImageEngine, PricedImages
from pressroom.engine.models.text import TextEngine
from pressroom.engine.money.ledger import Scope
from pressroom.engine.publishing.ledger import PublicationLedger, settle_open
from pressroom.orchestration.tools import connections
from pressroom.orchestration.tools.media import media_store
from pressroom.orchestration.tools.wires import RunWires
from pressroom.pipelines.tools import Social, Tools, Watching
from pressroom.store.database import Store
from pressroom.store.workflows import WorkflowRow

ToolsFor = Callable[[Scope], Tools]


class SystemClock:
    """This machine's time."""

    async def now(self) -> datetime:
        """See Clock."""
        return datetime.now(UTC)


def clock_of(workflow: Workflow) -> Clock:
    """The clock that a workflow goes by: a mission's is its scheduler's. Raises ConfigurationError."""
    if isinstance(workflow, Mission):
        return MetricoolClock(connections.metricool_settings(workflow.connection))
    return SystemClock()


async def aclock_of(workflow: Workflow) -> Clock:
    """``clock_of`` for the triggerer, where a blocking look-up would hold up every other trigger."""
    if isinstance(workflow, Mission):
        return MetricoolClock(await connections.ametricool_settings(workflow.connection))
    return SystemClock()


@asynccontextmanager
async def toolbox(store: Store, run: Run) -> AsyncIterator[ToolsFor]:
    """Yields what binds the tools to an item. Raises ConfigurationError for a missing or wrong connection."""
    workflow = run.workflow
    async with AsyncExitStack() as stack:
        settings = connections.model_settings(workflow.text.connection)
        model = await stack.enter_async_context(OpenAIText(settings, workflow.text.model))
        text = TextEngine(model, store, text_price(settings, model.model), settings.limits)
        images = ImageEngine(await _image_provider(workflow.images, stack), store)
        media = media_store(connections.media_root(), connections.media_public_url())
        similarity = WordLlamaSimilarity()
        social = None
        if isinstance(workflow, Mission):
            social = await _social(store, connections.metricool_settings(workflow.connection), stack)

        wires = None if isinstance(workflow, Mission) else RunWires(store, run, stack)

        def tools_for(scope: Scope) -> Tools:
            return Tools(
                account=run.account,
                workflow=workflow,
                brand=run.brand,
                text=text.bound(scope, workflow.text.temperature),
                images=images.bound(scope),
                media=media,
                similarity=similarity,
                connected=social(scope) if social else None,
                wired=wires.bound(scope) if wires else None,
            )

        yield tools_for


@asynccontextmanager
async def watching_tools(
    store: Store, row: WorkflowRow, run: Run
) -> AsyncIterator[tuple[Callable[[Scope], Watching], Clock]]:
    """What a polling stage needs, and no more: the triggerer loads no model. Also the clock."""
    if not isinstance(row.workflow, Mission):
        raise TypeError(f"{row.workflow.kind} {row.workflow.slug} has nothing to watch")
    settings = await connections.ametricool_settings(row.workflow.connection)
    async with AsyncExitStack() as stack:
        social = await _social(store, settings, stack)
        yield (
            lambda scope: Watching(run.account, row.workflow, run.brand, social(scope)),
            MetricoolClock(settings),
        )


@asynccontextmanager
async def undoing_tools(store: Store, run: Run) -> AsyncIterator[Watching]:
    """What undoing needs: no model, so that a run can be rolled back that failed for the lack of one."""
    async with AsyncExitStack() as stack:
        social = None
        if isinstance(run.workflow, Mission):
            bind = await _social(store, connections.metricool_settings(run.workflow.connection), stack)
            social = bind(Scope(run.account_id, run.workflow_id, run.id, "rollback", "all"))
        yield Watching(run.account, run.workflow, run.brand, social)


async def settle_publications(store: Store, run: Run) -> None:
    """At a run's end: what the platforms may have is looked for; what stays open is for a person."""
    if not isinstance(run.workflow, Mission):
        return
    settings = connections.metricool_settings(run.workflow.connection)
    async with Metricool(settings) as metricool:
        await settle_open(store, run, metricool)


async def _social(
    store: Store, settings: MetricoolSettings, stack: AsyncExitStack
) -> Callable[[Scope], Social]:
    metricool = await stack.enter_async_context(Metricool(settings))
    clock = MetricoolClock(settings)
    ledger = PublicationLedger(store, metricool, settings.connection)
    return lambda scope: Social(metricool, metricool, clock, ledger.bound(scope))


async def _image_provider(images: ImageSettings, stack: AsyncExitStack) -> PricedImages:
    if images.provider == "card":
        return CardImages()
    settings = connections.model_settings(images.connection)
    if images.provider == "openai":
        return await stack.enter_async_context(OpenAIImages(settings, images.model))
    return await stack.enter_async_context(RunwareImages(settings, images.model))

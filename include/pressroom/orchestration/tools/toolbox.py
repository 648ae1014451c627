"""A run's tools: each is opened when it is first asked for, and all are closed together.

A tool that no stage asks for is not opened, so its connection may be missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Self, TypeVar

from pressroom.adapters.conditions.evaluate import compile as read_condition
from pressroom.adapters.http.notify import NotifySettings, notify
from pressroom.adapters.http.stranger import SafeHttp
from pressroom.adapters.models.card_images import CardImages
from pressroom.adapters.models.openai_batches import OpenAIBatches
from pressroom.adapters.models.openai_embeddings import OpenAIEmbeddings
from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.openai_text import OpenAIText
from pressroom.adapters.models.runware_images import RunwareImages
from pressroom.adapters.models.settings import ConnectionSettings, text_price
from pressroom.adapters.models.similarity import LocalEmbeddings
from pressroom.adapters.sources.registry import fetch
from pressroom.adapters.storage.media import MediaFiles
from pressroom.adapters.targets.metricool.metrics import MetricoolClock, MetricoolMetrics
from pressroom.adapters.targets.registry import open_target
from pressroom.domain.definitions import Account, BrandContext, Site
from pressroom.domain.fetching import FetchSettings, FilesFetch
from pressroom.domain.flows import Condition, Flow
from pressroom.domain.grants.named import connections_of
from pressroom.domain.missions import Mission
from pressroom.domain.model import Embeddings, MediaStore
from pressroom.domain.packets import FindClaimed, SourceItem
from pressroom.domain.publishing import Publication, Submission, Target
from pressroom.domain.run import Run
from pressroom.domain.social import Clock
from pressroom.engine.models.batches import Batches
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.models.embeddings import EmbeddingEngine
from pressroom.engine.models.fallbacks import Fallbacks
from pressroom.engine.models.images import BoundImages, ImageChain, ImageEngine
from pressroom.engine.models.text import BoundText, TextChain, TextEngine
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.publishing.attempt import publish_once
from pressroom.engine.publishing.ledger import settle_open
from pressroom.orchestration.tools.connections import OF_TASK, Connections
from pressroom.orchestration.tools.files import (
    ObjectStorageFiles,
    ObjectStorageMedia,
    file_source,
    media_store,
)
from pressroom.pipelines.flow.items import known_of
from pressroom.pipelines.tools import Destination, Social
from pressroom.store.database import Store

Opened = TypeVar("Opened", bound=AbstractAsyncContextManager[Any])


class SystemClock:
    """This machine's time."""

    async def now(self) -> datetime:
        return datetime.now(UTC)


class Toolbox:
    """The tools of one run, in one event loop. Opening one makes no request.

    ``connections``: those of the process; the run gets what its account may name.
    """

    def __init__(self, store: Store, run: Run, connections: Connections = OF_TASK) -> None:
        self.store, self.run, self.connections = store, run, connections.of(run.access)
        self._stack = AsyncExitStack()
        self._targets: dict[tuple[str, str], Target[Any]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def bound(self, scope: CostScope) -> ItemTools:
        """The tools of one item."""
        return ItemTools(self, scope)

    @cached_property
    def text(self) -> TextChain:
        """The text model and its fallbacks. Raises ConfigurationError, as do all the others."""
        engines = [
            TextEngine(model, self.store, text_price(model.settings, model.model), model.settings.limits)
            for model in self.text_models
        ]
        # Also when the site takes no batches any more: what an earlier run left may have ended since.
        engines[0].in_batches = isinstance(self.run.workflow, Site)
        return TextChain(engines, self._fallbacks)

    @cached_property
    def text_models(self) -> Sequence[OpenAIText]:
        """The text model and its fallbacks, without the engines around them."""
        chosen, dialects = self.run.workflow.text, StoredDialects(self.store)
        return [
            self._opened(OpenAIText(settings, model, dialects))
            for settings, model in self._models(chosen.connection, chosen.model)
        ]

    @cached_property
    def batches(self) -> Batches:
        """The batches of the text model. A fallback takes none: it stands in for a while only."""
        model, engine = self.text_models[0], self.text.engines[0]
        patience = model.settings.timeout_seconds + 1
        return Batches(self.store, self.run, engine, model, OpenAIBatches(model), patience)

    @cached_property
    def images(self) -> ImageChain:
        """The image provider and its fallbacks."""
        engines = [ImageEngine(provider, self.store) for provider in self.image_providers]
        return ImageChain(engines, self._fallbacks)

    @cached_property
    def image_providers(self) -> Sequence[CardImages | OpenAIImages | RunwareImages]:
        """The image provider and its fallbacks, without the engines around them."""
        chosen, dialects = self.run.workflow.images, StoredDialects(self.store)
        if chosen.provider == "card":
            return [CardImages()]
        return [
            self._opened(
                OpenAIImages(settings, model, dialects)
                if chosen.provider == "openai"
                else RunwareImages(settings, model)
            )
            for settings, model in self._models(chosen.connection, chosen.model)
        ]

    def _models(
        self, connection_id: str, model: str | None
    ) -> Sequence[tuple[ConnectionSettings, str | None]]:
        """The connection and its fallbacks, each with its model. The workflow's is the first one's: a
        fallback has its own, and only without one the workflow's.
        """
        first, *others = self.connections.models(connection_id)
        return [(first, model), *((settings, settings.model or model) for settings in others)]

    @cached_property
    def _fallbacks(self) -> Fallbacks:
        return Fallbacks(self.store)

    @cached_property
    def media(self) -> MediaFiles | ObjectStorageMedia:
        """Where pictures are kept."""
        return media_store(self.connections.media_root(), self.connections.media_public_url())

    @cached_property
    def embeddings(self) -> EmbeddingEngine:
        """The embedding model. None is opened where the site's is this machine's own."""
        return EmbeddingEngine(self.embedder, self.store)

    @cached_property
    def embedder(self) -> OpenAIEmbeddings:
        """The embedding model without the engine around it."""
        chosen = self.run.site.embeddings
        return self._opened(OpenAIEmbeddings(self.connections.model(chosen.connection), chosen.model))

    @cached_property
    def metrics(self) -> MetricoolMetrics:
        """What became of a mission's posts."""
        return self._opened(MetricoolMetrics(self.connections.metricool(self.run.mission.connection)))

    @cached_property
    def clock(self) -> Clock:
        """The clock that the workflow goes by: a mission's is its scheduler's."""
        if isinstance(self.run.workflow, Mission):
            return MetricoolClock(self.connections.metricool(self.run.workflow.connection))
        return SystemClock()

    @cached_property
    def http(self) -> SafeHttp:
        """For addresses that a flow names: the author asks for a private host, the operator permits it."""
        permitted = set(self.connections.hosts())
        allowed = [host for host in self.run.flow.allow_hosts if host in permitted]
        return self._opened(SafeHttp(allow_hosts=allowed))

    def files(self, source: FilesFetch) -> ObjectStorageFiles:
        """The files below a folder. Raises ConfigurationError when the account may not read there."""
        for name in connections_of(source):
            self.connections.must_exist(name)
        return file_source(source, permitted=self.connections.file_roots(), account=self.run.account.slug)

    def target(self, to: Destination) -> Target[Any]:
        """A target, opened once: one server's connection may serve several handlers."""
        key = (to.to, to.connection_id)
        if key not in self._targets:
            fields = self.connections.fields(to.connection_id)
            self._targets[key] = self._opened(open_target(to.to, to.connection_id, fields))
        return self._targets[key]

    async def notify(self, connection: str, event: str, payload: Mapping[str, Any]) -> None:
        """Send a signed webhook. Raises TransientError or PermanentError."""
        settings = NotifySettings.from_connection(connection, **self.connections.fields(connection))
        await notify(settings, event, payload)

    async def settle_publications(self) -> None:
        """For a run's end: settle a mission's open publications; a person settles what stays open."""
        if isinstance(self.run.workflow, Mission):
            place = self.run.workflow.place(self.run.workflow.platforms[0])
            await settle_open(self.store, self.run, self.target(place))

    async def stop_batches(self) -> bool:
        """For a run that is to stop: cancel its batches at the provider. Returns whether all have ended."""
        workflow = self.run.workflow
        return not isinstance(workflow, Site) or not workflow.text.batch or await self.batches.stop()

    def _opened(self, tool: Opened) -> Opened:
        self._stack.push_async_exit(tool)
        return tool


class ItemTools:
    """The ``Tools`` and the ``Outside`` of one item. What they spend and publish belongs to ``scope``."""

    def __init__(self, box: Toolbox, scope: CostScope) -> None:
        self._box, self._scope = box, scope

    @property
    def account(self) -> Account:
        return self._box.run.account

    @property
    def brand(self) -> BrandContext | None:
        return self._box.run.brand

    @property
    def site(self) -> Site:
        return self._box.run.site

    @property
    def mission(self) -> Mission:
        return self._box.run.mission

    @property
    def flow(self) -> Flow:
        return self._box.run.flow

    @property
    def run_id(self) -> int:
        return self._box.run.id

    @cached_property
    def text(self) -> BoundText:  # one for the item: it knows which model wrote
        return self._box.text.bound(self._scope, self._box.run.workflow.text.temperature)

    @property
    def images(self) -> BoundImages:
        return self._box.images.bound(self._scope)

    @property
    def media(self) -> MediaStore:
        return self._box.media

    @property
    def embeddings(self) -> Embeddings:
        if self.site.embeddings.provider == "local":
            return LocalEmbeddings()
        return self._box.embeddings.bound(self._scope)

    @property
    def social(self) -> Social:
        return Social(self._box.metrics, self._box.clock)

    @property
    def outside(self) -> ItemTools:
        return self

    def condition(self, text: str) -> Condition:
        return read_condition(text)

    async def fetch(self, source: FetchSettings, known: FindClaimed) -> Sequence[SourceItem]:
        return await fetch(source, self._box.http, self._box.files, known)

    def target(self, to: Destination) -> Target[Any]:
        return self._box.target(to)

    async def publish(self, to: Destination, submission: Submission[Any]) -> Publication:
        return await publish_once(self._box.store, self._scope, self.target(to), to.target_name, submission)

    async def notify(self, connection: str, event: str, payload: Mapping[str, Any]) -> None:
        await self._box.notify(connection, event, payload)

    async def known(self, ids: Sequence[str], also: Sequence[str] = ()) -> Collection[str]:
        return await self._box.store.run(
            self._scope.account_id, known_of, self._scope.workflow_id or 0, self.flow, [*ids, *also]
        )

"""The check of a run's needs (``pipelines.needs``) against the real connections."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from pressroom.adapters.http.notify import NotifySettings
from pressroom.adapters.models.dialect import asked_with, described, first_dialect, known_fields
from pressroom.adapters.models.openai_images import OpenAIImages
from pressroom.adapters.models.openai_model import OpenAIModel
from pressroom.adapters.models.settings import image_price, text_price
from pressroom.domain.errors import ConfigurationError, PermanentError, PressroomError, TransientError
from pressroom.domain.fetching import FetchSettings, FilesFetch
from pressroom.domain.grants.named import Path, refused
from pressroom.domain.prices import ImagePrice, TextPrice
from pressroom.domain.run import Run
from pressroom.engine.models.dialects import StoredDialects
from pressroom.engine.money.metering import no_cap_without_price, price_unknown
from pressroom.engine.runs.batch import caps_of
from pressroom.engine.runs.verifying import CheckResult, ModelFacts, verify
from pressroom.orchestration.tools.connections import ALLOW_HOSTS, MEDIA_PUBLIC_URL, Connections
from pressroom.orchestration.tools.toolbox import Toolbox
from pressroom.pipelines.stage import Pipeline
from pressroom.pipelines.tools import Destination
from pressroom.store.database import Store


def verified(
    store: Store,
    run: Run,
    pipelines: Sequence[Pipeline],
    connections: Connections,
    only: Collection[str] | None = None,
) -> list[CheckResult]:
    """What is wrong with the set-up of a run through each of the pipelines, all checked at once.

    ``only``: the names of needs; None: all. Nothing is spent, sent or published. Blocks, and for little
    longer than one check may take.
    """

    async def work() -> list[list[CheckResult]]:
        # A loop waits at its end for every thread of its default executor, so for a storage that hangs, too.
        asyncio.get_running_loop().set_default_executor(_Unawaited(thread_name_prefix="check"))
        async with Toolbox(store, run, connections) as box:
            checks = (verify(pipeline, run, RunProbe(box), only=only) for pipeline in pipelines)
            return await asyncio.gather(*checks)

    triggers = _triggers(run) if only is None else ()
    own = [CheckResult(".".join(map(str, path)), text, problem=True) for path, text in triggers]
    return [*own, *(result for results in asyncio.run(work()) for result in results)]


def _triggers(run: Run) -> Iterator[tuple[Path, str]]:
    """What starts the run and the account may not name. What its stages use, they need."""
    return ((path, text) for path, text in refused(run.access, run.workflow) if path[0] == "trigger")


def models_of(
    store: Store, run: Run, pipelines: Sequence[Pipeline], connections: Connections
) -> list[CheckResult]:
    """The models that a run calls: what each costs, and what was learned of it. None of them is asked."""
    needed = {need.name for pipeline in pipelines for stage in pipeline.stages for need in stage.needs(run)}

    async def work() -> list[CheckResult]:
        async with Toolbox(store, run, connections) as box:
            facts = []
            for kind, models in (("text", _texts), ("images", _pictures), ("embeddings", _embedders)):
                try:
                    named = models(box) if kind in needed else []
                except PressroomError:
                    continue  # the check says what is wrong with the connection
                for model, price in named:
                    known = await _known(model, price, store)
                    facts.append(CheckResult(kind, str(known), problem=False, model=known))
            return facts

    return asyncio.run(work())


Priced = tuple[OpenAIModel, TextPrice | ImagePrice | None]


def _texts(box: Toolbox) -> list[Priced]:
    return [(model, text_price(model.settings, model.model)) for model in box.text_models]


def _pictures(box: Toolbox) -> list[Priced]:
    drawing = [provider for provider in box.image_providers if isinstance(provider, OpenAIImages)]
    return [(provider, image_price(provider.settings, provider.model)) for provider in drawing]


def _embedders(box: Toolbox) -> list[Priced]:
    return [(box.embedder, box.embedder.price)]


async def _known(model: OpenAIModel, price: TextPrice | ImagePrice | None, store: Store) -> ModelFacts:
    facts = ModelFacts(model.connection, model.model, "unknown" if price is None else str(price))
    if model.kind == "embedding":
        return facts
    settings = model.settings
    learned = await StoredDialects(store).recall(model.connection, settings.base_url, model.model)
    if learned is None:
        return replace(facts, learned="nothing yet; its first call learns what it takes")
    asked = ""
    if model.kind == "text":
        asked = asked_with(replace(first_dialect(settings), **known_fields(learned, settings)))
    return replace(facts, asked=asked, learned=described(learned))


class _Unawaited(ThreadPoolExecutor):
    """Threads that nobody waits for."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002
        """Takes no more work, and returns at once."""
        super().shutdown(wait=False, cancel_futures=True)


class Checked(Protocol):
    """A model that says whether it would answer."""

    connection: str
    model: str

    async def check(self) -> str: ...


class RunProbe:
    """The ``Probe`` of one run."""

    def __init__(self, box: Toolbox) -> None:
        self._box = box

    async def text(self) -> str:
        return await self._each(
            (model, text_price(model.settings, model.model) is not None) for model in self._box.text_models
        )

    async def images(self) -> str:
        return await self._each((provider, provider.priced) for provider in self._box.image_providers)

    async def embeddings(self) -> str:
        embedder = self._box.embedder
        note = await embedder.check()
        priced = embedder.price is not None
        return self._priced(embedder.connection, embedder.model, priced=priced) or note

    async def media(self) -> str:
        await asyncio.to_thread(self._box.media.check)
        return ""

    async def target(self, to: Destination, settings: Mapping[str, Any]) -> str:
        await self._box.target(to).check(settings)
        return ""

    async def pictures(self, to: Destination) -> str:
        try:
            fetched = self._box.target(to).arguments.limits_for({}).picture_urls
        except ConfigurationError:  # the check of the target reports it
            return ""
        if fetched:
            self._public_url()
        return ""

    async def receiver(self, connection: str) -> str:
        NotifySettings.from_connection(connection, **self._box.connections.fields(connection))
        return ""

    async def source(self, source: FetchSettings) -> str:
        if isinstance(source, FilesFetch):
            await asyncio.to_thread(self._box.files(source).check)
            return ""
        try:
            await self._box.http.check(source.url)
        except PermanentError as error:
            named = [host for host in self._box.run.flow.allow_hosts if urlsplit(source.url).netloc == host]
            if not named:
                raise
            raise PermanentError(
                f"{error} (the flow names it: permit it in the Airflow variable {ALLOW_HOSTS}, and where"
                f" there are several accounts grant it: pressroom grant {self._box.run.account.slug}"
                " --host HOST)"
            ) from None
        return ""

    async def _each(self, models: Iterable[tuple[Checked, bool]]) -> str:
        """The checks of models and of whether their prices are known. One that is down hides no other."""
        notes: list[str] = []
        down: list[TransientError] = []
        for model, priced in models:
            try:
                note = await model.check()
            except TransientError as error:
                down.append(error)
                note = ""
            notes.append(self._priced(model.connection, model.model, priced=priced) or note)
        if down:
            raise down[0]
        return "; ".join(filter(None, notes))

    def _priced(self, connection: str, model: str, *, priced: bool) -> str:
        if priced:
            return ""
        if caps_of(self._box.run).any:
            raise ConfigurationError(no_cap_without_price(connection, model))
        return price_unknown(connection, model)

    def _public_url(self) -> None:
        """Raises ConfigurationError when pictures have no URL under which others can fetch them."""
        root, base = self._box.connections.media_root(), self._box.connections.media_public_url()
        if root.startswith(("http://", "https://")) and not base:
            return
        parts = urlsplit(base)
        if not base:
            raise ConfigurationError(
                "pictures are fetched from their public URL, and the media root has none: set the Airflow"
                f" variable {MEDIA_PUBLIC_URL}, or {MEDIA_PUBLIC_URL.upper()}, to the URL where it is served"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"{MEDIA_PUBLIC_URL} is not an http(s) URL: set it to the one that pictures are fetched from"
            )

"""What a workflow's definition names that is the installation's, each with its place in the definition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from pressroom.domain.definitions import ImageSettings, Site, TextSettings
from pressroom.domain.fetching import FilesFetch
from pressroom.domain.flows import (
    AiStep,
    AnyStep,
    FetchStep,
    Flow,
    GateStep,
    MediaStep,
    PingStep,
    PublishStep,
)
from pressroom.domain.grants.access import OWN_DATABASE, Access, GrantKind, Name
from pressroom.domain.kinds import Workflow
from pressroom.domain.missions import Mission

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Named:
    """One name in a definition. ``path``: the keys and positions that lead to it, or to what implies it."""

    path: Path
    kind: GrantKind
    name: str


def names_of(workflow: Workflow) -> Iterator[Named]:
    """Everything of the installation's that runs of a workflow use."""
    match workflow:
        case Site():
            yield from _of_site(workflow)
        case Mission():
            yield _connection(("text", "connection"), workflow.text.connection)
            yield from _images(workflow.images)
            yield _connection(("connection",), workflow.connection)
        case Flow():
            yield from _of_flow(workflow)


def refused(access: Access, workflow: Workflow, known: Workflow | None = None) -> Iterator[tuple[Path, str]]:
    """What the account may not name, each with its place and what is wrong.

    ``known``: the definition as it is stored. A workflow that starts no runs may keep what it named before,
    so that it can be disabled when a grant was taken back.
    """
    resting = workflow.status not in ("active", "draft")
    before = {(each.kind, each.name) for each in names_of(known)} if resting and known is not None else set()
    for each in names_of(workflow):
        if (each.kind, each.name) not in before and not access.permits(each.kind, each.name):
            yield each.path, access.missing(each.kind, each.name)


def grantable(workflow: Workflow) -> set[Name]:
    """What a workflow's account is granted so that the workflow goes on as it is."""
    own_database = (GrantKind.CONNECTION, OWN_DATABASE)
    return {(each.kind, each.name) for each in names_of(workflow)} - {own_database}


def connections_of(source: FilesFetch) -> list[str]:
    """The connections that a folder is read through. A URL can name one before an @."""
    named = urlsplit(source.path).netloc.rpartition("@")[0]
    return [name for name in (source.connection, named) if name]


def _of_site(site: Site) -> Iterator[Named]:
    yield _connection(("text", "connection"), site.text.connection)
    yield from _images(site.images)
    if site.embeddings.provider != "local":
        yield _connection(("embeddings", "connection"), site.embeddings.connection)
    for position, target in enumerate(site.publish.targets):
        key = "connection" if target.connection else "to"
        yield _connection(("publish", "targets", position, key), target.connection_id)


def _of_flow(flow: Flow) -> Iterator[Named]:
    if _used(flow.text, TextSettings().connection, flow, AiStep):
        yield _connection(("text", "connection"), flow.text.connection)
    if _used(flow.images, ImageSettings().connection, flow, MediaStep):
        yield from _images(flow.images)
    for position, step in enumerate(flow.steps):
        yield from _of_step(("steps", position), step)
    for position, host in enumerate(flow.allow_hosts):
        yield Named(("allow_hosts", position), GrantKind.HOST, host)
    if flow.trigger.asset:
        yield Named(("trigger", "asset"), GrantKind.ASSET, flow.trigger.asset)
    if flow.trigger.webhook:
        yield _connection(("trigger", "webhook"), flow.trigger.webhook)


def _of_step(where: Path, step: AnyStep) -> Iterator[Named]:
    match step:
        case PublishStep():
            yield _connection((*where, "connection" if step.connection else "to"), step.connection_id)
        case PingStep():
            yield _connection((*where, "connection"), step.connection)
        case GateStep() if step.notify:
            yield _connection((*where, "notify"), step.notify)
        case FetchStep() if isinstance(step.source, FilesFetch):
            for name in connections_of(step.source):
                key = "connection" if name == step.source.connection else "path"
                yield _connection((*where, "source", key), name)
            yield Named((*where, "source", "path"), GrantKind.FILE_ROOT, step.source.path)
        case _:
            pass


def _used(settings: TextSettings | ImageSettings, default: str, flow: Flow, step: type) -> bool:
    """Whether a flow uses a model: by a step, or since it names another connection than the default."""
    return settings.connection != default or any(isinstance(each, step) for each in flow.steps)


def _images(images: ImageSettings) -> Iterator[Named]:
    if images.provider != "card":
        yield _connection(("images", "connection"), images.connection)


def _connection(path: Path, name: str) -> Named:
    return Named(path, GrantKind.CONNECTION, name)

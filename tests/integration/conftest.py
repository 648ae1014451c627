"""A migrated database per test session on a real Postgres, emptied before every test."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pressroom.store.database import Store
from pressroom.store.migrate import migrate
from tests.support.control_world import Control, control_world
from tests.support.postgres import disconnect, empty
from tests.support.wordpress import RunningWordPress, missing, wordpress
from tests.support.world import make_world

if TYPE_CHECKING:
    from tests.support.batch_desk import BatchDesk
    from tests.support.flow_world import Make
    from tests.support.model_desk import ModelDesk
    from tests.support.page_world import Browser
    from tests.support.scripted_openai import ScriptedOpenAI
    from tests.support.strict_batches import StrictBatches


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A superuser's URL: PRESSROOM_TEST_DATABASE_URL when set, otherwise an embedded server's."""
    given = os.environ.get("PRESSROOM_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from tests.support.postgres import embedded_postgres

    with embedded_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh, migrated database."""
    name = f"pressroom_test_{uuid.uuid4().hex[:12]}"
    url = psycopg.conninfo.make_conninfo(postgres_url, dbname=name)
    migrate(url)
    yield url
    disconnect(url)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="module")
def blog() -> Iterator[RunningWordPress]:
    """A WordPress of the module's own, real and new."""
    reason = missing()
    if reason:
        pytest.skip(f"a real WordPress needs Debian's packages: {reason}")
    with wordpress() as running:
        yield running


@pytest.fixture(scope="session")
def emptying(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """The connection over which the database is emptied, kept open because to connect takes longer."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def kept_store(database_url: str) -> Iterator[Store]:
    """The store of all tests. Its connections stay open: a new one costs Postgres more than a test's
    statements do, as it has to read the catalogue again.
    """
    with Store(database_url) as opened:
        yield opened


@pytest.fixture
def store(kept_store: Store, emptying: psycopg.Connection[Any]) -> Store:
    """A store on an empty database. It is not a test's to close or to change."""
    empty(emptying)
    return kept_store


@pytest.fixture
async def control(database_url: str, store: Store) -> AsyncIterator[Control]:
    """The control API over two accounts."""
    async with control_world(database_url, store) as opened:
        yield opened


@pytest.fixture
async def browser(control: Control) -> AsyncIterator[Browser]:
    """The page beside that API."""
    from tests.support.page_world import page_world  # the page's app takes a second

    async with page_world(control) as opened:
        yield opened


@pytest.fixture
def make(database_url: str, store: Store) -> Make:
    """What makes flows on an empty database."""
    from tests.support.flow_world import flow_maker

    return flow_maker(database_url, store)


@pytest.fixture(scope="module")
def scripted_openai() -> Iterator[ScriptedOpenAI]:
    """A module's server of models, which answers by script."""
    from tests.support.scripted_openai import ScriptedOpenAI

    with ScriptedOpenAI() as running:
        yield running


@pytest.fixture
def desk(database_url: str, store: Store, scripted_openai: ScriptedOpenAI) -> ModelDesk:
    """A stage of notes on an empty database, and the server that it asks, which answers well."""
    from tests.support.model_desk import ModelDesk  # the SDK takes a second

    scripted_openai.script.clear()
    return ModelDesk(make_world(database_url, store, credits=5000), scripted_openai)


@pytest.fixture(scope="module")
def batch_server() -> Iterator[tuple[StrictBatches, str]]:
    """A server with a batch endpoint, and its base URL."""
    from tests.support.served import served
    from tests.support.strict_batches import StrictBatches

    server = StrictBatches()
    with served(server.app) as url:
        yield server, f"{url}/v1"


@pytest.fixture
def batch_desk(database_url: str, store: Store, batch_server: tuple[StrictBatches, str]) -> BatchDesk:
    """A stage that asks that server."""
    from tests.support.batch_desk import BatchDesk

    server, url = batch_server
    server.clear()
    return BatchDesk(make_world(database_url, store), server, url)

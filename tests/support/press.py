"""A site with articles, and what brings them to targets: the real ledger, and targets that the test opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pressroom.domain.errors import ConfigurationError
from pressroom.domain.model import MediaStore
from pressroom.domain.publishing import Target
from pressroom.domain.run import Run
from pressroom.engine.money.ledger import CostScope
from pressroom.engine.publishing.claim import Timing
from pressroom.engine.runs.batch import Report, run_batch
from pressroom.pipelines.site.publish import STAGE
from pressroom.pipelines.tools import Destination, Tools
from pressroom.store.database import Store
from pressroom.testing import tools
from tests.support.ledger_outside import LedgerOutside
from tests.support.postgres import open_connection
from tests.support.world import World

_ARTICLES = (
    "WITH made AS (SELECT 'Article ' || lpad(n::text, 4, '0') AS title, 'article-' || n AS slug"
    "   FROM generate_series(1, %(number)s) AS n),"
    " i AS (INSERT INTO ideas (account_id, site_id, cluster_id, title, normalized, type, status)"
    "   SELECT %(account)s, %(site)s, %(cluster)s, title, slug, 'guide', 'queued' FROM made"
    "   RETURNING id, title, normalized),"
    " t AS (INSERT INTO tasks (account_id, site_id, idea_id, status)"
    "   SELECT %(account)s, %(site)s, id, 'completed' FROM i RETURNING id, idea_id)"
    " INSERT INTO contents (account_id, site_id, task_id, title, slug, meta_description, html, excerpt,"
    "   tags, word_count, status, model)"
    " SELECT %(account)s, %(site)s, t.id, i.title, i.normalized, 'meta', '<p>' || i.title ||"
    "   '.</p><h2>More</h2><p>More of it.</p>', 'In short.', '{tea}', 5, %(status)s, 'm'"
    " FROM t JOIN i ON i.id = t.idea_id ORDER BY i.title RETURNING id"
)

QUICK = Timing(call=8, lease=10, backoff=0.01, retry_after=2)


async def work(
    store: Store,
    run: Run,
    targets: Mapping[str, Target[Any]],
    media: MediaStore,
    *,
    keys: Sequence[Any] | None = None,
    concurrency: int = 4,
    last_try: bool = False,
) -> Report:
    """Plan the publish stage of a run, unless ``keys`` are given, and work through it."""
    if keys is None:
        with store.transaction(run.account_id) as tx:
            found = STAGE.pending(tx, run)
            assert isinstance(found, Sequence)
            tx.run("plan_stage", run=run.id, stage=STAGE.name, planned=len(found), skipped=None)
            keys = found

    def target_of(to: Destination) -> Target[Any]:
        if to.connection_id not in targets:
            raise ConfigurationError(f"there is no connection {to.connection_id!r}")
        return targets[to.connection_id]

    def tools_for(scope: CostScope) -> Tools:
        outside = LedgerOutside(store, scope, target_of, QUICK)
        return replace(tools(site=run.workflow, outside=outside), media=media)

    return await run_batch(
        STAGE, run, keys, store=store, tools_for=tools_for, concurrency=concurrency, last_try=last_try
    )


def add_articles(
    world: World, number: int, *, images: Sequence[tuple[str, str]] = (), status: str = "review"
) -> list[int]:
    """Articles with the same pictures, each (URL, alt), the featured one first. Their ids."""
    cluster = world.sql(
        "INSERT INTO clusters (account_id, site_id, name, normalized, status)"
        " VALUES (%s, %s, 'Tea', 'tea', 'planned')"
        " ON CONFLICT (site_id, normalized) DO UPDATE SET name = 'Tea' RETURNING id",
        world.account_id, world.site_id,
    )[0][0]  # fmt: skip
    facts = {
        "number": number, "account": world.account_id, "site": world.site_id, "cluster": cluster,
        "status": status,
    }  # fmt: skip
    with open_connection(world.url) as connection:
        rows = connection.execute(_ARTICLES, facts).fetchall()
    ids = [row[0] for row in rows]
    for position, (url, alt) in enumerate(images):
        role = "in_article" if position else "featured"
        world.sql(
            "INSERT INTO images (account_id, site_id, content_id, role, position, prompt, alt, status,"
            " media_url, media_type, width, height, model)"
            " SELECT %s, %s, id, %s, %s, 'p', %s, 'generated', %s, 'image/png', 1, 1, 'm'"
            " FROM unnest(%s::bigint[]) AS id",
            world.account_id, world.site_id, role, position, alt, url, ids,
        )  # fmt: skip
    return ids

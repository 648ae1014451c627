"""What of the money that a run spends buys something: with a model that thinks, and in a provider's batches.

Thinking: a site's run goes through all its stages on the real SDK, engine, ledger and an embedded Postgres,
against a server that thinks 1,000 to 3,000 tokens before each answer. Thoughts count against an answer's
limit, as they do at OpenAI and Google: an answer without room for them is cut off, paid, and asked for again.
Nobody tells the run how much the model thinks.

  spent    cents in the ledger
  useful   cents of the calls whose answer was used

Batches: the same articles and image prompts are written by ordinary calls, and in batches, by a process that
is killed (SIGKILL) when the provider has made its batch and before the batch's id is on record. Another one
goes on.

    python -m benchmarks.spending [--keywords 24] [--least 1000] [--most 3000] [--seed 1] [--articles 12]

The last line is one JSON object: waste_ratio is spent ÷ useful (aim: at most 1.05), batch_share_of_price the
cost in batches ÷ that of ordinary calls (aim: at most 0.55). A request billed twice ends the benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any

from tests.support.postgres import embedded_postgres
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.served import served
from tests.support.strict_batches import StrictBatches
from tests.support.whole_runs import WholeRun, connection, run_site
from tests.support.world import World, make_world

from benchmarks.halved import write
from benchmarks.waiting import progress
from pressroom.domain.definitions import ArticleSettings, ImageSettings
from pressroom.store.database import Store
from pressroom.store.migrate import migrate

SUBJECTS = ("pour over", "cold brew", "espresso", "french press", "moka pot", "aeropress")
SIDES = ("ratio", "grind", "kettle", "water", "time", "recipe", "filter", "cleaning")


def main() -> None:
    """Measure, print the table and the JSON line."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--keywords", type=int, default=24)
    arguments.add_argument("--least", type=int, default=1000, help="tokens of thoughts before an answer")
    arguments.add_argument("--most", type=int, default=3000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument(
        "--articles", type=int, default=12, help="written by ordinary calls and in batches"
    )
    options = arguments.parse_args()
    with embedded_postgres() as url:
        migrate(url)
        result = thinking(url, options.keywords, options.least, options.most, options.seed)
        result |= halved(url, options.articles)
    print(json.dumps(result))


def thinking(url: str, keywords: int, least: int, most: int, seed: int) -> dict[str, Any]:
    """A site's run with a model that thinks between so many tokens. ``url``: an empty, migrated database."""
    dice = random.Random(seed)
    words = [f"{subject} {side}" for side in SIDES for subject in SUBJECTS][:keywords]
    with ScriptedOpenAI() as server, Store(url) as store:
        server.script.update(
            {"dialect": "openai_reasoning", "thinks": [dice.randint(least, most) for _ in range(997)]}
        )
        settings = connection(server.base_url)
        progress("thinking", f"{len(words)} keywords, {least} to {most} tokens of thoughts a call")
        whole = asyncio.run(run_site(url, store, settings, keywords=tuple(words)))
    if whole.failed:
        raise SystemExit(f"items failed: {whole.failed[:3]}")
    _show(whole)
    return {
        "calls": len(whole.outcomes),
        "wasted_calls": len(whole.wasted),
        "spent_cents": float(whole.spent),
        "useful_cents": float(whole.useful),
        "waste_ratio": round(float(whole.spent / whole.useful), 4),
    }


def halved(url: str, articles: int) -> dict[str, Any]:
    """The same articles by ordinary calls and in batches. ``url``: a migrated database."""
    strict = StrictBatches()
    with served(strict.app) as base, Store(url) as store:
        server = f"{base}/v1"
        plain, batched = (_site(url, store, slug, articles) for slug in ("plain", "batched"))
        progress("batches", f"{articles} articles by ordinary calls")
        asyncio.run(write(store, server, plain.run(), batched=False))
        asked = len(strict.chats)
        command = [sys.executable, "-m", "benchmarks.halved", url, server, "batched", str(batched.run().id)]
        progress("batches", "in a batch, by a process that is killed before its id is on record")
        killed = _killed_at_its_batch(strict, command)
        on_record = batched.sql("SELECT external_id FROM model_batches WHERE external_id IS NOT NULL")
        progress("batches", "by another process")
        with subprocess.Popen(command) as going_on:
            while going_on.poll() is None:
                strict.work()
                time.sleep(0.2)
        if going_on.returncode or killed != -signal.SIGKILL or on_record:
            raise SystemExit(
                f"batches: killed with {killed}, on record then {on_record}; then {going_on.returncode}"
            )
        full, half = _cents(plain), _cents(batched)
        held = batched.sql("SELECT count(*) FROM reservations")
        if (strict.billed, len(strict.chats), len(strict.batches), held) != (asked, asked, 2, [(0,)]):
            raise SystemExit(
                f"{asked} requests: {strict.billed} billed in {len(strict.batches)} batches, held {held}"
            )
    print(
        f"\n{asked} requests: {full:.3f} cents by ordinary calls, {half:.3f} in {len(strict.batches)} batches"
    )
    return {
        "batched_requests": asked,
        "batches_submitted": len(strict.batches),
        "requests_billed": strict.billed,
        "ordinary_cents": float(full),
        "batch_cents": float(half),
        "batch_share_of_price": round(float(half / full), 4),
    }


def _site(url: str, store: Store, slug: str, articles: int) -> World:
    """A site with ideas that wait to be written. Each has its account, because a cache is an account's."""
    world = make_world(
        url, store, slug=slug, owner=slug, credits=5000,
        article=ArticleSettings(target_words=220), images=ImageSettings(per_article=2, width=320, height=256),
    )  # fmt: skip
    world.sql(
        "WITH c AS (INSERT INTO clusters (account_id, site_id, name, normalized, status)"
        "  VALUES (%s, %s, 'Queue', 'queue', 'planned') RETURNING id),"
        " i AS (INSERT INTO ideas (account_id, site_id, cluster_id, title, normalized, type, status, outline)"
        "  SELECT %s, %s, c.id, 'Article ' || n, 'article ' || n, 'guide', 'queued',"
        "  ARRAY['Beginning', 'End'] FROM c, generate_series(1, %s) AS n RETURNING id)"
        " INSERT INTO tasks (account_id, site_id, idea_id) SELECT %s, %s, id FROM i",
        world.account_id, world.site_id, world.account_id, world.site_id, articles, world.account_id,
        world.site_id,
    )  # fmt: skip
    return world


def _killed_at_its_batch(strict: StrictBatches, command: list[str]) -> int:
    """Run the process until the provider has made its batch, and kill it before it is answered. Returns its
    exit code.
    """
    with subprocess.Popen(command) as process:

        def kill() -> None:
            process.kill()
            process.wait()

        strict.at_create = kill
        process.wait()
    strict.at_create = lambda: None
    return process.returncode


def _cents(world: World) -> Decimal:
    [[cents]] = world.sql(
        "SELECT sum(cents) FROM ledger WHERE workflow_id = %s AND kind = 'cost'", world.site_id
    )
    return Decimal(cents)


def _show(whole: WholeRun) -> None:
    print(f"\n{len(whole.outcomes)} calls, {whole.spent:.3f} cents spent, {whole.useful:.3f} of them useful")
    for outcome, prompt, answered, cents in whole.wasted:
        print(f"  wasted: {outcome}, {prompt} tokens asked, {answered} answered, {cents:.3f} cents")


if __name__ == "__main__":
    main()

"""What of the money that a run spends buys something, when the model thinks before it answers.

A site's run goes through all its stages on the real SDK, engine, ledger and an embedded Postgres, against a
server that thinks 1,000 to 3,000 tokens before each answer. Thoughts count against an answer's limit, as they
do at OpenAI and Google: an answer without room for them is cut off, paid, and asked for again. Nobody tells
the run how much the model thinks.

  spent    cents in the ledger
  useful   cents of the calls whose answer was used

    python -m benchmarks.spending [--keywords 24] [--least 1000] [--most 3000] [--seed 1]

The last line is one JSON object: waste_ratio is spent ÷ useful (aim: at most 1.05).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from typing import Any

from tests.support.postgres import embedded_postgres
from tests.support.scripted_openai import ScriptedOpenAI
from tests.support.whole_runs import WholeRun, connection, run_site

from benchmarks.waiting import progress
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
    options = arguments.parse_args()
    with embedded_postgres() as url:
        migrate(url)
        result = {**thinking(url, options.keywords, options.least, options.most, options.seed)}
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


def _show(whole: WholeRun) -> None:
    print(f"\n{len(whole.outcomes)} calls, {whole.spent:.3f} cents spent, {whole.useful:.3f} of them useful")
    for outcome, prompt, answered, cents in whole.wasted:
        print(f"  wasted: {outcome}, {prompt} tokens asked, {answered} answered, {cents:.3f} cents")


if __name__ == "__main__":
    main()

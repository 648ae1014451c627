"""A worker that brings all approved articles of a site to WordPress, as a process that a test can kill.

``python -m tests.support.press_process DATABASE FACTS``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from pressroom.adapters.storage.media import MediaFiles
from pressroom.adapters.targets.wordpress.target import WordPress, WordPressSettings
from pressroom.domain.definitions import Account, Site
from pressroom.domain.run import Run
from pressroom.store.database import Store
from tests.support.press import work

CONNECTION = "pressroom_wordpress"


def facts_of(run: Run, media: Path, blog: dict[str, str]) -> str:
    """What the process must be told."""
    return json.dumps(
        {
            "run_id": run.id, "account_id": run.account_id, "site_id": run.site_id,
            "site": run.site.model_dump(mode="json"), "media": str(media), "blog": blog,
        }
    )  # fmt: skip


async def publish_all(url: str, facts: dict[str, Any]) -> None:
    """One try of the stage."""
    site = Site.model_validate(facts["site"])
    run = Run(
        Account(slug="demo", name="Demo"), site, None, id=facts["run_id"], account_id=facts["account_id"],
        workflow_id=facts["site_id"],
    )  # fmt: skip
    settings = WordPressSettings.from_connection(
        CONNECTION, **facts["blog"], extra={"settle_seconds": 2, "timeout_seconds": 7}
    )
    with Store(url) as store:
        async with WordPress(settings) as blog:
            await work(store, run, {CONNECTION: blog}, MediaFiles(Path(facts["media"])))


if __name__ == "__main__":
    asyncio.run(publish_all(sys.argv[1], json.loads(sys.argv[2])))

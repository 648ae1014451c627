"""Definitions that no DAG can be made of, put into the database by hand, past every check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import yaml

from pressroom.definitions.applying import apply
from pressroom.definitions.loading import load
from pressroom.store.database import Store

ACCOUNT = "hostile"
LONG_CRON = "0 " + "0," * 160 + "0 * * *"
"""Its description in words has more than the 1000 characters that Airflow's column holds."""
GOOD: dict[str, dict[str, Any]] = {
    "Site": {"slug": "bad-site", "automation": {"enabled": False}},
    "Flow": {
        "slug": "bad-flow", "trigger": {},
        "steps": [{"name": "page", "type": "publish", "to": "static_site", "mode": "auto"}],
    },
    "Mission": {
        "slug": "bad-mission", "objectives": ["harm"], "platforms": ["twitter"], "status": "active",
    },
}  # fmt: skip
HARM: dict[str, dict[str, Any]] = {
    "Site": {"automation": {"enabled": True, "cron": LONG_CRON}},
    "Flow": {"trigger": {"asset": "postgres://x"}},
    "Mission": {"starts_at": "9999-12-01T00:00:00Z"},
}
BY_HAND = """
UPDATE automation_configs SET enabled = true, cron = '0 ' || repeat('0,', 160) || '0 * * *'
WHERE site_id = (SELECT id FROM sites WHERE slug = 'bad-site');
UPDATE flows SET definition = jsonb_set(definition, '{trigger,asset}', '"postgres://x"')
WHERE slug = 'bad-flow';
UPDATE missions SET definition = jsonb_set(definition, '{starts_at}', '"9999-12-01T00:00:00Z"')
WHERE slug = 'bad-mission';
"""


def definitions(*, harmful: bool, prefix: str = "") -> list[dict[str, Any]]:
    """The account and a definition of each kind. ``prefix``: before the slugs."""
    wanted = [
        {
            "kind": kind,
            "account": ACCOUNT,
            "name": "Bad",
            **good,
            **(HARM[kind] if harmful else {}),
        }
        for kind, good in GOOD.items()
    ]
    for definition in wanted:
        definition["slug"] = f"{prefix}{definition['slug']}"
    return [{"kind": "Account", "slug": ACCOUNT, "name": ACCOUNT, "grants": {"everything": True}}, *wanted]


def write_by_hand(url: str, folder: Path) -> None:
    """Apply what is good, then change the rows."""
    file = folder / "hostile.yaml"
    file.write_text(yaml.safe_dump_all(definitions(harmful=False)), "utf-8")
    with Store(url) as store:
        apply(store, load(file))
    with psycopg.connect(url) as connection:
        connection.execute(BY_HAND)

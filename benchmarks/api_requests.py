"""Every GET that an OpenAPI document has, with ids and parameters filled in.

Each endpoint is asked without what may be left out, then with one filter at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import psycopg

IDS = {
    "site": "SELECT min(id)::text FROM sites",
    "keyword": "SELECT id::text FROM keywords ORDER BY id LIMIT 50",
    "cluster": "SELECT id::text FROM clusters ORDER BY id LIMIT 50",
    "idea": "SELECT id::text FROM ideas ORDER BY id LIMIT 50",
    "article": "SELECT 'art_' || id FROM contents ORDER BY id LIMIT 50",
    "post": "SELECT 'cnt_' || id FROM posts ORDER BY id DESC LIMIT 50",
    "mission": "SELECT 'msn_' || max(id) FROM missions",
    "flow": "SELECT 'flw_' || max(id) FROM flows",
    "item": "SELECT 'itm_' || id FROM flow_items ORDER BY id DESC LIMIT 50",
    "gate": "SELECT 'gat_' || id FROM gates ORDER BY id DESC LIMIT 50",
    "brand": "SELECT 'brc_' || max(id) FROM brand_contexts",
    "insight": "SELECT 'ins_' || id FROM insights ORDER BY id DESC LIMIT 50",
    "publication": "SELECT 'pub_' || id FROM publications ORDER BY id DESC LIMIT 50",
    "key": "SELECT 'key_' || id FROM api_keys ORDER BY id DESC LIMIT 50",
    "site run": "SELECT 'job_' || max(id) FROM runs WHERE workflow_id = (SELECT min(id) FROM sites)",
    "mission run": "SELECT 'job_' || max(id) FROM runs WHERE workflow_id = (SELECT max(id) FROM missions)",
    "flow run": "SELECT 'job_' || max(id) FROM runs WHERE workflow_id = (SELECT max(id) FROM flows)",
    "month ago": "SELECT to_char(now() - interval '30 days', 'YYYY-MM-DD\"T\"00:00:00Z')",
}
"""What requests are about, as others see it. The first site is the busy one, and its items come first."""

THINGS = {
    "/sites": ["site"],
    "/keywords": ["keyword"],
    "/clusters": ["cluster"],
    "/ideas": ["idea"],
    "/content": ["article", "post"],
    "/missions": ["mission"],
    "/flows": ["flow"],
    "/flow-items": ["item"],
    "/gates": ["gate"],
    "/brand-contexts": ["brand"],
    "/insights": ["insight"],
    "/publications": ["publication"],
    "/api-keys": ["key"],
    "/pipeline/jobs": ["site run", "mission run", "flow run"],
}
"""What `{id}` may be, by what stands before it."""

PARAMETERS: dict[str, str | list[str]] = {
    "site": "site",
    "site_id": "site",
    "workflow": "site",
    "mission": "mission",
    "flow": "flow",
    "run_id": "site run",
    "job": "site run",
    "cluster_id": "cluster",
    "content": "article",
    "stage": ["content", "never_run"],
    "q": ["keyword 4", "not in any text"],
    "since": "month ago",
    "until": "month ago",
    "lines": ["1000"],
    "after": ["10"],
    "actor": ["user:7"],
    "action": ["run.pause", "never.done"],
    "target": ["article:12"],
}
"""What parameters may be: one of IDS, or values. A path and a name counts more than a name alone. Those with
few possible values need no sample: all of them are used.
"""

NO_FILTERS = ("account", "limit", "cursor", "stream")
"""Who is asked about, how much, from where, and a stream without an end."""

NEEDED = {"/automation/logs": "run_id", "/automation/": "site_id"}
"""What is missed with an error of its own, so that the document calls it optional: by how the path begins."""


@dataclass(frozen=True)
class Question:
    """A way to ask an endpoint: URLs that differ in what they are about. ``paged``: it has further pages."""

    name: str
    urls: list[str]
    paged: bool


def samples_of(url: str) -> dict[str, list[str]]:
    """The ids of what is asked about, from the database."""
    with psycopg.connect(url) as connection:
        return {name: [row[0] for row in connection.execute(query)] for name, query in IDS.items()}


def questions(
    document: Mapping[str, Any], base: str, samples: Mapping[str, list[str]], account: str | None
) -> list[Question]:
    """All of them. ``account``: the slug, for callers who must say which.

    Raises SystemExit, naming every path and parameter that nothing is known about.
    """
    found: list[Question] = []
    unknown: list[str] = []
    for path, methods in document["paths"].items():
        if "get" in methods:
            asked = [one for one in methods["get"].get("parameters", []) if one["in"] == "query"]
            paths = _paths(path, samples)
            values = _values(path, asked, document["components"]["schemas"], samples)
            unknown += [f"{path} {name}" for name, known in values.items() if not known]
            unknown += [] if paths else [path]
            needed = [one["name"] for one in asked if one["required"]]
            needed += [name for start, name in NEEDED.items() if path.startswith(start)][:1]
            paged = "cursor" in (one["name"] for one in asked)
            always = {name: known for name, known in values.items() if name in needed}
            if account is not None and "account" in (one["name"] for one in asked):
                always["account"] = [account]
            for label, places in paths.items():
                urls = [base + one for one in places]
                found.append(Question(label, _urls(urls, always), paged))
                for name in values.keys() - needed:
                    filtered = _urls(urls, {**always, name: values[name]})
                    found.append(Question(f"{label}?{name}", filtered, paged=False))
    if unknown:
        raise SystemExit(f"There are no samples for {', '.join(unknown)}.")
    return found


def _paths(path: str, samples: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Label → paths with ids; nothing when it is not known what the ids may be."""
    before, path = path.partition("/{id}")[0], path.replace("{position}", "0")
    if "{" not in path:
        return {path: [path]}
    things = THINGS.get(before, []) if path.count("{") == 1 else []
    return {
        path if len(things) == 1 else path.replace("{id}", f"{{{thing}}}"): [
            path.replace("{id}", id) for id in samples[thing]
        ]
        for thing in things
    }


def _values(
    path: str,
    asked: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, Any],
    samples: Mapping[str, list[str]],
) -> dict[str, list[str]]:
    """What each filter may be; an empty list when that is not known."""
    found = {}
    for one in asked:
        name = one["name"]
        if name in NO_FILTERS:
            continue
        sample = PARAMETERS.get(f"{path} {name}", PARAMETERS.get(name))
        if isinstance(sample, str):
            found[name] = samples[sample]
        else:
            found[name] = sample or _all_values(one["schema"], schemas)
    return found


def _all_values(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> list[str]:
    """Every value of what can have a few only."""
    if "$ref" in schema:
        return _all_values(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("type") == "boolean":
        return ["true", "false"]
    if "const" in schema:
        return [str(schema["const"])]
    found = [str(one) for one in schema.get("enum", [])]
    for one in schema.get("anyOf", []):
        found += _all_values(one, schemas)
    return found


def _urls(paths: Sequence[str], parameters: Mapping[str, list[str]]) -> list[str]:
    """The paths with the parameters' values, in turn. None without values."""
    counts = [len(paths), *map(len, parameters.values())]
    number = max(counts) if all(counts) else 0
    made = []
    for turn in range(number):
        query = urlencode({name: values[turn % len(values)] for name, values in parameters.items()})
        made.append(paths[turn % len(paths)] + (f"?{query}" if query else ""))
    return made

"""What tests of the control API expect in several places: a stage's result fields, and streams of events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

STAGE_FIELDS = {
    1: {"keywords_processed", "clusters_created", "batches_run", "credits_used", "skipped", "partial",
        "time_elapsed"},
    2: {"clusters_processed", "ideas_created", "batches_run", "credits_used"},
    3: {"ideas_processed", "tasks_created", "batches_run"},
    4: {"tasks_processed", "content_created", "total_words", "batches_run", "credits_used"},
    5: {"content_processed", "prompts_created", "batches_run", "credits_used"},
    6: {"images_processed", "images_generated", "batches_run"},
    7: {"ready_for_review"},
}  # fmt: skip
"""What each stage of a site says about its work, by the stage's number."""

Event = tuple[str, str, Any]
"""(kind, id, data)"""


def log_events(
    client: httpx.Client,
    job: str,
    *,
    after: str | None = None,
    most: int | None = None,
    level: str = "info",
) -> Iterator[Event]:
    """The events of a job's log, until the stream ends or ``most`` came: then it is cut off."""
    headers = {"Last-Event-ID": after} if after else {}
    path, params = f"/pipeline/jobs/{job}/logs", {"stream": "true", "level": level}
    with client.stream("GET", path, params=params, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        seen = 0
        for line in answer.iter_lines():
            if line:
                name, _, value = line.partition(": ")
                event[name] = value
            elif "event" in event:
                yield event["event"], event.get("id", ""), json.loads(event["data"])
                event, seen = {}, seen + 1
                if seen == most:
                    return

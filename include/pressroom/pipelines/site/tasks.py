"""Ideas → tasks: queueing, without a model."""

from __future__ import annotations

from dataclasses import dataclass

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.run import Run
from pressroom.pipelines.stage import LABEL_CHARS, Saved, Stage, rows_of_site
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "tasks"


@dataclass(frozen=True)
class IdeaToQueue:
    """An idea to queue."""

    id: int
    title: str


pending, load = rows_of_site("ideas_waiting", "ideas_to_queue", IdeaToQueue)
"""Ideas that are new and enabled."""


async def process(idea: IdeaToQueue, tools: Tools) -> None:
    """Nothing to do: an idea becomes a task unchanged."""


def save(tx: Tx, run: Run, idea: IdeaToQueue, output: None) -> Saved:
    """Insert the task, and set the idea to queued."""
    if not tx.run("idea_queued", site=run.site_id, idea=idea.id):
        raise AlreadyDone(f"idea {idea.id} no longer waits to be queued")
    created = tx.run("task_insert", site=run.site_id, idea=idea.id)
    return Saved(created=created, label=shorten(idea.title, LABEL_CHARS))


STAGE: Stage[IdeaToQueue, None] = Stage(
    name=NAME,
    title="Ideas → tasks",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda idea: idea.title,
    result_fields={"ideas_processed": "processed", "tasks_created": "created", "batches_run": "batches"},
    batch_items=lambda site: site.automation.batch_sizes.tasks,
)

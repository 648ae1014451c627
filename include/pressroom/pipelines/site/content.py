"""Tasks → content: each task becomes an article, in one call or, when it is long, section by section."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from pressroom.domain.errors import AlreadyDone, EmptyAnswer
from pressroom.domain.markup.html import count_words, distinct
from pressroom.domain.model import Prompt
from pressroom.domain.run import Run
from pressroom.domain.text import counted, quoted
from pressroom.pipelines.needs import TEXT
from pressroom.pipelines.prompts import render
from pressroom.pipelines.site.article import (
    HEADING_CHARS,
    SLUG_CHARS,
    ArticleAnswer,
    ArticleShape,
    Head,
    SectionText,
    WrittenArticle,
    article_type,
    assemble,
    in_signs,
    plan_tokens,
    plan_type,
    section_tokens,
    section_type,
    shape_of,
    unit_of,
)
from pressroom.pipelines.stage import Key, Saved, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "content"
AT_ONCE = 4
"""The sections of one article that are written at the same time."""

_KINDS = {"how_to": "how-to", "faq": "FAQ"}


@dataclass(frozen=True)
class Task:
    """A queued task with the idea it came from. ``revision`` and ``guidance``: as in ``render``."""

    id: int
    title: str
    angle: str
    type: str
    target_keywords: list[str]
    outline: list[str]
    cluster: str
    revision: int = 1
    guidance: str = ""


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """Queued tasks without an article, up to the number that this run may still write."""
    left = None
    if run.articles is not None:
        # The articles that a cleared or resumed run has already written count.
        left = max(0, run.articles - tx.value("articles_of_run", run=run.id, site=run.site_id))
    ids: list[Key] = tx.values("tasks_waiting", site=run.site_id, ids=None, left=left)
    return ids


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Task]:
    """The tasks that still wait."""
    waiting = tx.values("tasks_waiting", site=run.site_id, ids=list(keys), left=None)
    return tx.all("tasks_to_write", Task, site=run.site_id, ids=waiting)


async def process(task: Task, tools: Tools) -> WrittenArticle:
    """Write the article. Raises EmptyAnswer when no text is left, and what ``generate`` raises."""
    settings = tools.site.article
    outline = distinct(task.outline, 40, HEADING_CHARS)
    signs = in_signs(tools.site.language)
    shape = shape_of(settings.target_words, len(outline), signs=signs)
    if settings.target_words <= settings.words_per_call:
        written = await _in_one(task, outline, shape, tools)
    else:
        written = await _in_sections(task, outline, settings.words_per_call, shape, tools)
    if not written.word_count:
        raise EmptyAnswer("the answer holds no article text")
    return written


async def _in_one(task: Task, outline: list[str], shape: ArticleShape, tools: Tools) -> WrittenArticle:
    prompt = await _prompt(
        NAME,
        task,
        tools,
        shape.tokens,
        angle=task.angle,
        cluster=task.cluster,
        outline=outline,
        words=shape.words,
        sections=shape.sections,
        paragraphs=shape.paragraphs,
    )
    answer: ArticleAnswer = await tools.text.generate(prompt, article_type(shape))
    sections = [(section.heading, section.paragraphs) for section in answer.sections]
    return _article(task, answer, answer.introduction, sections, tools)


async def _in_sections(
    task: Task, outline: list[str], per_call: int, shape: ArticleShape, tools: Tools
) -> WrittenArticle:
    fewest = -(-shape.words // per_call)
    if shape.sections < fewest:
        shape = shape_of(shape.words, fewest, signs=shape.signs)
    plan_prompt = await _prompt(
        "content_plan",
        task,
        tools,
        plan_tokens(shape),
        angle=task.angle,
        cluster=task.cluster,
        outline=outline,
        words=shape.words,
        sections=shape.sections,
    )
    plan = await tools.text.generate(plan_prompt, plan_type(shape))
    # The idea's outline replaces headings that are missing.
    planned = [*plan.headings[: shape.sections], *outline]
    headings = distinct(planned, shape.sections, HEADING_CHARS) or [task.title]
    gate = asyncio.Semaphore(AT_ONCE)

    async def write(heading: str) -> SectionText:
        prompt = await _prompt(
            "content_section",
            task,
            tools,
            section_tokens(shape),
            headings=headings,
            heading=heading,
            words=round(shape.words / len(headings)),
            paragraphs=shape.paragraphs,
        )
        async with gate:
            return await tools.text.generate(prompt, section_type(shape))

    try:
        async with asyncio.TaskGroup() as group:
            texts = [group.create_task(write(heading)) for heading in headings]
    except ExceptionGroup as failed:
        # A section's error is raised as the article's, because its class decides what happens next.
        raise failed.exceptions[0] from None
    sections = [(heading, text.result().paragraphs) for heading, text in zip(headings, texts, strict=True)]
    return _article(task, plan, plan.introduction, sections, tools)


async def _prompt(name: str, task: Task, tools: Tools, max_tokens: int, **variables: Any) -> Prompt:
    return await render(
        name,
        account=tools.account,
        workflow=tools.site,
        brand=tools.brand,
        max_tokens=max_tokens,
        revision=task.revision,
        guidance=task.guidance,
        title=task.title,
        kind=_KINDS.get(task.type, task.type),
        keywords=task.target_keywords[:8],
        unit=unit_of(tools.site.language),
        **variables,
    )


def _article(
    task: Task,
    head: Head,
    introduction: Sequence[str],
    sections: Sequence[tuple[str, Sequence[str]]],
    tools: Tools,
) -> WrittenArticle:
    # A title of one word says less than the idea's title.
    titled = head if count_words(head.title) > 1 else head.model_copy(update={"title": task.title})
    return assemble(titled, introduction, sections, fallback_title=task.title, model=tools.text.model)


def save(tx: Tx, run: Run, task: Task, output: WrittenArticle) -> Saved:
    """Insert the draft with a unique slug, and complete the task."""
    if not tx.run("task_completed", site=run.site_id, task=task.id):
        raise AlreadyDone(f"task {task.id} no longer waits to be written")
    base = output.slug or f"article-{task.id}"
    for number in count(1):
        suffix = "" if number == 1 else f"-{number}"
        slug = base[: SLUG_CHARS - len(suffix)].rstrip("-") + suffix
        # If another transaction takes the same slug, this statement waits for it and inserts nothing.
        if tx.run("content_insert", site=run.site_id, task=task.id, **{**vars(output), "slug": slug}):
            break
    return Saved(
        created=1,
        words=output.word_count,
        label=f"{quoted(output.title)}, {counted(output.word_count, 'word')}",
    )


STAGE: Stage[Task, WrittenArticle] = Stage(
    name=NAME,
    title="Tasks → content",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda task: task.title,
    result_fields={
        "tasks_processed": "processed",
        "content_created": "created",
        "total_words": "words",
        "batches_run": "batches",
        "credits_used": "credits",
    },
    charge=lambda run, task: run.account.charges.article,
    batch_items=lambda site: site.automation.batch_sizes.content,
    pool="pressroom_text",
    by_batch=True,
    needs=lambda run: (TEXT,),
)

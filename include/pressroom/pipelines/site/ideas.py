"""Clusters → ideas: articles are planned for each cluster, with titles that are new to the site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Annotated, Literal

from pydantic import create_model

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.markup.html import clip, distinct, says_something
from pressroom.domain.run import Run
from pressroom.domain.text import counted, normalize
from pressroom.pipelines.answers import Answer, Between, Chars, Items, tokens_for
from pressroom.pipelines.needs import TEXT
from pressroom.pipelines.prompts import render
from pressroom.pipelines.stage import Saved, Stage, rows_of_site
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "ideas"
TITLE_CHARS = 100
HEADING_CHARS = 80
ANGLE_CHARS = 200
MOST_KEYWORDS = 5
MOST_HEADINGS = 12
SHOWN = 20
"""The most keywords, and the most taken titles, in a prompt."""

Type = Literal["guide", "how_to", "list", "comparison", "review", "news", "faq"]


@dataclass(frozen=True)
class Cluster:
    """A cluster to plan. ``keywords``: by search volume, highest first. ``taken``: titles of the site."""

    id: int
    name: str
    description: str
    keywords: list[str]
    taken: list[str]


@dataclass(frozen=True)
class Idea:
    """A planned article."""

    title: str
    angle: str
    type: str
    target_keywords: list[str]
    outline: list[str]


class ProposedIdea(Answer):
    """One idea of the answer. ``keywords`` are numbers of the prompt's list."""

    title: str
    angle: str
    type: Type
    keywords: list[int]
    outline: list[str]


class Ideas(Answer):
    """The answer."""

    ideas: list[ProposedIdea]


@lru_cache(maxsize=64)
def answer_type(ideas: int, keywords: int) -> type[Ideas]:
    """The answer type for ``ideas`` ideas on ``keywords`` keywords."""
    numbers = Annotated[
        list[Annotated[int, Between(1, max(keywords, 1))]], Items(min(max(keywords, 1), MOST_KEYWORDS))
    ]
    idea = create_model(
        "ProposedIdea",
        __base__=ProposedIdea,
        title=(Annotated[str, Chars(TITLE_CHARS, 10, phrases=True)], ...),
        angle=(Annotated[str, Chars(ANGLE_CHARS)], ...),
        keywords=(numbers, ...),
        outline=(Annotated[list[Annotated[str, Chars(HEADING_CHARS, 3, phrases=True)]], Items(6, 3)], ...),
    )
    return create_model("Ideas", __base__=Ideas, ideas=(Annotated[list[idea], Items(ideas, ideas)], ...))


pending, load = rows_of_site("clusters_waiting", "clusters_to_plan", Cluster, shown=SHOWN)
"""Clusters that are new, enabled and without ideas."""


async def process(cluster: Cluster, tools: Tools) -> Sequence[Idea]:
    """Ask for ideas. Returns at least one."""
    wanted = tools.site.article.ideas_per_cluster
    chars = wanted * (TITLE_CHARS + ANGLE_CHARS + 6 * HEADING_CHARS + 150)
    prompt = await render(
        NAME,
        account=tools.account,
        workflow=tools.site,
        brand=tools.brand,
        max_tokens=tokens_for(chars),
        cluster=cluster.name,
        description=cluster.description,
        keywords=cluster.keywords or [cluster.name],
        taken=cluster.taken,
        count=wanted,
    )
    answer = await tools.text.generate(prompt, answer_type(wanted, len(cluster.keywords)))
    ideas: dict[str, Idea] = {}
    for proposed in answer.ideas[:wanted]:
        idea = _idea(proposed, cluster)
        ideas.setdefault(normalize(idea.title), idea)
    return list(ideas.values()) or [Idea(cluster.name, "", "guide", cluster.keywords[:3], [])]


def _idea(proposed: ProposedIdea, cluster: Cluster) -> Idea:
    title = clip(proposed.title, TITLE_CHARS).strip("#*\"' ")
    numbers = dict.fromkeys(n for n in proposed.keywords if 1 <= n <= len(cluster.keywords))
    return Idea(
        title=title if says_something(title, 4) and normalize(title) else cluster.name,
        angle=clip(proposed.angle, ANGLE_CHARS),
        type=proposed.type,
        target_keywords=[cluster.keywords[n - 1] for n in numbers] or cluster.keywords[:3],
        outline=distinct(proposed.outline, MOST_HEADINGS, HEADING_CHARS),
    )


def save(tx: Tx, run: Run, cluster: Cluster, output: Sequence[Idea]) -> Saved:
    """Insert the ideas with new titles, at least one, and set the cluster to planned."""
    if not tx.run("cluster_planned", site=run.site_id, cluster=cluster.id):
        raise AlreadyDone(f"the cluster {cluster.name!r} no longer waits for ideas")
    created = sum(_insert(tx, run, cluster, idea, idea.title) for idea in output)
    if not created:
        # Every title is taken: the cluster's name, then a number, makes one unique.
        first = output[0]
        named = f"{first.title}: {cluster.name}"
        created = next(
            1 for n in count(1) if _insert(tx, run, cluster, first, named if n == 1 else f"{named} ({n})")
        )
    return Saved(created=created, label=f"{shorten(cluster.name, 80)}: {counted(created, 'idea')}")


def _insert(tx: Tx, run: Run, cluster: Cluster, idea: Idea, title: str) -> bool:
    return (
        tx.run(
            "idea_insert",
            site=run.site_id,
            cluster=cluster.id,
            title=title,
            normalized=normalize(title) or title,
            angle=idea.angle,
            type=idea.type,
            target_keywords=idea.target_keywords,
            outline=idea.outline,
        )
        == 1
    )


STAGE: Stage[Cluster, Sequence[Idea]] = Stage(
    name=NAME,
    title="Clusters → ideas",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda cluster: cluster.name,
    result_fields={
        "clusters_processed": "processed",
        "ideas_created": "created",
        "batches_run": "batches",
        "credits_used": "credits",
    },
    charge=lambda run, cluster: run.account.charges.cluster,
    batch_items=lambda site: site.automation.batch_sizes.ideas,
    pool="pressroom_text",
    needs=lambda run: (TEXT,),
)

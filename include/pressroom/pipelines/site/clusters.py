"""Keywords → clusters: groups of keywords in, each keyword in exactly one cluster out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from math import ceil
from typing import Annotated

from pydantic import create_model

from pressroom.domain.definitions import Charges
from pressroom.domain.errors import AlreadyDone
from pressroom.domain.markup.cutting import shorten
from pressroom.domain.model import Similarity
from pressroom.domain.run import Run
from pressroom.domain.text import counted, normalize
from pressroom.pipelines.answers import Answer, Between, Chars, Items, tokens_for
from pressroom.pipelines.needs import EMBEDDINGS, TEXT, Need, Probe
from pressroom.pipelines.prompts import render
from pressroom.pipelines.site.grouping import (
    NAME_CHARS,
    ClusterToSave,
    ExistingCluster,
    Keyword,
    Proposal,
    compared,
    reconcile,
)
from pressroom.pipelines.stage import LABEL_CHARS, Key, Saved, Skip, Stage
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Tx

NAME = "clusters"
FEWEST = 5
"""The fewest waiting keywords that are clustered."""

GROUPS_PER_TASK = 25
ABOUT_CHARS = 100
SHOWN = 30
"""The most existing clusters in a prompt: those nearest to the keywords."""
_ENGLISH = re.compile(r"en(?![a-z])|english", re.IGNORECASE)

CENT = Decimal("0.01")


@dataclass(frozen=True)
class Group:
    """The keywords of one call, with the site's present clusters."""

    keywords: Sequence[Keyword]
    known: Sequence[ExistingCluster]


class ProposedCluster(Answer):
    """One cluster of the answer. ``keywords`` are numbers of the prompt's list."""

    name: Annotated[str, Chars(NAME_CHARS, 3)]
    keywords: list[int]
    description: Annotated[str, Chars(ABOUT_CHARS)]


class Clusters(Answer):
    """The answer."""

    clusters: list[ProposedCluster]


@lru_cache(maxsize=64)
def answer_type(count: int) -> type[Clusters]:
    """The answer type for ``count`` keywords."""
    cluster = create_model(
        "ProposedCluster",
        __base__=ProposedCluster,
        name=(Annotated[str, Chars(NAME_CHARS, 3, phrases=True)], ...),
        keywords=(
            Annotated[list[Annotated[int, Between(1, count)]], Items(max(FEWEST, ceil(count / 2)))],
            ...,
        ),
        description=(Annotated[str, Chars(ABOUT_CHARS)], ...),
    )
    return create_model(
        "Clusters", __base__=Clusters, clusters=(Annotated[list[cluster], Items(most(count))], ...)
    )


def most(count: int) -> int:
    """The most clusters for ``count`` keywords."""
    return max(2, ceil(count / 4))


def groups_of(ids: Sequence[int], size: int) -> list[list[int]]:
    """Groups of at most ``size``, all of about the same size, so that no group has a single keyword.

    After some groups are done, the same call on the rest returns the other groups again.
    """
    number = ceil(len(ids) / size)
    if not number:
        return []
    least, larger = divmod(len(ids), number)
    bounds = [index * least + min(index, larger) for index in range(number + 1)]
    return [list(ids[start:end]) for start, end in pairwise(bounds)]


def key_of(ids: Sequence[int]) -> str:
    """The name of a group of ids, independent of their order."""
    return hashlib.blake2b(",".join(map(str, sorted(ids))).encode(), digest_size=8).hexdigest()


def price(charges: Charges, keywords: int) -> Decimal:
    """Credits for clustering ``keywords`` keywords: priced by the keyword, so that groups add up."""
    return (Decimal(keywords) / charges.keywords_per_credit).quantize(CENT)


def pending(tx: Tx, run: Run) -> Sequence[Key] | Skip:
    """Groups of waiting keywords. A group that failed too often waits until its members change."""
    ids: list[int] = tx.values("keywords_waiting", site=run.site_id)
    if len(ids) < FEWEST:
        waiting = f"{counted(len(ids), 'keyword')} waiting: clustering needs at least {FEWEST}"
        return Skip(waiting if ids else "no keyword waits")
    given_up = set(tx.values("items_given_up", site=run.site_id, stage=NAME))
    groups = groups_of(ids, run.site.automation.batch_sizes.clusters)
    return [group for group in groups if key_of(group) not in given_up]


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[Group]:
    """The groups, without keywords that were clustered or disabled meanwhile."""
    known = tx.all("clusters_known", ExistingCluster, site=run.site_id)
    groups: list[Group] = []
    for key in keys:
        ids = key if isinstance(key, list) else [key]
        keywords = tx.all("keywords_still_waiting", Keyword, site=run.site_id, ids=ids)
        if keywords:
            groups.append(Group(keywords, known))
    return groups


async def process(group: Group, tools: Tools) -> Sequence[ClusterToSave]:
    """Ask for clusters, and reconcile the answer with the keywords and the existing clusters."""
    count = len(group.keywords)
    similarity = await tools.embeddings.similarity(compared(group.keywords, group.known))
    chars = most(count) * (NAME_CHARS + ABOUT_CHARS + 120) + count * 8
    prompt = await render(
        NAME,
        account=tools.account,
        workflow=tools.site,
        brand=tools.brand,
        max_tokens=tokens_for(chars),
        temperature=min(0.2, tools.site.text.temperature or 0.0),  # sorting needs no imagination
        keywords=[keyword.text for keyword in group.keywords],
        existing=nearest(group, similarity),
        most=most(count),
    )
    answer = await tools.text.generate(prompt, answer_type(count))
    proposals = [Proposal(c.name, c.description, c.keywords) for c in answer.clusters]
    similarity = await tools.embeddings.similarity(compared(group.keywords, group.known, proposals))
    return reconcile(group.keywords, group.known, proposals, similarity)


def nearest(group: Group, similarity: Similarity) -> list[str]:
    """Names of the enabled clusters closest to any of the group's keywords, closest first."""
    names = [cluster.name for cluster in group.known if not cluster.disabled]
    if not names:
        return []
    rows = similarity.matrix([n.casefold() for n in names], [k.text.casefold() for k in group.keywords])
    closeness = {name: max(row) for name, row in zip(names, rows, strict=True)}
    return sorted(names, key=lambda name: -closeness[name])[:SHOWN]


def save(tx: Tx, run: Run, group: Group, output: Sequence[ClusterToSave]) -> Saved:
    """Insert new clusters, and assign every keyword to a new or an existing one."""
    created = assigned = 0
    for grouped in output:
        cluster = grouped.known
        if cluster is None:
            row = tx.rows(
                "cluster_upsert",
                site=run.site_id,
                label=grouped.name,
                normalized=normalize(grouped.name) or grouped.name,
                description=grouped.description,
            )[0]
            cluster = row["id"]
            created += row["created"]
        ids = [keyword.id for keyword in grouped.keywords]
        assigned += tx.run("keywords_assign", site=run.site_id, cluster=cluster, ids=ids)
    if assigned != len(group.keywords):
        raise AlreadyDone(f"{len(group.keywords) - assigned} of the group's keywords no longer wait")
    names = ", ".join(grouped.name for grouped in output)
    sizes = f"{counted(assigned, 'keyword')} → {counted(len(output), 'cluster')}"
    return Saved(created=created, label=shorten(f"{sizes}: {names}", LABEL_CHARS))


def needs(run: Run) -> Sequence[Need]:
    """The text model, and what tells how close keywords are."""
    if run.site.embeddings.provider != "local":
        return (TEXT, EMBEDDINGS)
    language = run.site.language
    if _ENGLISH.match(language):
        return (TEXT,)

    async def only_english(probe: Probe) -> str:
        return (
            f"the site's language is {language!r}, and what tells on this machine how close keywords are"
            " knows English alone: it may put different ones together, and leave alike ones apart. Set"
            " embeddings: {provider: openai}, with a connection to a model that knows the language"
        )

    return (TEXT, Need("local embeddings", only_english, "what tells how close keywords are"))


STAGE: Stage[Group, Sequence[ClusterToSave]] = Stage(
    name=NAME,
    title="Keywords → clusters",
    pending=pending,
    load=load,
    process=process,
    save=save,
    named=lambda group: group.keywords[0].text,
    key=lambda group: key_of([keyword.id for keyword in group.keywords]),
    result_fields={
        "keywords_processed": "processed",
        "clusters_created": "created",
        "batches_run": "batches",
        "credits_used": "credits",
        "skipped": "skipped",
        "partial": "partial",
        "time_elapsed": "time_elapsed",
    },
    charge=lambda run, group: price(run.account.charges, len(group.keywords)),
    size=lambda group: len(group.keywords),
    # A pause between groups is one between tasks, so that no worker waits.
    batch_items=lambda site: 1 if site.automation.within_stage_delay else GROUPS_PER_TASK,
    pool="pressroom_text",
    serial=True,
    needs=needs,
)

"""Slots → posts: written, illustrated, checked against the rules of platform and brand, then approved or kept
for review.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from pressroom.domain.errors import AlreadyDone
from pressroom.domain.markup.html import count_words
from pressroom.domain.public_ids import CONTENT, public_id
from pressroom.domain.run import Run
from pressroom.domain.social import Platform
from pressroom.domain.text import quoted
from pressroom.pipelines.mission.cycle import cycle_of, find_cycle
from pressroom.pipelines.mission.publish import AUTO, terms_of
from pressroom.pipelines.mission.writing.answers import SlotToWrite
from pressroom.pipelines.mission.writing.composing import Composed, Words, content_hash
from pressroom.pipelines.mission.writing.post import WrittenPost, write
from pressroom.pipelines.needs import IMAGES, MEDIA, TEXT
from pressroom.pipelines.stage import Key, Saved, Stage, Undone
from pressroom.pipelines.tools import Tools
from pressroom.store.database import Store, Tx

NAME = "content"


def pending(tx: Tx, run: Run) -> Sequence[Key]:
    """Planned slots of the run's cycle."""
    ids: list[Key] = tx.values("slots_waiting", run=run.id, mission=run.mission_id, ids=None)
    return ids


def load(tx: Tx, run: Run, keys: Sequence[Key]) -> Sequence[SlotToWrite]:
    """The slots of these that still wait."""
    waiting = tx.values("slots_waiting", run=run.id, mission=run.mission_id, ids=list(keys))
    if not waiting:
        return []
    cycle = cycle_of(tx, run)
    strategy = cycle.strategy or {}
    tags = {pillar["name"]: pillar["hashtag"] for pillar in strategy.get("content_pillars", [])}
    return [
        SlotToWrite(
            row["id"], Platform(row["platform"]), row["choices"], row["topic"], row["angle"], row["turn"],
            strategy.get("tone_guidelines", ""), tags.get(row["choices"].get("pillar"), ""),
            cycle.brand_context, row["revision"], row["guidance"],
        )
        for row in tx.rows("slots_to_write", mission=run.mission_id, ids=waiting)
    ]  # fmt: skip


def save(tx: Tx, run: Run, slot: SlotToWrite, output: WrittenPost) -> Saved:
    """Save the post, approved or for review, and set the slot to written. A second version is a draft."""
    if not tx.run("slot_written", mission=run.mission_id, slot=slot.id):
        raise AlreadyDone(f"slot {slot.id} no longer waits to be written")
    review = run.mission.constraints.require_approval or bool(output.doubts)
    _insert(tx, run, slot, output, output.words, output.composed, "pending_review" if review else "approved")
    if output.alternative is not None:
        # It is published only when a person chooses it (review.choose).
        _insert(tx, run, slot, output, *output.alternative, "draft")
    return Saved(
        created=1,
        words=sum(count_words(part) for part in output.composed.parts),
        label=f"{slot.platform} {slot.format}: {quoted(output.composed.parts[0])}",
    )


def _insert(
    tx: Tx, run: Run, slot: SlotToWrite, post: WrittenPost, words: Words, composed: Composed, status: str
) -> None:
    picture = post.picture
    url, alt = (picture.url, picture.alt) if picture else (None, "")
    digest = content_hash(composed.platform, composed.format, composed.parts, composed.options, url, alt)
    approved = status == "approved"
    tx.run(
        "post_insert", slot=slot.id, variant="B" if status == "draft" else "A", format=composed.format,
        headline=words.headline, body="\n\n".join(words.texts), cta=words.cta, parts=list(composed.parts),
        hashtags=list(composed.hashtags), mentions=list(composed.mentions),
        adaptations={name: list(parts) for name, parts in post.adaptations.items()},
        options=dict(composed.options), media_url=url, media_type=picture.media_type if picture else None,
        media_alt=alt, confidence=post.confidence, model=post.model, status=status, content_hash=digest,
        approved_hash=digest if approved else None, approved_by=AUTO if approved else None,
        approved_terms=terms_of(run.mission) if approved else None, review_note=post.doubts,
    )  # fmt: skip


def output(tx: Tx, run: Run) -> Mapping[str, Any] | None:
    """content_items, total_items, total_cost_cents."""
    cycle = find_cycle(tx, run)
    if cycle is None or cycle.strategy is None:
        return None
    # A draft is the version of a slot that nobody chose.
    items = [_item(row) for row in tx.rows("posts_of_cycle", cycle=cycle.id) if row["status"] != "draft"]
    return {
        "content_items": items,
        "total_items": len(items),
        "total_cost_cents": float(tx.value("stage_cents", run=run.id, stage=NAME)),
    }


def _item(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": public_id(CONTENT, row["id"]),
        "calendar_slot": f"{row['at'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "platform": row["platform"],
        "type": row["format"],
        "copy": {
            "headline": row["headline"],
            "body": row["body"],
            "cta": row["cta"],
            "parts": row["parts"],
            "hashtags": row["hashtags"],
            "mentions": row["mentions"],
            "variants": row["adaptations"],
        },
        "visuals": [{"url": row["media_url"], "alt": row["media_alt"]}] if row["media_url"] else [],
        "metadata": {
            "pillar": row["choices"].get("pillar"),
            "topic": row["topic"],
            "confidence": float(row["confidence"]),
            "status": row["status"],
        },
    }


async def undo(store: Store, run: Run, tools: Tools) -> Undone:
    """Archive posts that no target has, and free their slots. The other posts stay and are listed."""

    def archive(tx: Tx) -> Undone:
        cycle = find_cycle(tx, run)
        if cycle is None:
            return Undone()
        archived = tx.value("posts_archive", cycle=cycle.id)
        out = tx.rows("posts_out", cycle=cycle.id)
        return Undone(
            archived, [f"{public_id(CONTENT, row['id'])} is out on {row['platform']}" for row in out]
        )

    return await store.run(run.account_id, archive)


STAGE: Stage[SlotToWrite, WrittenPost] = Stage(
    name=NAME,
    title="Calendar → content",
    pending=pending,
    load=load,
    process=write,
    save=save,
    named=lambda slot: slot.topic,
    result_fields={
        "slots_processed": "processed",
        "posts_created": "created",
        "total_words": "words",
        "batches_run": "batches",
        "credits_used": "credits",
    },
    charge=lambda run, slot: run.account.charges.post,
    batch_items=lambda mission: mission.batch_size,
    pool="pressroom_text",
    output=output,
    undo=undo,
    needs=lambda run: (TEXT, IMAGES, MEDIA),
)

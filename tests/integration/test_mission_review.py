"""Review on a real store: what people approve, reject, edit and choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pressroom.cli import app
from pressroom.domain.definitions import BrandContext
from pressroom.domain.errors import PermanentError, RunConflict
from pressroom.domain.run import Run
from pressroom.pipelines.mission import review
from pressroom.pipelines.mission.content import STAGE as CONTENT
from pressroom.store.database import Store
from pressroom.testing import FakeText
from tests.support.mission_world import MissionWorld, post_answer, started, two_pillars, wrote

Make = Callable[..., MissionWorld]


@pytest.fixture
def make(database_url: str, store: Store) -> Make:
    return two_pillars(database_url, store)


@pytest.fixture
def waiting(make: Make) -> tuple[MissionWorld, Run, list[int]]:
    """Posts on X that wait for review, and the run that wrote them."""
    brand = BrandContext(
        account="demo",
        slug="b",
        name="B",
        banned_words=["synergy"],
        competitors=["Globex"],
        disclosures=["#ad"],
    )
    world = make(
        platforms=["twitter"], brand=brand, pillars=["One"],
        constraints={"require_approval": True, "excluded_topics": ["election"]},
    )  # fmt: skip
    run = started(world, days=3)
    return world, run, wrote(world, run)


def of(world: MissionWorld, post: int) -> review.ReviewedPost:
    found: review.ReviewedPost = world.tx(lambda opened: review.get_post(opened, world.mission_id, post))
    return found


def single(world: MissionWorld) -> int:
    """One that is no thread."""
    world.sql(
        "UPDATE posts SET format = 'post', parts = ARRAY['Hello there #ad'], media_url = NULL,"
        " media_type = NULL"
    )
    return int(world.sql("SELECT min(id) FROM posts")[0][0])


def test_posts_are_listed_by_time_and_status(waiting: tuple[MissionWorld, Run, list[int]]) -> None:
    world, _, ids = waiting
    listed = world.tx(lambda opened: review.list_posts(opened, world.mission_id))
    assert [post.at for post in listed] == sorted(post.at for post in listed)
    assert {post.id for post in listed} == set(ids)
    world.sql("UPDATE posts SET status = 'archived' WHERE id = %s", ids[0])
    world.sql("UPDATE posts SET status = 'approved' WHERE id = %s", ids[1])

    def having(status: str | None) -> list[int]:
        return [
            post.id for post in world.tx(lambda opened: review.list_posts(opened, world.mission_id, status))
        ]

    assert set(having(None)) == set(ids[1:])
    assert having("approved") == [ids[1]]
    assert having("archived") == [ids[0]]
    with pytest.raises(PermanentError, match="no post 999"):
        of(world, 999)


@pytest.mark.parametrize(
    ("over", "closed"),
    [
        ("UPDATE cycles SET measured_at = ends_at", False),
        ("UPDATE cycles SET ends_at = now() - interval '1 second'", True),
        ("UPDATE runs SET current_stage = 'analytics'", False),
    ],
)
def test_a_post_whose_cycle_is_over_is_not_approved(
    waiting: tuple[MissionWorld, Run, list[int]], over: str, closed: bool
) -> None:
    world, run, ids = waiting
    if closed:
        world.close(run, failed="publish: the token is wrong")
    world.sql(over)
    post = of(world, ids[0])
    with pytest.raises(RunConflict, match=rf"post {post.id} can no longer go out: its cycle ended at 20"):
        world.tx(lambda opened: review.approve(opened, world.mission_id, post.id, post.content_hash, "ann"))
    assert of(world, ids[0]).status == "pending_review"
    result = CliRunner().invoke(
        app, ["approve", "launch", "--all"], env={"PRESSROOM_DATABASE_URL": world.url}
    )
    assert result.exit_code == 0
    assert result.output.count("can no longer go out") == len(ids)
    assert "0 posts approved" in result.output


@pytest.mark.parametrize("measured", ["NULL", "starts_at"])
def test_a_cycle_that_was_measured_while_it_was_empty_still_takes_approvals(
    waiting: tuple[MissionWorld, Run, list[int]], measured: str
) -> None:
    world, run, ids = waiting
    world.sql(f"UPDATE cycles SET measured_at = {measured}, ends_at = now() + interval '1 day'")  # noqa: S608
    world.close(run)
    post = of(world, ids[0])
    world.tx(lambda opened: review.approve(opened, world.mission_id, post.id, post.content_hash, "ann"))
    assert of(world, ids[0]).status == "approved"


def test_what_was_seen_is_what_is_approved(waiting: tuple[MissionWorld, Run, list[int]]) -> None:
    world, _, ids = waiting
    seen = of(world, ids[0]).content_hash
    with pytest.raises(RunConflict, match="has changed since it was read"):
        world.tx(lambda opened: review.approve(opened, world.mission_id, ids[0], "another", "ann"))
    world.tx(lambda opened: review.approve(opened, world.mission_id, ids[0], seen, "ann"))
    post = of(world, ids[0])
    assert (post.status, post.approved_hash, post.approved_by) == ("approved", seen, "ann")
    with pytest.raises(RunConflict, match="is approved"):
        world.tx(lambda opened: review.approve(opened, world.mission_id, ids[0], seen, "ann"))


def test_an_edit_has_a_new_hash_and_voids_the_approval(waiting: tuple[MissionWorld, Run, list[int]]) -> None:
    world, _, _ = waiting
    post = single(world)
    seen = of(world, post).content_hash
    world.tx(lambda opened: review.approve(opened, world.mission_id, post, seen, "ann"))
    edited = world.tx(
        lambda opened: review.edit(opened, world.mission_id, post, [" Good morning #ad #One "], "bob")
    )
    assert edited.parts == ["Good morning #ad #One"]
    assert edited.content_hash != seen
    assert (edited.status, edited.approved_hash, edited.approved_by) == ("pending_review", None, None)
    assert edited.review_note == "edited by bob"
    assert world.sql("SELECT hashtags FROM posts WHERE id = %s", post) == [(["#ad", "#One"],)]
    with pytest.raises(RunConflict, match="has changed since"):
        world.tx(lambda opened: review.approve(opened, world.mission_id, post, seen, "ann"))
    world.tx(lambda opened: review.approve(opened, world.mission_id, post, edited.content_hash, "ann"))
    assert of(world, post).status == "approved"


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        (["x " * 200 + "#ad"], "longer than the 280 of X"),
        (["one #ad", "two"], "2 parts, and X takes 1"),
        ([], "there is no text"),
        (["  "], "the text is empty"),
        (["Good morning"], "lacks the disclosure '#ad'"),
        (["Pure synergy #ad"], "banned word 'synergy'"),
        (["Not like Globex #ad"], "competitor 'Globex'"),
        (["Election night #ad"], "excluded topic 'election'"),
    ],
)
def test_an_edit_is_checked_like_the_models_own_text(
    waiting: tuple[MissionWorld, Run, list[int]], parts: list[str], wrong: str
) -> None:
    world, _, _ = waiting
    post = single(world)
    before = of(world, post)
    with pytest.raises(PermanentError, match=wrong):
        world.tx(lambda opened: review.edit(opened, world.mission_id, post, parts, "bob"))
    assert of(world, post) == before


def test_a_rejection_keeps_its_reason_and_can_be_thought_over(
    waiting: tuple[MissionWorld, Run, list[int]],
) -> None:
    world, _, ids = waiting
    world.tx(lambda opened: review.reject(opened, world.mission_id, ids[0], "too loud", "ann"))
    post = of(world, ids[0])
    assert (post.status, post.review_note) == ("rejected", "rejected by ann: too loud")
    with pytest.raises(RunConflict, match="is rejected"):
        world.tx(lambda opened: review.reject(opened, world.mission_id, ids[0], "again", "ann"))
    world.tx(lambda opened: review.approve(opened, world.mission_id, ids[0], post.content_hash, "bob"))
    assert of(world, ids[0]).status == "approved"


@pytest.mark.parametrize("ledger", ["attempting", "unknown", "accepted", "confirmed"])
def test_nothing_is_decided_on_a_post_that_may_be_out(
    waiting: tuple[MissionWorld, Run, list[int]], ledger: str
) -> None:
    world, run, _ = waiting
    post = single(world)
    seen = of(world, post).content_hash
    world.tx(lambda opened: review.approve(opened, world.mission_id, post, seen, "ann"))
    world.publication(run, post, ledger)
    before = of(world, post)
    with pytest.raises(RunConflict):
        world.tx(lambda opened: review.edit(opened, world.mission_id, post, ["Hi #ad"], "bob"))
    with pytest.raises(RunConflict):
        world.tx(lambda opened: review.reject(opened, world.mission_id, post, "late", "bob"))
    assert of(world, post) == before


def test_another_missions_posts_are_out_of_reach(
    waiting: tuple[MissionWorld, Run, list[int]], make: Make
) -> None:
    world, _, ids = waiting
    other = make(slug="other", credits=0)
    assert other.tx(lambda opened: review.list_posts(opened, other.mission_id)) == []
    seen = of(world, ids[0]).content_hash
    with pytest.raises(PermanentError, match="no post"):
        other.tx(lambda opened: review.approve(opened, other.mission_id, ids[0], seen, "eve"))
    assert of(world, ids[0]).status == "pending_review"


def test_the_second_version_can_be_chosen_and_chosen_back(make: Make) -> None:
    world = make(ab_variants=True, platforms=["twitter"])
    run = started(world, days=1)
    wrote(world, run, FakeText({"post": post_answer("The first.", alternative="Quite another one.")}))
    [(first, second)] = world.sql(
        "SELECT a.id, b.id FROM posts a JOIN posts b USING (slot_id)"
        " WHERE a.variant = 'A' AND b.variant = 'B' ORDER BY a.id LIMIT 1"
    )
    chosen = world.tx(lambda opened: review.choose(opened, world.mission_id, second, "ann"))
    assert (chosen.status, chosen.review_note) == ("pending_review", "chosen by ann")
    aside = of(world, first)
    assert (aside.status, aside.approved_hash) == ("draft", None)
    assert world.output(CONTENT, run)["total_items"] == 2
    assert f"cnt_{second}" in [item["id"] for item in world.output(CONTENT, run)["content_items"]]
    with pytest.raises(RunConflict, match="cannot be chosen"):
        world.tx(lambda opened: review.choose(opened, world.mission_id, second, "ann"))
    assert (
        world.tx(lambda opened: review.choose(opened, world.mission_id, first, "bob")).status
        == "pending_review"
    )
    assert of(world, second).status == "draft"
    world.publication(run, first, "attempting")
    with pytest.raises(RunConflict, match="cannot be chosen"):
        world.tx(lambda opened: review.choose(opened, world.mission_id, second, "ann"))


def test_a_draft_that_is_edited_stays_one(make: Make) -> None:
    world = make(ab_variants=True, platforms=["twitter"])
    run = started(world, days=1)
    wrote(world, run, FakeText({"post": post_answer("The first.", alternative="Quite another one.")}))
    [(second,)] = world.sql("SELECT max(id) FROM posts WHERE variant = 'B'")
    edited = world.tx(lambda opened: review.edit(opened, world.mission_id, second, ["A third one."], "ann"))
    assert (edited.status, edited.parts) == ("draft", ["A third one."])


def test_posts_are_edited_and_chosen_by_command(
    make: Make, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRESSROOM_DATABASE_URL", database_url)
    world = make(ab_variants=True, platforms=["twitter"])
    run = started(world, days=1)
    wrote(world, run, FakeText({"post": post_answer("The first.", alternative="Quite another one.")}))
    world.sql("UPDATE posts SET format = 'thread', media_url = NULL, media_type = NULL WHERE variant = 'A'")
    [(first, second)] = world.sql(
        "SELECT min(p.id), max(p.id) FROM posts p GROUP BY p.slot_id HAVING count(*) = 2 LIMIT 1"
    )
    text = tmp_path / "thread.txt"
    text.write_text("One part.\n---\nAnother part.\n", "utf-8")
    done = CliRunner().invoke(app, ["edit-post", "launch", str(first), "--text", str(text)])
    assert done.output == f"post {first} edited: it is pending_review\n"
    assert of(world, first).parts == ["One part.", "Another part."]
    done = CliRunner().invoke(app, ["choose-post", "launch", str(second)])
    assert done.output == f"post {second} chosen: it waits for review\n"
    assert (of(world, first).status, of(world, second).status) == ("draft", "pending_review")


def test_a_post_that_changes_between_the_look_and_the_edit_is_not_edited(
    waiting: tuple[MissionWorld, Run, list[int]],
) -> None:
    world, _, _ = waiting
    post = single(world)
    facts = {"mission": world.mission_id, "post": post, "parts": ["x"], "hashtags": [], "note": ""}
    hashes = {"content_hash": "new", "seen_hash": "of another version"}
    assert world.tx(lambda opened: opened.run("post_edit", **facts, **hashes)) == 0
    hashes["seen_hash"] = of(world, post).content_hash
    assert world.tx(lambda opened: opened.run("post_edit", **facts, **hashes)) == 1

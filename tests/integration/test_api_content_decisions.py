"""Articles and posts over the API: people edit, approve and reject the version that they saw."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pressroom.domain.errors import PermanentError, TransientError
from tests.support.content_world import (
    EVIL,
    approve,
    posts_of,
    seen,
    with_targets,
)
from tests.support.control_world import Control
from tests.support.press import add_articles

pytestmark = pytest.mark.integration

# Edits ------------------------------------------------------------------------------------------------


async def test_an_edit_is_of_the_version_that_was_seen_and_voids_the_approval(control: Control) -> None:
    (number,) = add_articles(control.world, 1)
    id = f"art_{number}"
    await approve(control, id)
    first = await seen(control, id)
    body = {"content_hash": first, "title": "Another <b>title</b>", "html": f"<p>New.</p>{EVIL}"}
    found = (await control("PATCH", f"/content/{id}", json=body, expect=200)).json()
    assert (found["title"], found["html"], found["status"]) == ("Another title", "<p>New.</p>", "review")
    assert (found["approved_hash"], found["approved_by"]) == (None, None)
    assert found["review_note"] == "edited by user:ed"
    assert found["content_hash"] != first
    stale = await control("PATCH", f"/content/{id}", json=body, expect=409)
    assert "read it again" in stale.json()["detail"]
    assert (await control.get(f"/content/{id}"))["content_hash"] == found["content_hash"]
    assert ("user:ed", "article.edit", f"article:{number}") in control.audit()


async def test_an_edit_of_a_post_is_checked_like_the_models_texts(control: Control) -> None:
    world, _, posts = await posts_of(control)
    world.sql(
        "UPDATE posts SET format = 'post', parts = ARRAY['Hi there'], media_url = NULL, media_type = NULL"
    )
    id = f"cnt_{posts[0]}"
    hash = await seen(control, id)
    await approve(control, id)
    path = f"/content/{id}"
    answer = await control("PATCH", path, json={"content_hash": hash, "parts": ["x" * 400]}, expect=422)
    assert answer.json()["errors"][0]["field"] == "body.parts"
    assert (await control.get(path))["status"] == "approved"
    body = {"content_hash": hash, "parts": ["Something else, entirely #tea"]}
    found = (await control("PATCH", path, json=body, expect=200)).json()
    assert (found["parts"], found["hashtags"]) == (body["parts"], ["#tea"])
    assert (found["status"], found["approved_by"]) == ("pending_review", None)
    await control("PATCH", path, json=body, expect=409)
    wrong: dict[str, Any]
    for wrong in ({"html": "<p>x</p>"}, {"parts": []}, {"parts": [""]}, {"parts": ["x" * 70_001]}, {}):
        await control("PATCH", path, json={"content_hash": found["content_hash"], **wrong}, expect=422)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"parts": ["x"]}, "body.parts"),
        ({"title": None}, "body"),
        ({"title": "<b></b>"}, "body.title"),
        ({"title": ""}, "body.title"),
        ({"title": 7}, "body.title"),
        ({"html": "<p></p>"}, "body.html"),
        ({"html": "<i>" * 10_001}, "body.html"),
        ({"html": "x" * 200_001}, "body.html"),
        ({"slug": "x"}, "body.slug"),
    ],
)
async def test_an_edit_that_makes_no_sense_is_refused(
    control: Control, body: dict[str, Any], field: str
) -> None:
    (number,) = add_articles(control.world, 1)
    hash = await seen(control, f"art_{number}")
    path = f"/content/art_{number}"
    answer = await control("PATCH", path, json={"content_hash": hash, **body}, expect=422)
    assert answer.json()["errors"][0]["field"] == field
    assert await seen(control, f"art_{number}") == hash


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_characters_that_cannot_be_kept_are_refused(control: Control, text: str) -> None:
    _, _, posts = await posts_of(control)
    (number,) = add_articles(control.world, 1)
    hash = await seen(control, f"art_{number}")
    headers = {"Content-Type": "application/json"}
    for path, method, user, body in (
        (f"/content/art_{number}", "PATCH", "ed", {"content_hash": hash, "html": f"<p>{text}x</p>"}),
        (f"/content/art_{number}", "PATCH", "ed", {"content_hash": text, "title": "x"}),
        (f"/content/cnt_{posts[0]}", "PATCH", "ed", {"content_hash": text, "parts": [text]}),
        (f"/content/art_{number}/approve", "POST", "ann", {"content_hash": text}),
        (f"/content/cnt_{posts[0]}/approve", "POST", "ann", {"content_hash": text}),
        (f"/content/art_{number}/reject", "POST", "ann", {"reason": text}),
        (f"/content/cnt_{posts[0]}/reject", "POST", "ann", {"reason": text}),
        (f"/content/art_{number}/regenerate", "POST", "ed", {"instructions": text}),
        (f"/content/cnt_{posts[0]}/regenerate", "POST", "ed", {"instructions": text}),
        ("/content/approve", "POST", "ann", [{"id": text, "content_hash": text}]),
    ):  # fmt: skip
        answer = await control(method, path, user=user, content=json.dumps(body), headers=headers)
        assert answer.status_code < 500, (path, answer.text)


# Decisions --------------------------------------------------------------------------------------------


async def test_an_approval_is_of_the_version_that_was_seen(control: Control) -> None:
    _, _, posts = await posts_of(control)
    (number,) = add_articles(control.world, 1)
    for id, kind, raw in ((f"art_{number}", "article", number), (f"cnt_{posts[0]}", "post", posts[0])):
        path = f"/content/{id}/approve"
        answer = await control("POST", path, user="ann", json={"content_hash": "0" * 64}, expect=409)
        assert "read it again" in answer.json()["detail"]
        assert await approve(control, id) == {"id": id, "status": "approved", "publishing": None}
        found = await control.get(f"/content/{id}")
        assert (found["status"], found["approved_by"]) == ("approved", "user:ann")
        assert found["approved_hash"] == found["content_hash"]
        again = await control(
            "POST", path, user="ann", json={"content_hash": found["content_hash"]}, expect=409
        )
        assert "is approved" in again.json()["detail"]
        assert ("user:ann", f"{kind}.approve", f"{kind}:{raw}") in control.audit()
    assert [action for _, action, _ in control.audit()] == ["article.approve", "post.approve"]


async def test_who_changes_the_rows_behind_an_approval_has_them_seen_first(control: Control) -> None:
    (number,) = add_articles(control.world, 1)
    hash = await seen(control, f"art_{number}")
    control.world.sql("UPDATE contents SET html = '<p>Something else.</p>'")
    body = {"content_hash": hash}
    await control("POST", f"/content/art_{number}/approve", user="ann", json=body, expect=409)
    await approve(control, f"art_{number}")


async def test_what_has_not_gone_to_review_is_not_decided_on(control: Control) -> None:
    ids = add_articles(control.world, 2)
    for number, status in zip(ids, ("draft", "archived"), strict=True):
        control.world.sql("UPDATE contents SET status = %s WHERE id = %s", status, number)
        path, body = f"/content/art_{number}", {"content_hash": "x"}
        await control("POST", f"{path}/approve", user="ann", json=body, expect=409)
        await control("POST", f"{path}/reject", user="ann", json={"reason": "no"}, expect=409)
        answer = await control("PATCH", path, json=body | {"title": "x"}, expect=409)
        assert status in answer.json()["detail"]
    assert control.audit() == []


async def test_a_site_with_targets_is_told_of_an_approval(control: Control) -> None:
    with_targets(control)
    first, second, third = (f"art_{one}" for one in add_articles(control.world, 3))
    assert (await approve(control, first))["publishing"] == "started"
    assert control.plane.assets == ["pressroom://site/brew/approved"]
    for id, error in ((second, TransientError("away")), (third, PermanentError("no DAG names it"))):
        control.plane.error = error
        assert (await approve(control, id))["publishing"] == "with_the_next_run"
        assert (await control.get(f"/content/{id}"))["status"] == "approved"


async def test_the_same_key_gives_the_first_answer(control: Control) -> None:
    with_targets(control)
    (number,) = add_articles(control.world, 1)
    hash = await seen(control, f"art_{number}")
    answers = [
        (
            await control(
                "POST", f"/content/art_{number}/approve", user="ann", json={"content_hash": hash},
                headers={"Idempotency-Key": "k"}, expect=200,
            )
        ).json()
        for _ in range(2)
    ]  # fmt: skip
    assert answers[0] == answers[1]
    assert len(control.plane.assets) == 1


async def test_a_rejection_has_a_reason(control: Control) -> None:
    _, _, posts = await posts_of(control)
    (number,) = add_articles(control.world, 1)
    for id, note in ((f"art_{number}", "user:ann: thin"), (f"cnt_{posts[0]}", "rejected by user:ann: thin")):
        path = f"/content/{id}/reject"
        await control("POST", path, user="ann", json={}, expect=422)
        await control("POST", path, user="ann", json={"reason": ""}, expect=422)
        answer = await control("POST", path, user="ann", json={"reason": "thin"}, expect=200)
        assert answer.json() == {"id": id, "status": "rejected"}
        found = await control.get(f"/content/{id}")
        assert (found["status"], found["review_note"]) == ("rejected", note)
        await control("POST", path, user="ann", json={"reason": "thin"}, expect=409)


async def test_who_may_decide_and_who_may_edit(control: Control) -> None:
    (number,) = add_articles(control.world, 1)
    path, body = f"/content/art_{number}", {"content_hash": "x"}
    await control("POST", f"{path}/approve", user="ed", json=body, expect=403)
    await control("POST", f"{path}/reject", user="ed", json={"reason": "no"}, expect=403)
    await control("POST", "/content/approve", user="ed", json=[{"id": "art_1", **body}], expect=403)
    await control("PATCH", path, user="vera", json=body | {"title": "x"}, expect=403)
    await control("POST", f"{path}/regenerate", user="vera", json={}, expect=403)
    await control("GET", f"{path}/preview", user=None, expect=401)


# Many at once -----------------------------------------------------------------------------------------


async def test_of_many_each_is_approved_for_itself(control: Control) -> None:
    with_targets(control)
    _, _, posts = await posts_of(control)
    articles = add_articles(control.world, 3)
    (theirs,) = add_articles(control.other, 1)
    ids = [*(f"art_{one}" for one in articles), f"cnt_{posts[0]}"]
    items = [{"id": id, "content_hash": await seen(control, id)} for id in ids]
    items[1]["content_hash"] = "0" * 64
    items += [{"id": f"art_{theirs}", "content_hash": "x"}, {"id": "junk", "content_hash": "x"}, items[0]]
    found = (await control("POST", "/content/approve", user="ann", json=items, expect=200)).json()
    assert [(one["id"], one["outcome"], one["publishing"]) for one in found] == [
        (ids[0], "approved", "started"),
        (ids[1], "conflict", None),
        (ids[2], "approved", "started"),
        (ids[3], "approved", None),
        (f"art_{theirs}", "not_found", None),
        ("junk", "not_found", None),
        (ids[0], "conflict", None),
    ]
    assert "read it again" in found[1]["detail"]
    assert control.plane.assets == ["pressroom://site/brew/approved"]
    statuses = control.world.sql("SELECT status FROM contents ORDER BY id")
    assert [status for (status,) in statuses] == ["approved", "review", "approved", "review"]
    assert len(control.audit()) == 3


async def test_as_many_as_200_may_be_approved_at_once(control: Control) -> None:
    ids = [f"art_{one}" for one in add_articles(control.world, 201)]
    # The list has them at once, too.
    listed = (await control.get("/content", limit=200))["items"]
    hashes = {one["id"]: one["content_hash"] for one in listed}
    assert set(hashes) == set(ids[1:])
    items = [{"id": id, "content_hash": await seen(control, id)} for id in ids[:3]]
    await control("POST", "/content/approve", user="ann", json=[], expect=422)
    too_many = [{"id": id, "content_hash": "x"} for id in ids]
    await control("POST", "/content/approve", user="ann", json=too_many, expect=422)
    items += [{"id": id, "content_hash": "x"} for id in ids[3:200]]
    found = (await control("POST", "/content/approve", user="ann", json=items, expect=200)).json()
    assert [one["outcome"] for one in found] == ["approved"] * 3 + ["conflict"] * 197


async def test_of_two_versions_the_second_is_chosen(control: Control) -> None:
    _, _, posts = await posts_of(control, ab_variants=True)
    versions = {post: await control.get(f"/content/cnt_{post}") for post in posts}
    second = next(post for post, found in versions.items() if found["variant"] == "B")
    answer = await control("POST", f"/content/cnt_{second}/choose", expect=200)
    assert answer.json() == {"id": f"cnt_{second}", "status": "pending_review"}
    await control("POST", f"/content/cnt_{second}/choose", expect=409)
    (article,) = add_articles(control.world, 1)
    await control("POST", f"/content/art_{article}/choose", expect=409)
    assert [action for _, action, _ in control.audit()] == ["post.choose"]

"""Whole flows over a feed, on a real Postgres: everything is at its target once."""

from __future__ import annotations

from typing import Any

import pytest

from pressroom.domain.errors import ConfigurationError, UnknownOutcome
from pressroom.domain.flows import Flow
from pressroom.domain.model import Prompt
from pressroom.testing import FakeText
from pressroom.testing_flows import FakeTarget
from tests.support.flow_world import (
    AUTO,
    BLOG,
    FETCH,
    PING,
    WRITE,
    Make,
    broken,
    entries,
    mended,
)


def test_a_flow_end_to_end(make: Make) -> None:
    route = {"name": "way", "type": "route", "otherwise": "end",
             "rules": [{"when": "results.write.title != 'Two'", "to": "next"}]}  # fmt: skip
    draw = {"name": "draw", "type": "media", "prompt": "{{ results.write.title }}"}
    write = WRITE | {"output": {"title": "a title"}, "tools": []}
    decide = {"name": "decide", "type": "ai", "prompt": "Publish {{ results.write.title | data }}?"}
    world = make(FETCH, write, route, draw, decide, BLOG, PING)
    world.sources = entries("one", "two", "three")

    def titled(prompt: Prompt) -> dict[str, str]:
        return {"title": next(name for name in ("One", "Two", "Three") if name in prompt.user)}

    def decided(prompt: Prompt) -> list[tuple[str, dict[str, str]]]:
        if "Three" in prompt.user:
            return [("skip_item", {"reason": "dull"})]
        return [("publish_blog", {"text": "Yes"})]

    world.text = FakeText({"Output": titled, "flow:decide": decided})
    run = world.run()
    items = world.work(run)
    assert [world.state(item)[0] for item in items] == ["done", "done", "agent_skipped"]
    [target] = world.targets.values()
    assert [piece.arguments.text for piece in target.pieces.values()] == ["Yes"]
    assert [len(piece.pictures) for piece in target.pieces.values()] == [1]
    assert [kind for _, _, kind in world.packets(items[0])] == [
        "source", "output", "note", "media", "tool_call", "published", "note",
    ]  # fmt: skip
    assert [kind for _, _, kind in world.packets(items[1])] == ["source", "output", "note"]
    assert world.close(run) == "completed"


def test_two_flows_over_one_feed_publish_once_when_they_share_a_target(make: Make) -> None:
    one, other = make(FETCH, AUTO), make(FETCH, WRITE, AUTO, slug="other")
    one.sources = other.sources = entries("a", "b")
    other.targets = one.targets
    done = one.work(one.run()), other.work(other.run())
    assert [one.state(item)[0] for item in [*done[0], *done[1]]] == ["done"] * 4
    [target] = one.targets.values()
    assert (target.calls, len(target.pieces)) == (2, 2)
    published = [
        one.sql("SELECT data ->> 'external_id' FROM packets WHERE item_id = %s AND kind = 'published'", item)
        for item in [*done[0], *done[1]]
    ]
    assert published[:2] == published[2:]


def test_and_twice_when_they_do_not(make: Make) -> None:
    one, other = make(FETCH, AUTO), make(FETCH, AUTO | {"connection": "another"}, slug="other")
    one.sources = other.sources = entries("a")
    other.targets = one.targets
    one.work(one.run())
    other.work(other.run())
    assert [target.calls for target in one.targets.values()] == [1, 1]


def test_a_failed_item_that_was_published_is_not_published_again(make: Make) -> None:
    world = make(FETCH, AUTO, WRITE)
    world.sources = entries("one")
    broken(world)
    first = world.run("first")
    [item] = world.work(first)
    assert world.state(item)[0] == "failed"
    world.close(first)
    mended(world)
    [again] = world.work(world.run("second"))
    assert world.state(again)[0] == "done"
    [target] = world.targets.values()
    assert target.calls == 1


def test_a_lost_answer_is_looked_for_and_not_sent_again(make: Make) -> None:
    world = make(FETCH, AUTO)
    world.sources = entries("one")

    class Forgetful(FakeTarget):
        async def publish(self, piece: Any) -> Any:
            await super().publish(piece)
            raise UnknownOutcome("the answer was lost")

    target = Forgetful("blogs", "pressroom_blogs")
    world.targets["blogs", "pressroom_blogs"] = target
    [item] = world.work(world.run())
    assert world.state(item)[0] == "done"
    assert target.calls == 1


def test_a_flow_that_posts_to_one_place_twice_has_two_pieces_there(make: Make) -> None:
    world = make(FETCH, AUTO, WRITE, BLOG | {"name": "again", "mode": "auto"})
    world.sources = entries("one")
    [item] = world.work(world.run())
    assert world.state(item)[0] == "done"
    [target] = world.targets.values()
    assert len(target.pieces) == 2


def test_a_wrong_set_up_of_a_target_holds_no_item_back_for_good(make: Make) -> None:
    settings = {"colour": "red"}
    world = make(FETCH, AUTO | {"settings": settings})
    world.sources = entries("one", "two")
    for number in range(4):  # more runs than an item of a site has attempts
        run = world.run(f"manual__{number}")
        items = world.take(run)
        assert len(items) == 2
        for item in items:
            with pytest.raises(ConfigurationError, match="colour"):
                world.step(run, "blog", item)
        world.close(run)
    assert world.sql("SELECT count(*) FROM item_failures") == [(0,)]
    world.flow = Flow.model_validate(world.flow.model_dump() | {"steps": [FETCH, AUTO]})
    run = world.run("manual__mended")
    assert [world.state(item)[0] for item in world.work(run)] == ["done", "done"]

"""What the publish stage does with a post, and how the ledger remembers what was sent. No store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pressroom.domain.errors import ConfigurationError, PastDate, TimeTaken
from pressroom.domain.missions import Mission
from pressroom.domain.publishing import Publication, PublicationStatus, as_sent, from_sent
from pressroom.domain.social import Media, Platform, Submission
from pressroom.pipelines.mission import publish
from pressroom.pipelines.mission.publish import Ready, Scheduled
from pressroom.pipelines.tools import Social, Tools
from pressroom.testing import FakeAnalytics, FakeScheduler, FixedClock, MemoryMedia
from pressroom.testing import tools as fake_tools

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = NINE + timedelta(days=2)


class Scripted:
    """A publisher that answers by script, and then accepts. ``asked`` holds what it was given."""

    def __init__(self, *script: Exception) -> None:
        self.script = list(script)
        self.asked: list[Submission] = []

    async def publish(self, content: str, content_hash: str, post: Submission) -> Publication:
        """The next error of the script, or success."""
        self.asked.append(post)
        if self.script:
            raise self.script.pop(0)
        return Publication(
            1, 1, content, "c/twitter", PublicationStatus.ACCEPTED, content_hash, post.at, "7"
        )  # fmt: skip


def ready(**changes: Any) -> Ready:
    facts: dict[str, Any] = {
        "id": 5, "slot_id": 6, "platform": "twitter", "parts": ["One", "Two"], "options": {},
        "media_url": None, "media_alt": "", "content_hash": "h", "at": NINE, "ends_at": END, "taken": [],
        "attempted": False,
    }  # fmt: skip
    return Ready(**{**facts, **changes})


def tools(
    publisher: Scripted,
    now: datetime,
    media: MemoryMedia | None = None,
    times: Sequence[str] = ("09:00", "13:00"),
) -> Tools:
    mission = Mission.model_validate(
        {
            "account": "demo", "slug": "m", "name": "M", "objectives": ["x"], "platforms": ["twitter"],
            "constraints": {"posting_times": list(times), "timezone": "Europe/Berlin"},
        }
    )  # fmt: skip
    clock = FixedClock(now)
    social = Social(FakeScheduler(clock), FakeAnalytics(), clock, publisher)
    return fake_tools(site=mission, media=media, social=social)


def go(post: Ready, chosen: Tools) -> Scheduled:
    return asyncio.run(publish.process(post, chosen))


def test_a_post_in_time_is_published_at_its_time() -> None:
    publisher = Scripted()
    done = go(ready(options={"title": "T"}), tools(publisher, NINE - HOUR))
    assert done.at == NINE
    assert publisher.asked == [
        Submission(Platform.TWITTER, ("One", "Two"), NINE, "Europe/Berlin", (), {"title": "T"})
    ]


@pytest.mark.parametrize(
    ("before", "at"), [(timedelta(minutes=2), NINE), (timedelta(minutes=1, seconds=59), NINE + 3 * HOUR)]
)
def test_less_than_two_minutes_is_late(before: timedelta, at: datetime) -> None:
    publisher = Scripted()
    # 13:00 in Berlin is 12:00 UTC.
    assert go(ready(), tools(publisher, NINE - before)).at == at


def test_taken_times_are_passed_over() -> None:
    publisher = Scripted()
    done = go(ready(taken=[NINE + 3 * HOUR]), tools(publisher, NINE + HOUR))
    assert done.at == NINE + 23 * HOUR
    assert len(publisher.asked) == 1


def test_a_time_that_another_post_got_first_is_given_up() -> None:
    publisher = Scripted(TimeTaken("post:4"), TimeTaken("post:3"))
    done = go(ready(), tools(publisher, NINE + HOUR))
    assert [post.at for post in publisher.asked] == [NINE + hours * HOUR for hours in (3, 23, 27)]
    assert done.at == NINE + 27 * HOUR


def test_a_time_that_passes_at_the_last_moment_is_replaced_once() -> None:
    publisher = Scripted(PastDate("over"))
    assert go(ready(), tools(publisher, NINE - HOUR)).at == NINE + 3 * HOUR
    publisher = Scripted(PastDate("over"), PastDate("over"))
    with pytest.raises(PastDate):
        go(ready(), tools(publisher, NINE - HOUR))
    assert len(publisher.asked) == 2


def test_when_the_cycle_is_over_nothing_is_sent() -> None:
    publisher = Scripted()
    with pytest.raises(PastDate, match="03-02 09:00 UTC is over, and no time is left for twitter"):
        go(ready(), tools(publisher, END - HOUR))
    assert publisher.asked == []


def test_what_may_be_there_already_is_asked_for_even_then() -> None:
    publisher = Scripted()
    assert go(ready(attempted=True), tools(publisher, END + HOUR)).at == NINE
    publisher = Scripted(PastDate("over"))
    with pytest.raises(PastDate):
        go(ready(attempted=True), tools(publisher, END + HOUR))
    assert [post.at for post in publisher.asked] == [NINE]


def test_pictures_go_along_under_their_public_addresses() -> None:
    publisher, media = Scripted(), MemoryMedia()
    url = media.put(b"picture", "image/png")
    chosen = tools(publisher, NINE - HOUR, media)
    go(ready(media_url=url, media_alt="A cup"), chosen)
    assert publisher.asked[0].media == (Media(media.public_url(url), "A cup"),)
    assert publisher.asked[0].media[0].url.startswith("http")


def test_a_picture_without_a_public_address_is_a_matter_of_set_up() -> None:
    class Private(MemoryMedia):
        def public_url(self, url: str) -> str:
            raise ConfigurationError("not public")

    publisher = Scripted()
    with pytest.raises(ConfigurationError, match="not public"):
        go(ready(media_url="file:///x.png"), tools(publisher, NINE - HOUR, Private()))
    assert publisher.asked == []


def test_what_was_sent_is_remembered_in_full_but_for_its_time() -> None:
    post = Submission(
        Platform.PINTEREST, ("Zoë’s tea", "more"), NINE, "Europe/Berlin",
        (Media("https://cdn.example/1.png", "A cup"),), {"title": "Tea", "board": "9"},
    )  # fmt: skip
    remembered = json.loads(json.dumps(as_sent(post)))
    assert from_sent(remembered, NINE) == post
    assert from_sent(remembered, NINE + HOUR).at == NINE + HOUR

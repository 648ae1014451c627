"""What the publish stage does with a post, and how the ledger remembers what was sent. No store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pressroom.adapters.targets.metricool.arguments import MetricoolArguments
from pressroom.domain.errors import ConfigurationError, PastDate, TimeTaken
from pressroom.domain.missions import Mission
from pressroom.domain.publishing import (
    Picture,
    Piece,
    Placed,
    Publication,
    PublicationStatus,
    Submission,
    recalled,
)
from pressroom.domain.social import Platform
from pressroom.pipelines.mission import publish
from pressroom.pipelines.mission.publish import Ready, Scheduled
from pressroom.pipelines.tools import Destination, Tools
from pressroom.testing import FixedClock, MemoryMedia, connected
from pressroom.testing import tools as fake_tools
from pressroom.testing_flows import FakeNetworks, FakeOutside

NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = NINE + timedelta(days=2)


class Scripted(FakeOutside):
    """An outside that answers by script, and then accept. ``asked`` holds what it was given."""

    def __init__(self, *script: Exception) -> None:
        super().__init__(networks=FakeNetworks(FixedClock(NINE)))
        self.script = list(script)
        self.asked: list[Piece[MetricoolArguments]] = []

    async def publish(self, to: Destination, submission: Submission[MetricoolArguments]) -> Publication:
        """The next error of the script, or success."""
        piece = submission.piece
        assert submission.alone
        assert piece.at
        self.asked.append(piece)
        if self.script:
            raise self.script.pop(0)
        return Publication(
            1,
            1,
            submission.content,
            to.target_name,
            PublicationStatus.ACCEPTED,
            submission.content_hash,
            piece.at,
            "7",
        )


def ready(**changes: Any) -> Ready:
    facts: dict[str, Any] = {
        "id": 5, "slot_id": 6, "platform": "twitter", "parts": ["One", "Two"], "options": {},
        "media_url": None, "media_alt": "", "content_hash": "h", "at": NINE, "ends_at": END, "taken": [],
        "attempted": False, "approved_hash": "h", "approved_terms": None, "approved_by": "ann",
    }  # fmt: skip
    return Ready(**{**facts, **changes})


def tools(
    outside: Scripted,
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
    return fake_tools(site=mission, media=media, social=connected(now), outside=outside)


def go(post: Ready, chosen: Tools) -> Scheduled:
    return asyncio.run(publish.process(post, chosen))


def test_a_post_in_time_is_published_at_its_time() -> None:
    publisher = Scripted()
    done = go(ready(), tools(publisher, NINE - HOUR))
    assert (done.at, done.publication.target) == (NINE, "pressroom_metricool/twitter")
    told = MetricoolArguments(network=Platform.TWITTER, text="One", thread=("Two",), timezone="Europe/Berlin")
    assert publisher.asked == [Piece("demo/post:5", told, [], NINE, account="demo")]


def test_a_pin_has_its_title() -> None:
    publisher = Scripted()
    pin = ready(platform="pinterest", parts=["One"], options={"title": "T"})
    go(pin, tools(publisher, NINE - HOUR))
    assert publisher.asked[0].arguments.title == "T"


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
    assert publisher.asked[0].pictures == [Picture(alt="A cup", url=media.public_url(url))]
    assert publisher.asked[0].pictures[0].url.startswith("http")


def test_a_picture_without_a_public_address_is_a_matter_of_set_up() -> None:
    class Private(MemoryMedia):
        def public_url(self, url: str) -> str:
            raise ConfigurationError("not public")

    publisher = Scripted()
    with pytest.raises(ConfigurationError, match="not public"):
        go(ready(media_url="file:///x.png"), tools(publisher, NINE - HOUR, Private()))
    assert publisher.asked == []


def test_what_was_sent_is_remembered_in_full_but_for_its_time() -> None:
    networks = FakeNetworks(FixedClock(NINE))
    told = MetricoolArguments(
        network=Platform.PINTEREST, text="Zoë’s tea", title="Tea", board="9", timezone="Europe/Berlin"
    )
    piece = Piece("post:5", told, at=NINE)
    remembered = json.loads(json.dumps(piece.on_record))
    assert recalled(networks, remembered, NINE) == piece
    assert recalled(networks, remembered, NINE + HOUR) == replace(piece, at=NINE + HOUR)
    noted = {**remembered, "known_as": "7", "known_at": "https://x.test/7"}
    assert recalled(networks, noted, NINE) == replace(piece, known=Placed("7", "https://x.test/7"))
    at_once = replace(piece, at=None)
    assert recalled(networks, at_once.on_record, NINE) == at_once


def test_what_is_not_on_record_or_not_understood_is_not_recalled() -> None:
    networks = FakeNetworks(FixedClock(NINE))
    assert recalled(networks, {}, NINE) is None
    assert recalled(networks, {"key": "k", "arguments": {"title": "of another target"}}, NINE) is None

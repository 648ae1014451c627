"""Posts in Metricool's words: texts, times, options."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from pydantic import ValidationError

from pressroom.adapters.targets.metricool.wire import apportioned, creation, instant, publication
from pressroom.domain.social import Platform
from tests.support.metricool_world import AT, post


@pytest.mark.parametrize(
    ("at", "timezone", "local", "sent_zone"),
    [
        ("2026-11-24T09:00:00+00:00", "UTC", "2026-11-24T09:00:00", "UTC"),
        ("2026-07-01T07:30:00+00:00", "Europe/Berlin", "2026-07-01T09:30:00", "Europe/Berlin"),
        ("2026-12-01T08:30:00+00:00", "Europe/Berlin", "2026-12-01T09:30:00", "Europe/Berlin"),
        # The night the clocks go forward: there is no 02:30.
        ("2026-03-29T00:59:00+00:00", "Europe/Berlin", "2026-03-29T01:59:00", "Europe/Berlin"),
        ("2026-03-29T01:00:00+00:00", "Europe/Berlin", "2026-03-29T03:00:00", "Europe/Berlin"),
        # The night they go back: 02:30 comes twice, and its second time has no local name.
        ("2026-10-25T00:30:00+00:00", "Europe/Berlin", "2026-10-25T02:30:00", "Europe/Berlin"),
        ("2026-10-25T01:30:00+00:00", "Europe/Berlin", "2026-10-25T01:30:00", "UTC"),
        ("2026-11-24T09:00:00.900000+01:00", "Asia/Kolkata", "2026-11-24T13:30:00", "Asia/Kolkata"),
    ],
)
def test_times_are_local_and_come_back_as_the_same_instant(
    at: str, timezone: str, local: str, sent_zone: str
) -> None:
    sent = publication(datetime.fromisoformat(at), timezone)
    assert sent == {"dateTime": local, "timezone": sent_zone}
    assert instant(sent) == datetime.fromisoformat(at).replace(microsecond=0)


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ({"dateTime": "2026-11-24T10:00:00", "timezone": "Europe/Berlin"}, AT),
        ({"dateTime": "2026-11-24T09:00:00"}, AT),
        ({"dateTime": "2026-11-24T10:00:00+01:00", "timezone": "UTC"}, AT),
        ("2026-11-24T09:00:00Z", AT),
        ("2026-11-24 09:00:00", AT),
        (AT.timestamp(), AT),
        (AT.timestamp() * 1000, AT),
        ({"dateTime": "2026-11-24T09:00:00", "timezone": "Mars/Base"}, None),
        ("soon", None),
        (None, None),
        (float("nan"), None),
    ],
)
def test_times_are_read_in_every_form(value: Any, at: datetime | None) -> None:
    assert instant(value) == at


def body(usual_board: str = "", hosted: Sequence[str] = (), **told: Any) -> dict[str, Any]:
    piece = post(**told)
    return creation(piece.arguments, AT, piece.pictures, hosted, usual_board)


def test_a_thread_is_a_post_with_descendants() -> None:
    sent = body(network=Platform.TWITTER, text="one", thread=["two", "three"])
    assert sent["text"] == "one"
    assert [child["text"] for child in sent["descendants"]] == ["two", "three"]
    assert {json.dumps(child["providers"]) for child in sent["descendants"]} == {'[{"network": "twitter"}]'}
    assert sent["twitterData"] == {"tags": []}
    assert (sent["autoPublish"], sent["draft"], sent["shortener"]) == (True, False, False)


def test_a_pin_has_its_board_title_and_link() -> None:
    told = {"title": "Title", "link": "https://a.example", "board": "77"}
    assert body("9", ["https://m/1.png"], network=Platform.PINTEREST, **told)["pinterestData"] == {
        "boardId": "77",
        "pinTitle": "Title",
        "pinLink": "https://a.example",
        "pinNewFormat": True,
    }
    assert body("9", network=Platform.PINTEREST)["pinterestData"] == {"boardId": "9", "pinNewFormat": True}


def test_an_article_is_in_the_text_that_linkedin_previews() -> None:
    article = "https://a.example/post"
    sent = body(link=article)
    assert sent["text"] == f"Hello world\n\n{article}"
    assert sent["linkedinData"] == {"previewIncluded": True}
    assert body(text=f"Read {article} now", link=article)["text"] == f"Read {article} now"


@pytest.mark.parametrize("platform", Platform)
def test_no_network_data_is_a_list(platform: Platform) -> None:
    assert isinstance(body("9", network=platform)[f"{platform}Data"], dict)


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": " "},
        {"thread": ["two"]},
        {"network": Platform.TWITTER, "thread": [" "]},
        {"colour": "red"},
        {"timezone": "Mars/Base"},
    ],
)
def test_a_post_without_a_form_cannot_be_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        post(**wrong)


def test_shares_add_up() -> None:
    assert apportioned(10, [1, 1, 1]) == [4, 3, 3]
    assert apportioned(5, [0, 0]) == [3, 2]
    assert apportioned(7, [3, 0, 1]) == [5, 0, 2]
    assert apportioned(7, []) == []

"""Every way a call to X can fail has its place in our tree, and none brings the token along."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from pressroom.adapters.targets.x.account import XSettings
from pressroom.adapters.targets.x.target import XArguments, XTarget
from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    PressroomError,
    TransientError,
    UnknownOutcome,
)
from pressroom.domain.publishing import Piece
from tests.support.strict_x import INVALID, TOKEN
from tests.support.target_errors import (
    FINAL,
    SETUP,
    Handler,
    Kinds,
    answering,
    check_caught,
    picture,
)


def settings() -> XSettings:
    return XSettings.from_connection("mine", password=TOKEN)


def piece() -> Piece[XArguments]:
    return Piece("post:1", XArguments(text="Bread"))


def scripted(handler: Handler) -> XTarget:
    """The user is answered; all else by the handler."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/2/users/me":
            return httpx.Response(200, json={"data": {"id": "4242"}})
        return handler(request)

    return XTarget(settings(), transport=httpx.MockTransport(handle))


PROBLEM = "https://api.x.com/2/problems"
OWN: list[tuple[int, Any, Kinds]] = [
    (400, {"title": "Invalid Request", "type": INVALID, "errors": [{"message": "bad"}]}, FINAL),
    (
        403,
        {"title": "Forbidden", "detail": "not permitted", "type": "about:blank"},
        (PermanentError, ConfigurationError),
    ),
    (403, {"title": "Client Forbidden", "type": f"{PROBLEM}/client-forbidden"}, SETUP),
    (402, {"title": "CreditsDepleted", "type": f"{PROBLEM}/credits"}, SETUP),
    (429, {"title": "UsageCapExceeded", "type": f"{PROBLEM}/usage-capped"}, (TransientError, TransientError)),
]


@pytest.mark.parametrize("publishes", [True, False], ids=["publish", "find"])
@pytest.mark.parametrize(("status", "body", "kinds"), OWN)
async def test_answers_that_are_none(status: int, body: Any, kinds: Kinds, publishes: bool) -> None:
    async with scripted(answering(status, body)) as x:
        with pytest.raises(PressroomError) as caught:
            await (x.publish(piece()) if publishes else x.find(piece()))
    check_caught(caught, kinds[0 if publishes else 1], TOKEN)


@pytest.mark.parametrize("body", [{"data": {}}, {"data": []}, {}, {"data": {"text": "x"}}])
async def test_an_answer_without_an_id_is_no_success(body: Any) -> None:
    async with scripted(answering(201, body)) as x:
        with pytest.raises(UnknownOutcome) as caught:
            await x.publish(piece())
    check_caught(caught, UnknownOutcome, TOKEN)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, {"data": {"deleted": False}}, TransientError),
        (200, {}, TransientError),
        (200, "x", TransientError),
        (403, {"detail": "not yours"}, ConfigurationError),
        (500, "", TransientError),
    ],
)
async def test_a_post_that_is_not_deleted(status: int, body: Any, kind: type[PressroomError]) -> None:
    async with scripted(answering(status, body)) as x:
        with pytest.raises(PressroomError) as caught:
            await x.unpublish("1")
    check_caught(caught, kind, TOKEN)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"title": "Unauthorized"}, ConfigurationError),
        (403, {"detail": "app only"}, ConfigurationError),
        (404, "", ConfigurationError),
        (200, json.dumps({"data": {"id": "ann"}}), TransientError),
        (503, "", TransientError),
    ],
)
async def test_a_check_that_fails(status: int, body: Any, kind: type[PressroomError]) -> None:
    async with XTarget(settings(), transport=httpx.MockTransport(answering(status, body))) as x:
        with pytest.raises(PressroomError) as caught:
            await x.check()
    check_caught(caught, kind, TOKEN)


async def test_a_timeline_without_end_is_an_error() -> None:
    async with scripted(answering(200, {"data": [], "meta": {"next_token": "more"}})) as x:
        with pytest.raises(TransientError) as caught:
            await x.find(piece())
    check_caught(caught, TransientError, TOKEN)


@pytest.mark.parametrize("body", [{}, {"data": []}, {"meta": {"result_count": 0}}])
async def test_a_timeline_with_errors_in_place_of_posts_is_not_an_empty_one(body: dict[str, Any]) -> None:
    problem = {"type": f"{PROBLEM}/not-authorized-for-resource", "title": "Authorization Error"}
    async with scripted(answering(200, body)) as x:
        assert await x.find(piece()) is None
    async with scripted(answering(200, {**body, "errors": [problem]})) as x:
        with pytest.raises(TransientError) as caught:
            await x.find(piece())
    check_caught(caught, TransientError, TOKEN)


@pytest.mark.parametrize(
    ("info", "kind"),
    [
        ({"state": "failed"}, PermanentError),
        ({"state": "pending", "check_after_secs": 0.001}, TransientError),
    ],
)
async def test_a_picture_that_never_gets_ready(info: dict[str, Any], kind: type[PressroomError]) -> None:
    handler = answering(200, {"data": {"id": "7", "processing_info": info}})
    async with scripted(handler) as x:
        with pytest.raises(kind) as caught:
            await x.publish(Piece("post:1", XArguments(text="Bread"), [picture()]))
    check_caught(caught, kind, TOKEN)

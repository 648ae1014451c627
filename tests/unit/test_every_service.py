"""What all clients of services have in common: which error a failure is, and that none shows a secret."""

from __future__ import annotations

import itertools
from typing import Any

import httpx
import pytest

from pressroom.domain.errors import TransientError
from tests.support.every_service import SECRET, SERVICES
from tests.support.target_errors import ANSWERS, UNANSWERED, Kinds, answering, failing, fails, leaves

CALLS = [
    pytest.param(service, changes, id=f"{name}-{'change' if changes else 'read'}")
    for (name, service), changes in itertools.product(SERVICES.items(), (True, False))
    if (service.change if changes else service.read) is not None
]


def test_every_transport_error_is_in_the_table() -> None:
    assert set(UNANSWERED) == set(leaves(httpx.RequestError))


@pytest.mark.parametrize("kind", UNANSWERED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(("service", "changes"), CALLS)
async def test_no_whole_answer(service: Any, changes: bool, kind: type[Exception]) -> None:
    call = service.change if changes else service.read
    wanted = UNANSWERED[kind][0 if changes else 1]
    await fails(call(failing(kind, SECRET)), wanted, SECRET, where=service.where)


@pytest.mark.parametrize(("status", "body", "kinds"), ANSWERS)
@pytest.mark.parametrize(("service", "changes"), CALLS)
async def test_an_answer_that_is_not_a_success(
    service: Any, changes: bool, status: int, body: Any, kinds: Kinds
) -> None:
    call = service.change if changes else service.read
    wanted = service.own.get(status, kinds)[0 if changes else 1] if service.asks or status != 200 else None
    await fails(call(answering(status, body)), wanted, SECRET, where=service.where)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("service", "changes"), CALLS)
async def test_the_wait_that_a_service_asks_for(service: Any, changes: bool, status: int) -> None:
    call = service.change if changes else service.read
    with pytest.raises(TransientError) as caught:
        await call(answering(status, "", {"Retry-After": "17"}))
    assert caught.value.retry_after == 17


@pytest.mark.parametrize(("service", "changes"), CALLS)
async def test_a_refusal_that_repeats_what_was_sent(service: Any, changes: bool) -> None:
    call = service.change if changes else service.read
    words = f"no {SECRET}, Authorization: Bearer {SECRET}, https://hooks.test/{SECRET}/in?token={SECRET}"
    body = {"message": words, "detail": words, "errors": [{"code": "x", "message": words}]}
    with pytest.raises(Exception, match="no ") as caught:
        await call(answering(400, body))
    assert SECRET not in str(caught.value)
    assert len(str(caught.value)) < 400

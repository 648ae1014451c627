"""A signature holds for one message, one body, one time and one secret, and for a while."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pressroom.adapters.http.signing import TOLERANCE_SECONDS, sign, verify
from pressroom.domain.errors import ConfigurationError

BODY = '{"title": "Grüße"}'.encode()


def signed(age: float = 0, /, **changes: str) -> dict[str, str]:
    headers = sign("article:7", BODY, "secret", at=time.time() - age)
    return {**headers, **{name.replace("_", "-"): value for name, value in changes.items()}}


def test_it_is_the_standards_own_example() -> None:
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    example = Webhook(secret).sign(
        "msg_p5jXN8AQM9LWM0D4loKWxJek", datetime.fromtimestamp(1614265330, UTC), '{"test": 2432232314}'
    )
    assert example == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["a word with blanks", "whsec_" + base64.b64encode(b"a key").decode()])
def test_a_receivers_library_takes_what_is_signed(secret: str) -> None:
    headers = sign("article:7", BODY, secret, at=time.time())
    assert set(headers) == {"webhook-id", "webhook-timestamp", "webhook-signature"}
    shared = secret if secret.startswith("whsec_") else base64.b64encode(secret.encode()).decode()
    Webhook(shared).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(shared).verify(BODY + b" ", headers)
    assert secret not in str(headers)


def test_a_secret_may_lack_its_padding_and_end_in_a_line_break() -> None:
    headers = sign("m", BODY, "whsec_YSBrZXk=", at=time.time())
    assert verify(headers, BODY, "whsec_YSBrZXk\n") == headers["webhook-id"]


def test_a_message_with_another_body_is_another_message() -> None:
    first, other = (sign("article:7", body, "secret", at=1) for body in (b"{}", b'{"edited": 1}'))
    assert first["webhook-id"] != other["webhook-id"]


def test_a_message_keeps_its_id_however_often_it_is_sent() -> None:
    first, again, other = (sign(key, BODY, "secret", at=at) for key, at in [("a", 1), ("a", 9), ("b", 1)])
    assert first["webhook-id"] == again["webhook-id"] != other["webhook-id"]
    assert first["webhook-signature"] != again["webhook-signature"]


@pytest.mark.parametrize("age", [5 - TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS - 5])
def test_what_was_signed_holds_within_the_tolerance(age: float) -> None:
    headers = signed(age)
    assert verify(headers, BODY, "secret") == headers["webhook-id"]


@pytest.mark.parametrize("age", [-TOLERANCE_SECONDS - 5, TOLERANCE_SECONDS + 5])
def test_what_is_older_or_from_the_future_does_not(age: float) -> None:
    assert verify(signed(age), BODY, "secret") is None


@pytest.mark.parametrize(
    ("headers", "body", "secret"),
    [
        (signed(), BODY + b" ", "secret"),
        (signed(), BODY, "Secret"),
        (signed(webhook_id="msg_other"), BODY, "secret"),
        (signed(webhook_timestamp=str(int(time.time()) - 60)), BODY, "secret"),
        (signed(webhook_signature=signed()["webhook-signature"].replace("v1,", "v2,")), BODY, "secret"),
    ],
    ids=["body", "secret", "id", "time", "version"],
)
def test_whatever_is_exchanged_voids_it(headers: dict[str, str], body: bytes, secret: str) -> None:
    assert verify(headers, body, secret) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook_id": ""},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "soon"},
        {"webhook_timestamp": "nan"},
        {"webhook_timestamp": "inf"},
        {"webhook_timestamp": "1" + "0" * 400},
        {"webhook_signature": ""},
        {"webhook_signature": "v1"},
        {"webhook_signature": "v1,"},
        {"webhook_signature": "v1,not base64 at all"},
        {"webhook_signature": "v1,é"},
        {"webhook_signature": "v1,a,b"},
        {"webhook_signature": "v1," + "A" * 2000},
        {"webhook_id": "x" * 2000},
    ],
)
def test_a_header_that_is_none_proves_nothing(changes: dict[str, str]) -> None:
    assert verify(signed(**changes), BODY, "secret") is None


def test_a_body_that_is_no_text_proves_nothing() -> None:
    assert verify(signed(), b"\xff", "secret") is None


def test_one_of_several_signatures_is_enough_and_the_order_does_not_matter() -> None:
    headers = signed()
    wrong = "v1," + base64.b64encode(b"0" * 32).decode()
    for both in (f"{wrong} {headers['webhook-signature']}", f"{headers['webhook-signature']} {wrong} v2,x"):
        assert verify({**headers, "webhook-signature": both}, BODY, "secret") == headers["webhook-id"]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("", "no secret"),
        ("whsec_", "no secret"),
        ("whsec_A", "not base64"),
        ("whsec_my-secret!", "not base64"),
    ],
)
def test_without_a_secret_nothing_is_signed_and_nothing_holds(secret: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        sign("m", BODY, secret, at=0)
    with pytest.raises(ConfigurationError, match=words):
        verify(signed(), BODY, secret)

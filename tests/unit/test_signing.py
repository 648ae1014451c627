"""A signature holds for one body, one time and one secret, and for a while."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from pressroom.adapters.http.signing import SIGNATURE_HEADER, Proven, sign, verify

NOW = 1_800_000_000
BODY = '{"title": "Grüße"}'.encode()
DIGEST = hmac.new(b"secret", f"{NOW}.".encode() + BODY, hashlib.sha256).hexdigest()
HEADER = f"t={NOW},v1={DIGEST}"


def test_it_is_the_documented_form() -> None:
    assert SIGNATURE_HEADER == "Pressroom-Signature"
    assert sign(BODY, "secret", at=NOW) == HEADER


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_what_was_signed_holds_within_the_tolerance(age: int) -> None:
    assert verify(HEADER, BODY, "secret", now=NOW + age) == Proven(NOW, DIGEST)


@pytest.mark.parametrize("age", [-301, 301, float("nan")])
def test_what_is_older_or_from_the_future_does_not(age: float) -> None:
    assert verify(HEADER, BODY, "secret", now=NOW + age) is None


def test_the_tolerance_is_the_callers() -> None:
    assert verify(HEADER, BODY, "secret", now=NOW + 20, tolerance=10) is None


@pytest.mark.parametrize(
    ("header", "body", "secret"),
    [
        (HEADER, BODY + b" ", "secret"),
        (HEADER, BODY, "Secret"),
        (HEADER.replace(f"t={NOW}", f"t={NOW + 1}"), BODY, "secret"),
        (HEADER.replace("v1=", "v0="), BODY, "secret"),
        (HEADER.replace("v1=", "v2="), BODY, "secret"),
    ],
)
def test_whatever_is_exchanged_voids_it(header: str, body: bytes, secret: str) -> None:
    assert verify(header, body, secret, now=NOW) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        f"t={NOW}",
        f"v1={DIGEST}",
        f"t={NOW},t={NOW},v1={DIGEST}",
        f"t=-{NOW},v1={DIGEST}",
        f"t={NOW}.0,v1={DIGEST}",
        f"t={NOW},v1={DIGEST.upper()}",
        f"t={NOW},v1={DIGEST[:-1]}",
        f"t={NOW},v1={DIGEST},",
        f"t={NOW};v1={DIGEST}",
        f"t={NOW},v1={DIGEST},v2={'x' * 1000}",
        f"t={NOW},v1={DIGEST[:-1]}é",
        f"t=1{'0' * 400},v1={DIGEST}",
    ],
)
def test_a_header_that_is_none_proves_nothing(header: str) -> None:
    assert verify(header, BODY, "secret", now=NOW) is None


def test_blanks_and_parts_of_later_versions_are_no_obstacle() -> None:
    assert verify(f"t={NOW}, v1={DIGEST}, v2=abc", BODY, "secret", now=NOW)


def test_one_of_several_signatures_is_enough_and_the_order_does_not_matter() -> None:
    assert verify(f"v1={'0' * 64},t={NOW},v1={DIGEST}", BODY, "secret", now=NOW) == Proven(NOW, DIGEST)


def test_a_replay_is_known_by_what_was_proven_whatever_is_added_to_its_header() -> None:
    first = verify(HEADER, BODY, "secret", now=NOW)
    assert first is not None
    assert verify(f"v1={'1' * 64}, {HEADER},x=y", BODY, "secret", now=NOW + 9) == first


def test_without_a_secret_nothing_is_signed_and_nothing_holds() -> None:
    with pytest.raises(ValueError, match="secret"):
        sign(BODY, "", at=NOW)
    with pytest.raises(ValueError, match="secret"):
        verify(HEADER, BODY, "", now=NOW)

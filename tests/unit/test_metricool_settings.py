"""What a connection to Metricool says, and what of it is shown."""

from __future__ import annotations

from typing import Any

import pytest

from pressroom.adapters.targets.metricool.client import METRICOOL_URL, MetricoolSettings
from pressroom.domain.errors import (
    ConfigurationError,
)
from tests.support.metricool_world import TOKEN, settings


def test_a_connection_is_read() -> None:
    found = MetricoolSettings.from_connection(
        "social", host="", password=TOKEN, login="7", extra={"blog_id": "42", "settle_seconds": 3}
    )
    assert (found.base_url, found.origin) == (METRICOOL_URL, "https://app.metricool.com")
    assert (found.user_id, found.blog_id, found.settle_seconds) == (7, 42, 3)
    assert found.headers == {"X-Mc-Auth": TOKEN}
    assert (found.timeout_seconds, found.simulator) == (30, False)


@pytest.mark.parametrize(
    ("host", "schema", "port", "url"),
    [
        ("https://app.metricool.com/api/", None, None, "https://app.metricool.com/api"),
        ("app.metricool.com", "https", None, "https://app.metricool.com/api"),
        ("127.0.0.1", "http", 8090, "http://127.0.0.1:8090"),
        ("http://127.0.0.1:8090", None, 1, "http://127.0.0.1:8090"),
        ("proxy.example/metricool", None, None, "https://proxy.example/metricool"),
    ],
)
def test_a_host_becomes_a_base_url(host: str, schema: str | None, port: int | None, url: str) -> None:
    assert settings(host=host, schema=schema, port=port).base_url == url


def test_a_jwt_is_a_bearer_token() -> None:
    assert settings(password="aaa.bbb-c.d_d").headers == {"Authorization": "Bearer aaa.bbb-c.d_d"}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"extra": {"blog_id": None}}, "blog_id"),
        ({"extra": {"user_id": "ann"}}, "user_id"),
        ({"extra": {"blogid": 1}}, "did you mean 'blog_id'"),
        ({"extra": {"timeout_seconds": 0}}, "timeout_seconds"),
        ({"extra": {"settle_seconds": -1}}, "settle_seconds"),
        ({"extra": {"token": "x"}}, "'token'"),
        ({"password": ""}, "password"),
        ({"password": f"{TOKEN}\nX-Evil: 1"}, "password"),
        ({"password": f"{TOKEN}ß"}, "password"),
        ({"host": "ftp://metricool.test"}, "host"),
        ({"host": "http://metricool.test:port"}, "host"),
        ({"host": f"https://ann:{TOKEN}@metricool.test"}, "host"),
    ],
)
def test_a_wrong_setting_is_named_and_no_token_shown(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(**changes)
    assert key in str(caught.value)
    assert "'social'" in str(caught.value)
    assert TOKEN not in f"{caught.value!r} {caught.value}"


def test_missing_numbers_are_named() -> None:
    with pytest.raises(ConfigurationError, match="'social': user_id"):
        MetricoolSettings.from_connection("social", password=TOKEN, extra={"blog_id": 1})


def test_a_token_is_not_shown() -> None:
    assert TOKEN not in repr(settings())
    assert TOKEN not in settings().model_dump_json()

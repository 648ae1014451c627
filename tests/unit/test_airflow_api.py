"""The client of Airflow's REST API, against a transport that plays Airflow."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from pressroom.domain.errors import (
    ConfigurationError,
    PermanentError,
    TransientError,
)
from pressroom_dev.local.airflow_api import LocalAirflow

Handler = Callable[[httpx.Request], httpx.Response]
SECRET = "hunter2"


class Airflow:
    """Logs in anyone, notes what it is asked, and answers the rest with ``handler``."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[httpx.Request] = []
        self.logins = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/auth/token"):
            assert json.loads(request.content) == {"username": "ann", "password": SECRET}
            self.logins += 1
            return httpx.Response(201, json={"access_token": f"token{self.logins}"})
        self.requests.append(request)
        return self.handler(request)


def client(handler: Handler, url: str = "http://airflow.example:8080") -> LocalAirflow:
    return LocalAirflow(
        url, "ann", SECRET, transport=httpx.MockTransport(handler), sleep=lambda seconds: None
    )


def test_trigger_sends_a_run_without_a_logical_date() -> None:
    airflow = Airflow(
        lambda request: httpx.Response(200, json={"dag_run_id": "manual__1", "state": "queued"})
    )
    with client(airflow, "http://airflow.example:8080/base/") as api:
        assert api.trigger("site__a", {"articles": 2}) == "manual__1"
    (request,) = airflow.requests
    assert (request.method, request.url.path) == ("POST", "/base/api/v2/dags/site__a/dagRuns")
    assert json.loads(request.content) == {"conf": {"articles": 2}, "logical_date": None}
    assert request.headers["Authorization"] == "Bearer token1"


def test_names_are_escaped_in_paths() -> None:
    airflow = Airflow(lambda request: httpx.Response(200, json={"state": "running"}))
    client(airflow).run_state("site__a", "scheduled__2026-11-22T02:00:00+00:00/x")
    assert airflow.requests[0].url.raw_path == (
        b"/api/v2/dags/site__a/dagRuns/scheduled__2026-11-22T02%3A00%3A00%2B00%3A00%2Fx"
    )


def test_clear_passes_what_airflow_would_default_otherwise() -> None:
    airflow = Airflow(lambda request: httpx.Response(200, json={"task_instances": [], "total_entries": 3}))
    assert client(airflow).clear("d", "r", ["open_run", ("content.work", 0)]) == 3
    body = json.loads(airflow.requests[0].content)
    assert body["dry_run"] is False
    assert body["only_failed"] is False
    assert body["task_ids"] == ["open_run", ["content.work", 0]]
    assert body["include_downstream"] is True


def test_an_asset_event_is_for_the_asset_of_that_very_uri() -> None:
    uri = "pressroom://site/a/approved"
    assets = [{"id": 7, "uri": f"{uri}-not"}, {"id": 9, "uri": uri}]
    airflow = Airflow(lambda request: httpx.Response(200, json={"assets": assets, "total_entries": 2}))
    with client(airflow) as api:
        api.asset_event(uri)
    asked, told = airflow.requests
    assert (asked.method, asked.url.params["uri_pattern"]) == ("GET", uri)
    assert (told.method, told.url.path) == ("POST", "/api/v2/assets/events")
    assert json.loads(told.content) == {"asset_id": 9, "extra": {}}


def test_an_asset_that_no_dag_names() -> None:
    airflow = Airflow(lambda request: httpx.Response(200, json={"assets": [], "total_entries": 0}))
    with client(airflow) as api, pytest.raises(PermanentError, match="knows no asset pressroom://site/a"):
        api.asset_event("pressroom://site/a/approved")


def test_each_file_of_the_tagged_dags_is_parsed_once() -> None:
    pages = {
        "0": [{"dag_id": "site__a", "file_token": "one"}, {"dag_id": "site__b", "file_token": "two"}],
        "2": [{"dag_id": "site__c", "file_token": "one"}],
    }

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            return httpx.Response(409 if request.url.path.endswith("two") else 201, json={})
        assert request.url.params["tags"] == "pressroom"
        return httpx.Response(200, json={"dags": pages[request.url.params["offset"]], "total_entries": 3})

    airflow = Airflow(answer)
    assert client(airflow).parse_dag_files("pressroom") == 2
    asked = [request.url.path for request in airflow.requests if request.method == "PUT"]
    assert sorted(asked) == ["/api/v2/parseDagFile/one", "/api/v2/parseDagFile/two"]


def test_dag_exists() -> None:
    answers = iter([404, 200])
    api = client(Airflow(lambda request: httpx.Response(next(answers), json={})))
    assert [api.dag_exists("d"), api.dag_exists("d")] == [False, True]


def test_wait_reports_states_and_outlives_a_restart() -> None:
    states = iter(["queued", None, "running", "success"])

    def answer(request: httpx.Request) -> httpx.Response:
        state = next(states)
        return httpx.Response(200, json={"state": state}) if state else httpx.Response(503)

    seen: list[str] = []
    assert client(Airflow(answer)).wait("d", "r", on_poll=seen.append) == "success"
    assert seen == ["queued", "running", "success"]


def test_wait_ends_at_its_timeout() -> None:
    api = client(Airflow(lambda request: httpx.Response(200, json={"state": "running"})))
    with pytest.raises(TransientError, match="has not ended within 0 seconds"):
        api.wait("d", "r", timeout=0)


def test_an_expired_token_is_renewed_once() -> None:
    answers = iter([200, 401, 200, 401, 401])
    airflow = Airflow(lambda request: httpx.Response(next(answers), json={"state": "running"}))
    api = client(airflow)
    api.run_state("d", "r")
    api.run_state("d", "r")
    assert [request.headers["Authorization"] for request in airflow.requests] == [
        "Bearer token1", "Bearer token1", "Bearer token2",
    ]  # fmt: skip
    with pytest.raises(ConfigurationError):
        api.run_state("d", "r")


@pytest.mark.parametrize("answer", [httpx.Response(200, text="<html>"), httpx.Response(200, json=["x"])])
def test_an_answer_of_something_else(answer: httpx.Response) -> None:
    with pytest.raises(PermanentError, match="something else"):
        client(Airflow(lambda request: answer)).run_state("d", "r")


@pytest.mark.parametrize("status", [401, 403, 422])
def test_a_refused_login_shows_no_password(status: int) -> None:
    body = {"detail": [{"loc": ["body"], "msg": "no", "input": {"password": SECRET}}]}
    with pytest.raises(ConfigurationError, match="refuses the login of 'ann'") as caught:
        client(lambda request: httpx.Response(status, json=body)).run_state("d", "r")
    assert SECRET not in str(caught.value)


def test_a_validation_error_does_not_repeat_what_was_sent() -> None:
    body = {"detail": [{"loc": ["body", "conf"], "msg": "bad", "input": SECRET}]}
    with pytest.raises(PermanentError, match=r"body\.conf: bad") as caught:
        client(Airflow(lambda request: httpx.Response(422, json=body))).trigger("d")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("url", ["airflow.example", "ftp://airflow.example"])
def test_a_url_without_http(url: str) -> None:
    with pytest.raises(ConfigurationError, match="http"):
        LocalAirflow(url, "ann", SECRET).run_state("d", "r")
